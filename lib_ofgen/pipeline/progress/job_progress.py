"""How much of a job is done, and how many seconds are left."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

__all__ = ["Pace", "RemainingTime", "format_seconds", "fraction", "paint_fraction", "words"]


class _Phase(NamedTuple):
    words: str
    """What users read."""
    share: float
    """0..1: the expected share of a job's time."""


_PHASES = {
    "decode": _Phase("reading the video", 0.03),
    "analyse": _Phase("looking for cuts", 0.02),
    "keys": _Phase("choosing key frames", 0.03),
    "tag": _Phase("reading key frames", 0.01),
    "paint": _Phase("painting", 0.88),
    "measure": _Phase("measuring", 0.03),
}
"""The phases that a `Reporter` is told of, in their order; a phase without work is left out."""
_SUMS = accumulate((phase.share for phase in _PHASES.values()), initial=0.0)
_BEGINS = dict(zip(_PHASES, _SUMS, strict=False))  # the last sum is the job's end
"""0..1: the share of the whole job that is done when a phase begins."""

_FOUND = 0.01
"""Seconds: a step that comes sooner after the one before was found in the workspace, not made."""
_ENOUGH = 0.02
"""Share 0..1 of a job that must be timed before the rest can be estimated."""
_TINY = 1e-9
_OWN = 0.3
"""Share 0..1 of the last part from which the rest of it is estimated by its own pace."""
_PARTS = (
    (0.0, _BEGINS["paint"]),
    (_BEGINS["paint"], _BEGINS["measure"]),
    (_BEGINS["measure"], 1.0 + _TINY),
)
"""Shares 0..1 of a job with independent paces: before, during and after painting."""


def words(phase: str) -> str:
    """Return the words for a phase; an unknown phase is returned as it is."""
    return _PHASES[phase].words if phase in _PHASES else phase


def format_seconds(seconds: float) -> str:
    """Return a time in the unit in which users read it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def fraction(phase: str, done: int, of: int) -> float:
    """Return the share 0..1 of the whole job that is done after `done` of `of` units of a phase."""
    return _BEGINS[phase] + _PHASES[phase].share * min(1.0, done / max(1, of))


def paint_fraction(share: float) -> float:
    """Return the share 0..1 of the phase `paint` that is done.

    `share` is the share of the time of that phase and of all phases after it.
    """
    return min(1.0, share * (1 - _BEGINS["paint"]) / _PHASES["paint"].share)


class Pace:
    """The share of a job that is done, if the kinds of steps take different times.

    The steps that are left of a kind have the weight of the mean time of its steps so far; the
    guess counts as one of these.
    """

    def __init__(self, counts: Mapping[str, float], *guesses: Mapping[str, float]) -> None:
        """Begin with nothing done.

        Args:
            counts: The number of steps of each kind.
            guesses: Groups of kinds, each with the guessed time of a step of each kind. Until a
                kind of a group is timed, its guesses are seconds; after that they are only
                compared with each other.
        """
        self.fraction = 0.0
        """0..1: the share that is done."""
        self._counts, self._groups = dict(counts), guesses
        self._done = dict.fromkeys(counts, 0.0)
        self._timed = dict.fromkeys(counts, 0.0)
        self._seconds = dict.fromkeys(counts, 0.0)

    def expect(self, kind: str, count: float) -> None:
        """Set the expected number of steps of a kind, with those that are done."""
        self._counts[kind] = count

    def add(self, kind: str, steps: float, made: float, seconds: float) -> float:
        """Add finished steps of a kind; return the share 0..1 of the job that is done.

        `made` of the steps took `seconds`; the others were found in the workspace. The share never
        falls, even if steps take longer than expected.
        """
        self._done[kind] += steps
        self._timed[kind] += made
        self._seconds[kind] += seconds
        weights = self._weights()
        left = sum(weight * max(0.0, self._steps_left(kind)) for kind, weight in weights.items())
        found = sum(weights[kind] * (self._done[kind] - self._timed[kind]) for kind in weights)
        done = found + sum(self._seconds.values())
        if done + left:
            self.fraction = max(self.fraction, min(1.0, done / (done + left)))
        return self.fraction

    def _steps_left(self, kind: str) -> float:
        """Return the number of steps of the kind that are left."""
        return self._counts[kind] - self._done[kind]

    def _weights(self) -> dict[str, float]:
        """Return the time of a step of each kind, in seconds once a kind of its group is timed."""
        weights: dict[str, float] = {}
        for group in self._groups:
            timed = [kind for kind in group if self._timed[kind]]
            guessed = sum(group[kind] * self._timed[kind] for kind in timed)
            scale = sum(self._seconds[kind] for kind in timed) / guessed if guessed else 1.0
            for kind, guess in group.items():
                weights[kind] = (self._seconds[kind] + guess * scale) / (self._timed[kind] + 1)
        return weights


class RemainingTime:
    """An estimate of the seconds until a job ends, by its pace so far.

    A job that continues finds much of its work in the workspace: these steps are not timed. Once
    painting has begun, the time before it does not count. The end of the work after painting keeps
    the time that was estimated at the end of painting, until the pace of that work is known.
    """

    def __init__(self, begun: float) -> None:
        """`begun` is the present time, in seconds of any clock."""
        self._latest = (begun, 0.0)
        self._seconds, self._gained = [0.0] * len(_PARTS), [0.0] * len(_PARTS)
        self._promised: float | None = None

    def add(self, now: float, fraction: float) -> None:
        """Note that the share `fraction`, 0..1, of the job is done at `now`, in seconds."""
        since, before = self._latest
        if before < _PARTS[-1][0] <= fraction:
            left = self.seconds()
            self._promised = None if left is None else since + left
        self._latest = (now, fraction)
        gained = max(0.0, fraction - before)
        if now - since < _FOUND:
            return
        for place, (start, stop) in enumerate(_PARTS):
            inside = max(0.0, min(fraction, stop) - max(before, start))
            here = start <= fraction < stop
            self._gained[place] += inside
            self._seconds[place] += (now - since) * (inside / gained if gained else here)

    def seconds(self) -> float | None:
        """Return the seconds from the latest step to the end; None if too little is known."""
        now, fraction = self._latest
        start, _ = _PARTS[-1]
        if fraction >= start and self._promised is not None:
            inside = (fraction - start) / (1 - start)
            own = self._seconds[-1] * (1 - inside) / inside if inside > _OWN else None
            return max(0.0, self._promised - now) if own is None else own
        seconds, gained = sum(self._seconds), sum(self._gained)
        if gained < _ENOUGH - _TINY:
            return None
        if fraction > _PARTS[0][1]:
            seconds, gained = self._seconds[1], self._gained[1]
        return (1 - fraction) * seconds / gained if gained >= _ENOUGH / 2 - _TINY else None
