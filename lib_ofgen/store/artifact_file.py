"""The bytes of one file in a workspace: read, and protected by a checksum."""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lib_ofgen.errors import WorkspaceError

__all__ = ["add_checksum", "read_file", "remove_checksum"]

_Value = TypeVar("_Value")
_MISSING = frozenset({
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG,
})  # fmt: skip
"""The system's errors for a file that is missing, or that can never be read again."""
_LENGTH = 4
"""Bytes of the checksum at the end of a picture; viewers ignore it."""


def read_file(path: Path, parse: Callable[[bytes], _Value]) -> _Value | None:
    """Parse the content of a file; None if the file is missing.

    Raises:
        ValueError: if `parse` raises it, for a damaged file.
        WorkspaceError: if the file may not be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        is_folder = os.name == "nt" and path.is_dir()  # Windows forbids to read a folder
        if error.errno in _MISSING or is_folder:
            return None
        raise WorkspaceError(
            f"cannot read '{path}': {error.strerror or error}; see to it that it may be read, "
            "or name another workspace with --workspace"
        ) from error
    return parse(data)


def add_checksum(name: str, data: bytes) -> bytes:
    """Return the data, followed by a checksum of them and of the file's name."""
    return data + _checksum(data, name)


def remove_checksum(name: str, data: bytes) -> bytes:
    """Return the data without their checksum.

    Files of earlier versions, whose checksum does not include the name, are accepted too.

    Raises:
        ValueError: if the checksum does not match, or there are no data.
    """
    content, checksum = data[:-_LENGTH], data[-_LENGTH:]
    if not content or checksum not in (_checksum(content, name), _checksum(content)):
        raise ValueError("the checksum does not match")
    return content


def _checksum(data: bytes, name: str = "") -> bytes:
    return zlib.crc32(data, zlib.crc32(name.encode()) if name else 0).to_bytes(_LENGTH, "big")
