"""Exact times of frames: repaired, and set to a regular grid if they lie on one.

A stamp is a presentation time in ticks of the stream's time base; None if the file has none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

import numpy as np

from lib_ofgen.values import Jump

__all__ = [
    "FrameClock",
    "JoinedClock",
    "SteadyClock",
    "in_order",
    "mend",
    "nominal_rate",
    "typical_step",
]

DISCONTINUITY = 10
"""Seconds: a jump further than this, or backwards by more than a second, restarts the clock."""


class ClockJump(NamedTuple):
    """A jump of a clock, in ticks."""

    steady: int
    """When the frame after it comes, on the clock without jumps."""
    before: int
    """When the frame before it ends."""
    after: int
    """When the frame after it begins."""


class SteadyClock:
    """Removes the jumps of a clock, stamp by stamp: joined recordings follow each other."""

    def __init__(self, step: int, time_base: Fraction) -> None:
        """`step` is the distance in ticks at which the clock goes on after a jump."""
        self._step = step
        self._far = max(DISCONTINUITY / time_base, Fraction(2 * step))
        self._back = 1 / time_base
        self._shift = 0
        self._last: int | None = None

    def jump_at(self, stamp: int) -> ClockJump | None:
        """The jump of the clock between the stamp that was read last and this one, or None."""
        last, shift = self._last, self._shift
        if last is None or -self._back <= stamp + shift - last <= self._far:
            return None
        return ClockJump(last + self._step, last + self._step - shift, stamp)

    def read(self, stamp: int) -> int:
        """The time of `stamp` in ticks on a clock without jumps, counted as the first stamp is."""
        jump = self.jump_at(stamp)
        if jump:
            self._shift = jump.steady - stamp
        self._last = stamp + self._shift
        return self._last


class JoinedClock:
    """Maps a file's sound to the clip's clock, with the jumps of its pictures."""

    def __init__(self, start: Fraction, jumps: Sequence[Jump]) -> None:
        """`start` is the clip's start on the source's clock; `jumps` are the clip's."""
        self._jumps = list(jumps)
        self._shift = jumps[0].time - jumps[0].before if jumps else -start
        self._last: Fraction | None = None
        self.joins = 0
        """Number of the pictures' jumps that the sound has followed."""

    def read(self, time: Fraction) -> Fraction:
        """Seconds into the clip of `time`, in seconds on the source's clock.

        Times are given in the order of the file. Where they jump, the sound follows the next jump
        of the pictures behind which the time lies.
        """
        if self._last is not None and not -1 <= time - self._last <= DISCONTINUITY:
            self._follow(time)
        self._last = time
        return time + self._shift

    def _follow(self, time: Fraction) -> None:
        """Skip to the next jump of the pictures that fits, within a second."""
        ends = [jump.before for jump in self._jumps[1:]]
        for place, jump in enumerate(self._jumps):
            end = ends[place] if place < len(ends) else time
            if jump.after - 1 <= time <= end + 1:
                self._shift = jump.time - jump.after
                self.joins += 1
                del self._jumps[: place + 1]
                return


@dataclass(frozen=True)
class FrameClock:
    """The times of consecutive frames."""

    time_base: Fraction
    """Seconds per tick."""
    ticks: tuple[int, ...]
    """When each frame begins, counted from the first one; strictly rising."""
    end: int
    """When the last one ends."""

    def on_grid(self, rates: Sequence[Fraction]) -> FrameClock:
        """Move the times to whole multiples of 1 / rate, for the first possible rate.

        Containers that count milliseconds round the times of a constant rate; this restores, for
        example, 30000/1001. If every tick is on a grid already, nothing changes. Frames may be
        missing from the grid, but none may be off it by more than the rounding.
        """
        if any(self._places(rate, within=0, least=2) for rate in rates):
            return self
        for rate in (*map(nominal_rate, rates), *rates):
            places = self._places(rate, within=1, least=4)
            if places:
                ticks = tuple(place * rate.denominator for place in places)
                return FrameClock(Fraction(1, rate.numerator), ticks[:-1], ticks[-1])
        return self

    def _places(self, rate: Fraction, *, within: int, least: int) -> list[int]:
        """Return each time in frames of `rate`; empty if one is off by more than `within` ticks.

        Any time would fit a grid that is finer than `least` ticks.
        """
        per_frame = 1 / (rate * self.time_base)
        times = (*self.ticks, self.end)
        places = [round(time / per_frame) for time in times]
        pairs = zip(times, places, strict=True)
        fits = per_frame >= least and all(
            abs(time - place * per_frame) <= within for time, place in pairs
        )
        return places if fits and all(a < b for a, b in pairwise(places)) else []

    def every(self, nth: int, most: int) -> FrameClock:
        """Keep frames 0, nth, 2 nth, ..., and the end; at most `most`, if that is not 0."""
        ticks = self.ticks[::nth]
        return FrameClock(self.time_base, ticks[:most] if most else ticks, self.end)


