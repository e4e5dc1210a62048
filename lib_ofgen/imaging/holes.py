"""Regions to paint for the holes of a frame, and the result blended into the frame.

Confident pixels are never repainted: outside the margin around a hole, nothing of the painter's
answer is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images
from lib_ofgen.values import Box, Image, Mask, Size, check_shape

__all__ = [
    "KEY_REACH",
    "MARGIN",
    "RING_REACH",
    "edge_opacity",
    "find_boxes",
    "grow",
    "make_start",
    "match_colours",
]

MARGIN = 8
"""px by which a hole's mask is grown before it is painted; the seam is blended inside it."""


RING_REACH = 16
"""px over which the difference of colours around a hole is averaged."""
KEY_REACH = 48
"""px over which the difference of a key's colours is averaged, which is known nearly everywhere."""
_GRID = 4
"""px between the points of the grid on which it is averaged."""
_CURRENT = 24.0
"""Levels by which the source may have changed around used paint, such as by noise and texture."""
_SAMPLES = np.float32(10.0)
"""Number of independent strokes or textures within reach, if all of it is known."""
_FAINT = 0.02
"""Share of the ring around a place below which the colour difference fades."""


def grow(holes: Mask) -> Mask:
    """Return the holes and `MARGIN` px around them: the region that is painted."""
    side = 2 * MARGIN + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, ksize=(side, side))
    return cv2.dilate(holes.astype(np.uint8), kernel=kernel).astype(np.bool_)


def find_boxes(mask: Mask, least: int) -> list[Box]:
    """Find boxes that contain the mask; their sides are multiples of 8 and at least `least` px.

    Overlapping boxes are merged; all lie inside the frame, whose sides are multiples of 8.
    """
    size = Size(*check_shape(mask, "H W", "mask"))
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8), mode=cv2.RETR_EXTERNAL, method=cv2.CHAIN_APPROX_SIMPLE
    )
    found = [
        _fit_box(Box(y - MARGIN, x - MARGIN, y + h + MARGIN, x + w + MARGIN), size, least)
        for x, y, w, h in map(cv2.boundingRect, outlines)
    ]
    return sorted(_merge_boxes(found, size, least))


def _fit_box(box: Box, size: Size, least: int) -> Box:
    """Widen a box to at least `least` px and to multiples of 8, and shift it into the frame."""
    top, bottom = _fit_span(box.top, box.bottom, size.height, least)
    left, right = _fit_span(box.left, box.right, size.width, least)
    return Box(top, left, bottom, right)


def _fit_span(start: int, stop: int, length: int, least: int) -> tuple[int, int]:
    """A span around start..stop, its length a multiple of 8 and at least `least`, in 0..length."""
    wanted = min(length, max(least, -(-(stop - start) // 8) * 8))
    begin = (start + stop - wanted) // 2
    begin = min(max(0, begin), length - wanted)
    return begin, begin + wanted


def _merge_boxes(found: Sequence[Box], size: Size, least: int) -> list[Box]:
    """Merge boxes until no two overlap."""
    apart: list[Box] = []
    for box in found:
        here = box
        while (hit := next((other for other in apart if _overlap(here, other)), None)) is not None:
            apart.remove(hit)
            union = Box(
                min(here.top, hit.top), min(here.left, hit.left),
                max(here.bottom, hit.bottom), max(here.right, hit.right),
            )  # fmt: skip
            here = _fit_box(union, size, least)
        apart.append(here)
    return apart


def _overlap(one: Box, other: Box) -> bool:
    return (
        one.top < other.bottom
        and other.top < one.bottom
        and one.left < other.right
        and other.left < one.right
    )


def make_start(image: Image, mask: Mask, original: Image) -> Image:
    """Return what painting starts from: the warp, with the source frame in the holes."""
    return cast("Image", cv2.copyTo(original, mask=mask.astype(np.uint8), dst=image.copy()))


def match_colours(
    picture: Image, around: Image, ring: Mask, misfit: NDArray[np.float32], reach: int = RING_REACH
) -> Image:
    """Match the painted picture's colours to those of `around`, on the ring that both show.

    The difference there, averaged over `reach` px, is extended into the hole and fades with the
    distance: a painter that fills a hole a little brighter or warmer leaves no seam, and the inner
    part stays as it was painted. A difference no larger than its own standard error is that
    of strokes and textures, and hardly counts.

    `misfit` (h, w, 3) says by how many levels the source differs along the vectors of `around`, in
    the frame's own light. Places where it shows another thing do not count.
    """
    known = (ring & (np.abs(misfit).max(axis=2) <= _CURRENT)).astype(np.float32)
    apart = (around - picture.astype(np.float32)) * known[..., None]
    size = Size(-(-ring.shape[0] // _GRID), -(-ring.shape[1] // _GRID))
    mean, square, weight = (
        cv2.GaussianBlur(images.resize(plane, size), ksize=(0, 0), sigmaX=reach / _GRID)
        for plane in (apart, np.square(apart), known)
    )
    weight = (weight + np.float32(_FAINT))[..., None]
    offset = mean / weight
    chance = np.clip(square / weight - np.square(offset), 0, None) / (_SAMPLES * weight)
    offset *= np.square(offset) / (np.square(offset) + chance + np.float32(1e-3))
    wide = images.enlarge(cast("NDArray[np.float32]", offset), images.size_of(picture))
    return np.rint(np.clip(picture + wide, 0, 255)).astype(np.uint8)


def edge_opacity(holes: Mask, mask: Mask) -> NDArray[np.float32]:
    """(H, W) 0..1: opacity of the painted region `mask`.

    1 in the holes, falling over the margin, and 0 outside `mask`.
    """
    reach = cv2.distanceTransform((~holes).astype(np.uint8), cv2.DIST_L2, maskSize=5)
    shown = np.clip(1 - reach / np.float32(MARGIN), 0, 1)
    return np.where(mask, shown, np.float32(0)).astype(np.float32)
