"""How far a job is, and how long it will still take."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

__all__ = ["Outlook", "Pace", "fraction", "painted", "words"]


class _Told(NamedTuple):
    words: str
    share: float
    """0..1: what part of a job it is taken for."""


_STAGES = {
    "decode": _Told("reading the video", 0.03),
    "analyse": _Told("looking for cuts", 0.02),
    "keys": _Told("choosing key frames", 0.03),
    "tag": _Told("reading key frames", 0.01),
    "paint": _Told("painting", 0.88),
    "measure": _Told("measuring", 0.03),
}
"""What a `Reporter` hears of, in the order of a job; what has nothing to do is left out."""
_SUMS = accumulate((told.share for told in _STAGES.values()), initial=0.0)
_BEGINS = dict(zip(_STAGES, _SUMS, strict=False))  # the last sum is the job's end
"""0..1: how far the whole job is when a stage begins."""

_FOUND = 0.01
"""Seconds: a step that is told sooner after the one before it was not made but found."""
_ENOUGH = 0.02
"""Share 0..1 of a job that tells of the rest."""
_TINY = 1e-9
_OWN = 0.3
"""Share 0..1 of the last part that tells of the rest of it."""
_PARTS = (
    (0.0, _BEGINS["paint"]),
    (_BEGINS["paint"], _BEGINS["measure"]),
    (_BEGINS["measure"], 1.0 + _TINY),
)
"""Shares 0..1 of a job whose paces say nothing of each other: before, while and after painting."""


def words(stage: str) -> str:
    """What is being done in a stage; what is none stands for itself."""
    return _STAGES[stage].words if stage in _STAGES else stage


def fraction(stage: str, done: int, of: int) -> float:
    """0..1: how far the whole job is when `done` of `of` units of a stage are finished."""
    return _BEGINS[stage] + _STAGES[stage].share * min(1.0, done / max(1, of))


def painted(share: float) -> float:
    """0..1: where painting stands when this share of it and of all that follows is done."""
    return min(1.0, share * (1 - _BEGINS["paint"]) / _STAGES["paint"].share)


class Pace:
    """The share of a job that is done, where steps of one kind take longer than those of another.

    What is left of a kind weighs what its steps have taken on average so far, where a guess counts
    for one of them.
    """

    def __init__(self, counts: Mapping[str, float], *guesses: Mapping[str, float]) -> None:
        """How many steps of each kind there are, and what one weighs beside others of its group.

        Each mapping is a group: as soon as a kind of it is timed, all are thought to be as much
        slower or faster than guessed. Until then, guesses are seconds.
        """
        self.fraction = 0.0
        """0..1: what is done."""
        self._counts, self._groups = dict(counts), guesses
        self._done = dict.fromkeys(counts, 0.0)
        self._timed = dict.fromkeys(counts, 0.0)
        self._seconds = dict.fromkeys(counts, 0.0)

    def expect(self, kind: str, count: float) -> None:
        """So many steps of the kind are expected by now, those that are done among them."""
        self._counts[kind] = count

    def add(self, kind: str, steps: float, made: float, seconds: float) -> float:
        """More steps are done, of which so many were not found but made; gives the fraction.

        It never falls, though steps turn out to take longer than was thought.
        """
        self._done[kind] += steps
        self._timed[kind] += made
        self._seconds[kind] += seconds
        weights = self._weights()
        left = sum(each * max(0.0, self._left(kind)) for kind, each in weights.items())
        found = sum(weights[kind] * (self._done[kind] - self._timed[kind]) for kind in weights)
        done = found + sum(self._seconds.values())
        if done + left:
            self.fraction = max(self.fraction, min(1.0, done / (done + left)))
        return self.fraction

    def _left(self, kind: str) -> float:
        """How many steps of the kind are to be done."""
        return self._counts[kind] - self._done[kind]

    def _weights(self) -> dict[str, float]:
        """What a step of each kind weighs, in seconds as soon as one of its group is timed."""
        weights: dict[str, float] = {}
        for group in self._groups:
            timed = [kind for kind in group if self._timed[kind]]
            guessed = sum(group[kind] * self._timed[kind] for kind in timed)
            scale = sum(self._seconds[kind] for kind in timed) / guessed if guessed else 1.0
            for kind, guess in group.items():
                weights[kind] = (self._seconds[kind] + guess * scale) / (self._timed[kind] + 1)
        return weights


class Outlook:
    """The seconds to go, by the pace of what was done so far.

    A job that goes on where it was stopped finds much of its work done: that says nothing of the
    pace. Nor does the time before the first paint, once painting has begun; and what comes after
    the last paint ends when that was told, until its own pace is known.
    """

    def __init__(self, begun: float) -> None:
        """`begun` is now, in seconds."""
        self._latest = (begun, 0.0)
        self._seconds, self._gained = [0.0] * len(_PARTS), [0.0] * len(_PARTS)
        self._promised: float | None = None

    def add(self, now: float, fraction: float) -> None:
        """So much 0..1 of the job is done."""
        since, before = self._latest
        if before < _PARTS[-1][0] <= fraction:
            left = self.left()
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

    def left(self) -> float | None:
        """Seconds to go from when the latest step was done; None before there is enough to tell."""
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
