"""Decoded frames as sRGB arrays: matrix and range chosen as players do, HDR mapped to SDR.

Numbers of matrix, transfer and primaries are those of ITU-T H.273, which libav uses too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values import Image

__all__ = ["Colour", "alpha_of", "colour_of", "settle_colour", "to_rgb", "to_srgb"]

PQ, HLG = 16, 18
BT2020 = 9

LIMITED, FULL = 1, 2
UNTOLD = 2
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""H.273 matrix coefficients, and swscale's numbers of them."""

WHITE = 203.0
"""cd/m²: HDR reference white, which becomes almost SDR white (ITU-R BT.2408)."""
PEAK = 1000.0
"""cd/m²: assumed luminance of the brightest pixel of an HDR picture."""

TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    dtype=np.float32,
)
"""Linear BT.2020 to linear BT.709 (ITU-R BT.2087, table 2 inverted)."""


_ORDERS = {"rgba": slice(0, 3), "bgra": slice(2, None, -1)}
"""Packed formats of 8 bits with alpha last, and the slice of red, green and blue."""
_BAND = 1 << 18
"""px that are composed over black at a time."""


class Colour(NamedTuple):
    """How numbers are read as colours; 0 and 2 mean "unspecified" (H.273)."""

    matrix: int = 2
    reach: int = 0
    """Luma 16..235 of 255 (1) or 0..255 (2)."""
    transfer: int = 2
    primaries: int = 2

    @property
    def mapped(self) -> bool:
        """Whether `to_srgb` has anything to do."""
        return self.primaries == BT2020 or self.transfer in (PQ, HLG)


def colour_of(source: Any) -> Colour:
    """Return the colour of a codec context."""
    return Colour(
        int(source.colorspace),
        int(source.color_range),
        int(source.color_trc),
        int(source.color_primaries),
    )


def settle_colour(frame: av.VideoFrame, container: Colour, codec: Colour) -> Colour:
    """Return the colour of one frame, with nothing unspecified.

    The container's values override the bitstream's (ISO 14496-12, 12.1.5). If both are missing,
    large pictures are BT.709 and small ones BT.601, as in players.
    """
    large = frame.width >= 1280 or frame.height > 576
    matrices = (container.matrix, int(frame.colorspace), codec.matrix)
    known = [MATRICES[matrix] for matrix in matrices if matrix in MATRICES]
    ranges = (container.reach, int(frame.color_range), codec.reach)
    full = frame.format.name.startswith("yuvj") or next(filter(None, ranges), 0) == FULL
    return Colour(
        matrix=known[0] if known else 1 if large else 5,
        reach=FULL if full else LIMITED,
        transfer=codec.transfer if container.transfer == UNTOLD else container.transfer,
        primaries=codec.primaries if container.primaries == UNTOLD else container.primaries,
    )


def to_rgb(frame: av.VideoFrame, colour: Colour) -> NDArray[Any]:
    """(H, W, 3) RGB, alpha over black; uint8, or uint16 where `to_srgb` has work to do."""
    planar = frame.format.name.startswith("yuva")
    has_alpha = any(component.is_alpha for component in frame.format.components)
    packed = has_alpha and not planar and not colour.mapped
    options: dict[str, Any] = {"format": "rgba" if packed else "rgb24"}
    if packed and frame.format.name in _ORDERS:
        return _read_packed(frame)
    if colour.mapped:
        # Planar: the swscale of PyAV 16 damages packed pictures of 16 bits.
        options["format"] = "gbrp16le"
    if not frame.format.is_rgb and not frame.format.has_palette:
        options["src_colorspace"] = colour.matrix
        options["src_color_range"] = colour.reach
        # PyAV before 17 uses these only if both sides differ; RGB itself has neither.
        options["dst_colorspace"] = 1 if colour.matrix == 5 else 5
        options["dst_color_range"] = FULL
    if packed:
        return _read_packed(frame.reformat(**options))
    array: NDArray[Any] = frame.reformat(**options).to_ndarray()
    if planar and not colour.mapped:
        return _over_black(array, _alpha_plane(frame))
    return array


