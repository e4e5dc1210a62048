"""Frames are drafted: flow, candidates, holes, paint.

A draft says which painted frame supplies which pixel; `finishing` makes pictures of drafts.

A step's digest names all that its pixels depend on. What is there under its digest is finished
and is never made again; a setting that changes leads to other digests where, and only where, it
matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from lib_ofgen import inpaint
from lib_ofgen.errors import WorkspaceError
from lib_ofgen.fuse import Candidate
from lib_ofgen.painting import Easel, Rules, Stopwatch
from lib_ofgen.render import Renderer
from lib_ofgen.subject import Undivided
from lib_ofgen.survey import Spool
from lib_ofgen.values import FlowEstimator, Fused, Image, Mask, Painted, Stage, Step
from lib_ofgen.workspace import digest

__all__ = ["Made", "Maker", "held"]

_METHOD = 2
"""Goes up when fusing or compositing gives other pixels, so that old frames are made anew."""
_BATCH = 8
"""Steps whose flows are under way at once, of frames up to 640x360; fewer of larger ones."""
_LENDERS = 16
"""Painted frames held in memory."""

_Kept = TypeVar("_Kept")


@dataclass(frozen=True)
class Made:
    """What is known of a drafted frame."""

    draft: str
    """Digest of all that the frame is made of."""
    painted: str
    """Digest of what was painted fresh in it; empty where nothing was."""
    whole: bool
    """Whether it was painted whole."""
    coverage: float
    """Share 0..1 of its pixels that painted frames could supply."""
    share: float
    """Share 0..1 of its pixels that were painted fresh."""
    stage: Stage
    """The stage of painting that it belongs to."""


@dataclass
class _Work:
    """A step under way: what has been offered so far."""

    step: Step
    key: str
    candidates: list[Candidate] = field(default_factory=list)
    asked: int = 0
    """How many of the step's sources have been used or passed over."""

    @property
    def stage(self) -> Stage:
        """The stage of painting that the step belongs to."""
        return "keys" if self.step.fresh else "holes"


