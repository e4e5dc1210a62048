"""Pictures: luma, size, packing. The only file that says BGR."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import av.error
import cv2
import numpy as np
import PIL.BmpImagePlugin
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
from numpy.typing import NDArray

from lib_ofgen.system import limits
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import Image, Size, check_shape

__all__ = [
    "check_header",
    "decode_png",
    "encode_jpeg",
    "encode_png",
    "enlarge",
    "enlarge_smoothly",
    "fit_size",
    "for_each_channel",
    "from_bgr",
    "local_mean",
    "luma",
    "pack",
    "read_picture",
    "resize",
    "scale_size",
    "size_of",
    "to_bgr",
    "to_rgb",
    "to_tagger_input",
    "unpack",
]

_LEAST = 8
"""px: the smallest side of a working size."""


_PARSERS = {
    b"\x89PNG\r\n\x1a\n": PIL.PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": PIL.JpegImagePlugin.JpegImageFile,
    b"BM": PIL.BmpImagePlugin.BmpImageFile,
}
"""First bytes of picture files, and Pillow's parser of their header."""
_BESIDE_PIXELS = 16 << 20
"""Bytes of a picture file that may be something else than pixels."""


def size_of(image: NDArray[Any]) -> Size:
    """Height and width of an (H, W) or (H, W, C) array."""
    return Size(int(image.shape[0]), int(image.shape[1]))


def luma(image: Image) -> NDArray[np.float32]:
    """(H, W) float32 0..255: Rec. 601 luma of an (H, W, 3) picture."""
    check_shape(image, "H W 3", "image")
    return cast("NDArray[np.float32]", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32))


