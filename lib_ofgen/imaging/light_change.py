"""Veto of vectors whose two ends show another light, or another thing.

Flow also follows a point that fades, flashes or turns red. Its vector may be right, but the paint
of the point shows how it looked before. The mean difference of the two pictures around a point
shows a change of light. Grain, and vectors that are a pixel off, cancel out in that mean. Every
estimator applies the veto to its confidence, so vetoed pixels are not taken from a painted frame.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.values import Image, Size

__all__ = ["GRID", "same_light", "veto"]

GRID = 4
"""px between the points at which the light is compared."""

_AROUND = 5
"""Points on each side of the square whose median is the difference of the light."""
_LEAST = np.float32(1e-3)
"""Weight of pixels without confidence. If all around are such, their plain mean is used."""
_LIGHT = (5.0, 10.0)
"""Levels up to which a difference is noise or drift, and levels from which it is vetoed."""
_SPOT = (48.0, 96.0)
"""The same for the mean of a single point; a strong edge that is one px off changes it."""

Floats = NDArray[np.float32]


def veto(pair: tuple[Image, Image], vectors: Floats, sure: Floats) -> Floats:
    """(H, W) 0..1: the confidence `sure` of the vectors, less what the pictures rule out.

    `pair` is (source, target), `vectors` (2, H, W) px the flow on the target's grid. 0 where it
    leaves the source.
    """
    source, target = pair
    size = images.size_of(target)
    grid = Size(-(-size.height // GRID), -(-size.width // GRID))
    small = warp.resize_flow(vectors, grid)
    moved = warp.warp_backward(images.resize(source, grid), small, smooth=False)
    apart = moved.astype(np.float32) - images.resize(target, grid)
    light = same_light(apart, images.resize(sure, grid))
    allowed = images.enlarge(np.minimum(light, _similarity(apart, _SPOT)), size)
    return sure * allowed * warp.inside(vectors, images.size_of(source))


def same_light(apart: Floats, sure: Floats) -> Floats:
    """(h, w) 0..1: how much the light is the same.

    `apart` (h, w, 3) are levels of points `GRID` px apart, `sure` (h, w) 0..1 the confidence that
    they are of one and the same thing. What is unsure, such as what has been covered meanwhile,
    counts as what is sure around it. Then the median is taken, for which edges a px beside their
    place are the minority.
    """
    weight = np.square(sure)[..., None] + _LEAST
    total = cv2.GaussianBlur(weight, ksize=(0, 0), sigmaX=_AROUND / 2)[..., None]
    around = cv2.GaussianBlur(apart * weight, ksize=(0, 0), sigmaX=_AROUND / 2) / total
    known = cast("Floats", around + weight * (apart - around))
    return _similarity(cast("Floats", cv2.medianBlur(known, ksize=_AROUND)), _LIGHT)


def _similarity(apart: Floats, levels: tuple[float, float]) -> Floats:
    """(h, w): 1 up to the first number of levels in the worst channel, 0 from the second on."""
    most, vetoed = levels
    red, green, blue = cv2.split(np.abs(apart))
    worst = np.maximum(np.maximum(red, green), blue)  # numpy's own `max` takes ten times as long
    return cast("Floats", np.clip((vetoed - worst) / np.float32(vetoed - most), 0, 1))
