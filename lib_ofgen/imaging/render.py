"""Pictures rendered from contributions, as sharp as what was painted."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, light, warp
from lib_ofgen.values import Box, Draft, Image, Origin, Painted

__all__ = ["Renderer"]

_FINE = 1.0
"""px: sigma of the blur that separates fine detail from the rest."""
_WINDOW = 16.0
"""px: sigma over which the strength of the detail is measured."""
_GAIN = 2.0
"""Largest factor by which detail is amplified."""
_NOISE = 1.0
"""Squared grey levels of detail that count as noise, in both pictures."""
_COPIED = 1 - 1 / 255
"""Weight of exact copies above which a pixel counts as copied."""
_TEXTURES = 32
"""Number of painted frames whose detail is cached."""

Floats = NDArray[np.float32]

_around = partial(images.local_mean, sigma=_WINDOW, grid=4)


class Renderer:
    """Renders drafts; `lend` returns what was painted in each origin."""

    def __init__(self, lend: Callable[[Origin], Painted]) -> None:
        """Keep `lend`; nothing is computed yet."""
        self._lend = lend
        self._detail = lru_cache(maxsize=_TEXTURES)(self._detail_of)

    def plain(self, fused: Draft, box: Box) -> Image:
        """Render one region of the frame: the weighted mean of the warped contributions."""
        return np.rint(np.clip(self._mix(fused, box), 0, 255)).astype(np.uint8)

    def sharp(self, fused: Draft) -> Image:
        """Render the whole frame, with detail as strong as in the painted frames.

        Resampling and mixing weaken the finest detail, by an amount that changes from frame to
        frame and from place to place. The mean square of the Laplacian around each pixel is
        restored to that of the contributions where they were painted, in the light that they have
        taken on. A copied pixel has lost nothing and is not changed.
        """
        mixed = self._mix(fused, Box(0, 0, *fused.holes.shape))
        wanted = np.zeros(mixed.shape[:2], np.float32)
        copied = np.zeros(mixed.shape[:2], np.float32)
        for one in fused.contributions:
            one.box.crop(copied)[...] += one.weight * _whole(one.vectors)
            corner = (one.box.top, one.box.left)
            found = warp.warp_backward(
                self._detail(one.origin), one.vectors, corner=corner, smooth=False
            )
            if one.light is not None:
                found *= np.square(light.contrast_of(one.light, one.box))
            one.box.crop(wanted)[...] += one.weight * found
        there = _around(_laplacian(mixed))
        gain = np.sqrt((wanted + _NOISE) / (there + _NOISE))
        more = (np.clip(gain, 1, _GAIN) - 1) * (copied < _COPIED)
        mixed += images.for_each_channel(more) * (
            mixed - cv2.GaussianBlur(mixed, ksize=(0, 0), sigmaX=_FINE)
        )
        return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)

    def _mix(self, fused: Draft, box: Box) -> Floats:
        """(h, w, 3) 0..255."""
        mixed = np.zeros((*box.size, 3), np.float32)
        for one in filter(None, (part.within(box) for part in fused.contributions)):
            moved = warp.warp_backward(
                self._lend(one.origin).image, one.vectors, corner=(one.box.top, one.box.left)
            )
            if one.light is not None:
                moved = light.light_up(one.light, moved.astype(np.float32), one.box)
            part = one.box.relative_to(box).crop(mixed)
            part += moved * images.for_each_channel(one.weight)
        return mixed

    def _detail_of(self, origin: Origin) -> Floats:
        """(H, W): the mean square of the Laplacian of what was painted, around each pixel."""
        painted = self._lend(origin)
        square = _laplacian(painted.image.astype(np.float32))
        if painted.mask.all():
            return _around(square)
        # outside the mask the picture is black, which was not painted
        inside = cv2.erode(painted.mask.astype(np.float32), kernel=np.ones((3, 3), np.uint8))
        there = np.maximum(_around(cast("Floats", inside)), np.float32(1e-3))
        return cast("Floats", _around(square * inside) / there)


def _whole(vectors: Floats) -> NDArray[np.bool_]:
    """(H, W): whether the vectors (2, H, W) px are whole, so that pixels are copied."""
    return (vectors == np.rint(vectors)).all(axis=0)


def _laplacian(image: Floats) -> Floats:
    """(H, W): the square of the Laplacian of an (H, W, 3) picture's luma."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cast("Floats", np.square(cv2.Laplacian(luma, cv2.CV_32F, ksize=1)))
