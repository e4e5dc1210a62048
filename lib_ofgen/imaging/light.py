"""Changes of light between two frames of the source, which the paint takes on.

Paint that was made in another frame shows that frame's light. The change from there to the target
is seen in the source itself: its own pixels, moved along the same vectors, show the target as if
the light had stood still. Per channel and around each point, the target is modelled as `gain` times
what was moved, plus `offset` (the local affine transfer of Shih et al. 2013, "Data-driven
hallucination of different times of day from a single outdoor photo", section 5.2). Both vary
smoothly, so no detail of the source gets into the paint.

What cannot be lit is not trusted: see `trust`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.values import Box, Contribution, Draft, Image, Light, Size

__all__ = [
    "apply",
    "contrast_of",
    "fit",
    "light_up",
    "mean_change",
    "moved_view",
    "relight",
    "trust",
    "view",
]

GRID = Light.GRID

_WINDOW = 3.0
"""Points: sigma of the window of a fit."""
_TAPS = (19, 19)
"""Points of the window: three sigma on each side."""
_LEAST = np.float32(1e-3)
"""Weight of points without confidence. If all around are such, they count equally."""
_FLAT = np.float32(6.0**2)
"""Squared levels: contrast well below this says nothing about the gain, which then is 1."""
_OUTLIER = np.float32(8.0)
"""Levels of misfit at which a point counts half in the second round of a fit."""
_NOISE = np.float32(1.0)
"""Squared levels of change that grain makes."""
_SAMPLES = np.float32(3.0)
"""Independent points in a full window, divided by 4: a change counts half when it is twice its
error. Points nearer than three err together."""
_BOUNDS = (0.5, 2.0)
"""Gains that paint takes on."""
_STEEP = np.float32(2.5)
"""Gain, or ratio of contrast, or one over it, from which nothing is trusted."""
_BLACK, _BURNT = np.float32(8.0), np.float32(24.0)
"""Levels from black and from white that hold too little structure to be lit."""
_BRIGHTENED = np.float32(1.25)
"""Paint of dark places shows its noise when it is brightened, so less is allowed upward."""
_REST = (10.0, 20.0)
"""Levels that the light leaves unexplained: up to which they are noise, from which refused."""
_SPOT = (48.0, 96.0)
"""The same for the mean of a single point; a strong edge that is one px off changes it."""
_AROUND = 5
"""Points along a side of the square whose median is what the light leaves unexplained."""

Floats = NDArray[np.float32]


def view(picture: Image, step: int = GRID) -> Floats:
    """Return the (H, W, 3) picture on a grid of every `step`-th px, (ceil(H / step), ..., 3)."""
    height, width = images.size_of(picture)
    return images.resize(picture.astype(np.float32), Size(-(-height // step), -(-width // step)))


def moved_view(seen: Floats, vectors: Floats) -> Floats:
    """Return the view of a source, moved along (2, H, W) vectors on the target's own grid."""
    moved = warp.resize_flow(vectors, images.size_of(seen))
    return warp.warp_backward(seen, moved, smooth=False)


def light_up(light: Light, picture: Floats, box: Box) -> Floats:
    """Return the (h, w, 3) picture of a region of the frame in the light."""
    gain, offset = (_enlarge(light, plane, box) for plane in (light.gain, light.offset))
    return gain * picture + offset


def contrast_of(light: Light, box: Box) -> Floats:
    """(h, w): the factor by which the light changes contrasts of luma in a region of the frame."""
    return _enlarge(light, cast("Floats", cv2.cvtColor(light.gain, cv2.COLOR_RGB2GRAY)), box)


