"""One wide canvas of a frame beside finished ones; only this frame is painted.

A diffusion model's self-attention covers the whole canvas, and so copies the look of the finished
frames (Xanthius, "Multi-Frame Rendering").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lib_ofgen.values import Box, Image, Mask, check_shape

__all__ = ["Canvas", "Column", "lay_out"]


class Column(NamedTuple):
    """One frame on the canvas; both pictures are (H, W, 3)."""

    image: Image
    """A finished frame, or the picture that painting starts from."""
    original: Image
    """The frame of the source."""


class Canvas(NamedTuple):
    """Columns side by side."""

    image: Image
    """(H, n W, 3)."""
    mask: Mask
    """(H, n W): true in the column that is painted."""
    original: Image
    """(H, n W, 3)."""
    box: Box
    """The column that is painted."""


def lay_out(middle: Column, left: Column, right: Column | None = None) -> Canvas:
    """Return the canvas on which `middle` is painted, between finished frames of its size.

    Raises:
        ValueError: if the columns differ in size.
    """
    columns = [left, middle] if right is None else [left, middle, right]
    height, width = middle.image.shape[:2]
    for column in columns:
        for picture in column:
            check_shape(picture, f"{height} {width} 3", "a column")
    image = np.concatenate([column.image for column in columns], axis=1)
    original = np.concatenate([column.original for column in columns], axis=1)
    box = Box(0, width, height, 2 * width)
    mask = np.zeros(image.shape[:2], np.bool_)
    box.crop(mask)[...] = True
    return Canvas(image, mask, original, box)
