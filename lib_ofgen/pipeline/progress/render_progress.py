"""The progress of rendering: what is drafted, painted and finished, and the time it took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from lib_ofgen.pipeline.progress.job_progress import Pace, paint_fraction
from lib_ofgen.pipeline.rendering.propagation import DraftProgress
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.values import Step

__all__ = ["ExpectedDraft", "ExpectedWork", "expect_drafts", "measure_progress"]

_SECONDS = {"flow": (0.005, 0.45e-6), "finish": (0.014, 1.2e-6), "rest": (0.006, 0.9e-6)}
"""Guessed seconds of a step, and per pixel of it, until one has been timed.

Chosen on jobs that `tests.benchmarks.time_left` made with DIS on clips of 192x80 to 512x288, on two
busy cores. `flow` is the flow from one source of a draft, with its fusion; `rest` is one pair of
frames that the report measures, with all other work after the last frame.
"""
_JUDGED = 320 * 320
"""px: larger pictures are made smaller before they are measured."""
_ASKED = 2
"""Number of sources that a frame without holes uses; measured: one is seldom enough."""
_LIKELY = 0.7
"""Mean number of smallest holes in a frame at which all but 1/e of such frames need paint.

This and the following are fitted to 1,250 frames of nine jobs (car, sintel, nasa, bbb).
"""
_LENT = 0.4
"""Share 0..1 of holes that is left at each level of a gap, as levels before lend their paint."""
_GUESSED = 4.0
"""Weight of the guess of how many frames need paint, in frames."""
_PAINTED = 1e-3
"""Seconds of painting from which frames count as frames with holes."""


class ExpectedDraft(NamedTuple):
    """The expected work of drafting one frame."""

    holes: float
    """Probability 0..1 that the frame needs paint."""
    flows: float
    """Number of sources; the first of frames that are drafted together counts for all of them."""


@dataclass(frozen=True)
class ExpectedWork:
    """The expected work of a job."""

    length: int
    """Number of frames."""
    pixels: int
    """Number of pixels of a frame."""
    keys: int
    """Number of key frames that are painted whole."""
    whole: frozenset[int]
    """Indices of the frames that are finished as soon as they are painted."""
    drafts: tuple[ExpectedDraft, ...]
    """The other frames, in the order of drafting; see `expect_drafts`."""
    hole: float
    """Time of painting the holes of a frame, divided by that of painting a key frame."""
    judged: int
    """Number of pairs of frames that the report measures."""


def expect_drafts(
    levels: Iterable[tuple[int, Sequence[Step]]],
    missing: Mapping[int, float],
    smallest: float,
    at_once: int,
) -> Iterator[ExpectedDraft]:
    """Yield the expected work of each step, in the order of drafting.

    Args:
        levels: Steps of each level, with its depth below the key frames: -1 for key frames that
            are made from others, 0 for the middle of a gap.
        missing: Share 0..1 of each frame that the key frames leave as holes.
        smallest: Share 0..1 of a frame that the smallest hole has.
        at_once: Number of frames that are drafted together.
    """
    for depth, level in levels:
        steps = iter(level)
        while some := list(islice(steps, at_once)):
            missing_holes = [missing[step.target] / (_LIKELY * smallest) for step in some]
            asked = sum(
                _ASKED + max(0, len(step.sources) - _ASKED) * _probability(count)
                for step, count in zip(some, missing_holes, strict=True)
            )
            for place, count in enumerate(missing_holes):
                yield ExpectedDraft(_probability(count * _LENT**depth), 0.0 if place else asked)


def _probability(mean: float) -> float:
    """Return the probability 0..1 of at least one event, from their mean number."""
    return 1 - math.exp(-mean)


def measure_progress(
    order: Iterator[int | DraftProgress], work: ExpectedWork, watch: Stopwatch
) -> Iterator[tuple[int | None, float]]:
    """Yield the index of each finished frame, or None, and the share 0..1 of the phase `paint`.

    The share is that of `job_progress.paint_fraction`.
    """
    progress = _Progress(work, watch)
    for done in order:
        if isinstance(done, DraftProgress):
            progress.add_drafts(done)
        elif done not in work.whole:
            progress.add_finished_frame()
        yield (
            None if isinstance(done, DraftProgress) else done,
            paint_fraction(progress.pace.fraction),
        )


class _Progress:
    """Counts and times the steps of a job for its `Pace`, painting apart from other work."""

    def __init__(self, work: ExpectedWork, watch: Stopwatch) -> None:
        self._work, self._watch = work, watch
        self._keys = self._others = self._painted = 0
        # Number of frames that were expected to need paint: of those made, and of those left.
        self._likely, self._coming = 0.0, sum(draft.holes for draft in work.drafts)
        self._paint, self._making = watch.seconds["paint"], watch.rendering
        counts = {
            "key": work.keys, "hole": self._coming,
            "flow": sum(draft.flows for draft in work.drafts),
            "finish": work.length - len(work.whole), "rest": work.judged,
        }  # fmt: skip
        pixels = dict.fromkeys(_SECONDS, work.pixels) | {"rest": min(work.pixels, _JUDGED)}
        seconds = {kind: at + each * pixels[kind] for kind, (at, each) in _SECONDS.items()}
        self.pace = Pace(counts, {"key": 1.0, "hole": work.hole}, seconds)

    def add_drafts(self, done: DraftProgress) -> None:
        """Count frames that are drafted."""
        paint, rest = self._read_seconds()
        if self._keys < self._work.keys:
            self._keys += done.frames
            self.pace.add("key", *done, paint + rest)
            return
        drafts = self._work.drafts[self._others : self._others + done.frames]
        self._others += done.frames
        likely, flows = (sum(each) for each in zip(*drafts, strict=True))
        self._coming -= likely
        holed = done.made if paint > _PAINTED else 0
        if done.made:
            self._painted += holed
            self._likely += likely
        rate = (self._painted + _GUESSED) / (self._likely + _GUESSED)
        most = len(self._work.drafts) - self._others
        self.pace.expect("hole", self._painted + min(most, rate * self._coming))
        self.pace.add("hole", holed, holed, paint)
        self.pace.add("flow", flows, flows if done.made else 0, rest)

    def add_finished_frame(self) -> None:
        """Count a frame that is finished."""
        paint, rest = self._read_seconds()
        self.pace.add("finish", 1, paint + rest > 0, paint + rest)

    def _read_seconds(self) -> tuple[float, float]:
        """Return the seconds of painting and of other rendering since the last call."""
        before = self._paint, self._making
        self._paint, self._making = self._watch.seconds["paint"], self._watch.rendering
        paint = self._paint - before[0]
        return paint, max(0.0, self._making - before[1] - paint)
