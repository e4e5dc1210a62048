"""Files that are written whole or not at all, and an output that has one writer at a time.

An unfinished file lies beside its target, under a name of its writer's own. Its writer holds a lock
on it, so that files of dead writers can be distinguished from those that are still being written.
All locks are the system's: they end with the process, also after `kill -9`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lib_ofgen.errors import WorkspaceError

__all__ = [
    "FOLDER_LOCK",
    "LEFT_OVER",
    "Partial",
    "claim_outputs",
    "delete_leftovers",
    "exists",
    "hold_lock",
    "modified_ns",
    "resolve_target",
    "write_error_line",
    "write_file",
]  # fmt: skip

LEFT_OVER = r"\..{0,40}-[0-9a-f]{8}-[0-9a-f]{32}\.partial"
"""Regular expression for the names of unfinished files."""
FOLDER_LOCK = ".ofgen.lock"
"""The name of the lock in a folder of frames that is being written."""
_LEFT_OVER = re.compile(LEFT_OVER)
_LONGEST = 255
"""Bytes in a name, on the usual file systems."""
_LOCKLESS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors of file systems without locks; there, two writers cannot be prevented."""
_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def modified_ns(path: Path) -> int:
    """Return when the file was written, in ns; 0 if it is missing."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def exists(path: Path) -> bool:
    """Whether the file exists; False for a path that the system does not accept."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def resolve_target(path: Path) -> Path:
    """Return the file that is written under `path`, after following symbolic links.

    Raises:
        OSError: if links lead in a circle, or to a folder, a device or a pipe.
    """
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if real.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if real.exists() and not real.is_file():
        raise OSError(errno.EINVAL, "it is a device or a pipe")
    return real


class Partial:
    """An unfinished file: `path` is its name until `put` gives it the name of its target."""

    def __init__(self, path: Path) -> None:
        """Create an empty file beside the target of `path`.

        Raises:
            OSError: if it cannot be created.
        """
        self._target = resolve_target(path)
        self.path = self._target.with_name(f"{_begins(self._target)}{uuid.uuid4().hex}.partial")
        self._file: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if os.name == "nt":  # Windows cannot rename or delete an open file
            self._close()
        else:
            with contextlib.suppress(OSError):  # without locks, nothing is ever deleted
                _lock(self._file)

    def put(self) -> None:
        """Give the complete file its name.

        Raises:
            OSError: if the system refuses.
        """
        self.path.replace(self._target)
        self._close()

    def drop(self) -> None:
        """Delete the file, unless it was put in place."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def write_file(path: Path, data: bytes) -> None:
    """Put `data` under `path`, or leave everything as it was.

    Raises:
        OSError: if it cannot be written.
    """
    partial = Partial(path)
    try:
        with partial.path.open("r+b") as file:
            file.write(data)
        partial.put()
    finally:
        partial.drop()


def _begins(path: Path) -> str:
    """Return the beginning of the names of all unfinished files of that target."""
    own = hashlib.sha256(path.name.encode(errors="surrogateescape")).hexdigest()[:8]
    return f".{path.stem[:40]}-{own}-"


def delete_leftovers(folder: Path, begins: str = ".") -> None:
    """Delete unfinished files in a folder whose writers are dead; all others stay."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = [one.name for one in entries if one.name.startswith(begins)]
        for name in filter(_LEFT_OVER.fullmatch, names):
            _delete_if_dead(folder / name)


def _delete_if_dead(path: Path) -> None:
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_RDWR)
        try:
            if os.name != "nt":
                _lock(file)
                path.unlink()
        finally:
            os.close(file)
        if os.name == "nt":
            path.unlink()  # fails if another process has it open


@contextlib.contextmanager
def hold_lock(path: Path, *, keep: bool = False) -> Iterator[None]:
    """Hold the lock file `path` inside; delete it afterwards unless `keep` is set.

    Raises:
        BlockingIOError: if another process, or another thread of this one, holds it.
        OSError: if it cannot be made.
    """
    file = _take_lock(path)
    try:
        yield
    finally:
        _release(file, path, keep=keep)


