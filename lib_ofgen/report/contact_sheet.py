"""The contact sheet: key frames side by side, each with its place and its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from lib_ofgen.imaging import images
from lib_ofgen.values import Image, Size

__all__ = ["contact_sheet", "spread", "thumb"]

_THUMB = 240
"""px: width of one picture."""
_HIGHEST = 2 * _THUMB
"""px: the most that one picture is high; a taller one is narrower."""
_LINE = 22
"""px: height of the text under it."""
_MOST = 24
"""Pictures on a sheet; of more, so many are taken evenly."""


def contact_sheet(
    captions: Sequence[str], picture: Callable[[int], Image], columns: int = 4
) -> Image:
    """(H, W, 3) sheet of `picture(place)`, each under its ASCII caption; one at a time in memory.

    All pictures have one size.
    """
    thumbs = [(captions[place], thumb(picture(place))) for place in spread(len(captions))]
    height = thumbs[0][1].shape[0]
    columns = min(columns, len(thumbs))
    rows = -(-len(thumbs) // columns)
    sheet = np.full((rows * (height + _LINE), columns * _THUMB, 3), 24, np.uint8)
    for place, (caption, small) in enumerate(thumbs):
        top, left = place // columns * (height + _LINE), place % columns * _THUMB
        inset = (_THUMB - small.shape[1]) // 2
        sheet[top : top + height, left + inset : left + inset + small.shape[1]] = small
        cv2.putText(
            sheet,
            caption,
            org=(left + 6, top + height + 15),
            fontFace=cv2.FONT_HERSHEY_SIMPLEX,
            fontScale=0.42,
            color=(230, 230, 230),
            lineType=cv2.LINE_AA,
        )
    return sheet


def spread(count: int) -> list[int]:
    """The places, of `count`, that a sheet has room for; they lie evenly."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(_MOST, count)).round()})


def thumb(image: Image) -> Image:
    """The picture at the width of a thumb, or at its greatest height."""
    size = images.fit_size(images.size_of(image), Size(_HIGHEST, _THUMB))
    return images.resize(image, size)
