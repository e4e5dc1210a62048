"""Files opened for reading, if they are files at all."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

__all__ = ["regular_file"]


def regular_file(path: Path) -> io.FileIO:
    """The file, opened for reading without a buffer; never waits for somebody to write.

    Raises:
        OSError: it is not there, may not be read, or is a directory, a pipe or a device.
        ValueError: the path holds a null byte.
    """
    if path.is_dir():  # which may be opened on some systems, and not on others
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    file = io.FileIO(os.open(path, flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("it is a pipe or a device, no file")
    return file
