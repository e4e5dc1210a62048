"""Confidence of a flow from its agreement with the flow back, and with the pictures.

A logistic model, fitted to the true flow of MPI-Sintel (Butler et al. 2012), makes both one
probability (`python -m tests.benchmarks.calibrate`). Flows are judged at half the frames' size:
DIS finds no finer ones, and whether a vector is right does not change from one pixel to the next.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, light, warp
from lib_ofgen.values import Image, Light, Size, check_shape

__all__ = [
    "BIAS",
    "ROUND_TRIP",
    "SAMENESS",
    "Features",
    "View",
    "chance",
    "compare",
    "confidence",
    "features",
    "fit_light",
    "half",
    "view",
]

BIAS, ROUND_TRIP, SAMENESS = 1.238, -1.597, -1.143
"""Logistic coefficients: constant, round trip, difference of the pictures."""
_SMOOTH = 0.75
"""px of a view: sigma over which a difference of the pictures is smoothed."""
_HALF = 2
"""px between two points of the light's grid in a view of half the frame's size."""

Floats = NDArray[np.float32]


class View(NamedTuple):
    """A picture as flows are judged with it."""

    image: Image
    """(h, w, 3), on the grid of the flow that is judged."""
    rough: Floats
    """(h', w', 3) levels, on the grid of its light."""


def view(image: Image, size: Size, step: int = _HALF) -> View:
    """Return the (H, W, 3) picture for a flow whose grid has this size.

    `step` is the distance of the points of the light's grid, in px of that flow.
    """
    small = images.resize(image, size)
    return View(small, light.view(small, step))


def half(size: Size) -> Size:
    """Return the size at which a flow of this size is judged."""
    return Size(*(-(-side // 2) for side in size))


class Features(NamedTuple):
    """What tells how likely a vector is right, (h, w) each."""

    missed: Floats
    """Logarithm of the round trip's miss in units of the radius."""
    different: Floats
    """Logarithm of the mean absolute difference of the pictures, 0..255, in the target's light."""
    allowed: Floats
    """0..1: how far the light can be followed; 0 where the vectors leave the source."""
    light: Light
    """The change of light."""


def features(
    pair: tuple[View, View], vectors: Floats, back: Floats, radius: float = 1.0
) -> Features:
    """Return the model's inputs for each of the target's pixels.

    `pair` is (source, target), `vectors` (2, h, w) is the flow on the target's grid, `back` on the
    source's; all in px of the views.
    """
    check_shape(pair[1].image, "H W 3", "target")
    miss = warp.forward_backward(vectors, back) / np.float32(radius)
    missed = cast("Floats", np.log(miss + np.float32(0.05)))
    likely = chance(BIAS + ROUND_TRIP * missed)
    found = fit_light(pair, vectors, likely)
    apart, allowed = compare(pair, vectors, likely, found)
    return Features(missed, cast("Floats", np.log1p(apart)), allowed, found)


def chance(odds: Floats) -> Floats:
    """Return the probability, 0 to 1, of the logarithms of odds."""
    return cast("Floats", 1 / (1 + np.exp(-odds)))


def fit_light(pair: tuple[View, View], vectors: Floats, sure: Floats) -> Light:
    """Fit the change of light from the source to the target, along vectors of confidence `sure`."""
    source, target = pair
    small = images.resize(sure, images.size_of(target.rough))
    return light.fit(light.moved_view(source.rough, vectors), target.rough, small)


def compare(
    pair: tuple[View, View], vectors: Floats, sure: Floats, found: Light
) -> tuple[Floats, Floats]:
    """Compare (source, target) along the vectors, of confidence `sure`, in the light `found`.

    Return two (h, w): their difference 0..255, smoothed, and how far the light can be followed,
    0..1; 0 where the vectors leave the source.
    """
    source, target = pair
    size = images.size_of(target.image)
    before, after = light.moved_view(source.rough, vectors), target.rough
    moved = warp.warp_backward(source.image, vectors, smooth=False)
    grey = cv2.cvtColor(np.abs(_lit(found, moved) - target.image), cv2.COLOR_RGB2GRAY)
    trust = light.trust(before, after, images.resize(sure, images.size_of(after)), found)
    return (
        cast("Floats", cv2.GaussianBlur(grey, ksize=(0, 0), sigmaX=_SMOOTH)),
        images.enlarge(trust, size) * warp.inside(warp.zero_short_vectors(vectors), size),
    )


def _lit(found: Light, picture: Image) -> Floats:
    """Return the whole (h, w, 3) picture in the light, 0..255."""
    size = images.size_of(picture)
    gain, offset = (images.enlarge(one, size) for one in (found.gain, found.offset))
    return cast("Floats", np.clip(gain * picture + offset, 0, 255))


def confidence(found: Features) -> Floats:
    """(h, w) 0..1: the probability that the flow errs by at most the radius of the features.

    0 where the flow leaves the source, and where the light cannot be followed; see `imaging.light`.
    """
    odds = BIAS + ROUND_TRIP * found.missed + SAMENESS * found.different
    return found.allowed * chance(cast("Floats", odds))
