"""Optical flow, and drafts: which pixels of painted frames make a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values.arrays import Box, Mask, Size, check_shape
from lib_ofgen.values.painting import Origin

__all__ = ["NOT_PAINTED", "Contribution", "Draft", "Flow", "Light"]

NOT_PAINTED = -1
"""In a map of frame numbers: a pixel of the source that nobody painted."""


@dataclass(frozen=True)
class Flow:
    """Where each pixel of `target` is found in `source`.

    There is only this convention: the target's pixel (x, y) shows what the source has at
    (x + vectors[0, y, x], y + vectors[1, y, x]). Pixel centres are whole numbers
    (`align_corners=True`). A flow is estimated in this direction, never negated from the other.
    """

    source: int
    target: int
    vectors: NDArray[np.float32]
    """(2, H, W) px: x, then y."""
    confidence: NDArray[np.float32]
    """(H, W) 0..1: probability that the error is at most `radius`; 0: it leaves the source."""
    radius: float
    """px."""


@dataclass(frozen=True)
class Light:
    """A change of light that paint takes on: each value becomes `gain` times it plus `offset`.

    It lies on a grid of every `GRID`-th pixel of a frame, so no detail of the source gets in.
    """

    GRID: ClassVar[int] = 4
    """px of a frame between two points."""

    box: Box
    """The region of the grid that it covers."""
    gain: NDArray[np.float32]
    """(h, w, 3)"""
    offset: NDArray[np.float32]
    """(h, w, 3) levels of 255."""


@dataclass(frozen=True)
class Contribution:
    """What a painted frame supplies to a frame; each pixel is sampled there once."""

    origin: Origin
    """The frame and the layer in which it was painted."""
    box: Box
    """Region of the target; it supplies nothing outside."""
    vectors: NDArray[np.float32]
    """(2, h, w) px, over the box: where each pixel is in `origin`; see `Flow`."""
    weight: NDArray[np.float32]
    """(h, w) 0..1, over the box."""
    light: Light | None = None
    """How the light has changed since the origin; None: not at all."""

    @classmethod
    def of(
        cls, origin: Origin, vectors: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> Contribution | None:
        """Return the contribution of (2, H, W) vectors and an (H, W) weight over a whole frame.

        None is returned if the weight is 0 everywhere. The box has a border of weight 0 unless the
        frame ends there, because a lookup beyond its edge gives nothing.
        """
        size = Size(*check_shape(weight, "H W", "weight"))
        rows = np.flatnonzero((weight > 0).any(axis=1))
        if not len(rows):
            return None
        columns = np.flatnonzero((weight > 0).any(axis=0))
        box = Box(
            max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1),
            min(size.height, int(rows[-1]) + 2), min(size.width, int(columns[-1]) + 2),
        )  # fmt: skip
        inside = np.stack([box.crop(plane) for plane in vectors])
        return cls(origin, box, inside, np.ascontiguousarray(box.crop(weight)))

    def within(self, box: Box) -> Contribution | None:
        """Return the part in `box`, or None if there is none."""
        shared = box.intersect(self.box)
        if not all(shared.size):
            return None
        part = shared.relative_to(self.box)
        inside = np.stack([part.crop(plane) for plane in self.vectors])
        return replace(self, box=shared, vectors=inside, weight=part.crop(self.weight))

    def over(self, box: Box) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return vectors (2, h, w) px and weight (h, w) over another box; 0 outside this one."""
        both = np.concatenate([self.vectors, self.weight[None]])
        laid = np.zeros((3, *box.size), np.float32)
        shared = box.intersect(self.box)
        for plane, other in zip(laid, both, strict=True):
            shared.relative_to(box).crop(plane)[...] = shared.relative_to(self.box).crop(other)
        return laid[:2], laid[2]


@dataclass(frozen=True)
class Draft:
    """Which painted pixels make a frame."""

    contributions: tuple[Contribution, ...]
    """Their weights sum to 1 at each pixel; in a hole they are the best guess."""
    holes: Mask
    """Pixels that no painted frame can supply with enough confidence."""

    @classmethod
    def normalise(cls, parts: Iterable[Contribution | None], holes: Mask) -> Draft:
        """Return the draft with weights that sum to 1; each pixel needs a weight above 0."""
        kept = [part for part in parts if part]
        total = np.zeros(holes.shape, np.float32)
        for part in kept:
            part.box.crop(total)[...] += part.weight
        return cls(
            tuple(replace(part, weight=part.weight / part.box.crop(total)) for part in kept), holes
        )

    def origin_frames(self, frame_of: Callable[[Origin], int]) -> NDArray[np.int32]:
        """Return the (H, W) frames in which most of each pixel was painted.

        `frame_of` returns the number that represents an origin. Pixels without a contribution have
        `NOT_PAINTED`.
        """
        most = np.zeros(self.holes.shape, np.float32)
        found = np.full(self.holes.shape, NOT_PAINTED, np.int32)
        for one in self.contributions:
            more = one.weight > one.box.crop(most)
            one.box.crop(found)[more] = frame_of(one.origin)
            one.box.crop(most)[more] = one.weight[more]
        return found