def alpha_of(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W) 0..255: opacity of each pixel; 255 if the format has no alpha."""
    form = frame.format
    if form.name.startswith("yuva"):
        return _alpha_plane(frame)
    if form.has_palette or any(component.is_alpha for component in form.components):
        rgba = cast("NDArray[np.uint8]", frame.reformat(format="rgba").to_ndarray())
        return np.ascontiguousarray(rgba[..., 3])
    return np.full((frame.height, frame.width), 255, np.uint8)


def _alpha_plane(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W) of a planar frame; swscale up to 8 writes out of bounds when it packs it to RGBA."""
    plane: Any = frame.planes[3]
    bits = frame.format.components[3].bits
    samples = np.frombuffer(plane, dtype=np.uint8 if bits == 8 else np.dtype("<u2"))
    rows = samples.reshape(plane.height, -1)[:, : plane.width]
    return (rows >> (bits - 8)).astype(np.uint8)


def to_srgb(array: NDArray[Any], colour: Colour) -> Image:
    """Convert a picture that `to_rgb` returned to 8 bit sRGB.

    HDR is mapped to SDR channel by channel with the EETF of ITU-R BT.2390 (section 5.4.1), then
    from BT.2020 to BT.709 primaries, then to a display gamma of 2.2.
    """
    if array.dtype == np.uint8:
        return array
    linear = _linear_table(colour.transfer)[array >> 4]
    if colour.primaries == BT2020:
        linear = cv2.transform(linear, TO_BT709)
    # The root makes the table's steps perceptually even.
    steps = np.sqrt(np.clip(linear, 0.0, 1.0), out=linear)
    return _display_table()[(steps * 4095 + 0.5).astype(np.uint16)]


def _read_packed(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) over black of a frame in one of `_ORDERS`, read without a copy."""
    plane: Any = frame.planes[0]
    shape, strides = (frame.height, frame.width, 4), (plane.line_size, 4, 1)
    whole = np.ndarray(shape, np.uint8, plane, strides=strides)
    return _over_black(whole[..., _ORDERS[frame.format.name]], whole[..., 3])


def _over_black(array: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3): compose a picture over black, band by band, which needs little memory."""
    laid = np.empty(array.shape, np.uint8)
    step = max(1, _BAND // array.shape[1])
    for top in range(0, len(array), step):
        band = slice(top, top + step)
        share = alpha[band, :, None].astype(np.uint16)
        laid[band] = (array[band] * share + 127) // 255
    return laid


@lru_cache(maxsize=4)
def _linear_table(transfer: int) -> NDArray[np.float32]:
    """(4096,) light from 0 to 1, SDR white, of each 12 bit code."""
    code = np.arange(4096, dtype=np.float64) / 4095
    if transfer == PQ:
        light = _tone_mapped(_pq_light(code))
    elif transfer == HLG:
        # Inverse OETF and OOTF (ITU-R BT.2100, table 5), the latter channel by channel.
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        light = _tone_mapped(PEAK * scene**1.2)
    else:
        light = code**2.2
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _display_table() -> NDArray[np.uint8]:
    """(4096,) 8 bit values of the square root of linear light."""
    root = np.arange(4096, dtype=np.float64) / 4095
    return np.rint(255 * root ** (2 / 2.2)).astype(np.uint8)


def _tone_mapped(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light from 0 to 1 of light in cd/m²: unchanged in the dark, a Hermite shoulder to white."""
    peak, white = _pq_code(np.array([PEAK, WHITE]))
    code = np.minimum(_pq_code(light) / peak, 1.0)
    ceiling = white / peak
    knee = 1.5 * ceiling - 0.5
    t = (code - knee) / (1 - knee)
    shoulder = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * ceiling
    )
    return _pq_light(np.where(code < knee, code, shoulder) * peak) / WHITE


def _pq_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """cd/m² of a PQ code 0..1 (SMPTE ST 2084)."""
    root = code ** (1 / 78.84375)
    return 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        1 / 0.1593017578125
    )


def _pq_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """PQ code 0..1 of cd/m² (SMPTE ST 2084)."""
    power = (light / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