def to_bgr(image: Image) -> Image:
    """Return the picture with its channels in OpenCV's order, contiguous."""
    return cast("Image", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def from_bgr(image: NDArray[Any]) -> Image:
    """Return the RGB picture of one that OpenCV has read."""
    return cast("Image", cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def to_rgb(image: NDArray[np.uint8]) -> Image:
    """Return the RGB picture of an (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA one, over white.

    It rounds as Pillow does when it pastes with a mask.
    """
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.uint32)
    blended = image[..., :3] * alpha + 255 * (255 - alpha) + 128
    return (((blended >> 8) + blended) >> 8).astype(np.uint8)


def to_tagger_input(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return a WD14 tagger's input: (side, side, 3) float32 0..255 in BGR.

    The picture is prepared as on their author's page: laid on white, padded with white to a square
    of at least `side`, then shrunk by area. A picture that is smaller is padded, never enlarged.
    """
    picture = to_bgr(to_rgb(image))
    height, width = size_of(picture)
    wide = max(height, width, side)
    top, left = (wide - height) // 2, (wide - width) // 2
    square = np.full((wide, wide, 3), 255, np.uint8)
    square[top : top + height, left : left + width] = picture
    if wide > side:
        square = cv2.resize(square, dsize=(side, side), interpolation=cv2.INTER_AREA)
    return square.astype(np.float32)


def resize(image: NDArray[Any], size: Size) -> NDArray[Any]:
    """Resize an (H, W[, C]) array: by area when shrinking, else by Lanczos."""
    here = size_of(image)
    if here == size:
        return image
    shrinks = size.height <= here.height and size.width <= here.width
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    return cv2.resize(image, dsize=(size.width, size.height), interpolation=kernel)


def scale_size(size: Size, share: float) -> Size:
    """Return a size times `share`; no side falls below 8 px unless it already is.

    So that a shrunk picture is large enough for flow, slopes and people, whatever its shape.
    """
    return Size(*(max(min(side, _LEAST), round(side * share)) for side in size))


def fit_size(size: Size, box: Size) -> Size:
    """Return the largest size of the same aspect that fits into `box`; see `scale_size`."""
    return scale_size(size, min(box.height / size.height, box.width / size.width))


def enlarge_smoothly(image: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Enlarge an (H, W[, C]) array; bicubic, as players and editors do."""
    dsize = (size.width, size.height)
    return cast(
        "NDArray[np.float32]", cv2.resize(image, dsize=dsize, interpolation=cv2.INTER_CUBIC)
    )


def enlarge(image: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Enlarge an (H, W[, C]) array; bilinear, so that nothing overshoots."""
    dsize = (size.width, size.height)
    return cast(
        "NDArray[np.float32]", cv2.resize(image, dsize=dsize, interpolation=cv2.INTER_LINEAR)
    )


def for_each_channel(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3): the (H, W) plane for each channel.

    It is for products with pictures: numpy's broadcasting takes several times as long.
    """
    return cast("NDArray[np.float32]", cv2.merge((plane, plane, plane)))


def local_mean(values: NDArray[np.float32], sigma: float, grid: int) -> NDArray[np.float32]:
    """(H, W): the mean around each pixel, with weights of a Gaussian of `sigma` px.

    It is computed on a grid of every `grid`-th pixel, which is as good if `grid` is well below
    `sigma`.
    """
    here = size_of(values)
    dsize = (-(-here.width // grid), -(-here.height // grid))
    small = cv2.resize(values, dsize=dsize, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, ksize=(0, 0), sigmaX=sigma / grid)
    return enlarge(cast("NDArray[np.float32]", blurred), here)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return the PNG bytes of an (H, W, 3) RGB picture or an (H, W) mask."""
    pixels = to_bgr(image) if image.ndim == 3 else image
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"cannot make a PNG of an array of shape {image.shape}")
    return data.tobytes()


def encode_jpeg(image: Image, quality: int) -> bytes:
    """Return the JPEG bytes, at a quality of 0 to 100, of an (H, W, 3) RGB picture."""
    done, data = cv2.imencode(".jpg", to_bgr(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot make a JPEG of an array of shape {image.shape}")
    return data.tobytes()


def decode_png(data: bytes) -> Image:
    """Return the (H, W, 3) RGB picture in the bytes of a PNG, JPEG, WebP or BMP file.

    Raises:
        ValueError: if the bytes are not a picture.
        VideoError: if it has more pixels than the limit; nothing was unpacked.
    """
    check_header(io.BytesIO(data))
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("these bytes are not a picture")
    return from_bgr(pixels)


def read_picture(path: Path) -> Image:
    """Read the (H, W, 3) RGB picture in a file, and no more bytes than its size can need.

    Raises:
        OSError: if it cannot be read, or is a directory, a pipe or a device.
        ValueError: if it is not a picture.
        VideoError: if it has more pixels than the limit; nothing was unpacked.
    """
    with regular_file(path) as file:
        size = check_header(file)
        file.seek(0)
        data = file.read(_BESIDE_PIXELS + 8 * size.height * size.width)
    return decode_png(data)


def check_header(file: BinaryIO, name: str = "the picture") -> Size:
    """Check the header of a picture file before it is unpacked; return the picture's size.

    Raises:
        ValueError: if it is not a PNG, JPEG, WebP or BMP file.
        VideoError: if it has more pixels than the limit; `name` is for the message.
    """
    head = file.read(30)
    file.seek(0)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        size = _webp_size(head)
    else:
        size = _parse_size(file, head)
    limits.check_pixels(size.width, size.height, name)
    return size


def _parse_size(file: BinaryIO, head: bytes) -> Size:
    """Read the size with Pillow's parsers of headers, which unpack nothing.

    They are called directly, because `PIL.Image.open` has its own warning of large pictures.
    """
    parser = next((kind for magic, kind in _PARSERS.items() if head.startswith(magic)), None)
    if parser is None:
        raise ValueError("these bytes are not a picture")
    try:
        with parser(file) as header:
            return Size(header.height, header.width)
    except (SyntaxError, OSError, OverflowError, MemoryError) as error:
        raise ValueError("these bytes are not a picture") from error


def _webp_size(head: bytes) -> Size:
    """Read the size in the first chunk of a WebP file (RFC 9649); Pillow would unpack it."""
    kind, fields = head[12:16], head[20:30]
    if len(fields) < 10 or kind not in (b"VP8 ", b"VP8L", b"VP8X"):
        raise ValueError("these bytes are not a picture")
    if kind == b"VP8X":
        wide, high = (int.from_bytes(fields[at : at + 3], "little") for at in (4, 7))
        return Size(high + 1, wide + 1)
    if kind == b"VP8L":
        both = int.from_bytes(fields[1:5], "little")
        return Size((both >> 14 & 0x3FFF) + 1, (both & 0x3FFF) + 1)
    wide, high = (int.from_bytes(fields[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return Size(high, wide)


def pack(image: Image) -> bytes:
    """Return lossless bytes (the QOI format) of an (H, W, 3) picture.

    On film frames it takes a fifth of PNG's time and saves four fifths as much; Pillow and other
    viewers can show the file.
    """
    check_shape(image, "H W 3", "image")
    encoder = cast("Any", av.CodecContext.create("qoi", "w"))
    encoder.height, encoder.width = size_of(image)
    encoder.pix_fmt = "rgb24"
    encoder.time_base = Fraction(1, 25)
    packets = encoder.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
    return b"".join(bytes(packet) for packet in packets)


def unpack(data: bytes) -> Image:
    """Return the picture from which `pack` made these bytes.

    Raises:
        ValueError: if the bytes are damaged.
    """
    decoder = cast("Any", av.CodecContext.create("qoi", "r"))
    try:
        (frame,) = decoder.decode(av.Packet(data))
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError("these bytes are not a QOI picture") from error
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
