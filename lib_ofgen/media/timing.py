"""Times of frames: repaired, set on a regular grid where they lie on one, exact.

A stamp is a presentation time in ticks of the stream's time base; None where the file has none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median_low

import numpy as np

__all__ = ["Timeline", "mend", "nominal_rate", "typical_step"]

DISCONTINUITY = 10
"""Seconds: a jump further than this, or backwards by more than a second, restarts the clock."""


@dataclass(frozen=True)
class Timeline:
    """When a run of frames begins and ends."""

    time_base: Fraction
    """Seconds per tick."""
    ticks: tuple[int, ...]
    """When each frame begins, counted from the first one; strictly rising."""
    end: int
    """When the last one ends."""

    def on_grid(self, rates: Sequence[Fraction]) -> Timeline:
        """The same frames at whole multiples of 1 / rate, for the first rate that allows it.

        Containers that count milliseconds round the times of a constant rate; undoing that keeps
        30000/1001 what it is. Where every tick lies on a grid already nothing changes. Frames
        may be missing from the grid, but none may be off it by more than the rounding.
        """
        if any(self._places(rate, within=0, least=2) for rate in rates):
            return self
        for rate in (*map(nominal_rate, rates), *rates):
            places = self._places(rate, within=1, least=4)
            if places:
                ticks = tuple(place * rate.denominator for place in places)
                return Timeline(Fraction(1, rate.numerator), ticks[:-1], ticks[-1])
        return self

    def _places(self, rate: Fraction, *, within: int, least: int) -> list[int]:
        """Each time in frames of `rate`, if none is off by more than `within` ticks; else empty.

        A grid finer than `least` ticks would take in any time at all.
        """
        per_frame = 1 / (rate * self.time_base)
        times = (*self.ticks, self.end)
        places = [round(time / per_frame) for time in times]
        pairs = zip(times, places, strict=True)
        fits = per_frame >= least and all(
            abs(time - place * per_frame) <= within for time, place in pairs
        )
        return places if fits and all(a < b for a, b in pairwise(places)) else []

    def every(self, nth: int, most: int) -> Timeline:
        """Frames 0, nth, 2 nth, ...; the end stays. At most `most`, if that is not 0."""
        ticks = self.ticks[::nth]
        return Timeline(self.time_base, ticks[:most] if most else ticks, self.end)


def nominal_rate(rate: Fraction) -> Fraction:
    """The broadcast or whole rate that a measured one stands for, or the rate itself."""
    whole = round(rate)
    for candidate in (Fraction(whole), Fraction(round(rate * 1001 / 1000) * 1000, 1001)):
        if candidate and abs(rate / candidate - 1) < Fraction(1, 5000):
            return candidate
    return rate


def typical_step(stamps: Sequence[int | None], fallback: int) -> int:
    """The median distance of neighbouring stamps in ticks; `fallback` where there is none."""
    pairs = pairwise(stamps)
    steps = [b - a for a, b in pairs if a is not None and b is not None and b > a]
    return median_low(steps) if steps else max(1, fallback)


def mend(stamps: Sequence[int | None], step: int, time_base: Fraction) -> list[int]:
    """Strictly rising times for frames whose stamps may be missing, repeated or out of order.

    Stamps that rise are kept; the others are spread between them. Where the clock jumps (joined
    recordings), it goes on one step later.
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
    """The stamps with jumps of the clock taken out."""
    far, back = DISCONTINUITY / time_base, 1 / time_base
    shift, last = 0, None
    joined: list[int | None] = []
    for stamp in stamps:
        if stamp is None:
            joined.append(None)
            continue
        if last is not None and not -back <= stamp + shift - last <= far:
            shift = last + step - stamp
        last = stamp + shift
        joined.append(last)
    return joined


def _longest_rise(stamps: Sequence[int | None]) -> list[int]:
    """The places of the longest strictly rising run of stamps, by patience sorting."""
    lowest: list[int] = []  # the lowest stamp that ends a rise of each length
    ends: list[int] = []  # and where it stands
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
