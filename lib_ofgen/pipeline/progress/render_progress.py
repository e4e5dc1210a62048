"""How far the making of frames is: drafted, painted, finished, and what each of it has taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from lib_ofgen.pipeline.progress.job_progress import Pace, painted
from lib_ofgen.pipeline.rendering.propagation import DraftProgress
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.values import Step

__all__ = ["Ahead", "Draft", "drafts", "measure"]

_SECONDS = {"flow": (0.004, 0.4e-6), "finish": (0.012, 1.2e-6), "rest": (0.013, 0.9e-6)}
"""What a step is thought to take before one has been timed, and per pixel.

Measured by DIS on clips of 160x72 to 512x216, as seconds of one core, and told 2.6 times: so much
longer did the same jobs take on two busy cores (1.8, 2.6 and 3.6 times). `flow` is a source that a
draft asks, with the fusing of what it gives; `rest` is a pair of frames that the report judges,
with all else that follows the last frame.
"""
_JUDGED = 320 * 320
"""px: larger pictures are not judged."""
_ASKED = 2
"""Sources that a frame asks though it lacks nothing; measured, one is seldom enough."""
_LIKELY = 0.7
"""Smallest holes that the survey finds in a frame when all but 1/e of such frames need paint.

Fitted, with the following, to 1,250 frames of nine jobs (car, sintel, nasa, bbb).
"""
_LENT = 0.4
"""What is left of holes by each level of a gap, as the levels before lend it what was painted."""
_GUESSED = 4.0
"""Frames painted for which the guess of how many need paint counts beside those made."""
_PAINTED = 1e-3
"""Seconds of paint from which frames are taken to have had holes."""


class Draft(NamedTuple):
    """What is expected of the drafting of a frame."""

    holes: float
    """How likely, 0..1, it needs paint."""
    flows: float
    """Sources asked; those of frames that are asked together count for the first of them."""


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
    drafts: tuple[Draft, ...]
    """The other frames, in the order of drafting; see `drafts`."""
    hole: float
    """What painting the holes of a frame takes beside a key frame."""
    judged: int
    """Pairs of frames that the report judges."""


def drafts(
    levels: Iterable[tuple[int, Sequence[Step]]],
    missing: Mapping[int, float],
    smallest: float,
    at_once: int,
) -> Iterator[Draft]:
    """What is expected of the steps of levels, each with its depth below the key frames.

    A key frame that is made of others is at depth -1, the middle of a gap at 0. `missing` is the
    share 0..1 of a frame that is holes for key frames, `smallest` that of the smallest hole, and
    `at_once` is how many frames ask their sources together.
    """
    for depth, level in levels:
        steps = iter(level)
        while some := list(islice(steps, at_once)):
            lacking = [missing[step.target] / (_LIKELY * smallest) for step in some]
            asked = sum(
                _ASKED + max(0, len(step.sources) - _ASKED) * _some(lack)
                for step, lack in zip(some, lacking, strict=True)
            )
            for place, lack in enumerate(lacking):
                yield Draft(_some(lack * _LENT**depth), 0.0 if place else asked)


def _some(lacking: float) -> float:
    """How likely, 0..1, something that is lacking on average so often is lacking at all."""
    return 1 - math.exp(-lacking)


def measure(
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
        self._keys = self._others = self._painted = 0
        # How many frames were expected to need paint: of those made, and of those to come.
        self._likely, self._coming = 0.0, sum(draft.holes for draft in ahead.drafts)
        self._paint, self._making = watch.seconds["paint"], watch.rendering
        counts = {
            "key": ahead.keys, "hole": self._coming,
            "flow": sum(draft.flows for draft in ahead.drafts),
            "finish": ahead.length - len(ahead.whole), "rest": ahead.judged,
        }  # fmt: skip
        pixels = dict.fromkeys(_SECONDS, ahead.pixels) | {"rest": min(ahead.pixels, _JUDGED)}
        seconds = {kind: at + each * pixels[kind] for kind, (at, each) in _SECONDS.items()}
        self.pace = Pace(counts, {"key": 1.0, "hole": ahead.hole}, seconds)

    def drafted(self, done: DraftProgress) -> None:
        """Some frames are drafted."""
        paint, rest = self._spent()
        if self._keys < self._ahead.keys:
            self._keys += done.frames
            self.pace.add("key", *done, paint + rest)
            return
        some = self._ahead.drafts[self._others : self._others + done.frames]
        self._others += done.frames
        likely, flows = (sum(each) for each in zip(*some, strict=True))
        self._coming -= likely
        holed = done.made if paint > _PAINTED else 0
        if done.made:
            self._painted += holed
            self._likely += likely
        rate = (self._painted + _GUESSED) / (self._likely + _GUESSED)
        most = len(self._ahead.drafts) - self._others
        self.pace.expect("hole", self._painted + min(most, rate * self._coming))
        self.pace.add("hole", holed, holed, paint)
        self.pace.add("flow", flows, flows if done.made else 0, rest)

    def finished(self) -> None:
        """A frame is finished."""
        paint, rest = self._spent()
        self.pace.add("finish", 1, paint + rest > 0, paint + rest)

    def _spent(self) -> tuple[float, float]:
        """Seconds of painting and of other making since the last look."""
        before = self._paint, self._making
        self._paint, self._making = self._watch.seconds["paint"], self._watch.rendering
        paint = self._paint - before[0]
        return paint, max(0.0, self._making - before[1] - paint)