class Maker:
    """Drafts steps one group after the other; `made` knows each drafted frame."""

    def __init__(
        self,
        spool: Spool,
        rules: Rules,
        estimator: FlowEstimator,
        easel: Easel,
        watch: Stopwatch,
        division: Undivided,
        anchors: Mapping[int, int],
    ) -> None:
        """Nothing is loaded or painted before the first step that needs it.

        `anchors` gives the first key frame of each frame's scene.
        """
        self.made: dict[int, Made] = {}
        self._spool, self._rules, self._watch = spool, rules, watch
        self._workspace = spool.workspace
        self._estimator, self._easel, self._division = estimator, easel, division
        self._anchors = anchors
        self._steps: dict[int, Step] = {}
        self.lend = lru_cache(maxsize=_LENDERS)(
            lambda origin: division.lent(origin, self._read_painted)
        )
        self._renderer = Renderer(self.lend)

    def paint_whole(self, steps: Sequence[Step]) -> Iterator[int]:
        """Paint steps that have no sources; gives each index when its frame is painted."""
        for step in steps:
            index = step.target
            key = digest("whole", self._spool.key, index, self._words("keys", index))
            if not self._workspace.has_frame(key):
                original = self._spool.frame(index).image
                anchor = self._anchor_image("keys", index)
                job = self._easel.job("keys", index, original, None, original, anchor)
                (image,) = self._easel.paint("keys", [job])
                self._workspace.save_frame(key, image)
            marks = self._division.marks(index, ())
            draft = digest("whole", key, marks) if marks else key
            self.made[index] = Made(draft, key, True, 0.0, 1.0, "keys")
            yield index

    def draft_level(self, steps: Sequence[Step]) -> Iterator[int]:
        """Draft steps from frames painted earlier; gives each index when its holes are painted.

        Flow comes in batches; paint, a frame at a time, so that a stop loses at most one.
        """
        size = self._spool.clip.size
        batch = max(1, _BATCH * 640 * 360 // max(640 * 360, size.height * size.width))
        for start in range(0, len(steps), batch):
            todo: list[_Work] = []
            for step in steps[start : start + batch]:
                self._steps[step.target] = step
                work = _Work(step, self._fused_key(step))
                if self._known(work):
                    yield step.target
                else:
                    todo.append(work)
            self._gather(todo)
            for work in todo:
                self._draft(work)
                yield work.step.target

    def draft(self, index: int) -> Fused:
        """What frame `index` is made of; found again where the workspace has let it go."""
        known = self.made[index]
        if known.whole:
            return self._division.whole(index, self.lend)
        draft = self._workspace.draft(known.draft)
        if draft is None:
            work = _Work(self._steps[index], self._fused_key(self._steps[index]))
            self._gather([work])
            self._draft(work)
            draft = held(index, self._workspace.draft(known.draft), self._workspace.folder)
        return draft

    def repainted(self, index: int) -> Mask | None:
        """(H, W): what was painted fresh in frame `index` between keys; None where nothing was."""
        known = self.made[index]
        painted = known.painted and known.stage == "holes"
        return self._read_painted(index).mask if painted else None

    def drop(self, index: int) -> None:
        """Let go of what frame `index` is made of; its paint stays."""
        self._workspace.drop_draft(self.made[index].draft)

    def _fused_key(self, step: Step) -> str:
        rules = self._rules
        sources = [
            (index, share, self.made[index].painted)
            for index, share in zip(step.sources, step.shares, strict=True)
            if self.made[index].painted
        ]
        how = (_METHOD, self._estimator.identity, rules.confidence, rules.least)
        marks = self._division.marks(step.target, [index for index, *_ in sources])
        how = (*how, step.fresh, *marks) if marks else how
        return digest("fused", self._spool.key, step.target, sources, how)

    def _hole_key(self, work: _Work) -> str:
        words = self._words(work.stage, work.step.target)
        return digest("hole", work.key, words, self._rules.box)

    def _words(self, stage: Stage, index: int) -> tuple[object, ...]:
        """All that rules, prompt, painter and anchor do to frame `index`; for digests."""
        words, anchor = self._easel.words(stage, index), self._anchor(stage, index)
        return words if anchor is None else (*words, "anchor", self.made[anchor].painted)

    def _anchor(self, stage: Stage, index: int) -> int | None:
        """The scene's first key frame, if frame `index` is painted with an eye on it."""
        anchor = self._anchors.get(index, index)
        if stage not in self._rules.anchored or anchor == index:
            return None
        known = self.made.get(anchor)
        return anchor if known and known.painted else None

    def _anchor_image(self, stage: Stage, index: int) -> Image | None:
        """The anchor of frame `index` as painted; where it is not, its original."""
        anchor = self._anchor(stage, index)
        if anchor is None:
            return None
        painted = self._read_painted(anchor)
        return np.where(painted.mask[..., None], painted.image, self._spool.frame(anchor).image)

    def _known(self, work: _Work) -> bool:
        """Whether the step is painted; if so, it is entered in `made`."""
        facts = self._workspace.facts(work.key)
        if facts is None:
            return False
        if facts["holes"] and not self._workspace.has_painted(self._hole_key(work)):
            return False
        self._enter(work, facts)
        return True

    def _enter(self, work: _Work, facts: dict[str, Any]) -> None:
        painted = self._hole_key(work) if facts["holes"] else ""
        self.made[work.step.target] = Made(
            painted or work.key, painted, False, facts["coverage"], facts["painted"], work.stage
        )

    def _draft(self, work: _Work) -> None:
        """Settle what the step is made of, paint what is missing, and keep both."""
        with self._watch("fuse"):
            fused = self._division.merge(work.step, work.candidates, self._rules.least)
            mask = inpaint.grown(fused.holes)
            counted = fused.holes[self._division.inside(work.step.target)].ravel()
        facts = {
            "coverage": round(1 - float(counted.mean()), 6) if len(counted) else 1.0,
            "painted": round(float(mask.mean()), 6),
            "holes": bool(fused.holes.any()),
        }
        self._workspace.save_facts(work.key, facts)
        if facts["holes"]:
            key, target = self._hole_key(work), work.step.target
            fresh = self._workspace.painted(key, target) or self._filled(work, fused, mask)
            with self._watch("fuse"):
                shown = inpaint.opacity(fused.holes, mask)
                fused = self._division.painted_over(fused, fresh, shown)
        self._enter(work, facts)
        with self._watch("fuse"):
            self._workspace.save_draft(self.made[work.step.target].draft, fused)

    def _filled(self, work: _Work, fused: Fused, mask: Mask) -> Painted:
        """What the painter makes of the frame's holes, kept in the workspace."""
        target = work.step.target
        with self._watch("fuse"):
            original = self._spool.frame(target).image
            start = inpaint.starting_image(self._renderer.plain(fused), mask, original)
            boxes = inpaint.boxes(mask, self._rules.box)
        anchor = self._anchor_image(work.stage, target)
        jobs = [
            self._easel.job(
                work.stage,
                target,
                box.of(start),
                box.of(mask),
                box.of(original),
                None if anchor is None else box.of(anchor),
            )
            for box in boxes
        ]
        pictures = self._easel.paint(work.stage, jobs)
        with self._watch("fuse"):
            fresh = start.copy()
            for box, picture in zip(boxes, pictures, strict=True):
                box.of(fresh)[...] = picture
            fresh *= mask[..., None]
            kept = Painted(target, fresh, mask)
            self._workspace.save_painted(self._hole_key(work), kept)
        return kept

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
                for _, share in asked:
                    with self._watch("flow"):
                        flow = next(flows)
                    with self._watch("fuse"):
                        work.candidates += self._division.candidates(
                            self.lend,
                            flow,
                            share,
                            threshold=self._rules.confidence,
                            least=self._rules.least,
                        )
                self._easel.go_on()

    def _next(self, work: _Work) -> list[tuple[int, float]]:
        """The sources to ask next; none when they are used up or nothing is missing."""
        offers = self._offers(work.step)
        if not work.asked:
            first = [offer for offer in offers if offer[1] > 0]
            work.asked = len(first)
            return first
        with self._watch("fuse"):
            if self._division.complete(work.step, work.candidates, self._rules.least):
                return []
        following = offers[work.asked : work.asked + 1]
        work.asked += 1
        return following

    def _offers(self, step: Step) -> list[tuple[int, float]]:
        """The step's sources that painted anything, and their shares; those with a share first.

        A guided key may have painted nothing: where no other has a share, the first takes it all.
        """
        if not self._division.alive(step.target):
            return []
        offers = [
            (index, share)
            for index, share in zip(step.sources, step.shares, strict=True)
            if self.made[index].painted
        ]
        if offers and not any(share for _, share in offers):
            offers[0] = (offers[0][0], 1.0)
        return sorted(offers, key=lambda offer: offer[1] == 0)  # stable: preference is kept

    def _read_painted(self, index: int) -> Painted:
        """What frame `index` has to lend."""
        known = self.made[index]
        if known.whole:
            image = held(index, self._workspace.frame(known.painted), self._workspace.folder)
            return Painted(index, image, np.ones(image.shape[:2], np.bool_))
        painted = self._workspace.painted(known.painted, index)
        return held(index, painted, self._workspace.folder)


def held(index: int, artifact: _Kept | None, place: object) -> _Kept:
    """The artifact, which was there a moment ago."""
    if artifact is None:
        raise WorkspaceError(
            f"frame {index} was damaged in the workspace '{place}'; run the "
            "same command again: it is made anew and the rest is kept"
        )
    return artifact