def _take_lock(path: Path) -> int:
    """Open and lock the lock file that `path` names now."""
    while True:
        file = _open_lock(path)
        try:
            with _lockless():
                _lock(file)
            if os.name == "nt" or _names(path, file):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its last holder has deleted it meanwhile


def _open_lock(path: Path) -> int:
    flags = os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags | os.O_RDWR, 0o666)
    except PermissionError:  # another user's file: reading it is enough for a lock
        return os.open(path, flags | os.O_RDONLY, 0o666)


@contextlib.contextmanager
def _lockless() -> Iterator[None]:
    """Ignore the errors of file systems without locks."""
    try:
        yield
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise


def _names(path: Path, file: int) -> bool:
    """Whether the path still names the open file."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _release(file: int, path: Path, *, keep: bool) -> None:
    if os.name == "nt":
        os.close(file)
    if not keep:
        # Deleted while locked: a process that waits for it sees that, and makes another.
        with contextlib.suppress(OSError):
            path.unlink()
    if os.name != "nt":
        os.close(file)


def _lock(file: int) -> None:
    """Lock an open file; BlockingIOError if another process holds it."""
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except PermissionError as error:
            raise BlockingIOError(errno.EAGAIN, "another has it") from error
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def claim_outputs(
    files: Iterable[Path | None], folders: Iterable[Path | None] = ()
) -> Iterator[None]:
    """Prevent other writers of these outputs inside; delete unfinished files of dead ones.

    Missing folders are made; those that stay empty are deleted afterwards. A lock lies beside its
    file, or in its folder, so that every spelling of a name uses the same one.

    Raises:
        WorkspaceError: if another job writes one of them, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        for path in files:
            if path is not None:
                _claim(stack, path, _claim_file)
        for path in folders:
            if path is not None:
                _claim(stack, path, _claim_folder)
        yield


def _claim(
    stack: contextlib.ExitStack, path: Path, take: Callable[[contextlib.ExitStack, Path], None]
) -> None:
    try:
        take(stack, path)
    except BlockingIOError as error:
        raise WorkspaceError(
            f"another job is writing '{path}'; wait for it, or give another name"
        ) from error
    except OSError as error:
        raise WorkspaceError(write_error_line(path, error)) from error


def _claim_file(stack: contextlib.ExitStack, path: Path) -> None:
    real = resolve_target(path)
    _make(stack, real.parent)
    name = f".{real.name}.lock"
    if len(os.fsencode(name)) > _LONGEST:
        name = f"{_begins(real)}.lock"
    stack.enter_context(hold_lock(real.with_name(name)))
    _hold(stack, real)
    delete_leftovers(real.parent, _begins(real))


def _hold(stack: contextlib.ExitStack, path: Path) -> None:
    """Lock the existing file too: a hard link is another name of it."""
    if os.name == "nt":  # Windows cannot replace an open file
        return
    with contextlib.ExitStack() as opened:
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            opened.callback(os.close, file)
            _lock(file)
        except BlockingIOError:
            raise
        except OSError:  # missing, or unreadable: it has no second name that we know
            return
        stack.push(opened.pop_all())


def _claim_folder(stack: contextlib.ExitStack, path: Path) -> None:
    _make(stack, path)
    stack.enter_context(hold_lock(path / FOLDER_LOCK))
    delete_leftovers(path)


def _make(stack: contextlib.ExitStack, folder: Path) -> None:
    """Make a folder; have it deleted again if it stays empty."""
    missing = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    folder.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        stack.callback(_unmake, one)


def _unmake(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def write_error_line(path: Path, error: OSError) -> str:
    """Return a line on a file that cannot be written, with a remedy."""
    remedy = "choose another place, such as another --workspace"
    if error.errno in (errno.EISDIR, errno.EINVAL):
        remedy = "give the name of a file"
    if error.errno in _ROOM:
        remedy = "make room on the disk and run the same command again: what is done is kept"
    return f"cannot write '{path}': {error.strerror or error}; {remedy}"