def _enlarge(light: Light, plane: Floats, box: Box) -> Floats:
    """Return the region of a plane of the light, which lies on the grid, in px of the frame."""
    here = light.box
    left, right = max(here.left, box.left // GRID - 1), min(here.right, -(-box.right // GRID) + 1)
    top, bottom = max(here.top, box.top // GRID - 1), min(here.bottom, -(-box.bottom // GRID) + 1)
    part = Box(top, left, bottom, right)
    wide = Box(*(side * GRID for side in part))
    return box.relative_to(wide).crop(images.enlarge(part.relative_to(here).crop(plane), wide.size))


def relight(draft: Draft, rough: Draft, seen: Callable[[int], Floats], target: int) -> Draft:
    """Return the draft whose contributions take on the light of frame `target`.

    `rough` is the draft on the grid, `seen` returns the view of a frame of the source.
    """
    after = seen(target)
    coarse = {one.origin: one for one in rough.contributions}
    return replace(
        draft,
        contributions=tuple(
            replace(one, light=_light_of(coarse[one.origin], seen(one.origin.frame), after))
            if one.origin.frame != target
            else one
            for one in draft.contributions
        ),
    )


def _light_of(rough: Contribution, source: Floats, after: Floats) -> Light:
    box = rough.box
    before = warp.warp_backward(source, rough.vectors, corner=(box.top, box.left), smooth=False)
    return fit(before, box.crop(after), rough.weight, (box.top, box.left))


def mean_change(before: Floats, after: Floats, sure: Floats) -> Floats:
    """(h, w, 3) levels: how much brighter `after` is around each point; `sure` (h, w) weights."""
    seen = _measure(before, after, sure + _LEAST)
    return cast("Floats", seen.after.mean - seen.before.mean)


def _mean(plane: Floats) -> Floats:
    return cast("Floats", cv2.GaussianBlur(plane, ksize=_TAPS, sigmaX=_WINDOW))


def fit(before: Floats, after: Floats, sure: Floats, corner: tuple[int, int] = (0, 0)) -> Light:
    """Fit the change from `before` to `after`, (h, w, 3) levels each, weighted by `sure` (h, w)."""
    weight = sure + _LEAST
    gain, offset = _fit(before, after, weight)
    misfit = _worst(gain * before + offset - after)
    fitting = 1 / (1 + np.square(misfit / _OUTLIER))
    gain, offset = _fit(before, after, cast("Floats", weight * fitting))
    top, left = corner
    height, width = sure.shape
    return Light(Box(top, left, top + height, left + width), gain, offset)


def _fit(before: Floats, after: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return gain and offset, (h, w, 3) each, of one round of a fit.

    The gain is the ratio of contrasts, which misplaced vectors do not weaken as they do a
    regression, as far as both vary alike. The change counts as far as it exceeds its own error.
    """
    seen = _measure(before, after, weight)
    alike = np.clip(seen.both, 0, None) / np.sqrt(
        (seen.before.square + 1) * (seen.after.square + 1)
    )
    gain = 1 + (seen.contrast - 1) * np.square(alike)
    rest = seen.after.square - 2 * gain * seen.both + np.square(gain) * seen.before.square
    misfit = _worst(cast("Floats", np.clip(rest, 0, None)))
    error = misfit / (_SAMPLES * np.minimum(seen.total, 1))
    change = seen.after.mean - seen.before.mean
    size = np.square(_worst(change))
    sense = images.for_each_channel(cast("Floats", size / (size + _NOISE + error)))
    gain = np.clip(1 + (gain - 1) * sense, *_BOUNDS)
    offset = seen.before.mean * (1 - gain) + change * sense
    return cast("Floats", gain), cast("Floats", offset)


class _Side(NamedTuple):
    """A view around each point, (h, w, 3) each."""

    mean: Floats
    """Levels."""
    square: Floats
    """Squared levels: the variance."""


class _Measured(NamedTuple):
    """Two views around each point."""

    before: _Side
    after: _Side
    both: Floats
    """(h, w, 3): their covariance."""
    total: Floats
    """(h, w): the mean weight."""

    @property
    def contrast(self) -> Floats:
        """(h, w, 3): the ratio of contrasts, near 1 where there is none."""
        return cast("Floats", np.sqrt((self.after.square + _FLAT) / (self.before.square + _FLAT)))


def _measure(before: Floats, after: Floats, weight: Floats) -> _Measured:
    """Return means and (co)variances in the window around each point, weighted by (h, w)."""
    total, share = _mean(weight), images.for_each_channel(weight)
    each = images.for_each_channel(total)

    def mean(plane: Floats) -> Floats:
        return cast("Floats", _mean(cast("Floats", plane * share)) / each)

    here, there = mean(before), mean(after)
    a, b = before - here, after - there
    sides = _Side(here, mean(np.square(a))), _Side(there, mean(np.square(b)))
    return _Measured(*sides, mean(cast("Floats", a * b)), total)


def apply(light: Light, picture: Floats) -> Floats:
    """Return the (h, w, 3) picture in the light; both on one grid."""
    return light.gain * picture + light.offset


def trust(before: Floats, after: Floats, sure: Floats, light: Light) -> Floats:
    """(h, w) 0..1: how far paint of `before` can be lit as `after` is; all on one grid.

    What was black or burnt out has no structure that could be lit. A gain beyond the bounds, of
    the levels or of the contrast, says that there is another thing, or that one of both is blurred.
    What the light leaves unexplained is another thing, too.
    """
    seen = _measure(before, after, sure + _LEAST)
    here, there = seen.before.mean, seen.after.mean
    brighter = _BRIGHTENED * (there + _BLACK) / (here + _BLACK)
    darker = (255 - there + _BURNT) / (255 - here + _BURNT)
    contrast = np.maximum(seen.contrast, 1 / seen.contrast)
    steep = _worst(np.maximum(np.maximum(brighter, darker), contrast))
    apart = cast("Floats", after - apply(light, before))
    explained = np.minimum(_alike(_median(apart, sure), _REST), _alike(apart, _SPOT))
    return cast("Floats", explained * np.clip((_STEEP - steep) * 2, 0, 1))


def _median(apart: Floats, sure: Floats) -> Floats:
    """(h, w, 3): the median of the differences around each point, in levels.

    What is unsure, such as what has been covered meanwhile, counts as what is sure around it. For a
    median, edges a px beside their place are the minority.
    """
    weight = images.for_each_channel(cast("Floats", np.square(sure) + _LEAST))
    total = cv2.GaussianBlur(weight, ksize=(0, 0), sigmaX=_AROUND / 2)
    around = cv2.GaussianBlur(apart * weight, ksize=(0, 0), sigmaX=_AROUND / 2) / total
    known = cast("Floats", around + weight * (apart - around))
    return cast("Floats", cv2.medianBlur(known, ksize=_AROUND))


def _alike(apart: Floats, levels: tuple[float, float]) -> Floats:
    """(h, w): 1 up to the first number of levels in the worst channel, 0 from the second on."""
    most, refused = levels
    worst = _worst(apart)
    return cast("Floats", np.clip((refused - worst) / np.float32(refused - most), 0, 1))


def _worst(planes: Floats) -> Floats:
    """(h, w): the largest absolute value of the channels; numpy's `max` takes ten times as long."""
    red, green, blue = cv2.split(np.abs(planes))
    return cast("Floats", np.maximum(np.maximum(red, green), blue))
