"""Pictures: luma, size, packing. The only file that says BGR."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values import Image, Size, check

__all__ = [
    "around",
    "boxed",
    "decode_png",
    "encode_jpeg",
    "encode_png",
    "enlarged",
    "flattened",
    "from_bgr",
    "luma",
    "pack",
    "resize",
    "scaled",
    "size_of",
    "squared",
    "to_bgr",
    "unpack",
]

_LEAST = 8
"""px: the smallest side of a working size."""


def size_of(image: NDArray[Any]) -> Size:
    """Height and width of an (H, W) or (H, W, C) array."""
    return Size(int(image.shape[0]), int(image.shape[1]))


def luma(image: Image) -> NDArray[np.float32]:
    """(H, W) float32 0..255: Rec. 601 luma of an (H, W, 3) picture."""
    check(image, "H W 3", "image")
    return cast("NDArray[np.float32]", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32))


def to_bgr(image: Image) -> Image:
    """The picture with its channels in OpenCV's own order, contiguous."""
    return cast("Image", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def from_bgr(image: NDArray[Any]) -> Image:
    """The RGB picture of one that OpenCV read."""
    return cast("Image", cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def flattened(image: NDArray[np.uint8]) -> Image:
    """The RGB picture of an (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA one, laid on white.

    Rounds as Pillow does when it pastes under a mask.
    """
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.uint32)
    blended = image[..., :3] * alpha + 255 * (255 - alpha) + 128
    return (((blended >> 8) + blended) >> 8).astype(np.uint8)


def squared(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """(side, side, 3) float32 0..255 in BGR: what taggers of the WD14 family see of a picture.

    As their author's own page prepares it: laid on white, padded with white to a square of at
    least `side`, then shrunk by area. A picture that is smaller is padded, never enlarged.
    """
    picture = to_bgr(flattened(image))
    height, width = size_of(picture)
    wide = max(height, width, side)
    top, left = (wide - height) // 2, (wide - width) // 2
    square = np.full((wide, wide, 3), 255, np.uint8)
    square[top : top + height, left : left + width] = picture
    if wide > side:
        square = cv2.resize(square, dsize=(side, side), interpolation=cv2.INTER_AREA)
    return square.astype(np.float32)


def resize(image: NDArray[Any], size: Size) -> NDArray[Any]:
    """The (H, W[, C]) array at another size: by area when shrinking, else by Lanczos."""
    here = size_of(image)
    if here == size:
        return image
    shrinks = size.height <= here.height and size.width <= here.width
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    return cv2.resize(image, dsize=(size.width, size.height), interpolation=kernel)


def scaled(size: Size, share: float) -> Size:
    """A size times `share`; no side falls below 8 px that is not below it already.

    So that what looks at small pictures (flow, slopes, people) has something to look at, whatever
    the shape.
    """
    return Size(*(max(min(side, _LEAST), round(side * share)) for side in size))


def boxed(size: Size, box: Size) -> Size:
    """The largest size of the same aspect that fits into `box`; see `scaled`."""
    return scaled(size, min(box.height / size.height, box.width / size.width))


def enlarged(image: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """The (H, W[, C]) array at a larger size; bilinear, so that nothing overshoots."""
    dsize = (size.width, size.height)
    return cast(
        "NDArray[np.float32]", cv2.resize(image, dsize=dsize, interpolation=cv2.INTER_LINEAR)
    )


def around(values: NDArray[np.float32], sigma: float, grid: int) -> NDArray[np.float32]:
    """(H, W): the mean around each pixel, with weights of a Gaussian of `sigma` px.

    Taken on a grid of every `grid`-th pixel, which is as good where that is well below `sigma`.
    """
    here = size_of(values)
    dsize = (-(-here.width // grid), -(-here.height // grid))
    small = cv2.resize(values, dsize=dsize, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, ksize=(0, 0), sigmaX=sigma / grid)
    return enlarged(cast("NDArray[np.float32]", blurred), here)


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an (H, W, 3) RGB picture or an (H, W) mask."""
    pixels = to_bgr(image) if image.ndim == 3 else image
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"no PNG can be made of an array of shape {image.shape}")
    return data.tobytes()


def encode_jpeg(image: Image, quality: int) -> bytes:
    """JPEG bytes, at a quality of 0 to 100, of an (H, W, 3) RGB picture."""
    done, data = cv2.imencode(".jpg", to_bgr(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"no JPEG can be made of an array of shape {image.shape}")
    return data.tobytes()


def decode_png(data: bytes) -> Image:
    """(H, W, 3) RGB picture of the bytes of a PNG, JPEG or WebP file.

    Raises:
        ValueError: the bytes are no picture.
    """
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise ValueError("these bytes are no picture")
    return from_bgr(pixels)


def pack(image: Image) -> bytes:
    """Lossless bytes (the QOI format) of an (H, W, 3) picture.

    A fifth of PNG's time at four fifths of its saving, measured on film frames; any viewer that
    reads QOI, Pillow among them, shows the file.
    """
    check(image, "H W 3", "image")
    encoder = cast("Any", av.CodecContext.create("qoi", "w"))
    encoder.height, encoder.width = size_of(image)
    encoder.pix_fmt = "rgb24"
    encoder.time_base = Fraction(1, 25)
    packets = encoder.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
    return b"".join(bytes(packet) for packet in packets)


def unpack(data: bytes) -> Image:
    """The picture that `pack` made these bytes of.

    Raises:
        ValueError: the bytes are damaged.
    """
    decoder = cast("Any", av.CodecContext.create("qoi", "r"))
    try:
        (frame,) = decoder.decode(av.Packet(data))
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError("these bytes are no QOI picture") from error
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
