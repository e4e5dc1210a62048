"""Holes become what to repaint, and the result goes back into the picture.

Confident pixels never pass through the painter: outside the margin around a hole nothing of what
it gives back is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images
from lib_ofgen.values import Box, Image, Mask, Size, check_shape

__all__ = ["MARGIN", "edge_opacity", "find_boxes", "grow", "make_start", "match_colours"]

MARGIN = 8
"""px by which a hole's mask is grown before it is painted; the seam is blended inside it."""


_REACH = 16
"""px over which the difference of colours around a hole is averaged."""
_GRID = 4
"""px between the points at which it is."""
_CURRENT = 24.0
"""Levels by which the source may have changed where paint is taken on; noise and texture do."""
_FAINT = 0.02
"""Share of the ring around a place below which its difference fades."""


def grow(holes: Mask) -> Mask:
    """The holes and `MARGIN` px around them: the region that is painted."""
    side = 2 * MARGIN + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, ksize=(side, side))
    return cv2.dilate(holes.astype(np.uint8), kernel=kernel).astype(np.bool_)


def find_boxes(mask: Mask, least: int) -> list[Box]:
    """Boxes that together hold the mask, sides multiples of 8 and at least `least` px.

    Boxes that overlap become one; none reaches outside the frame, whose sides are multiples of 8.
    """
    size = Size(*check_shape(mask, "H W", "mask"))
    outlines, _ = cv2.findContours(
        mask.astype(np.uint8), mode=cv2.RETR_EXTERNAL, method=cv2.CHAIN_APPROX_SIMPLE
    )
    found = [
        _fitted(Box(y - MARGIN, x - MARGIN, y + h + MARGIN, x + w + MARGIN), size, least)
        for x, y, w, h in map(cv2.boundingRect, outlines)
    ]
    return sorted(_joined(found, size, least))


def _fitted(box: Box, size: Size, least: int) -> Box:
    """The box, widened to at least `least` px and to multiples of 8, shifted into the frame."""
    top, bottom = _span(box.top, box.bottom, size.height, least)
    left, right = _span(box.left, box.right, size.width, least)
    return Box(top, left, bottom, right)


def _span(start: int, stop: int, length: int, least: int) -> tuple[int, int]:
    """A span around start..stop, its length a multiple of 8 and at least `least`, in 0..length."""
    wanted = min(length, max(least, -(-(stop - start) // 8) * 8))
    begin = (start + stop - wanted) // 2
    begin = min(max(0, begin), length - wanted)
    return begin, begin + wanted


def _joined(found: Sequence[Box], size: Size, least: int) -> list[Box]:
    """Boxes of which no two overlap."""
    apart: list[Box] = []
    for box in found:
        here = box
        while (hit := next((other for other in apart if _overlap(here, other)), None)) is not None:
            apart.remove(hit)
            union = Box(
                min(here.top, hit.top), min(here.left, hit.left),
                max(here.bottom, hit.bottom), max(here.right, hit.right),
            )  # fmt: skip
            here = _fitted(union, size, least)
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
    """What painting starts from: the warp, with the source's own frame in the holes."""
    return cast("Image", cv2.copyTo(original, mask=mask.astype(np.uint8), dst=image.copy()))


def match_colours(picture: Image, around: Image, ring: Mask, stale: NDArray[np.float32]) -> Image:
    """The painted picture, its colours brought to those of `around` on the ring that both show.

    The difference there, averaged over `_REACH` px, is carried into the hole and fades with the
    distance: a painter that fills a hole a little brighter or warmer leaves no seam, and what lies
    deep inside stays as it was painted.

    `stale` (h, w, 3) is by how many levels the source was brighter where `around` was painted. The
    paint does not follow it: it is brought to what `around` would be in the frame's own light, and
    not to what shows another thing.
    """
    known = (ring & (np.abs(stale).max(axis=2) <= _CURRENT)).astype(np.float32)
    apart = (around - stale - picture) * known[..., None]
    size = Size(-(-ring.shape[0] // _GRID), -(-ring.shape[1] // _GRID))
    small, weight = (
        cv2.GaussianBlur(images.resize(plane, size), ksize=(0, 0), sigmaX=_REACH / _GRID)
        for plane in (apart, known)
    )
    offset = cast("NDArray[np.float32]", small / (weight + np.float32(_FAINT))[..., None])
    wide = images.enlarge(offset, images.size_of(picture))
    return np.rint(np.clip(picture + wide, 0, 255)).astype(np.uint8)


def edge_opacity(holes: Mask, mask: Mask) -> NDArray[np.float32]:
    """(H, W) 0..1: how much of the painted region `mask` is shown.

    All of it in the holes, fading out over the margin, and nothing outside `mask`.
    """
    reach = cv2.distanceTransform((~holes).astype(np.uint8), cv2.DIST_L2, maskSize=5)
    shown = np.clip(1 - reach / np.float32(MARGIN), 0, 1)
    return np.where(mask, shown, np.float32(0)).astype(np.float32)
