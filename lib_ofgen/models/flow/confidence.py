"""Confidence of a flow from its agreement with the flow back, and with the pictures.

A logistic model, fitted to the true flow of MPI-Sintel (Butler et al. 2012), makes both one
probability (`python -m tests.benchmarks.calibrate`).
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, light, warp
from lib_ofgen.values import Box, Image, check_shape

__all__ = ["BIAS", "ROUND_TRIP", "SAMENESS", "compare", "confidence", "features"]

BIAS, ROUND_TRIP, SAMENESS = 1.238, -1.597, -1.143
"""Logistic coefficients: constant, round trip, difference of the pictures."""


def features(
    pair: tuple[Image, Image],
    vectors: NDArray[np.float32],
    back: NDArray[np.float32],
    radius: float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the model's two inputs for each of the target's pixels, and what light allows.

    The logarithm of the round trip's miss in units of `radius`, and the logarithm of the mean
    absolute difference (0..255, smoothed over 1.5 px) between the target and the warped source, in
    the target's light. `pair` is (source, target), `vectors` the flow on the target's grid, `back`
    on the source's.
    """
    check_shape(pair[1], "H W 3", "target")
    miss = warp.forward_backward(vectors, back) / np.float32(radius)
    missed = cast("NDArray[np.float32]", np.log(miss + np.float32(0.05)))
    odds = BIAS + ROUND_TRIP * missed
    likely = np.float32(1) / (np.float32(1) + np.exp(-odds))
    apart, allowed = compare(pair, vectors, likely)
    return missed, cast("NDArray[np.float32]", np.log1p(apart)), allowed


def compare(
    pair: tuple[Image, Image], vectors: NDArray[np.float32], sure: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compare (source, target) along the vectors, of confidence `sure`, in the target's light.

    Return two (H, W): their difference 0..255, smoothed over 1.5 px, and how far the light can be
    followed, 0..1.
    """
    source, target = pair
    before, after = light.moved_view(source, vectors), light.view(target)
    small = images.resize(sure, images.size_of(after))
    found = light.fit(before, after, small)
    moved = warp.warp_backward(source, vectors, smooth=False)
    lit = np.clip(
        light.light_up(found, moved.astype(np.float32), Box(0, 0, *images.size_of(target))), 0, 255
    )
    grey = cv2.cvtColor(np.abs(lit - target), cv2.COLOR_RGB2GRAY)
    allowed = images.enlarge(light.trust(before, after, small, found), images.size_of(target))
    return (
        cast("NDArray[np.float32]", cv2.GaussianBlur(grey, ksize=(0, 0), sigmaX=1.5)),
        allowed * warp.inside(vectors, images.size_of(source)),
    )


def confidence(
    pair: tuple[Image, Image],
    vectors: NDArray[np.float32],
    back: NDArray[np.float32],
    radius: float = 1.0,
) -> NDArray[np.float32]:
    """(H, W) 0..1: the probability that the flow errs by at most `radius` px; see `features`.

    0 where the flow leaves the source, and where the light cannot be followed; see `imaging.light`.
    """
    miss, different, allowed = features(pair, vectors, back, radius)
    odds = BIAS + ROUND_TRIP * miss + SAMENESS * different
    return allowed / (np.float32(1) + np.exp(-odds))
