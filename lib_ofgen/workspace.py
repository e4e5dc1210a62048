"""The run's folder: what is finished, keyed by a digest of all that it depends on.

Every file is written whole under another name and then renamed, so that a file that is there is
finished, also after `kill -9`. A damaged one counts as missing.

    clips/DIGEST.json         the clip that a spool holds; written last
    spool/DIGEST/000000.qoi   the source's frames at the working size
    facts/DIGEST.json         cuts, key frames, and what is known of each finished frame
    frames/DIGEST.qoi         finished frames
    painted/DIGEST.qoi, .png  what was painted fresh in a frame, and where
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from lib_ofgen import images
from lib_ofgen.errors import WorkspaceError
from lib_ofgen.values import Image, Painted

__all__ = ["Workspace", "clean", "digest", "file_digest", "write_whole"]

_Value = TypeVar("_Value")
_PARTIAL = ".partial"
_FOLDERS = ("clips", "spool", "facts", "frames", "painted")


def digest(*parts: object) -> str:
    """32 hex digits that change when any part (anything JSON holds) does."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """The digest of a file's content."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()[:32]


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` under `path`, or leave everything as it was.

    Raises:
        WorkspaceError: it cannot be written; the message says where and why.
    """
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise WorkspaceError(_why(path, error)) from error


def _why(path: Path, error: OSError) -> str:
    remedy = "choose another place with --workspace"
    if error.errno == errno.ENOSPC:
        remedy = "make room on the disk and run the same command again: what is done is kept"
    return f"cannot write '{path}': {error.strerror or error}; {remedy}"


def clean(folder: Path) -> int:
    """Delete a workspace; the bytes that this frees.

    Raises:
        WorkspaceError: the folder is no workspace, or a job is using it.
    """
    if not (folder / "clips").is_dir():
        raise WorkspaceError(f"'{folder}' is no workspace; give a folder that a job has made")
    with Workspace(folder).locked():
        freed = sum(item.stat().st_size for item in folder.rglob("*") if item.is_file())
    shutil.rmtree(folder)
    return freed


class Workspace:
    """One folder of artifacts; makes it if it is not there."""

    def __init__(self, folder: Path) -> None:
        """Take `folder` as the workspace.

        Raises:
            WorkspaceError: it cannot be made or written.
        """
        self.folder = folder
        try:
            for name in _FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(_why(folder, error)) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, no other process can use the workspace; the lock goes with the process.

        Raises:
            WorkspaceError: another one does.
        """
        with _opened(self.folder / "lock") as file:
            try:
                _lock(file)
            except OSError as error:
                raise WorkspaceError(
                    f"another job is using the workspace '{self.folder}'; wait for it, or name "
                    "another with --workspace"
                ) from error
            yield

    def save_facts(self, key: str, facts: Any) -> None:
        """Keep a JSON value."""
        write_whole(self.folder / "facts" / f"{key}.json", _dumped(facts))

    def facts(self, key: str) -> Any | None:
        """The JSON value kept under `key`, or None."""
        return _read(self.folder / "facts" / f"{key}.json", json.loads)

    def save_clip(self, key: str, clip: dict[str, Any]) -> None:
        """Say that the spool under `key` is whole, and what it holds."""
        write_whole(self.folder / "clips" / f"{key}.json", _dumped(clip))

    def clip(self, key: str) -> dict[str, Any] | None:
        """What the spool under `key` holds, or None where it is not whole."""
        return _read(self.folder / "clips" / f"{key}.json", json.loads)

    def save_source(self, key: str, index: int, image: Image) -> None:
        """Add a frame to the spool."""
        write_whole(self._source(key, index), images.pack(image))

    def source(self, key: str, index: int) -> Image:
        """Frame `index` of the spool.

        Raises:
            WorkspaceError: it is missing or damaged.
        """
        image = _read(self._source(key, index), images.unpack)
        if image is None:
            with contextlib.suppress(OSError):
                (self.folder / "clips" / f"{key}.json").unlink()
            raise WorkspaceError(
                f"frame {index} is damaged in the workspace '{self.folder}'; run the same command "
                "again: the frames are read anew and what is painted is kept"
            )
        return image

    def _source(self, key: str, index: int) -> Path:
        return self.folder / "spool" / key / f"{index:06}.qoi"

    def save_frame(self, key: str, image: Image) -> None:
        """Keep a finished frame."""
        write_whole(self.folder / "frames" / f"{key}.qoi", images.pack(image))

    def frame(self, key: str) -> Image | None:
        """The finished frame, or None."""
        return _read(self.folder / "frames" / f"{key}.qoi", images.unpack)

    def save_painted(self, key: str, painted: Painted) -> None:
        """Keep what was painted fresh; the mask last, for it makes the pair whole."""
        write_whole(self.folder / "painted" / f"{key}.qoi", images.pack(painted.image))
        mask = painted.mask.astype(np.uint8) * np.uint8(255)
        write_whole(self.folder / "painted" / f"{key}.png", images.encode_png(mask))

    def painted(self, key: str, index: int) -> Painted | None:
        """What was painted fresh in frame `index`, or None."""
        image = _read(self.folder / "painted" / f"{key}.qoi", images.unpack)
        mask = _read(self.folder / "painted" / f"{key}.png", images.decode_png)
        return None if image is None or mask is None else Painted(index, image, mask[..., 0] > 0)

    def has_painted(self, key: str) -> bool:
        """Whether what was painted fresh is there."""
        return (self.folder / "painted" / f"{key}.png").is_file()

    def has_frame(self, key: str) -> bool:
        """Whether the finished frame is there."""
        return (self.folder / "frames" / f"{key}.qoi").is_file()


def _dumped(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()


def _read(path: Path, parse: Callable[[bytes], _Value]) -> _Value | None:
    """What the file holds, or None where it is missing; a damaged one is deleted, and missing."""
    try:
        return parse(path.read_bytes())
    except OSError:
        return None
    except ValueError:
        path.unlink(missing_ok=True)
        return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("ab")
    except OSError as error:
        raise WorkspaceError(_why(path, error)) from error
    with file:
        yield file


def _lock(file: IO[bytes]) -> None:
    """Take the file for this process until it is closed; OSError where another has it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
