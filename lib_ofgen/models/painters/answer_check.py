"""Checks of a painter's answer: is it a picture, of the requested size, and not blank?"""

from __future__ import annotations

import io
import warnings
from typing import cast

import numpy as np
from PIL import Image as Pictures

from lib_ofgen.values import Image, Repaint, Size

__all__ = ["BLANK", "decode_answer", "is_blank"]

_FORMATS = ("PNG", "JPEG", "WEBP")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes with at most 8 bits a channel; others would change their colours."""
_LEAST = 64
"""px: fewer may be of one colour by chance; this is one value of a latent picture."""
_APART = 8.0
"""Levels of 255 by which what was there differs from one colour, and from that colour."""

BLANK = (
    "in one flat colour, as a model does whose numbers are too large (NaN): start the webui with "
    "--no-half-vae or --no-half, or choose another checkpoint or VAE"
)
"""The message about a picture that `is_blank`."""


def decode_answer(data: bytes, size: Size) -> Image:
    """Return the (H, W, 3) RGB picture in a PNG, JPEG or WebP file, which must have this `size`.

    The header is checked before anything is unpacked.

    Raises:
        ValueError: if the file is something else; the message says what, and the remedy.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pictures.DecompressionBombWarning)
            file = Pictures.open(io.BytesIO(data), formats=_FORMATS)
    except Pictures.DecompressionBombError as error:
        raise ValueError(f"painted far more than {size}: check that this is a webui") from error
    except Exception as error:  # Pillow's readers raise many kinds of errors
        raise ValueError("the answer holds no picture: look at the webui's own log") from error
    _check(file, size)
    try:
        file.load()
        _refuse_transparent(file)
        return np.ascontiguousarray(file.convert("RGB"), dtype=np.uint8)
    except Exception as error:
        words = str(error) if isinstance(error, (ValueError, OSError)) else type(error).__name__
        raise ValueError(f"the picture is not usable: {words}") from error


def _check(file: Pictures.Image, size: Size) -> None:
    """Check that the header has the requested format and size."""
    here = Size(file.height, file.width)
    if here != size:
        raise ValueError(
            f"painted {here} where {size} was asked: switch off what resizes pictures there"
        )
    if getattr(file, "is_animated", False):
        raise ValueError("painted an animation where a picture was asked: choose png there")
    if file.mode not in _MODES:
        raise ValueError(
            f"painted a picture of kind {file.mode}, not RGB of 8 bits: choose png there"
        )


def _refuse_transparent(file: Pictures.Image) -> None:
    if "A" in file.mode or "transparency" in file.info:
        least, _ = cast("tuple[int, int]", file.convert("RGBA").getchannel("A").getextrema())
        if least < 255:
            raise ValueError("it is transparent: switch off what removes backgrounds there")


def is_blank(picture: Image, job: Repaint) -> bool:
    """Whether the painted part is one flat colour, and was not so before.

    A model whose numbers overflow returns black or grey. A part that was of one colour already,
    or was black and stays black, is not a fault.
    """
    inside = slice(None) if job.mask is None else job.mask > 0
    fresh, before = (image[inside].reshape(-1, 3) for image in (picture, job.image))
    if len(fresh) < _LEAST or (fresh != fresh[0]).any():
        return False
    levels = before.astype(np.float32)
    apart = np.abs(levels - fresh[0]).mean()
    return bool(apart > _APART and np.abs(levels - levels.mean(axis=0)).mean() > _APART / 4)
