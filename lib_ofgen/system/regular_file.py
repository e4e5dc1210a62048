"""Regular files: opened for reading, and hashed."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from pathlib import Path

__all__ = ["hash_file", "regular_file"]

_BLOCK = 1 << 20
"""Bytes that are read at a time."""


def regular_file(path: Path) -> io.FileIO:
    """Open a file for reading, without a buffer and without waiting for a writer.

    Raises:
        OSError: if it is missing, may not be read, or is a directory, a pipe or a device.
        ValueError: if the path holds a null byte.
    """
    if path.is_dir():  # some systems open it, others do not
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    file = io.FileIO(os.open(path, flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("it is a pipe or a device, not a file")
    return file


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hex digits.

    Raises:
        OSError, ValueError: as `regular_file`.
    """
    state = hashlib.sha256()
    with regular_file(path) as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()
