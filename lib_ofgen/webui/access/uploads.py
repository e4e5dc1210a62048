"""Files that pages and requests have sent; their names end in the kind of their content.

A page sends files through the host's upload route, which stores them. This module remembers which
files the route has stored; no other path is ever accepted as an upload. Requests send data URLs.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lib_ofgen.errors import SettingsError, VideoError, WorkspaceError
from lib_ofgen.store.workspace import file_digest
from lib_ofgen.system import limits
from lib_ofgen.video.demuxing.container import extension_of

__all__ = [
    "RECEIVED",
    "StoredPaths",
    "UploadedFile",
    "delete_unused",
    "keep",
    "keep_url",
    "read_upload",
    "release",
]

_DATA_URL = re.compile(r"data:video/[a-z0-9.+-]+;base64,", re.ASCII | re.IGNORECASE)
_SOUND = {".aac", ".flac", ".mp3", ".wav"}
_PICTURES = {".png", ".jpg", ".bmp", ".tiff"}
_OURS = re.compile(r"(?:[\w-]{1,40}-)?[0-9a-f]{16}\.[a-z0-9]{2,5}|\.[0-9a-f]{32}\.partial")
"""Names that this module gives."""
_BLOCK = 4 << 20
"""Characters of a data URL that are decoded at a time; four give three bytes."""
_GRACE = 600.0
"""Seconds for which a file stays after a request for it, though no job uses it yet."""


class StoredPaths:
    """Paths of the files that the host's upload route has stored in this process."""

    def __init__(self, most: int = 10_000) -> None:
        """Remember the `most` newest."""
        self._most, self._known = most, dict[str, None]()

    def add(self, paths: Iterable[str]) -> None:
        """Remember these paths."""
        for path in paths:
            self._known[path] = None
        for old in list(self._known)[: -self._most]:
            self._known.pop(old, None)

    def __contains__(self, text: str) -> bool:
        """Whether the text is such a path, letter by letter."""
        return text in self._known


RECEIVED = StoredPaths()
"""The paths of this process; "Reload UI" leaves them alone."""


@dataclass(frozen=True)
class UploadedFile:
    """A file that a page says it has uploaded."""

    name: str
    """The path that the page names, true or not."""

    @property
    def path(self) -> Path:
        """The path of the file.

        Raises:
            SettingsError: if the host's upload route has not stored it, whatever is there.
        """
        if self.name not in RECEIVED:
            raise SettingsError(
                "this file was not uploaded since the webui began; drop it into the page once more"
            )
        return Path(self.name)


def read_upload(payload: object) -> UploadedFile | None:
    """Return the file that the value of a page's file field names; None if the field is empty.

    Accepts any value that a client may send.
    """
    one = payload[0] if isinstance(payload, list) and payload else payload
    if not one:
        return None
    if isinstance(one, dict):
        name = one.get("name") if one.get("is_file") else one.get("path")
    else:
        name = getattr(one, "path", None)
    return UploadedFile(name if isinstance(name, str) else "")


_LOCK = threading.Lock()
_ASKED: dict[str, float] = {}
"""When each kept file was asked for last, on the monotonic clock, by its name."""
_WRITING: set[str] = set()
"""Names of the files that are being written."""


def keep(path: Path, folder: Path, role: str) -> Path:
    """Keep an uploaded file in the folder, and return its new path.

    Args:
        path: The file as the host has stored it.
        folder: The folder of uploads.
        role: `input` or `mask`.

    Raises:
        SettingsError: if the file is gone, or is larger than the limit.
        VideoError: if its kind is not accepted.
        WorkspaceError: if it cannot be kept.
    """
    name = f"the {role} {path.name[:80]!r}"
    try:
        status = path.stat()
    except OSError as error:
        raise SettingsError(f"{name} is not there any more; upload it once more") from error
    _check_size(status.st_size, name)
    kind = _kind(path, name, {"input": _SOUND | _PICTURES}.get(role, _SOUND))
    stem = re.sub(r"[^\w-]+", "-", path.stem)[:40].strip("-") or role
    final = folder / f"{stem}-{_digest(path, status.st_mtime_ns, status.st_size)}{kind}"
    if not _note_request(final):
        with _partial(folder) as partial:
            try:
                os.link(path, final)
            except OSError:  # on another disk, or somebody was faster
                shutil.copyfile(path, partial)
                partial.replace(final)
    return final