def nominal_rate(rate: Fraction) -> Fraction:
    """Return the broadcast or whole rate nearest to a measured one, or the rate itself."""
    whole = round(rate)
    for candidate in (Fraction(whole), Fraction(round(rate * 1001 / 1000) * 1000, 1001)):
        if candidate and abs(rate / candidate - 1) < Fraction(1, 5000):
            return candidate
    return rate


def typical_step(stamps: Sequence[int | None], fallback: int) -> int:
    """Return the median distance of neighbouring stamps in ticks; `fallback` if there is none."""
    pairs = pairwise(stamps)
    steps = [b - a for a, b in pairs if a is not None and b is not None and b > a]
    return median_low(steps) if steps else max(1, fallback)


def in_order(stamps: Sequence[int | None]) -> list[int | None]:
    """Sort the known stamps; for files that store them in the order of the packets."""
    rising = iter(sorted(stamp for stamp in stamps if stamp is not None))
    return [None if stamp is None else next(rising) for stamp in stamps]


def mend(stamps: Sequence[int | None], step: int, time_base: Fraction) -> list[int]:
    """Return strictly rising times for stamps that may be missing, repeated or out of order.

    Rising stamps are kept; the others are interpolated. After a jump of the clock (joined
    recordings), the times continue one step later.
    """
    known = _continuous(stamps, step, time_base)
    kept = _longest_rise(known)
    places = np.arange(len(stamps))
    if not kept:
        return [int(place) * step for place in places]
    anchors = np.array(kept)
    values = np.array([known[place] for place in kept], dtype=np.int64)
    spread = np.interp(places, anchors, values)
    spread = np.where(places < anchors[0], values[0] - (anchors[0] - places) * step, spread)
    spread = np.where(places > anchors[-1], values[-1] + (places - anchors[-1]) * step, spread)
    times: list[int] = []
    for time in np.rint(spread).astype(np.int64).tolist():
        times.append(max(time, times[-1] + 1) if times else time)
    return times


def _continuous(stamps: Sequence[int | None], step: int, time_base: Fraction) -> list[int | None]:
    """Return the stamps without the jumps of the clock."""
    clock = SteadyClock(step, time_base)
    return [None if stamp is None else clock.read(stamp) for stamp in stamps]


def _longest_rise(stamps: Sequence[int | None]) -> list[int]:
    """Return the places of the longest strictly rising subsequence, by patience sorting."""
    lowest: list[int] = []  # the lowest stamp that ends a rise of each length
    ends: list[int] = []  # and its place
    before: dict[int, int] = {}
    for place, stamp in enumerate(stamps):
        if stamp is None:
            continue
        length = bisect_left(lowest, stamp)
        if length < len(lowest) and lowest[length] == stamp:
            continue  # of equal stamps the first counts
        before[place] = ends[length - 1] if length else -1
        lowest[length : length + 1] = [stamp]
        ends[length : length + 1] = [place]
    rise: list[int] = []
    place = ends[-1] if ends else -1
    while place >= 0:
        rise.append(place)
        place = before[place]
    return rise[::-1]
