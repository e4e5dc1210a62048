"""Confidence of a flow from its agreement with the flow back, and with the pictures.

A logistic model, fitted to the true flow of MPI-Sintel (Butler et al. 2012), makes both one
probability (`python -m tests.benchmarks.calibrate`).
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import light_change, warp
from lib_ofgen.values import Image, check_shape

__all__ = ["BIAS", "ROUND_TRIP", "SAMENESS", "confidence", "difference", "features"]

BIAS, ROUND_TRIP, SAMENESS = 1.238, -1.597, -1.143
"""Logistic coefficients: constant, round trip, difference of the pictures."""


def features(
    pair: tuple[Image, Image],
    vectors: NDArray[np.float32],
    back: NDArray[np.float32],
    radius: float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the model's two inputs for each of the target's pixels, (H, W) both.

    The logarithm of the round trip's miss in units of `radius`, and the logarithm of the mean
    absolute difference (0..255, smoothed over 1.5 px) between the target and the warped source.
    `pair` is (source, target), `vectors` the flow on the target's grid, `back` on the source's.
    """
    check_shape(pair[1], "H W 3", "target")
    miss = warp.forward_backward(vectors, back) / np.float32(radius)
    missed = cast("NDArray[np.float32]", np.log(miss + np.float32(0.05)))
    return missed, cast("NDArray[np.float32]", np.log1p(difference(pair, vectors)))


def difference(pair: tuple[Image, Image], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) 0..255: difference of (source, target) along the vectors, smoothed over 1.5 px."""
    source, target = pair
    moved = warp.warp_backward(source, vectors, smooth=False)
    grey = cv2.cvtColor(cv2.absdiff(moved, target), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cast("NDArray[np.float32]", cv2.GaussianBlur(grey, ksize=(0, 0), sigmaX=1.5))


def confidence(
    pair: tuple[Image, Image],
    vectors: NDArray[np.float32],
    back: NDArray[np.float32],
    radius: float = 1.0,
) -> NDArray[np.float32]:
    """(H, W) 0..1: the probability that the flow errs by at most `radius` px; see `features`.

    0 where the flow leaves the source, and where the pictures veto it; see `imaging.light_change`.
    """
    miss, different = features(pair, vectors, back, radius)
    odds = BIAS + ROUND_TRIP * miss + SAMENESS * different
    likely = np.float32(1) / (np.float32(1) + np.exp(-odds))
    return light_change.veto(pair, vectors, likely)
