"""How far the making of frames is: drafted, painted, finished, and what each of it has taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lib_ofgen.pipeline.context import Stopwatch
from lib_ofgen.pipeline.progress import Pace, painted
from lib_ofgen.pipeline.rendering.propagation import DraftProgress

__all__ = ["Ahead", "holed", "paced"]

_SECONDS = {"draft": (0.02, 2e-6), "finish": (0.01, 0.8e-6), "rest": (0.02, 0.3e-6)}
"""What a step is thought to take before one has been timed, and per pixel: measured on two cores.

`rest` is what comes after the last frame is finished, per frame.
"""
_SOME = 0.1
"""Of frames that lack this share 0..1, 1 - 1/e are painted and the others borrow; measured."""
_WEIGHT = 0.3
"""Share 0..1 of all drafts that the estimate of their holes counts for beside those made."""
_MOST = 2.0
"""How many times more frames than was thought are taken to have holes, if many have had some."""
_PAINTED = 1e-3
"""Seconds of paint from which frames are taken to have had holes."""


@dataclass(frozen=True)
class Ahead:
    """What is to be made."""

    length: int
    pixels: int
    """Of a frame."""
    keys: int
    """Frames whose paint is that of keys."""
    whole: frozenset[int]
    """Frames that are finished as soon as they are painted."""
    holes: tuple[float, ...]
    """How likely, 0..1, some of the other frames, evenly over the clip, need paint; see `holed`."""
    strength: float
    """That of holes over that of keys."""


def holed(missing: Sequence[float], pixels: int, least: int) -> tuple[float, ...]:
    """How likely, 0..1, frames need paint, by the shares that they lack.

    Frames lend each other what is painted: the less there is to paint, the fewer do.
    """
    return tuple(
        1 - math.exp(-share / _SOME) if share * pixels >= least else 0 for share in missing
    )


def paced(
    order: Iterator[int | DraftProgress], ahead: Ahead, watch: Stopwatch
) -> Iterator[tuple[int | None, float]]:
    """The index of each frame that is finished, or None, and the share 0..1 of the time so far.

    It is as `pace.painted` has it: what comes after the last frame is a part of that time.
    """
    progress = _Progress(ahead, watch)
    for done in order:
        if isinstance(done, DraftProgress):
            progress.drafted(done)
        elif done not in ahead.whole:
            progress.finished()
        yield None if isinstance(done, DraftProgress) else done, painted(progress.pace.fraction)


class _Progress:
    """Tells a `Pace` of steps, and what of their time was paint."""

    def __init__(self, ahead: Ahead, watch: Stopwatch) -> None:
        self._ahead, self._watch = ahead, watch
        self._drafts = ahead.length - ahead.keys
        self._keys = self._others = self._painted = 0
        self._paint, self._making = watch.seconds["paint"], watch.making
        counts = {
            "key": ahead.keys, "hole": self._expected(), "draft": self._drafts,
            "finish": ahead.length - len(ahead.whole), "rest": ahead.length,
        }  # fmt: skip
        seconds = {kind: at + each * ahead.pixels for kind, (at, each) in _SECONDS.items()}
        self.pace = Pace(counts, {"key": 1.0, "hole": ahead.strength}, seconds)

    def drafted(self, done: DraftProgress) -> None:
        """Some frames are drafted."""
        paint, rest = self._spent()
        if self._keys < self._ahead.keys:
            self._keys += done.frames
            self.pace.add("key", *done, paint + rest)
            return
        self._others += done.frames
        holed = done.made if paint > _PAINTED else 0
        self._painted += holed
        self.pace.expect("hole", self._expected())
        self.pace.add("hole", holed, holed, paint)
        self.pace.add("draft", *done, rest)

    def finished(self) -> None:
        """A frame is finished."""
        paint, rest = self._spent()
        self.pace.add("finish", 1, paint + rest > 0, paint + rest)

    def _expected(self) -> float:
        """How many frames have holes to be painted, those that are painted among them."""
        likely, drafts = self._ahead.holes, self._drafts
        if not likely or not drafts:
            return self._painted
        each = drafts / len(likely)
        place = round(self._others / each)
        before, after = each * sum(likely[:place]), each * sum(likely[place:])
        some = max(1.0, _WEIGHT * drafts)
        rate = min(_MOST, (self._painted + some) / (before + some))
        budget = max(0.0, before + after - self._painted)
        return self._painted + min(drafts - self._others, (budget + rate * after) / 2)

    def _spent(self) -> tuple[float, float]:
        """Seconds of painting and of other making since the last look."""
        before = self._paint, self._making
        self._paint, self._making = self._watch.seconds["paint"], self._watch.making
        paint = self._paint - before[0]
        return paint, max(0.0, self._making - before[1] - paint)
