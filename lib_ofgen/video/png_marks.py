"""PNG files that say of themselves that they were written here.

A private chunk holds a digest of all other chunks and of the picture's place. What somebody else
has made or changed has no such chunk, or another digest, and can be told from ours.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from pathlib import Path

__all__ = ["add_mark", "has_mark"]

_HEAD = b"\x89PNG\r\n\x1a\n"
_MARK = b"ofGN"
"""Ancillary, private, and unsafe to copy: an editor that changes the picture leaves it out."""
_END = b"IEND"
_MOST = 100_000
"""Chunks; the largest frame has some thousand."""
_TAIL = 4 + len(_END) + 4
"""Bytes of the last chunk: length, type, checksum."""


def add_mark(data: bytes, index: int) -> bytes:
    """The PNG file with the chunk that says that it was written here as picture `index`."""
    mark = _mark(index, _chunks(io.BytesIO(data)))
    chunk = len(mark).to_bytes(4, "big") + _MARK + mark
    end = len(data) - _TAIL
    return data[:end] + chunk + zlib.crc32(_MARK + mark).to_bytes(4, "big") + data[end:]


def _mark(index: int, chunks: list[bytes]) -> bytes:
    return hashlib.sha256(b"%d" % index + b"".join(chunks)).digest()


def has_mark(path: Path, index: int) -> bool:
    """Whether the file was `marked` as picture `index`, and nothing has changed it since."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            chunks = _chunks(file)
            end = chunks.pop()
            mark = chunks.pop()
            size = hashlib.sha256().digest_size
            file.seek(-_TAIL - 4 - size, os.SEEK_END)
            held = file.read(size)
    except (OSError, ValueError, IndexError):
        return False
    return mark[4:8] == _MARK and held == _mark(index, [*chunks, end])


def _chunks(file: io.BufferedIOBase) -> list[bytes]:
    """Length, type and checksum of each chunk, in order; the data are not read.

    Raises:
        ValueError: it is no PNG file, or one that was cut.
    """
    if file.read(len(_HEAD)) != _HEAD:
        raise ValueError("it is no PNG file")
    found: list[bytes] = []
    while not found or found[-1][4:8] != _END:
        if len(found) >= _MOST:
            raise ValueError("it has more chunks than we ever write")
        head = file.read(8)
        if len(head) < 8:
            raise ValueError("it has no end")
        file.seek(int.from_bytes(head[:4], "big"), os.SEEK_CUR)
        checksum = file.read(4)
        if len(checksum) < 4:
            raise ValueError("it has no end")
        found.append(head + checksum)
    if file.read(1):
        raise ValueError("something follows its end")
    return found
