"""Answers that mean harm, as the bytes that a host writes; each gives up when the client leaves."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

__all__ = ["ANSWERS", "answer", "picture"]

SIZE = (72, 40)
"""Width and height of what the tests ask for."""
_BLOCK = b"A" * (1 << 20)
_IHDR = 33
"""Bytes of a PNG to the end of its header."""


def picture(
    form: str = "PNG",
    mode: str = "RGB",
    size: tuple[int, int] = SIZE,
    *,
    image: NDArray[np.uint8] | None = None,
    opacity: int = 255,
    **more: Any,
) -> bytes:
    """A file of noise, or of `image`."""
    noise = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    made = Pictures.fromarray(noise if image is None else image)
    if mode == "I;16":
        made = Pictures.fromarray(noise[..., 0].astype(np.uint16) * 257)
    elif mode in ("RGBA", "LA"):
        made.putalpha(opacity)
    file = io.BytesIO()
    (made if made.mode == mode else made.convert(mode)).save(file, form, **more)
    return file.getvalue()


def answer(*files: bytes | str, **more: Any) -> bytes:
    """The body of an img2img."""
    images = [one if isinstance(one, str) else base64.b64encode(one).decode() for one in files]
    return json.dumps({"images": images, "parameters": {}, "info": "{}", **more}).encode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A small PNG of one colour that says, and has, this size."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _words() -> bytes:
    """A PNG with packed words that unpack to 64 MiB."""
    file, packed = picture(), zlib.compress(bytes(1 << 26), 9)
    return file[:_IHDR] + _chunk(b"zTXt", b"a\0\0" + packed) + file[_IHDR:]


def _jpeg(width: int, height: int) -> bytes:
    """A JPEG that says that it has this size."""
    file = picture("JPEG")
    place = file.index(b"\xff\xc0") + 5
    return file[:place] + struct.pack(">HH", height, width) + file[place + 4 :]


def _webp(side: int) -> bytes:
    """A WebP that says that its canvas is a square of this side."""
    still = picture("WEBP", lossless=True)[12:]
    canvas = struct.pack("<I", side - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas * 2 + still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def sent(
    make: Callable[[], bytes], *headers: str, status: str = "200 OK"
) -> Callable[[BinaryIO], None]:
    """The whole answer with its true length."""

    def write(out: BinaryIO) -> None:
        body = make()
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        out.write("\r\n".join(lines).encode("latin-1") + body)

    return write


def _begun(*headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode()


def _endless(out: BinaryIO, start: bytes, block: bytes, most: int, pause: float = 0.0) -> None:
    """Blocks of bytes, so many at most, until the client leaves."""
    out.write(start)
    for _ in range(most):
        out.write(block)
        out.flush()
        time.sleep(pause)


def _long(out: BinaryIO, length: str) -> None:
    _endless(out, _begun(length) + b'{"images": ["', _BLOCK, 1500)


def _chunked(out: BinaryIO) -> None:
    head = _begun("Transfer-Encoding: chunked") + b'd\r\n{"images": ["\r\n'
    _endless(out, head, b"100000\r\n" + _BLOCK + b"\r\n", 1500)


def _trickle(start: bytes, block: bytes) -> Callable[[BinaryIO], None]:
    return lambda out: _endless(out, start, block, 100, 0.2)


def _many(item: bytes, millions: int) -> bytes:
    return b'{"images": [' + item * (millions * 1_000_000 // len(item)) + item[:-1] + b"]}"


ANSWERS: dict[str, Callable[[BinaryIO], None]] = {
    "1.5 GB": lambda out: _long(out, f"Content-Length: {1500 << 20}"),
    "1.5 GB without a length": lambda out: _long(out, "Connection: close"),
    "length of 2**62": lambda out: _long(out, f"Content-Length: {1 << 62}"),
    "negative length": lambda out: _long(out, "Content-Length: -5"),
    "chunks without end": _chunked,
    "a chunk of 2**62": lambda out: _endless(
        out, _begun("Transfer-Encoding: chunked") + b"4000000000000000\r\n", _BLOCK, 1500
    ),
    "gzip": sent(lambda: gzip.compress(bytes(1 << 26)), "Content-Encoding: gzip"),
    "trickle": _trickle(_begun("Content-Length: 999") + b'{"images": ["', b"A"),
    "trickle of headers": _trickle(b"HTTP/1.1 200 OK\r\nX: ", b"A"),
    "trickle of chunks": _trickle(_begun("Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    "trickle of errors": _trickle(b"HTTP/1.1 422 No\r\nContent-Length: 999\r\n\r\n", b" "),
    "continue for ever": lambda out: _endless(
        out, b"", b"HTTP/1.1 100 Continue\r\n\r\n", 100_000, 0.0005
    ),
    "nested lists": sent(lambda: b"[" * 900_000),
    "nested objects": sent(lambda: b'{"a":' * 300_000),
    "nested 900 deep": sent(lambda: b'{"images": ' + b"[" * 900 + b"]" * 900 + b"}"),
    "nested error": sent(lambda: b'{"detail": ' + b"[" * 60_000, status="422 No"),
    "nested error, whole": sent(
        lambda: b'{"detail": ' + b"[" * 980 + b"1" + b"]" * 980 + b"}", status="422 No"
    ),
    "long error": sent(lambda: b'{"detail": "' + b"A" * (64 << 20) + b'"}', status="422 No"),
    "25 MB of empty objects": sent(lambda: _many(b"{},", 25)),
    "7 MB of empty objects": sent(lambda: _many(b"{},", 7)),
    "7 MB of numbers": sent(lambda: _many(b"1.5,", 7)),
    "wide text": sent(lambda: '{"images": ["🎨'.encode() + b"A" * (7 << 20) + b'"]}'),
    "PNG bomb": sent(lambda: answer(bomb(8000, 8000))),
    "PNG of 2**31": sent(
        lambda: answer(picture()[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + picture()[24:])
    ),
    "PNG with packed words": sent(lambda: answer(_words())),
    "JPEG of 65500": sent(lambda: answer(_jpeg(65500, 65500))),
    "WebP of 16383": sent(lambda: answer(_webp(16383))),
    "status line": lambda out: _endless(out, b"\x1b]0;owned\x07\x9b\r\n", b"", 1),
    "300,000 pictures": sent(lambda: answer(*["AAAA"] * 300_000)),
}
