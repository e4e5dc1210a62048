"""The layers of a frame: a mask divides it into its subject, which is animated, and its background.

The paint of one layer never appears in the other. Each layer of a painted frame is an `Origin` of
its own with its own mask, so candidates, tracks and rendering cannot mix them. With `keep`, the
background layer of a frame is the source's own frame, and no other frame uses it.
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
"""Version of the method; part of digests, so that a change of pixels makes old frames anew."""
_NOISE = 12
"""Grey levels at both ends of a mask that count as black and as white: lossy video rings."""
_SOFT = 0.8
"""px: sigma of the soft edge that a mask with a hard edge gets."""
_RIM = 2
"""px beyond the edge of a layer from which its pixels may still be taken: flow errs by as much."""
_SLIVER = 5
"""px: a missing strip along an edge that is narrower is filled from the nearest pixels."""

Floats = NDArray[np.float32]
Lend = Callable[[Origin], Painted]
ReadPaint = Callable[[int], Painted]


class SingleLayer:
    """Frames of one layer: there is no mask."""

    divided = False
    """Whether a frame has two layers."""
    moves_background = False
    """Whether later key frames take the background from earlier ones with any `key_agreement`."""

    def mask_digests(self, target: int, sources: Sequence[int]) -> tuple[object, ...]:
        """Return the digests of the masks on which a frame depends."""
        return ()

    def mark_fresh(self, steps: list[Step], *, guided: bool) -> list[Step]:
        """Return the steps of key frames; `fresh` is set where the subject is painted anew."""
        return steps

    def has_paint(self, target: int) -> bool:
        """Whether any pixel of the frame belongs to a layer that is painted."""
        return True

    def inside(self, target: int) -> Mask | None:
        """Return the (H, W) mask of the pixels that the frame's coverage counts; None: all."""
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
        """Return the candidates from the flow's source for its target; see `fusion.candidate`."""
        painted = lend(Origin(flow.source))
        return [fusion.candidate(painted, flow, share, threshold=threshold, least=least)]

    def complete(self, step: Step, candidates: Sequence[Candidate], least: int) -> bool:
        """Whether the candidates leave no hole."""
        return fusion.has_no_holes(candidates, least)

    def merge(self, step: Step, candidates: Sequence[Candidate], least: int) -> Draft:
        """Return the draft of all candidates; see `fusion.merge`."""
        return fusion.merge(candidates, least)

    def overlay_paint(self, fused: Draft, fresh: Painted, opacity: Floats) -> Draft:
        """Return the draft with the paint of its holes over it; see `fusion.overlay_paint`."""
        return fusion.overlay_paint(fused.contributions, fresh, opacity, fused.holes)

    def drop_kept_background(self, draft: Draft) -> Draft:
        """Return the draft without a background that is kept; only the rest steadies neighbours."""
        return draft

    def separate_sides(self, target: int, fused: Draft) -> Draft:
        """Return a stabilised draft in which each layer has only its own paint."""
        return fused

    def compose(self, target: int, image: Image) -> Image:
        """Return the finished frame of a rendered picture."""
        return image

    def sources(self, fused: Draft) -> list[int]:
        """Return the frames whose paint shows, in ascending order."""
        return sorted(one.origin.frame for one in fused.contributions)

    def frame_number(self, origin: Origin) -> int:
        """Return the frame that shows `origin`; `NOT_PAINTED` for the source's own pixels."""
        return origin.frame


