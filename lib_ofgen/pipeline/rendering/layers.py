"""A mask divides each frame into its subject, which is animated, and its background.

The paint of one layer never shows in the other: each layer of a painted frame is an `Origin` of its
own with its own mask, so nothing that follows correspondences through the frames (candidates,
tracks, rendering) can mix them. With `keep` the background layer is the source's own frame, and
only that frame uses it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import fusion, warp
from lib_ofgen.imaging.fusion import Candidate
from lib_ofgen.store.frame_store import FrameStore, memory_frames
from lib_ofgen.values import (
    NOT_PAINTED,
    Box,
    Contribution,
    Draft,
    Flow,
    Image,
    Layer,
    Mask,
    Origin,
    Painted,
    Step,
)

__all__ = ["SingleLayer", "SubjectLayers"]

_METHOD = 1
"""Goes up when dividing gives other pixels, so that old frames are made anew."""
_NOISE = 12
"""Levels of 255 at both ends of a mask that count as its end: lossy video rings."""
_SOFT = 0.8
"""px: sigma of the edge that a mask without one gets."""
_RIM = 2
"""px beyond the edge of one side from which it may still be taken: flow is no surer there."""
_SLIVER = 5
"""px: what is missing along an edge and is narrower takes the nearest place that is not."""

Floats = NDArray[np.float32]
Lend = Callable[[Origin], Painted]
ReadPaint = Callable[[int], Painted]


class SingleLayer:
    """Frames of one piece: no mask is given."""

    divided = False
    """Whether the two sides of a frame are kept apart."""
    moves_background = False
    """Whether later keys take the background from earlier ones, whatever the keys' agreement."""

    def mask_digests(self, target: int, sources: Sequence[int]) -> tuple[object, ...]:
        """What of the masks a frame depends on; for digests."""
        return ()

    def mark_fresh(self, steps: list[Step], *, guided: bool) -> list[Step]:
        """The steps of key frames, saying in which of them the subject is painted anew."""
        return steps

    def has_paint(self, target: int) -> bool:
        """Whether anything of the frame is to be painted."""
        return True

    def inside(self, target: int) -> Mask | None:
        """(H, W): what the frame's coverage is the share of; None for all of it."""
        return None

    def lend(self, origin: Origin, read_paint: ReadPaint) -> Painted:
        """Return the paint of `origin`; `read_paint` gives all fresh paint of a frame."""
        return read_paint(origin.frame)

    def whole(self, index: int, lend: Lend) -> Draft:
        """Return the draft of a frame that was painted whole."""
        return fusion.draft_of_whole(lend(Origin(index)))

    def candidates(
        self, lend: Lend, flow: Flow, share: float, *, threshold: float, least: int
    ) -> list[Candidate]:
        """What the flow's source offers its target; see `fuse.candidate`."""
        painted = lend(Origin(flow.source))
        return [fusion.candidate(painted, flow, share, threshold=threshold, least=least)]

    def complete(self, step: Step, candidates: Sequence[Candidate], least: int) -> bool:
        """Whether the candidates leave no hole."""
        return fusion.has_no_holes(candidates, least)

    def merge(self, step: Step, candidates: Sequence[Candidate], least: int) -> Draft:
        """What the candidates make together; see `fuse.merge`."""
        return fusion.merge(candidates, least)

    def overlay_paint(self, fused: Draft, fresh: Painted, opacity: Floats) -> Draft:
        """The frame with what was painted in it laid over; see `fuse.painted_over`."""
        return fusion.overlay_paint(fused.contributions, fresh, opacity, fused.holes)

    def steadying_part(self, draft: Draft) -> Draft:
        """What of a draft may steady its neighbours."""
        return draft

    def separate_sides(self, target: int, fused: Draft) -> Draft:
        """A steadied frame, each side of it again made of its own paint alone."""
        return fused

    def compose(self, target: int, image: Image) -> Image:
        """The finished frame of a rendered picture."""
        return image

    def sources(self, fused: Draft) -> list[int]:
        """Return the frames whose paint shows, in ascending order."""
        return sorted(one.origin.frame for one in fused.contributions)

    def frame_number(self, origin: Origin) -> int:
        """Return the frame that shows `origin`; `NOT_PAINTED` for the source's own pixels."""
        return origin.frame


