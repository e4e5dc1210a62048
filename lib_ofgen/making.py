"""Frames are made: flow, fuse, holes, paint, composite, each step kept in the workspace.

A step's digest names all that its pixels depend on. What is there under its digest is finished
and is never made again; a setting that changes leads to other digests where, and only where, it
matters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from lib_ofgen import fuse, inpaint
from lib_ofgen.errors import Stopped, WorkspaceError
from lib_ofgen.survey import Spool, recent
from lib_ofgen.values import (
    FlowEstimator,
    Fused,
    Image,
    Mask,
    Painted,
    Painter,
    Repaint,
    Reporter,
    Stage,
    Step,
)
from lib_ofgen.workspace import Workspace, digest

__all__ = ["Made", "Maker", "Rules", "Stopwatch"]

_METHOD = 1
"""Goes up when fusing or compositing gives other pixels, so that old frames are made anew."""
_BATCH = 8
"""Steps whose flows are under way at once, of frames up to 640x360; fewer of larger ones."""

_STAGES = ("decode", "analyse", "flow", "paint", "fuse", "encode", "measure")
"""What a job's time is divided into."""

_Kept = TypeVar("_Kept")


class Stopwatch:
    """Seconds spent by stage."""

    def __init__(self) -> None:
        """All at zero."""
        self.seconds: dict[str, float] = dict.fromkeys(_STAGES, 0.0)

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to `stage`."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += perf_counter() - begun


@dataclass(frozen=True)
class Rules:
    """How frames are made; the pipeline reads these from the settings."""

    confidence: float
    """0..1: pixels whose flow is less sure are not taken."""
    least: int
    """px: smaller holes are not painted, smaller patches not used."""
    box: int
    """px: least side of what the painter gets."""
    strength: float
    hole_strength: float
    prompt: str
    negative_prompt: str
    seed: int


@dataclass(frozen=True)
class Made:
    """What is known of a finished frame."""

    frame: str
    """Digest of the finished picture."""
    painted: str
    """Digest of what was painted fresh in it; empty where nothing was."""
    sources: list[int]
    """Frames whose pixels it holds."""
    coverage: float
    """Share 0..1 of its pixels that painted frames could supply."""
    share: float
    """Share 0..1 of its pixels that were painted fresh."""


@dataclass
class _Work:
    """A step under way: what has been fused so far."""

    step: Step
    key: str
    candidates: list[fuse.Candidate] = field(default_factory=list)
    asked: int = 0
    """How many of the step's sources have been used or passed over."""


@dataclass(frozen=True)
class _Hole:
    """A fused frame with holes, ready for the painter."""

    target: int
    key: str
    fused: Fused
    mask: Mask
    start: Image
    boxes: list[inpaint.Box]


