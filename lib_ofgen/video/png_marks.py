"""PNG files that carry a mark of having been written here.

The mark is a private chunk with a digest of all other chunks and of the picture's index. A file of
another program has no such chunk, and a file that was changed has another digest.
"""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path
from typing import IO

from PIL.PngImagePlugin import ChunkStream, putchunk

__all__ = ["add_mark", "has_mark"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MARK = b"ofGN"
"""Ancillary, private, and unsafe to copy: an editor that changes the picture leaves it out."""
_END = b"IEND"
_MOST_CHUNKS = 100_000
"""The largest frame has some thousand."""
_TAIL = 4 + len(_END) + 4
"""Bytes of the last chunk: length, type, checksum."""


def add_mark(data: bytes, index: int) -> bytes:
    """Return the PNG file with a mark as the picture of frame `index`."""
    file = io.BytesIO(data)
    mark = _digest(index, _read_chunks(file))
    file.seek(-_TAIL, io.SEEK_END)
    putchunk(file, _MARK, mark)
    putchunk(file, _END, b"")
    return file.getvalue()


def has_mark(path: Path, index: int) -> bool:
    """Whether the file was marked as the picture of frame `index`, and not changed since."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            *chunks, mark, end = _read_chunks(file)
            file.seek(-_TAIL - 4 - hashlib.sha256().digest_size, io.SEEK_END)
            found = file.read(hashlib.sha256().digest_size)
    except (OSError, ValueError):
        return False
    return mark[4:8] == _MARK and found == _digest(index, [*chunks, end])


def _digest(index: int, chunks: list[bytes]) -> bytes:
    return hashlib.sha256(b"%d" % index + b"".join(chunks)).digest()


def _read_chunks(file: IO[bytes]) -> list[bytes]:
    """Return length, type and checksum of each chunk, in order; their data are not read.

    Raises:
        ValueError: if it is not a whole PNG file, or something follows its end.
    """
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        raise ValueError("not a PNG file")
    stream, kind = ChunkStream(file), b""
    chunks: list[bytes] = []
    while kind != _END:
        try:
            kind, start, length = stream.read()
        except (struct.error, SyntaxError) as error:
            raise ValueError("a PNG file without an end") from error
        file.seek(start + length)
        checksum = file.read(4)
        if len(checksum) < 4 or len(chunks) >= _MOST_CHUNKS:
            raise ValueError("a PNG file without an end, or with too many chunks")
        chunks.append(struct.pack(">I", length) + kind + checksum)
    if file.read(1):
        raise ValueError("something follows the end of the PNG file")
    return chunks
