"""Frames are drafted: paint is propagated along the flow, and holes are filled.

A draft says which painted frame supplies which pixel. `stabilise` makes pictures of drafts.

The digest of a step names everything that its pixels depend on. What the workspace has under a
digest is finished and is never made again. A setting that changes leads to other digests where it
matters, and only there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lib_ofgen.imaging import holes
from lib_ofgen.imaging.fusion import Candidate
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.hole_filling import FrameWithHoles, HoleFiller
from lib_ofgen.store.workspace import digest, require
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Draft, DraftRecord, Image, Mask, Painted, Size, Stage, Step

__all__ = ["DraftProgress", "Propagator", "steps_at_once"]

_METHOD = 6
"""Increase it when fusion or compositing gives other pixels, so that old drafts are not used."""
_BATCH = 8
"""Steps whose flow is estimated together, for frames up to 640x360; fewer for larger ones."""
_LENDERS = 16
"""Painted layers that are kept in memory."""

_SHARE = sealed_json.number(0, 1)
_FACTS = sealed_json.record(coverage=_SHARE, painted=_SHARE, holes=sealed_json.truth)
"""The shape of the facts that are kept of a draft."""
_MATCH = sealed_json.record(colour=sealed_json.maybe(sealed_json.number(0, 255)))
"""The shape of the facts that are kept of a matched key frame."""

_Item = TypeVar("_Item")


class DraftProgress(NamedTuple):
    """Some frames were drafted together."""

    frames: int
    made: int
    """Number of these that were not in the workspace."""


@dataclass
class _StepWork:
    """A step in progress, with the candidates so far."""

    step: Step
    key: str
    candidates: list[Candidate] = field(default_factory=list)
    asked: int = 0
    """Number of the sources of the step that have been used or skipped."""

    @property
    def stage(self) -> Stage:
        """The stage of painting that the step belongs to."""
        return "keys" if self.step.fresh or self.step.beside else "holes"


def steps_at_once(size: Size) -> int:
    """Return for how many steps flow is estimated together."""
    return max(1, _BATCH * 640 * 360 // max(640 * 360, size.height * size.width))


class Propagator:
    """Drafts groups of steps, one after the other. `records` has every frame that is drafted."""

    def __init__(self, context: RenderContext, anchors: Mapping[int, int]) -> None:
        """`anchors` gives the first key frame of each frame's scene.

        Nothing is loaded or painted before the first step that needs it.
        """
        self.records: dict[int, DraftRecord] = {}
        self._flow, self._anchors = context.estimator, anchors
        self._rules, self._frames, self._layers = context.rules, context.frames, context.layers
        self._workspace, self._painter = context.workspace, context.painter
        self._stopwatch = context.stopwatch
        self._steps: dict[int, Step] = {}
        self.lend = lru_cache(maxsize=_LENDERS)(
            lambda origin: self._layers.lend(origin, self._read_paint)
        )
        self._filler = HoleFiller(context, self.lend, self._anchor_image)

    def paint_whole(self, steps: Sequence[Step]) -> Iterator[DraftProgress]:
        """Paint the steps that have no sources; yields after each batch."""
        for group in self._order_batches(steps, self._rules.batch):
            keys = {step.target: self._whole_key(step.target) for step in group}
            lacking = [i for i, key in keys.items() if not self._workspace.has_frame(key)]
            originals = [self._frames.frame(index).image for index in lacking]
            repaints = [
                self._painter.make_repaint(
                    "keys", index, original, None, original, self._anchor_image("keys", index)
                )
                for index, original in zip(lacking, originals, strict=True)
            ]
            pictures = self._painter.paint("keys", repaints)
            for index, picture in zip(lacking, pictures, strict=True):
                self._workspace.save_frame(keys[index], picture)
            for step in group:
                key, colour = keys[step.target], None
                if step.matched:
                    key, colour = self._match(self._matched_work(step), key)
                masks = self._layers.mask_digests(step.target, ())
                draft = digest("whole", key, masks) if masks else key
                self.records[step.target] = DraftRecord(draft, key, True, 0.0, 1.0, "keys", colour)
            yield DraftProgress(len(group), len(lacking))

    def _matched_work(self, step: Step) -> _StepWork:
        """Return the work of moving to a key frame what the keys that it is matched to show."""
        shares = (1.0, *(0.0 for _ in step.matched[1:]))
        moved = replace(step, sources=step.matched, shares=shares)
        return _StepWork(moved, self._draft_key(moved))

    def _match(
        self, work: _StepWork, painted: str, draft: Draft | None = None
    ) -> tuple[str, float | None]:
        """Match a painted key's colours to what other keys supply.

        Returns the digest of the matched key, and by how many levels the colours differed.
        `painted` is the digest of the key as the painter gave it. `draft` is what the others
        supply; without it, it is made here if the workspace lacks the matched key.
        """
        key = digest("matched", painted, work.key)
        facts = self._workspace.facts(key, _MATCH)
        if facts is None or not self._workspace.has_frame(key):
            index = work.step.target
            if draft is None:
                self._gather_candidates([work])
                with self._stopwatch("fuse"):
                    draft = self._layers.merge(work.step, work.candidates, self._rules.min_hole)
            picture = require(index, self._workspace.frame(painted), self._workspace.folder)
            matched, colour = self._filler.match_key(index, draft, picture)
            facts = {"colour": None if colour is None else round(colour, 3)}
            self._workspace.save_facts(key, facts)
            self._workspace.save_frame(key, matched)
        return key, facts["colour"]

    def paint_beside(self, steps: Sequence[Step]) -> Iterator[DraftProgress]:
        """Paint each step whole, on a canvas beside finished key frames; yields after each."""
        for step in steps:
            index, work, draft = step.target, _StepWork(step, self._draft_key(step)), None
            finished = [self.records[other].painted for other in step.beside]
            painted = digest("beside", work.key, finished, self._painter.words("keys", index))
            lacking = not self._workspace.has_frame(painted)
            if lacking or self._facts(work) is None:
                self._gather_candidates([work])
                frame = self._settle(work)
                draft = frame.draft
                if lacking:
                    picture = self._filler.paint_beside(frame, step.beside)
                    self._workspace.save_frame(painted, picture)
            coverage = require(index, self._facts(work), self._workspace.folder)["coverage"]
            key, colour = self._match(work, painted, draft)
            self.records[index] = DraftRecord(key, key, True, coverage, 1.0, "keys", colour)
            yield DraftProgress(1, lacking)

    def draft_level(self, steps: Sequence[Step]) -> Iterator[DraftProgress]:
        """Draft steps from frames that were painted before; yields after each batch of holes.

        Flow is estimated in batches. The painter gets as many frames as a stop may lose.
        """
        for group in self._order_batches(steps, steps_at_once(self._frames.clip.size)):
            todo: list[_StepWork] = []
            for step in group:
                self._steps[step.target] = step
                work = _StepWork(step, self._draft_key(step))
                if self._find(work):
                    yield DraftProgress(1, 0)
                else:
                    todo.append(work)
            self._gather_candidates(todo)
            for some in _batches(todo, self._rules.batch):
                self._draft(some)
                yield DraftProgress(len(some), len(some))

    def draft(self, index: int) -> Draft:
        """Return the draft of frame `index`; it is made again if the workspace dropped it."""
        record = self.records[index]
        if record.whole:
            return self._layers.whole(index, self.lend)
        draft = self._workspace.draft(record.draft)
        if draft is None:
            work = _StepWork(self._steps[index], self._draft_key(self._steps[index]))
            self._gather_candidates([work])
            self._draft([work])
            draft = require(index, self._workspace.draft(record.draft), self._workspace.folder)
        return draft

    def hole_mask(self, index: int) -> Mask | None:
        """Return the (H, W) mask of the holes that were painted in frame `index`; None: none."""
        record = self.records[index]
        painted = record.painted and record.stage == "holes"
        return self._read_paint(index).mask if painted else None

    def drop(self, index: int) -> None:
        """Delete the draft of frame `index`; its paint stays."""
        self._workspace.drop_draft(self.records[index].draft)

    def _whole_key(self, index: int) -> str:
        return digest("whole", self._frames.key, index, self._words("keys", index))

    def _draft_key(self, step: Step) -> str:
        rules = self._rules
        sources = [
            (index, share, self.records[index].painted)
            for index, share in zip(step.sources, step.shares, strict=True)
            if self.records[index].painted
        ]
        method: tuple[object, ...] = (
            _METHOD,
            self._flow.identity,
            rules.confidence,
            rules.min_hole,
        )
        masks = self._layers.mask_digests(step.target, [index for index, *_ in sources])
        method = (*method, step.fresh, *masks) if masks else method
        return digest("fused", self._frames.key, step.target, sources, method)

    def _hole_key(self, work: _StepWork) -> str:
        words = self._words(work.stage, work.step.target)
        return digest("hole", work.key, words, self._rules.min_box)

    def _order_batches(self, steps: Sequence[Step], most: int) -> Iterator[Sequence[Step]]:
        """Return the steps in batches; anchors come before the frames that look at them."""
        if not self._rules.anchored_stages:
            return _batches(steps, most)
        first = [step for step in steps if self._anchors.get(step.target) == step.target]
        others = [step for step in steps if self._anchors.get(step.target) != step.target]
        return chain(_batches(first, most), _batches(others, most))

    def _words(self, stage: Stage, index: int) -> tuple[object, ...]:
        """Return what rules, prompt, painter and anchor do to frame `index`, for digests."""
        words, anchor = self._painter.words(stage, index), self._anchor(stage, index)
        return words if anchor is None else (*words, "anchor", self.records[anchor].painted)

    def _anchor(self, stage: Stage, index: int) -> int | None:
        """Return the first key frame of the scene, if frame `index` is painted with it in view."""
        anchor = self._anchors.get(index, index)
        if stage not in self._rules.anchored_stages or anchor == index:
            return None
        record = self.records.get(anchor)
        return anchor if record and record.painted else None

    def _anchor_image(self, stage: Stage, index: int) -> Image | None:
        """Return the anchor of frame `index` as painted, with the source where it is not."""
        anchor = self._anchor(stage, index)
        if anchor is None:
            return None
        painted = self._read_paint(anchor)
        return np.where(painted.mask[..., None], painted.image, self._frames.frame(anchor).image)

    def _find(self, work: _StepWork) -> bool:
        """Return whether the workspace has the step's paint; if so, record it."""
        facts = self._facts(work)
        if facts is None:
            return False
        if facts["holes"] and not self._workspace.has_painted(self._hole_key(work)):
            return False
        self._record(work, facts)
        return True

    def _facts(self, work: _StepWork) -> dict[str, Any] | None:
        """Return the kept facts of the step's draft."""
        return self._workspace.facts(work.key, _FACTS)

    def _record(self, work: _StepWork, facts: dict[str, Any]) -> None:
        painted = self._hole_key(work) if facts["holes"] else ""
        self.records[work.step.target] = DraftRecord(
            painted or work.key, painted, False, facts["coverage"], facts["painted"], work.stage
        )

    def _draft(self, works: Sequence[_StepWork]) -> None:
        """Fuse the candidates of the steps, paint what is missing, and keep both."""
        frames = [self._settle(work) for work in works]
        painted = self._filler.fill([one for one in frames if one.draft.holes.any()])
        for one in frames:
            draft = one.draft
            with self._stopwatch("fuse"):
                if one.index in painted:
                    opacity = holes.edge_opacity(draft.holes, one.mask)
                    draft = self._layers.overlay_paint(draft, painted[one.index], opacity)
                self._workspace.save_draft(self.records[one.index].draft, draft)

    def _settle(self, work: _StepWork) -> FrameWithHoles:
        """Fuse the candidates of a step, and return the draft with its holes."""
        target = work.step.target
        with self._stopwatch("fuse"):
            draft = self._layers.merge(work.step, work.candidates, self._rules.min_hole)
            mask = holes.grow(draft.holes)
            counted = draft.holes[self._layers.inside(target)].ravel()
        facts = {
            "coverage": round(1 - float(counted.mean()), 6) if len(counted) else 1.0,
            "painted": round(float(mask.mean()), 6),
            "holes": bool(draft.holes.any()),
        }
        self._workspace.save_facts(work.key, facts)
        self._record(work, facts)
        work.candidates.clear()
        ring, inside = mask & ~draft.holes, self._layers.inside(target)
        ring = ring if inside is None else ring & inside  # a kept background is not painted
        return FrameWithHoles(target, self._hole_key(work), work.stage, draft, mask, ring)

    def _gather_candidates(self, works: list[_StepWork]) -> None:
        """Ask the sources with a share for pixels, then the others while there are holes."""
        while open_works := [(work, asked) for work in works if (asked := self._next(work))]:
            pairs = [
                (self._frames.frame(index), self._frames.frame(work.step.target))
                for work, asked in open_works
                for index, _ in asked
            ]
            flows = self._flow.estimate(pairs)
            for work, asked in open_works:
                for _, share in asked:
                    with self._stopwatch("flow"):
                        flow = next(flows)
                    with self._stopwatch("fuse"):
                        work.candidates += self._layers.candidates(
                            self.lend,
                            flow,
                            share,
                            threshold=self._rules.confidence,
                            least=self._rules.min_hole,
                        )
                self._painter.raise_if_stopped()

    def _next(self, work: _StepWork) -> list[tuple[int, float]]:
        """Return the sources to ask next; none when all are used or nothing is missing."""
        offers = self._offers(work.step)
        if not work.asked:
            first = [offer for offer in offers if offer[1] > 0]
            work.asked = len(first)
            return first
        with self._stopwatch("fuse"):
            if self._layers.complete(work.step, work.candidates, self._rules.min_hole):
                return []
        following = offers[work.asked : work.asked + 1]
        work.asked += 1
        return following

    def _offers(self, step: Step) -> list[tuple[int, float]]:
        """Return the sources that have paint, with their shares; those with a share come first.

        A guided key frame may have no paint of its own. If no other source has a share, the first
        source gets all of it.
        """
        if not self._layers.has_paint(step.target):
            return []
        offers = [
            (index, share)
            for index, share in zip(step.sources, step.shares, strict=True)
            if self.records[index].painted
        ]
        if offers and not any(share for _, share in offers):
            offers[0] = (offers[0][0], 1.0)
        return sorted(offers, key=lambda offer: offer[1] == 0)  # stable: keeps the preference

    def _read_paint(self, index: int) -> Painted:
        """Return all fresh paint of frame `index`."""
        record = self.records[index]
        if record.whole:
            image = require(index, self._workspace.frame(record.painted), self._workspace.folder)
            return Painted(index, image, np.ones(image.shape[:2], np.bool_))
        painted = self._workspace.paint(record.painted, index)
        return require(index, painted, self._workspace.folder)


def _batches(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + most] for start in range(0, len(items), most))