class Maker:
    """Makes steps one group after the other; `made` knows each finished frame."""

    def __init__(
        self,
        spool: Spool,
        rules: Rules,
        ports: tuple[FlowEstimator, Painter, Reporter],
        watch: Stopwatch,
    ) -> None:
        """Nothing is loaded or painted before the first step that needs it."""
        self.made: dict[int, Made] = {}
        self._spool, self._rules, self._watch = spool, rules, watch
        self._workspace: Workspace = spool.workspace
        self._estimator, self._painter, self._reporter = ports
        self._stack = contextlib.ExitStack()
        self._stage: Stage | None = None
        self._lend = lru_cache(maxsize=_BATCH)(self._read_painted)
        self._fresh: dict[int, Image] = {}
        self._room = recent(spool.clip.size)

    def __enter__(self) -> Maker:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the painter's stage, so that it restores what it found."""
        self._stage = None
        self._stack.close()

    def picture(self, index: int) -> Image:
        """The finished frame `index`; one finished a moment ago is still in memory."""
        image = self._fresh.get(index)
        if image is None:
            image = self._workspace.frame(self.made[index].frame)
        return self._held(index, image)

    def paint_whole(self, steps: Sequence[Step]) -> Iterator[int]:
        """Paint steps that have no sources; gives each index when its frame is finished."""
        for step in steps:
            index, key = step.target, self._whole_key(step)
            if not self._workspace.has_frame(key):
                original = self._spool.frame(index).image
                (image,) = self._paint("keys", [self._job(index, original, None, original)])
                self._keep(index, key, image)
            self.made[index] = Made(key, key, [], 0.0, 1.0)
            yield index

    def fuse_level(self, steps: Sequence[Step]) -> Iterator[int]:
        """Make steps from frames made earlier; gives each index when its frame is finished.

        Flow comes in batches; paint, a frame at a time, so that a stop loses at most one.
        """
        size = self._spool.clip.size
        batch = max(1, _BATCH * 640 * 360 // max(640 * 360, size.height * size.width))
        for start in range(0, len(steps), batch):
            works = [_Work(step, self._fused_key(step)) for step in steps[start : start + batch]]
            todo: list[_Work] = []
            for work in works:
                if self._known(work):
                    yield work.step.target
                else:
                    todo.append(work)
            for work, hole in zip(todo, self._fused(todo), strict=True):
                if hole is not None:
                    self._fill(hole)
                yield work.step.target

    def _whole_key(self, step: Step) -> str:
        rules = self._rules
        words = (rules.prompt, rules.negative_prompt, rules.strength, rules.seed)
        return digest("whole", self._spool.key, step.target, self._painter.identity, words)

    def _fused_key(self, step: Step) -> str:
        rules = self._rules
        sources = [
            (index, share, self.made[index].painted)
            for index, share in zip(step.sources, step.shares, strict=True)
            if self.made[index].painted
        ]
        how = (_METHOD, self._estimator.identity, rules.confidence, rules.least)
        return digest("fused", self._spool.key, step.target, sources, how)

    def _hole_key(self, fused_key: str) -> str:
        rules = self._rules
        words = (rules.prompt, rules.negative_prompt, rules.hole_strength, rules.seed, rules.box)
        return digest("hole", fused_key, self._painter.identity, words)

    def _known(self, work: _Work) -> bool:
        """Whether the step is finished; if so, it is entered in `made`."""
        facts = self._workspace.facts(work.key)
        if facts is None:
            return False
        frame = self._hole_key(work.key) if facts["holes"] else work.key
        whole = self._workspace.has_frame(frame)
        if not whole or (facts["holes"] and not self._workspace.has_painted(frame)):
            return False
        self._enter(work.step.target, work.key, facts)
        return True

    def _enter(self, target: int, key: str, facts: dict[str, Any]) -> None:
        frame = self._hole_key(key) if facts["holes"] else key
        painted = frame if facts["holes"] else ""
        self.made[target] = Made(
            frame, painted, facts["sources"], facts["coverage"], facts["painted"]
        )

    def _fused(self, works: list[_Work]) -> Iterator[_Hole | None]:
        """Each step fused; a hole where paint is needed, else the frame is kept and done."""
        self._gather(works)
        for work in works:
            with self._watch("fuse"):
                fused = fuse.merge(work.candidates, self._rules.least)
                mask = inpaint.grown(fused.holes)
            target = work.step.target
            facts = _facts(fused, work.candidates, mask)
            if not facts["holes"]:
                with self._watch("fuse"):
                    self._keep(target, work.key, fused.image)
            self._workspace.save_facts(work.key, facts)
            self._enter(target, work.key, facts)
            yield self._hole(work, fused, mask) if facts["holes"] else None

    def _hole(self, work: _Work, fused: Fused, mask: Mask) -> _Hole:
        target = work.step.target
        start = inpaint.starting_image(fused.image, mask, self._spool.frame(target).image)
        boxes = inpaint.boxes(mask, self._rules.box)
        return _Hole(target, self._hole_key(work.key), fused, mask, start, boxes)

    def _gather(self, works: list[_Work]) -> None:
        """Ask sources for their pixels: those with a share, then others while holes remain."""
        while open_works := [(work, asked) for work in works if (asked := self._next(work))]:
            pairs = [
                (self._spool.frame(index), self._spool.frame(work.step.target))
                for work, asked in open_works
                for index, _ in asked
            ]
            flows = self._estimator.estimate(pairs)
            for work, asked in open_works:
                for index, share in asked:
                    with self._watch("flow"):
                        flow = next(flows)
                    with self._watch("fuse"):
                        work.candidates.append(
                            fuse.candidate(
                                self._lend(index),
                                flow,
                                share,
                                threshold=self._rules.confidence,
                                least=self._rules.least,
                            )
                        )
                self.go_on()

    def _next(self, work: _Work) -> list[tuple[int, float]]:
        """The sources to ask next; none when they are used up or nothing is missing."""
        offers = self._offers(work.step)
        if not work.asked:
            first = [offer for offer in offers if offer[1] > 0]
            work.asked = len(first)
            return first
        with self._watch("fuse"):
            if fuse.complete(work.candidates, self._rules.least):
                return []
        following = offers[work.asked : work.asked + 1]
        work.asked += 1
        return following

    def _offers(self, step: Step) -> list[tuple[int, float]]:
        """The step's sources that painted anything, and their shares; those with a share first.

        A guided key may have painted nothing: where no other has a share, the first takes it all.
        """
        offers = [
            (index, share)
            for index, share in zip(step.sources, step.shares, strict=True)
            if self.made[index].painted
        ]
        if not any(share for _, share in offers):
            offers[0] = (offers[0][0], 1.0)
        return sorted(offers, key=lambda offer: offer[1] == 0)  # stable: preference is kept

    def _fill(self, hole: _Hole) -> None:
        """Paint the holes of a frame, unless that was done before a kill, and keep the frame."""
        fresh = self._workspace.painted(hole.key, hole.target) or self._freshly_painted(hole)
        with self._watch("fuse"):
            one = hole.fused
            image = inpaint.composite(one.image, fresh.image, one.holes, hole.mask)
            self._keep(hole.target, hole.key, image)

    def _freshly_painted(self, hole: _Hole) -> Painted:
        """What the painter makes of the hole's boxes, kept in the workspace."""
        jobs = [
            self._job(hole.target, box.of(hole.start), box.of(hole.mask), self._original(hole, box))
            for box in hole.boxes
        ]
        pictures = self._paint("holes", jobs)
        with self._watch("fuse"):
            fresh = hole.start.copy()
            for box, picture in zip(hole.boxes, pictures, strict=True):
                box.of(fresh)[...] = picture
            fresh *= hole.mask[..., None]
            kept = Painted(hole.target, fresh, hole.mask)
            self._workspace.save_painted(hole.key, kept)
        return kept

    def _keep(self, index: int, key: str, image: Image) -> None:
        """Keep a finished frame in the workspace and, with the last few others, in memory."""
        self._workspace.save_frame(key, image)
        self._fresh[index] = image
        if len(self._fresh) > self._room:
            del self._fresh[next(iter(self._fresh))]

    def _original(self, hole: _Hole, box: inpaint.Box) -> Image:
        return box.of(self._spool.frame(hole.target).image)

    def _job(self, target: int, image: Image, mask: Mask | None, original: Image) -> Repaint:
        rules = self._rules
        return Repaint(
            target,
            np.ascontiguousarray(image),
            None if mask is None else mask.astype(np.uint8) * np.uint8(255),
            np.ascontiguousarray(original),
            rules.prompt,
            rules.negative_prompt,
            rules.strength if mask is None else rules.hole_strength,
            rules.seed,
        )

    def _paint(self, stage: Stage, jobs: Sequence[Repaint]) -> list[Image]:
        """The pictures, with the model of `stage` loaded."""
        if not jobs:
            return []
        self.go_on()
        with self._watch("paint"):
            if self._stage != stage:
                self._stack.close()
                self._stack.enter_context(self._painter.stage(stage))
                self._stage = stage
            return self._painter.paint(jobs)

    def _read_painted(self, index: int) -> Painted:
        """What frame `index` has to lend."""
        known = self.made[index]
        if not known.sources:
            image = self.picture(index)
            return Painted(index, image, np.ones(image.shape[:2], np.bool_))
        return self._held(index, self._workspace.painted(known.painted, index))

    def _held(self, index: int, artifact: _Kept | None) -> _Kept:
        """The artifact, which was there a moment ago."""
        if artifact is None:
            raise WorkspaceError(
                f"frame {index} was damaged in the workspace '{self._workspace.folder}'; run the "
                "same command again: it is made anew and the rest is kept"
            )
        return artifact

    def tell(self, stage: str, done: int, of: int) -> None:
        """Report a stage that is not ours, and end in `Stopped` when the user asks."""
        self._reporter.step(stage, done, of)
        self.go_on()

    def go_on(self) -> None:
        """Nothing, unless the user asked to stop.

        Raises:
            Stopped: the user did.
        """
        if self._reporter.stopped():
            raise Stopped("stopped; what is finished is kept, the same command goes on from there")


def _facts(fused: Fused, candidates: Sequence[fuse.Candidate], mask: Mask) -> dict[str, Any]:
    """What is kept of a fused frame."""
    used = [c.painted.index for c, w in zip(candidates, fused.weights, strict=True) if w.any()]
    return {
        "sources": sorted(used),
        "coverage": round(1 - float(fused.holes.mean()), 6),
        "painted": round(float(mask.mean()), 6),
        "holes": bool(fused.holes.any()),
    }
