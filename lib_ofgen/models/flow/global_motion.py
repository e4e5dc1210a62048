"""The motion of most of a picture, used where a flow is unsure.

On a plain road under a moving camera, or in a clear sky, the pictures do not show where a pixel
has gone, but its surroundings do. A homography, which is exact for a plane and for a camera that
turns (Hartley and Zisserman 2004, sections 13.1 and 8.4), is fitted to the vectors that are sure.
Where the sure vectors around an unsure one follow it, it is the better guess; how good, was fitted
to true flow as `confidence` was (`python -m tests.benchmarks.calibrate`). What has been covered
meanwhile moves as well and is not seen: where the pictures differ, the guess counts for nothing.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images
from lib_ofgen.models.flow import confidence
from lib_ofgen.models.flow.confidence import View
from lib_ofgen.values import Light

__all__ = [
    "APART",
    "BIAS",
    "FOLLOWING",
    "GlobalMotion",
    "complete_by_global_motion",
    "estimate_global_motion",
]

BIAS, FOLLOWING, APART = -3.5, 7.0, -0.518
"""Logistic coefficients: constant, of the share that follows, of what lies between the vectors.

The constant is lower than the fitted one, see `tests.benchmarks.calibrate`."""

_SURE = 0.6
"""Confidence of the vectors that the homography is fitted to."""
_GRID = 4
"""px of a view between the vectors that it is fitted to."""
_LEAST = 64
"""Fewest vectors to which a homography is fitted."""
_AROUND = 8.0
"""px of a view: sigma of the surroundings of a pixel. It was measured on views of the frames' full
size: of 16, 24, 32 and 48 px there, 16 tells right from wrong best."""
_FEW = 0.02
"""Share of sure vectors around a pixel below which there are none."""
_SAME = 0.0
"""`GlobalMotion.apart` up to which both vectors say the same, so that the estimated one is kept."""
_OTHER = 16.0
"""Grey levels of difference that are another thing than what the target shows."""

Floats = NDArray[np.float32]

_around = partial(images.local_mean, sigma=_AROUND, grid=4)


class GlobalMotion(NamedTuple):
    """The dominant motion at each pixel."""

    vectors: Floats
    """(2, H, W) px: the homography's."""
    following: Floats
    """(H, W) 0..1: share of the sure vectors around that follow it within `radius`."""
    apart: Floats
    """(H, W): logarithm of the distance from the estimated vector, in units of `radius`."""


def estimate_global_motion(vectors: Floats, sure: Floats, radius: float) -> GlobalMotion | None:
    """Find the dominant motion; None if there is none.

    `vectors` (2, H, W) px and their confidence `sure` (H, W) are on the target's grid.
    """
    plane = _homography(vectors, sure, radius)
    if plane is None:
        return None
    moved = _vectors(plane, sure.shape)
    distance = np.hypot(*(moved - vectors)) / np.float32(radius)
    known = (sure >= _SURE).astype(np.float32)
    follows = cast("Floats", known * (distance <= 1))
    share = cast("Floats", _around(follows) / (_around(known) + np.float32(_FEW)))
    return GlobalMotion(moved, share, np.log(distance + np.float32(0.5)))


def complete_by_global_motion(
    pair: tuple[View, View], vectors: Floats, sure: Floats, radius: float, light: Light
) -> tuple[Floats, Floats]:
    """Return vectors and confidence of (source, target); the dominant motion's where it is surer.

    Shapes as in `estimate_global_motion`; the pictures are compared in the light.
    """
    found = estimate_global_motion(vectors, sure, radius)
    if found is None:
        return vectors, sure
    odds = BIAS + FOLLOWING * found.following + APART * found.apart
    likely = confidence.chance(cast("Floats", odds))
    if not (likely > sure).any():
        return vectors, sure
    apart, allowed = confidence.compare(pair, found.vectors, likely, light)
    likely *= np.exp(-np.square(apart / _OTHER)) * allowed
    better = likely > sure
    other = better & (found.apart > _SAME)
    return np.where(other, found.vectors, vectors), np.where(better, likely, sure)


def _homography(vectors: Floats, sure: Floats, radius: float) -> NDArray[np.float64] | None:
    """3 x 3: target (x, y, 1) to the source's, of the sure vectors; None if there are too few."""
    height, width = sure.shape
    y, x = np.mgrid[_GRID // 2 : height : _GRID, _GRID // 2 : width : _GRID]
    taken = sure[y, x] >= _SURE
    if taken.sum() < _LEAST:
        return None
    here = np.stack([x[taken], y[taken]], axis=1).astype(np.float32)
    there = here + vectors[:, y, x][:, taken].T
    found, _ = cv2.findHomography(here, there, method=cv2.USAC_MAGSAC, ransacReprojThreshold=radius)
    return cast("NDArray[np.float64] | None", found)


def _vectors(plane: NDArray[np.float64], size: tuple[int, ...]) -> Floats:
    """(2, H, W) px of a homography."""
    height, width = size
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    u, v, w = (a * x + b * y + c for a, b, c in plane.astype(np.float32))
    w = np.maximum(w, np.float32(1e-3))  # what lies behind the camera goes far outside
    return np.stack([u / w - x, v / w - y])
