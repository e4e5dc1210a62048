"""The contact sheet: key frames side by side, each with its place and its reason."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from lib_ofgen import images
from lib_ofgen.values import Image, Size

__all__ = ["contact_sheet"]

_THUMB = 240
"""px: width of one picture."""
_LINE = 22
"""px: height of the text under it."""
_MOST = 60
"""Pictures on a sheet; of more, so many are taken evenly."""


def contact_sheet(pictures: Sequence[tuple[str, Image]], columns: int = 4) -> Image:
    """(H, W, 3) sheet of captioned pictures, which all have one size; ASCII captions."""
    chosen = np.linspace(0, len(pictures) - 1, min(_MOST, len(pictures))).round().astype(int)
    shown = [pictures[place] for place in sorted(set(chosen.tolist()))]
    size = images.size_of(shown[0][1])
    height = max(1, round(size.height * _THUMB / size.width))
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    sheet = np.full((rows * (height + _LINE), columns * _THUMB, 3), 24, np.uint8)
    for place, (caption, picture) in enumerate(shown):
        top, left = place // columns * (height + _LINE), place % columns * _THUMB
        sheet[top : top + height, left : left + _THUMB] = images.resize(
            picture, Size(height, _THUMB)
        )
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