class SubjectLayers(SingleLayer):
    """Frames that a mask divides; `keep` leaves the background as it is, else it is painted once.

    The subject is all that the mask does not leave out wholly, so that there is paint under its
    soft edges.
    """

    divided = True

    def __init__(self, frames: FrameStore, masks: FrameStore, *, keep: bool) -> None:
        """`masks` holds a grey picture for each frame of `frames`."""
        self._frames, self._keep = frames, keep
        self.moves_background = not keep
        remembered = lru_cache(maxsize=memory_frames(frames.clip.size))
        self._opacity = remembered(lambda index: _levelled(masks.frame(index).image[..., 0]))
        self._mark = lru_cache(maxsize=None)(self._mark_of)

    def mask_digests(self, target: int, sources: Sequence[int]) -> tuple[object, ...]:
        """The mode, and the digests of the masks involved."""
        return (_METHOD, self._keep, *(self._mark(index) for index in (target, *sources)))

    def mark_fresh(self, steps: list[Step], *, guided: bool) -> list[Step]:
        """Without sources for the subject it is painted anew; with the agreement `guided`, moved.

        Where the background is moved, a scene's first key has no sources and is painted whole.
        """
        if self._keep:
            return [replace(step, fresh=not step.sources) for step in steps]
        return [replace(step, fresh=bool(step.sources) and not guided) for step in steps]

    def has_paint(self, target: int) -> bool:
        """False where all of the frame is kept background."""
        return not self._keep or bool(self._subject(target).any())

    def inside(self, target: int) -> Mask | None:
        """The subject, where it alone is painted."""
        return self._subject(target) if self._keep else None

    def lend(self, origin: Origin, read_paint: ReadPaint) -> Painted:
        """Return the layer's part of the frame's paint; a kept background is the source's frame."""
        index, layer = origin
        if layer == "background" and self._keep:
            image = self._frames.frame(index).image
            return Painted(index, image, np.ones(image.shape[:2], np.bool_), layer)
        subject = self._subject(index)
        return _limit(read_paint(index), layer, subject if layer == "subject" else ~subject)

    def whole(self, index: int, lend: Lend) -> Draft:
        """Return the draft of both layers of what was painted in the frame."""
        subject = self._subject(index)
        none = Draft((), np.zeros(subject.shape, np.bool_))
        first = _over(none, lend(Origin(index)), subject.astype(np.float32))
        return _over(first, lend(Origin(index, "background")), (~subject).astype(np.float32))

    def candidates(
        self, lend: Lend, flow: Flow, share: float, *, threshold: float, least: int
    ) -> list[Candidate]:
        """The source's subject for the target's and, unless it is kept, its background likewise."""
        opacity = self._opacity(flow.target)
        sides = [(Origin(flow.source), opacity > 0)]
        if not self._keep:
            sides.append((Origin(flow.source, "background"), opacity < 1))
        rule = {"threshold": threshold, "least": least}
        return [
            _extended(fusion.candidate(lend(origin), flow, share, **rule), side)
            for origin, side in sides
        ]

    def complete(self, step: Step, candidates: Sequence[Candidate], least: int) -> bool:
        """Whether each side is complete."""
        return not any(
            _holes(own, side, least).any() for own, side in self._sides(step.target, candidates)
        )

    def merge(self, step: Step, candidates: Sequence[Candidate], least: int) -> Draft:
        """Each side of its own candidates; a fresh subject is a hole."""
        opacity = self._opacity(step.target)
        shown = (opacity > 0).astype(np.float32) if self._keep else opacity
        holes = (opacity > 0) & step.fresh
        parts: list[Contribution | None] = []
        behind = np.ones_like(shown)
        for own, side in self._sides(step.target, candidates):
            holes |= _holes(own, side, least)
            weight = shown if not parts else behind
            if own:
                merged = fusion.merge(own, least).contributions
                parts += [_weighed(one, weight) for one in merged]
                behind = behind - weight
        if self._keep:
            parts.append(Contribution.of(Origin(step.target, "background"), _still(behind), behind))
        return Draft.normalise(parts, holes)

    def overlay_paint(self, fused: Draft, fresh: Painted, opacity: Floats) -> Draft:
        """The frame with each side's paint over that side."""
        subject = self._subject(fresh.index)
        fused = _over(fused, _limit(fresh, "subject", subject), opacity * subject)
        if self._keep:
            return fused
        return _over(fused, _limit(fresh, "background", ~subject), opacity * ~subject)

    def steadying_part(self, draft: Draft) -> Draft:
        """All but the background that is kept, each frame's own."""
        parts = draft.contributions
        return replace(draft, contributions=tuple(p for p in parts if self._is_painted(p.origin)))

    def separate_sides(self, target: int, fused: Draft) -> Draft:
        """The subject of subjects' paint; soft edges may show both."""
        opacity = self._opacity(target)
        behind = opacity == 0 if self._keep else opacity < 1
        parts = [
            _weighed(
                one,
                (behind if one.origin.layer == "background" else opacity > 0).astype(np.float32),
            )
            for one in fused.contributions
        ]
        return Draft.normalise(parts, fused.holes)

    def compose(self, target: int, image: Image) -> Image:
        """The picture over the source's frame by the mask, where the background is kept."""
        if not self._keep:
            return image
        opacity = self._opacity(target)[..., None]
        source = self._frames.frame(target).image.astype(np.float32)
        return np.rint(source + opacity * (image - source)).astype(np.uint8)

    def sources(self, fused: Draft) -> list[int]:
        """Return the frames of both layers, without a background that is kept."""
        shown = (one.origin for one in fused.contributions if self._is_painted(one.origin))
        return sorted({origin.frame for origin in shown})

    def frame_number(self, origin: Origin) -> int:
        """Return the frame; a kept background is the source's own."""
        return origin.frame if self._is_painted(origin) else NOT_PAINTED

    def _is_painted(self, origin: Origin) -> bool:
        return origin.layer == "subject" or not self._keep

    def _subject(self, index: int) -> Mask:
        return self._opacity(index) > 0

    def _mark_of(self, index: int) -> str:
        return hashlib.sha256(self._opacity(index).tobytes()).hexdigest()[:32]

    def _sides(
        self, target: int, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[list[Candidate], Mask]]:
        """The subject's candidates and region, then, unless it is kept, the background's."""
        subject = self._subject(target)
        yield [c for c in candidates if c.painted.layer == "subject"], subject
        if not self._keep:
            yield [c for c in candidates if c.painted.layer == "background"], ~subject