class SubjectLayers(SingleLayer):
    """Frames with a subject and a background. `keep` keeps the source's background.

    Without `keep` the background is painted once. The subject has every pixel whose opacity is
    above 0, so that there is paint under soft edges.
    """

    divided = True

    def __init__(self, frames: FrameStore, masks: FrameStore, *, keep: bool) -> None:
        """Take the masks from `masks`, which has a grey picture for each frame of `frames`."""
        self._frames, self._keep = frames, keep
        self.moves_background = not keep
        remembered = lru_cache(maxsize=memory_frames(frames.clip.size))
        self._opacity = remembered(lambda index: _read_opacity(masks.frame(index).image[..., 0]))
        self._mask_digest = lru_cache(maxsize=None)(self._mask_digest_of)

    def mask_digests(self, target: int, sources: Sequence[int]) -> tuple[object, ...]:
        """Return the mode, and the digests of the masks of the target and its sources."""
        return (_METHOD, self._keep, *(self._mask_digest(index) for index in (target, *sources)))

    def mark_fresh(self, steps: list[Step], *, guided: bool) -> list[Step]:
        """Return the steps; `fresh` is set where the subject is painted anew.

        With a kept background these are the steps without sources. If the background is moved,
        they are the steps with sources, unless keys are `guided`: then the subject is moved too.
        The first key frame of a scene has no sources and is painted whole.
        """
        if self._keep:
            return [replace(step, fresh=not step.sources) for step in steps]
        return [replace(step, fresh=bool(step.sources) and not guided) for step in steps]

    def has_paint(self, target: int) -> bool:
        """Whether the frame has more than a background that is kept."""
        return not self._keep or bool(self._subject(target).any())

    def inside(self, target: int) -> Mask | None:
        """Return the mask of the subject if only the subject is painted; None: all."""
        return self._subject(target) if self._keep else None

    def lend(self, origin: Origin, read_paint: ReadPaint) -> Painted:
        """Return the paint of the origin's layer; for a kept background, the source's frame."""
        index, layer = origin
        if layer == "background" and self._keep:
            image = self._frames.frame(index).image
            return Painted(index, image, np.ones(image.shape[:2], np.bool_), layer)
        subject = self._subject(index)
        return _limit(read_paint(index), layer, subject if layer == "subject" else ~subject)

    def whole(self, index: int, lend: Lend) -> Draft:
        """Return the draft of a frame that was painted whole, from both its layers."""
        subject = self._subject(index)
        none = Draft((), np.zeros(subject.shape, np.bool_))
        first = _overlay(none, lend(Origin(index)), subject.astype(np.float32))
        return _overlay(first, lend(Origin(index, "background")), (~subject).astype(np.float32))

    def candidates(
        self, lend: Lend, flow: Flow, share: float, *, threshold: float, least: int
    ) -> list[Candidate]:
        """Return a candidate of the subject and, unless it is kept, one of the background."""
        opacity = self._opacity(flow.target)
        sides = [(Origin(flow.source), opacity > 0)]
        if not self._keep:
            sides.append((Origin(flow.source, "background"), opacity < 1))
        rule = {"threshold": threshold, "least": least}
        return [
            _extend(fusion.candidate(lend(origin), flow, share, **rule), side)
            for origin, side in sides
        ]

    def complete(self, step: Step, candidates: Sequence[Candidate], least: int) -> bool:
        """Whether the candidates of each layer leave no hole in it."""
        return not any(
            _holes(own, side, least).any() for own, side in self._sides(step.target, candidates)
        )

    def merge(self, step: Step, candidates: Sequence[Candidate], least: int) -> Draft:
        """Return the draft of each layer from its own candidates; a fresh subject is a hole."""
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
                parts += [_scale_weight(one, weight) for one in merged]
                behind = behind - weight
        if self._keep:
            parts.append(
                Contribution.of(Origin(step.target, "background"), _zero_vectors(behind), behind)
            )
        return Draft.normalise(parts, holes)

    def overlay_paint(self, fused: Draft, fresh: Painted, opacity: Floats) -> Draft:
        """Return the draft with the paint of each layer over that layer."""
        subject = self._subject(fresh.index)
        fused = _overlay(fused, _limit(fresh, "subject", subject), opacity * subject)
        if self._keep:
            return fused
        return _overlay(fused, _limit(fresh, "background", ~subject), opacity * ~subject)

    def drop_kept_background(self, draft: Draft) -> Draft:
        """Return the draft without a background that is kept: that belongs to one frame only."""
        parts = draft.contributions
        return replace(draft, contributions=tuple(p for p in parts if self._is_painted(p.origin)))

    def separate_sides(self, target: int, fused: Draft) -> Draft:
        """Return the draft whose layers have only their own paint; soft edges may have both."""
        opacity = self._opacity(target)
        behind = opacity == 0 if self._keep else opacity < 1
        parts = [
            _scale_weight(
                one,
                (behind if one.origin.layer == "background" else opacity > 0).astype(np.float32),
            )
            for one in fused.contributions
        ]
        return Draft.normalise(parts, fused.holes)

    def compose(self, target: int, image: Image) -> Image:
        """Return the picture, laid over the source's frame by the mask if that is kept."""
        if not self._keep:
            return image
        opacity = self._opacity(target)[..., None]
        source = self._frames.frame(target).image.astype(np.float32)
        return np.rint(source + opacity * (image - source)).astype(np.uint8)

    def sources(self, fused: Draft) -> list[int]:
        """Return the frames whose paint is visible in either layer, in ascending order."""
        shown = (one.origin for one in fused.contributions if self._is_painted(one.origin))
        return sorted({origin.frame for origin in shown})

    def frame_number(self, origin: Origin) -> int:
        """Return the frame that shows `origin`; `NOT_PAINTED` for a background that is kept."""
        return origin.frame if self._is_painted(origin) else NOT_PAINTED

    def _is_painted(self, origin: Origin) -> bool:
        return origin.layer == "subject" or not self._keep

    def _subject(self, index: int) -> Mask:
        return self._opacity(index) > 0

    def _mask_digest_of(self, index: int) -> str:
        return hashlib.sha256(self._opacity(index).tobytes()).hexdigest()[:32]

    def _sides(
        self, target: int, candidates: Sequence[Candidate]
    ) -> Iterator[tuple[list[Candidate], Mask]]:
        """Yield candidates and mask of the subject, then of a background that is not kept."""
        subject = self._subject(target)
        yield [c for c in candidates if c.painted.layer == "subject"], subject
        if not self._keep:
            yield [c for c in candidates if c.painted.layer == "background"], ~subject


