"""Pictures and masks as arrays, and their sizes and regions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "Image", "Mask", "Size", "check_shape"]

Image = NDArray[np.uint8]
"""(H, W, 3) sRGB, 0..255."""


Mask = NDArray[np.bool_]
"""(H, W), true inside."""


class Size(NamedTuple):
    """Height and width in px, in this order."""

    height: int
    width: int

    def __str__(self) -> str:
        """Return the text `WIDTHxHEIGHT`, the order in which people write it."""
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """A region of a frame: `top <= y < bottom`, `left <= x < right`."""

    top: int
    left: int
    bottom: int
    right: int

    def crop(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the region of an (H, W[, C]) array, as a view."""
        return array[self.top : self.bottom, self.left : self.right]

    @property
    def size(self) -> Size:
        """Height and width."""
        return Size(self.bottom - self.top, self.right - self.left)

    def intersect(self, other: Box) -> Box:
        """Return the region in both; its height or width is 0 if there is none."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, left, max(top, bottom), max(left, right))

    def relative_to(self, within: Box) -> Box:
        """Return the region in coordinates from the top left pixel of `within`."""
        top, left = within.top, within.left
        return Box(self.top - top, self.left - left, self.bottom - top, self.right - left)


def check_shape(array: NDArray[Any], shape: str, name: str) -> tuple[int, ...]:
    """Check the shape of an array, and return the sizes of the letters in `shape`.

    `shape` is a text such as "3 H W" or "H W 3"; equal letters need equal sizes.

    Raises:
        ValueError: if the array has another shape; the message gives both.
    """
    wanted = shape.split()
    bound: dict[str, int] = {}
    fits = len(wanted) == array.ndim
    for token, size in zip(wanted, array.shape, strict=False):
        fits = fits and (int(token) if token.isdigit() else bound.setdefault(token, size)) == size
    if not fits:
        raise ValueError(f"{name} has shape {array.shape}, wanted ({shape})")
    return tuple(bound.values())