def _levelled(grey: NDArray[np.uint8]) -> Floats:
    """(H, W) 0..1: the opacity that a grey picture stands for; hard edges fade inward."""
    span = 255 - 2 * _NOISE
    opacity = np.clip((grey.astype(np.float32) - _NOISE) / np.float32(span), 0, 1)
    soft = np.minimum(opacity, cv2.GaussianBlur(opacity, ksize=(0, 0), sigmaX=_SOFT))
    return np.rint(soft * np.float32(255)).astype(np.float32) / np.float32(255)  # so that 1 is 1


def _limit(painted: Painted, layer: Layer, side: Mask) -> Painted:
    """Return the paint of one layer and of a rim around it, from which pixels may be taken.

    The rim is wider than `_RIM`, for a sampled pixel depends on `warp.KERNEL_RADIUS` px around it.
    """
    reach = 2 * (_RIM + warp.KERNEL_RADIUS) + 1
    near = cv2.dilate(side.view(np.uint8), kernel=np.ones((reach, reach), np.uint8))
    mask = painted.mask & near.view(np.bool_)
    return Painted(painted.index, painted.image * mask[..., None], mask, layer)


def _extended(one: Candidate, side: Mask) -> Candidate:
    """The candidate on one side of its target, where it lends each pixel.

    One that it does not show takes the place of the nearest that it does, and is not trusted.
    """
    own = one.lent & side
    one = replace(one, lent=own, trusted=one.trusted & side)
    bare = side & ~own
    if not own.any() or not bare.any():
        return one
    _, found = cv2.distanceTransformWithLabels(
        (~own).view(np.uint8), cv2.DIST_L2, maskSize=5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = found.astype(np.int64)
    ys, xs = np.nonzero(own)
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels[own]] = np.arange(len(ys))
    taken = nearest[labels[bare]]
    vectors = one.flow.vectors.copy()
    for plane, near, here in zip(vectors, (xs, ys), reversed(np.nonzero(bare)), strict=True):
        plane[bare] = plane[own][taken] + near[taken] - here
    confidence = np.where(bare, np.float32(0), one.flow.confidence)
    flow = replace(one.flow, vectors=vectors, confidence=confidence)
    return replace(one, flow=flow, lent=side)


def _holes(own: Sequence[Candidate], side: Mask, least: int) -> Mask:
    """(H, W): what of the side none of its candidates can be trusted with, less specks and slivers.

    What none of them lends at all is a hole however small it is.
    """
    if not own:
        return side
    lost = side & ~np.logical_or.reduce([one.trusted for one in own])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, ksize=(_SLIVER, _SLIVER))
    wide = cv2.morphologyEx(lost.view(np.uint8), cv2.MORPH_OPEN, kernel=kernel).view(np.bool_)
    return side & (
        fusion.without_specks(wide, least) | ~np.logical_or.reduce([one.lent for one in own])
    )


def _over(fused: Draft, painted: Painted, opacity: Floats) -> Draft:
    return fusion.overlay_paint(fused.contributions, painted, opacity, fused.holes)


def _weighed(one: Contribution, weight: Floats) -> Contribution | None:
    """The contribution with its weight times an (H, W) one."""
    vectors, own = one.over(Box(0, 0, *weight.shape))
    return Contribution.of(one.origin, vectors, own * weight)


def _still(weight: Floats) -> Floats:
    return np.zeros((2, *weight.shape), np.float32)