def _read_opacity(grey: NDArray[np.uint8]) -> Floats:
    """Return the (H, W) opacity 0..1 of a grey picture; hard edges become soft on the inside."""
    span = 255 - 2 * _NOISE
    opacity = np.clip((grey.astype(np.float32) - _NOISE) / np.float32(span), 0, 1)
    soft = np.minimum(opacity, cv2.GaussianBlur(opacity, ksize=(0, 0), sigmaX=_SOFT))
    return np.rint(soft * np.float32(255)).astype(np.float32) / np.float32(255)  # so that 1 is 1


def _limit(painted: Painted, layer: Layer, side: Mask) -> Painted:
    """Return the paint of one layer with a rim around it, from which pixels may be taken.

    The rim is wider than `_RIM`, as a sampled pixel depends on `warp.KERNEL_RADIUS` px around it.
    """
    reach = 2 * (_RIM + warp.KERNEL_RADIUS) + 1
    near = cv2.dilate(side.view(np.uint8), kernel=np.ones((reach, reach), np.uint8))
    mask = painted.mask & near.view(np.bool_)
    return Painted(painted.index, painted.image * mask[..., None], mask, layer)


def _extend(one: Candidate, side: Mask) -> Candidate:
    """Return the candidate for one layer of its target, with a value for each pixel of it.

    A pixel that its source does not show takes the vector to the source of the nearest pixel that
    it shows, and is not trusted.
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
    """Return the (H, W) holes of a layer: where none of its candidates is trusted.

    Specks and slivers of these are left out, but not where no candidate has a value at all.
    """
    if not own:
        return side
    lost = side & ~np.logical_or.reduce([one.trusted for one in own])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, ksize=(_SLIVER, _SLIVER))
    wide = cv2.morphologyEx(lost.view(np.uint8), cv2.MORPH_OPEN, kernel=kernel).view(np.bool_)
    return side & (
        fusion.without_specks(wide, least) | ~np.logical_or.reduce([one.lent for one in own])
    )


def _overlay(fused: Draft, painted: Painted, opacity: Floats) -> Draft:
    return fusion.overlay_paint(fused.contributions, painted, opacity, fused.holes)


def _scale_weight(one: Contribution, weight: Floats) -> Contribution | None:
    """Return the contribution with its weight multiplied by an (H, W) weight, or None if 0."""
    vectors, own = one.over(Box(0, 0, *weight.shape))
    return Contribution.of(one.origin, vectors, own * weight)


def _zero_vectors(weight: Floats) -> Floats:
    return np.zeros((2, *weight.shape), np.float32)
