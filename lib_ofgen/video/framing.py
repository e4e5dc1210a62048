"""Working size of decoded pictures, and their resampling to it.

Arrays are (H, W, C), uint8 or uint16.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values import Size

__all__ = ["STEP", "fit_picture", "working_size"]

STEP = 8
"""px: both sides of a working size are multiples of it, as the painters' models need."""

Pixels = NDArray[Any]


def working_size(source: Size, width: int = 0, height: int = 0, fit: str = "fit") -> Size:
    """Return the working size for a source of square pixels.

    Both sides are multiples of 8 and at least 8. Without width and height, it is nearest to the
    source's size. With one of them, the other keeps the aspect. With both, `fit` stays inside them
    with the source's aspect; `crop`, `pad` and `stretch` have exactly this size.
    """
    if not width and not height:
        return Size(_round_to_step(source.height), _round_to_step(source.width))
    if not height:
        wide = _round_to_step(width)
        return Size(_round_to_step(source.height * wide / source.width), wide)
    if not width:
        high = _round_to_step(height)
        return Size(high, _round_to_step(source.width * high / source.height))
    asked = Size(_round_to_step(height), _round_to_step(width))
    if fit in ("crop", "pad", "stretch"):
        return asked
    if fit != "fit":
        raise ValueError(f"fit is {fit!r}, wanted 'fit', 'crop', 'pad' or 'stretch'")
    scale = min(asked.height / source.height, asked.width / source.width)
    return Size(
        min(asked.height, _round_to_step(source.height * scale)),
        min(asked.width, _round_to_step(source.width * scale)),
    )


def fit_picture(image: Pixels, aspect: float, size: Size, fit: str) -> Pixels:
    """Resize a picture to `size`; its pixels are `aspect` times as wide as high.

    `crop` covers the size and keeps the centre, `pad` fits inside and repeats the edges, `fit`
    stretches only as far as the rounding of the working size needs, `stretch` without limit.
    """
    height, width = image.shape[:2]
    shown = width * aspect
    if fit == "crop":
        scale = max(size.height / height, size.width / shown)
        rows = min(height, max(1, round(size.height / scale)))
        columns = min(width, max(1, round(size.width / scale / aspect)))
        top, left = (height - rows) // 2, (width - columns) // 2
        return _resample(image[top : top + rows, left : left + columns], size)
    if fit == "pad":
        scale = min(size.height / height, size.width / shown)
        rows = min(size.height, max(1, round(height * scale)))
        columns = min(size.width, max(1, round(shown * scale)))
        top, left = (size.height - rows) // 2, (size.width - columns) // 2
        return cv2.copyMakeBorder(
            src=_resample(image, Size(rows, columns)),
            top=top,
            bottom=size.height - rows - top,
            left=left,
            right=size.width - columns - left,
            borderType=cv2.BORDER_REPLICATE,
        )
    return _resample(image, size)


def _round_to_step(length: float) -> int:
    """Round a length in px to a multiple of 8, at least 8; halves are rounded up."""
    return max(STEP, int(length / STEP + 0.5) * STEP)


def _resample(image: Pixels, size: Size) -> Pixels:
    """Resample a picture to `size`: by area where it shrinks, bicubic where it grows."""
    height, width = image.shape[:2]
    smaller = Size(min(height, size.height), min(width, size.width))
    if smaller != (height, width):
        image = cv2.resize(image, (smaller.width, smaller.height), interpolation=cv2.INTER_AREA)
    if smaller != size:
        image = cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(image)
