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
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lib_ofgen.imaging import holes
from lib_ofgen.imaging.fusion import Candidate
from lib_ofgen.pipeline.context import Rules, Stopwatch
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.rendering.hole_filling import FrameWithHoles, HoleFiller
from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.store.workspace import digest, require
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Draft, DraftRecord, FlowEstimator, Image, Mask, Painted, Stage, Step

__all__ = ["DraftProgress", "Propagator"]

_METHOD = 4
"""Goes up when fusing or compositing gives other pixels, so that old frames are made anew."""
_BATCH = 8
"""Steps whose flows are under way at once, of frames up to 640x360; fewer of larger ones."""
_LENDERS = 16
"""Painted frames held in memory."""

_SHARE = sealed_json.number(0, 1)
_FACTS = sealed_json.record(coverage=_SHARE, painted=_SHARE, holes=sealed_json.truth)
"""The shape of what is kept of a draft."""

_Item = TypeVar("_Item")


class DraftProgress(NamedTuple):
    """So many frames were drafted at once."""

    frames: int
    made: int
    """How many of them were not there already."""


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
        return "keys" if self.step.fresh or self.step.beside else "holes"


class Propagator:
    """Drafts steps one group after the other; `made` knows each drafted frame."""

    def __init__(
        self,
        spool: FrameStore,
        rules: Rules,
        estimator: FlowEstimator,
        easel: PainterSession,
        watch: Stopwatch,
        division: SingleLayer,
        anchors: Mapping[int, int],
    ) -> None:
        """Nothing is loaded or painted before the first step that needs it.

        `anchors` gives the first key frame of each frame's scene.
        """
        self.made: dict[int, DraftRecord] = {}
        self._spool, self._rules, self._watch = spool, rules, watch
        self._workspace = spool.workspace
        self._estimator, self._easel, self._division = estimator, easel, division
        self._anchors = anchors
        self._steps: dict[int, Step] = {}
        self.lend = lru_cache(maxsize=_LENDERS)(
            lambda origin: division.lend(origin, self._read_painted)
        )
        self._filler = HoleFiller(spool, easel, self.lend, watch, rules.box, self._anchor_image)

    def paint_whole(self, steps: Sequence[Step]) -> Iterator[DraftProgress]:
        """Paint steps that have no sources; tells when some are painted."""
        for group in self._in_turn(steps, self._rules.batch):
            keys = {step.target: self._whole_key(step.target) for step in group}
            lacking = [i for i, key in keys.items() if not self._workspace.has_frame(key)]
            originals = [self._spool.frame(index).image for index in lacking]
            jobs = [
                self._easel.job(
                    "keys", index, original, None, original, self._anchor_image("keys", index)
                )
                for index, original in zip(lacking, originals, strict=True)
            ]
            for index, image in zip(lacking, self._easel.paint("keys", jobs), strict=True):
                self._workspace.save_frame(keys[index], image)
            for index, key in keys.items():
                marks = self._division.mask_digests(index, ())
                draft = digest("whole", key, marks) if marks else key
                self.made[index] = DraftRecord(draft, key, True, 0.0, 1.0, "keys")
            yield DraftProgress(len(group), len(lacking))

    def _whole_key(self, index: int) -> str:
        return digest("whole", self._spool.key, index, self._words("keys", index))

    def paint_beside(self, steps: Sequence[Step]) -> Iterator[DraftProgress]:
        """Paint steps whole on a canvas with finished key frames, from what these supply."""
        for step in steps:
            index, work = step.target, _Work(step, self._fused_key(step))
            finished = [self.made[other].painted for other in step.beside]
            key = digest("beside", work.key, finished, self._easel.words("keys", index))
            painted, facts = self._workspace.has_frame(key), self._facts(work)
            if not painted or facts is None:
                self._gather([work])
                settled = self._settled(work)
                if not painted:
                    image = self._filler.paint_beside(settled, step.beside)
                    self._workspace.save_frame(key, image)
                facts = require(index, self._facts(work), self._workspace.folder)
            self.made[index] = DraftRecord(key, key, True, facts["coverage"], 1.0, "keys")
            yield DraftProgress(1, not painted)

    def draft_level(self, steps: Sequence[Step]) -> Iterator[DraftProgress]:
        """Draft steps from frames painted earlier; tells when the holes of some are painted.

        Flow comes in batches; paint, as many frames at a time as a stop may lose.
        """
        size = self._spool.clip.size
        batch = max(1, _BATCH * 640 * 360 // max(640 * 360, size.height * size.width))
        for some in self._in_turn(steps, batch):
            todo: list[_Work] = []
            for step in some:
                self._steps[step.target] = step
                work = _Work(step, self._fused_key(step))
                if self._known(work):
                    yield DraftProgress(1, 0)
                else:
                    todo.append(work)
            self._gather(todo)
            for group in _batches(todo, self._rules.batch):
                self._draft(group)
                yield DraftProgress(len(group), len(group))

    def draft(self, index: int) -> Draft:
        """What frame `index` is made of; found again where the workspace has let it go."""
        known = self.made[index]
        if known.whole:
            return self._division.whole(index, self.lend)
        draft = self._workspace.draft(known.draft)
        if draft is None:
            work = _Work(self._steps[index], self._fused_key(self._steps[index]))
            self._gather([work])
            self._draft([work])
            draft = require(index, self._workspace.draft(known.draft), self._workspace.folder)
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
        marks = self._division.mask_digests(step.target, [index for index, *_ in sources])
        how = (*how, step.fresh, *marks) if marks else how
        return digest("fused", self._spool.key, step.target, sources, how)

    def _hole_key(self, work: _Work) -> str:
        words = self._words(work.stage, work.step.target)
        return digest("hole", work.key, words, self._rules.box)

    def _in_turn(self, steps: Sequence[Step], most: int) -> Iterator[Sequence[Step]]:
        """The steps in batches; those whose paint others look at come before these."""
        if not self._rules.anchored:
            return _batches(steps, most)
        first = [step for step in steps if self._anchors.get(step.target) == step.target]
        others = [step for step in steps if self._anchors.get(step.target) != step.target]
        return chain(_batches(first, most), _batches(others, most))

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
        facts = self._facts(work)
        if facts is None:
            return False
        if facts["holes"] and not self._workspace.has_painted(self._hole_key(work)):
            return False
        self._enter(work, facts)
        return True

    def _facts(self, work: _Work) -> dict[str, Any] | None:
        """What is kept of the step's draft."""
        return self._workspace.facts(work.key, _FACTS)

    def _enter(self, work: _Work, facts: dict[str, Any]) -> None:
        painted = self._hole_key(work) if facts["holes"] else ""
        self.made[work.step.target] = DraftRecord(
            painted or work.key, painted, False, facts["coverage"], facts["painted"], work.stage
        )

    def _draft(self, works: Sequence[_Work]) -> None:
        """Settle what the steps are made of, paint what is missing, and keep both."""
        settled = [self._settled(work) for work in works]
        painted = self._filler.fill([one for one in settled if one.fused.holes.any()])
        for one in settled:
            fused = one.fused
            with self._watch("fuse"):
                if one.index in painted:
                    shown = holes.edge_opacity(fused.holes, one.mask)
                    fused = self._division.overlay_paint(fused, painted[one.index], shown)
                self._workspace.save_draft(self.made[one.index].draft, fused)

    def _settled(self, work: _Work) -> FrameWithHoles:
        """What the candidates make together, and how much of it is to be painted."""
        target = work.step.target
        with self._watch("fuse"):
            fused = self._division.merge(work.step, work.candidates, self._rules.least)
            mask = holes.grow(fused.holes)
            counted = fused.holes[self._division.inside(target)].ravel()
        facts = {
            "coverage": round(1 - float(counted.mean()), 6) if len(counted) else 1.0,
            "painted": round(float(mask.mean()), 6),
            "holes": bool(fused.holes.any()),
        }
        self._workspace.save_facts(work.key, facts)
        self._enter(work, facts)
        work.candidates.clear()
        ring, inside = mask & ~fused.holes, self._division.inside(target)
        ring = ring if inside is None else ring & inside  # kept background is not painted
        return FrameWithHoles(target, self._hole_key(work), work.stage, fused, mask, ring)

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
                self._easel.raise_if_stopped()

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
        if not self._division.has_paint(step.target):
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
            image = require(index, self._workspace.frame(known.painted), self._workspace.folder)
            return Painted(index, image, np.ones(image.shape[:2], np.bool_))
        painted = self._workspace.painted(known.painted, index)
        return require(index, painted, self._workspace.folder)


def _batches(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + most] for start in range(0, len(items), most))
