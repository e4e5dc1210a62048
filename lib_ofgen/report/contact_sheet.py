"""The contact sheet: small pictures in rows, each with a caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from lib_ofgen.imaging import images
from lib_ofgen.values import Image, Size

__all__ = ["draw_contact_sheet", "make_thumbnail", "pick_evenly"]

_WIDTH = 240
"""px: width of a picture."""
_MAX_HEIGHT = 2 * _WIDTH
"""px: greatest height of a picture; a taller one is made narrower."""
_CAPTION_HEIGHT = 22
"""px: height of the caption under it."""
_MAX_PICTURES = 24
"""Most pictures of a sheet; of more, so many are picked evenly."""


def draw_contact_sheet(
    captions: Sequence[str], picture: Callable[[int], Image], columns: int = 4
) -> Image:
    """Return the (H, W, 3) sheet of the pictures `picture(place)`, each above its ASCII caption.

    All pictures must have one size; one at a time is in memory.
    """
    thumbs = [
        (captions[place], make_thumbnail(picture(place))) for place in pick_evenly(len(captions))
    ]
    height = thumbs[0][1].shape[0]
    columns = min(columns, len(thumbs))
    rows = -(-len(thumbs) // columns)
    sheet = np.full((rows * (height + _CAPTION_HEIGHT), columns * _WIDTH, 3), 24, np.uint8)
    for place, (caption, small) in enumerate(thumbs):
        top, left = place // columns * (height + _CAPTION_HEIGHT), place % columns * _WIDTH
        inset = (_WIDTH - small.shape[1]) // 2
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


def pick_evenly(count: int) -> list[int]:
    """Return the places, of `count` in all, that have room on a sheet, evenly spaced."""
    return sorted(
        {int(place) for place in np.linspace(0, count - 1, min(_MAX_PICTURES, count)).round()}
    )


def make_thumbnail(image: Image) -> Image:
    """Return the picture at the width of a thumbnail, or narrower at its greatest height."""
    size = images.fit_size(images.size_of(image), Size(_MAX_HEIGHT, _WIDTH))
    return images.resize(image, size)
