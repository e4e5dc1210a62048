"""Flow as a file and as a picture."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.system import limits
from lib_ofgen.values import Image, check_shape

__all__ = ["draw_flow", "from_flo", "to_flo"]

_MAGIC = b"PIEH"
"""First bytes of Middlebury's format; 202021.25 as a little-endian float."""


def to_flo(vectors: NDArray[np.float32]) -> bytes:
    """Return Middlebury's `.flo` bytes (Baker et al. 2011) of (2, H, W) px."""
    height, width = check_shape(vectors, "2 H W", "vectors")
    head = _MAGIC + np.array([width, height], "<i4").tobytes()
    return head + np.moveaxis(vectors, 0, -1).astype("<f4").tobytes()


def from_flo(data: bytes) -> NDArray[np.float32]:
    """Return the (2, H, W) px in the bytes of a `.flo` file.

    Raises:
        ValueError: if the bytes are not a `.flo` file, or end early.
        VideoError: if it has more pixels than the limit.
    """
    if data[:4] != _MAGIC or len(data) < 12:
        raise ValueError("these bytes are not a .flo file")
    width, height = (int(side) for side in np.frombuffer(data, "<i4", count=2, offset=4))
    if width <= 0 or height <= 0:
        raise ValueError(f"a .flo file of {width}x{height} has no pixels")
    limits.check_pixels(width, height, "the .flo file")
    if len(data) != 12 + 8 * width * height:
        raise ValueError(f"a .flo file of {width}x{height} is not {len(data)} bytes long")
    vectors = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    return np.ascontiguousarray(np.moveaxis(vectors, -1, 0))


def draw_flow(vectors: NDArray[np.float32]) -> Image:
    """(H, W, 3): direction as hue, length as saturation, the 99th percentile at full colour."""
    check_shape(vectors, "2 H W", "vectors")
    length = np.hypot(vectors[0], vectors[1])
    full = max(float(np.percentile(length, 99)), 1e-6)
    hue = np.degrees(np.arctan2(vectors[1], vectors[0])) % 360
    saturation = np.clip(length / full, 0, 1)
    colour = np.stack([hue, saturation, np.ones_like(hue)], axis=-1).astype(np.float32)
    shown = cv2.cvtColor(colour, cv2.COLOR_HSV2RGB)
    return cast("Image", np.rint(shown * 255).astype(np.uint8))
