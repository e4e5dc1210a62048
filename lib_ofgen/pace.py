"""How far a job is, and how long it will still take."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

__all__ = ["Outlook", "Pace", "fraction", "words"]


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


def words(stage: str) -> str:
    """What is being done in a stage; what is none stands for itself."""
    return _STAGES[stage].words if stage in _STAGES else stage


def fraction(stage: str, done: int, of: int) -> float:
    """0..1: how far the whole job is when `done` of `of` units of a stage are finished."""
    return _BEGINS[stage] + _STAGES[stage].share * min(1.0, done / max(1, of))


class Pace:
    """The share of a job that is done, where steps of one kind take longer than those of another.

    A kind weighs what its steps have taken on average so far, where a guess counts for one of them.
    """

    def __init__(self, counts: Mapping[str, int], guesses: Mapping[str, float]) -> None:
        """How many steps of each kind there are, and what one weighs beside the others."""
        self.fraction = 0.0
        """0..1: what is done."""
        self._counts, self._guesses = counts, guesses
        self._done = dict.fromkeys(counts, 0)
        self._timed = dict.fromkeys(counts, 0)
        self._seconds = dict.fromkeys(counts, 0.0)

    def add(self, kind: str, steps: int, made: int, seconds: float) -> float:
        """More steps are done, of which so many were not found but made; gives the fraction.

        It never falls, though steps turn out to take longer than was thought.
        """
        self._done[kind] += steps
        if made:
            self._timed[kind] += made
            self._seconds[kind] += seconds
        weights = self._weights()
        whole = sum(weights[kind] * count for kind, count in self._counts.items())
        done = sum(weights[kind] * count for kind, count in self._done.items())
        self.fraction = max(self.fraction, done / whole)
        return self.fraction

    def _weights(self) -> dict[str, float]:
        """What a step of each kind weighs, in seconds as soon as one has been timed."""
        guessed = sum(self._guesses[kind] * count for kind, count in self._timed.items())
        scale = sum(self._seconds.values()) / guessed if guessed else 1.0
        return {
            kind: (self._seconds[kind] + self._guesses[kind] * scale) / (count + 1)
            for kind, count in self._timed.items()
        }


class Outlook:
    """The seconds to go, by the pace of what was done so far.

    A job that goes on where it was stopped finds much of its work done: that says nothing of the
    pace.
    """

    def __init__(self, begun: float) -> None:
        """`begun` is now, in seconds."""
        self._latest = (begun, 0.0)
        self._seconds = self._gained = 0.0

    def add(self, now: float, fraction: float) -> None:
        """So much 0..1 of the job is done."""
        since, before = self._latest
        self._latest = (now, fraction)
        if now - since >= _FOUND:
            self._seconds += now - since
            self._gained += max(0.0, fraction - before)

    def left(self) -> float | None:
        """Seconds to go from when the latest step was done; None before there is enough to tell."""
        if self._gained < _ENOUGH:
            return None
        return (1 - self._latest[1]) * self._seconds / self._gained