@functools.lru_cache(maxsize=1000)
def _digest(path: Path, *_: int) -> str:
    """Return the digest of a file; the other arguments change when the file changes."""
    return file_digest(path)[:16]


def keep_url(url: str, folder: Path) -> Path:
    """Keep the video of a data URL in the folder, and return its path.

    Raises:
        SettingsError: if it is not a data URL of a video, is damaged, or is larger than the limit.
        VideoError: if its content is not a video.
        WorkspaceError: if it cannot be kept.
    """
    name = "the input's data URL"
    head = _DATA_URL.match(url[:64])
    if head is None:
        raise SettingsError(f"{name} is not data:video/...;base64,...")
    _check_size((len(url) - head.end()) // 4 * 3, name)
    with _partial(folder) as partial:
        with partial.open("wb") as file:
            for block in _decode_blocks(url, head.end()):
                file.write(block)
        kind = _kind(partial, name, _SOUND | _PICTURES)
        final = folder / f"{file_digest(partial)[:16]}{kind}"
        if not _note_request(final):
            partial.replace(final)
    return final


def _decode_blocks(url: str, start: int) -> Iterator[bytes]:
    """Yield the content of the data URL, a block at a time."""
    for place in range(start, len(url), _BLOCK):
        block = url[place : place + _BLOCK]
        try:
            if "=" in block.rstrip("=") or ("=" in block and place + _BLOCK < len(url)):
                raise ValueError("its padding stands in the middle")
            yield base64.b64decode(block.encode("ascii"), validate=True)
        except ValueError as error:
            cause = "it holds characters that are not base64"
            cause = str(error) if "padding" in str(error) else cause
            raise SettingsError(
                f"the input's data URL is damaged: {cause}; encode it again"
            ) from error


def _check_size(size: int, name: str) -> None:
    limit = limits.current().upload
    if size > limit << 20:
        raise SettingsError(
            f"{name} has {-(-size >> 20)} MiB and is over the limit of {limit} MiB; put the file "
            "where the webui may read it, or raise the limit with --ofgen-limit upload=MIB"
        )


def _kind(path: Path, name: str, refused: Collection[str]) -> str:
    """Return the extension of the file's content; `name` is for messages."""
    try:
        kind = extension_of(path)
    except VideoError as error:
        text = str(error).replace(repr(path.name), name)
        raise VideoError(text, bad_input=True) from error
    if kind in refused:
        what = "only sound" if kind in _SOUND else "a picture"
        raise VideoError(f"{name} is {what}, not a video; give a video file", bad_input=True)
    return kind


@contextlib.contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """Yield a new file in the folder; it is deleted afterwards if it is still there."""
    partial = folder / f".{uuid.uuid4().hex}.partial"
    try:
        with _LOCK:
            folder.mkdir(parents=True, exist_ok=True)
            partial.touch()
            _WRITING.add(partial.name)
        yield partial
    except OSError as error:
        cause = error.strerror or type(error).__name__
        raise WorkspaceError(f"the upload cannot be kept: {cause}; make room for it") from error
    finally:
        with _LOCK:
            _WRITING.discard(partial.name)
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds other files
                folder.rmdir()


def _note_request(path: Path) -> bool:
    """Keep the file for a while from now on; return whether it exists."""
    with _LOCK:
        _ASKED[path.name] = time.monotonic()
        return path.is_file()


def release(path: Path, since: float) -> None:
    """Note that a job entered at `since` does not need the file any more; later jobs may."""
    with _LOCK:
        if _ASKED.get(path.name, since) <= since:
            _ASKED.pop(path.name, None)


def delete_unused(folder: Path, needed: Collection[str]) -> None:
    """Delete the kept files of the folder whose names are not needed."""
    with _LOCK:
        now = time.monotonic()
        for name in [name for name, when in _ASKED.items() if now - when > _GRACE]:
            _ASKED.pop(name)
        for path in folder.glob("*"):
            kept = path.name in needed or path.name in _ASKED or path.name in _WRITING
            if not kept and _OURS.fullmatch(path.name) and not path.is_symlink():
                with contextlib.suppress(OSError):  # Windows keeps files that are being read
                    path.unlink()
