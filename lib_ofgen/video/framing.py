"""Working size, orientation and resampling of decoded pictures.

Arrays are (H, W, C), uint8 or uint16.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values import Size

__all__ = ["STEP", "fit_picture", "orient", "working_size"]

STEP = 8
"""px: both sides of a working size are multiples of it, as the painters' models want."""

Pixels = NDArray[Any]


def working_size(source: Size, width: int = 0, height: int = 0, fit: str = "fit") -> Size:
    """The size of the frames made from a source of square pixels.

    Both sides are multiples of 8 and at least 8. With neither asked for: nearest to the source's.
    With one: the other keeps the aspect. With both: `fit` stays inside them with the source's
    aspect; `crop`, `pad` and `stretch` give exactly them.
    """
    if not width and not height:
        return Size(_stepped(source.height), _stepped(source.width))
    if not height:
        wide = _stepped(width)
        return Size(_stepped(source.height * wide / source.width), wide)
    if not width:
        high = _stepped(height)
        return Size(high, _stepped(source.width * high / source.height))
    asked = Size(_stepped(height), _stepped(width))
    if fit in ("crop", "pad", "stretch"):
        return asked
    if fit != "fit":
        raise ValueError(f"fit is {fit!r}, wanted 'fit', 'crop', 'pad' or 'stretch'")
    scale = min(asked.height / source.height, asked.width / source.width)
    return Size(
        min(asked.height, _stepped(source.height * scale)),
        min(asked.width, _stepped(source.width * scale)),
    )


def orient(image: Pixels, matrix: NDArray[np.int32]) -> Pixels:
    """The picture as a display matrix wants it shown; exact, by transposes and flips.

    `matrix` is the container's nine numbers (ISO 14496-12, 6.2.2): the source's (x, y) is shown
    at (a x + c y, b x + d y). What is not a right angle is taken to the nearest one.
    """
    a, b, _, c, d = (int(number) for number in matrix[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = np.swapaxes(image, 0, 1)
        upside_down, mirrored = b < 0, c < 0
    else:
        upside_down, mirrored = d < 0, a < 0
    return image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def fit_picture(image: Pixels, aspect: float, size: Size, fit: str) -> Pixels:
    """The picture at `size`; its pixels are `aspect` times as wide as high.

    `crop` covers the size and cuts the centre, `pad` fits inside and repeats the edges, `fit`
    stretches by what rounding to the working size asks, `stretch` whatever it takes.
    """
    height, width = image.shape[:2]
    shown = width * aspect
    if fit == "crop":
        scale = max(size.height / height, size.width / shown)
        rows = min(height, max(1, round(size.height / scale)))
        columns = min(width, max(1, round(size.width / scale / aspect)))
        top, left = (height - rows) // 2, (width - columns) // 2
        return _resampled(image[top : top + rows, left : left + columns], size)
    if fit == "pad":
        scale = min(size.height / height, size.width / shown)
        rows = min(size.height, max(1, round(height * scale)))
        columns = min(size.width, max(1, round(shown * scale)))
        top, left = (size.height - rows) // 2, (size.width - columns) // 2
        return cv2.copyMakeBorder(
            src=_resampled(image, Size(rows, columns)),
            top=top,
            bottom=size.height - rows - top,
            left=left,
            right=size.width - columns - left,
            borderType=cv2.BORDER_REPLICATE,
        )
    return _resampled(image, size)


def _stepped(length: float) -> int:
    """The multiple of 8 nearest to a length in px; halves go up."""
    return max(STEP, int(length / STEP + 0.5) * STEP)


def _resampled(image: Pixels, size: Size) -> Pixels:
    """The picture at `size`: by area where it shrinks, by cubics where it grows."""
    height, width = image.shape[:2]
    smaller = Size(min(height, size.height), min(width, size.width))
    if smaller != (height, width):
        image = cv2.resize(image, (smaller.width, smaller.height), interpolation=cv2.INTER_AREA)
    if smaller != size:
        image = cv2.resize(image, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(image)
