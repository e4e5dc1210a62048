"""What pages and requests have sent: kept under names that say what it is found to be.

A page's files come through the host's upload route, which stores them; which ones it has stored is
remembered here, and no other path is ever taken for an upload. A request's come as data URLs.
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

__all__ = ["RECEIVED", "Handed", "Received", "handed", "keep", "keep_url", "let_go", "sweep"]

_DATA_URL = re.compile(r"data:video/[a-z0-9.+-]+;base64,", re.ASCII | re.IGNORECASE)
_SOUND = {".aac", ".flac", ".mp3", ".wav"}
_PICTURES = {".png", ".jpg", ".bmp", ".tiff"}
_OURS = re.compile(r"(?:[\w-]{1,40}-)?[0-9a-f]{16}\.[a-z0-9]{2,5}|\.[0-9a-f]{32}\.partial")
"""Names that are given here."""
_BLOCK = 4 << 20
"""Characters of a data URL that are unpacked at a time; four give three bytes."""
_PATIENCE = 600.0
"""Seconds in which what was asked for may still be needed, though no job tells so."""


class Received:
    """Paths under which the host's upload route has stored files since the process began."""

    def __init__(self, most: int = 10_000) -> None:
        """Remembers the `most` newest."""
        self._most, self._known = most, dict[str, None]()

    def note(self, paths: Iterable[str]) -> None:
        """Remember these."""
        for path in paths:
            self._known[path] = None
        for old in list(self._known)[: -self._most]:
            self._known.pop(old, None)

    def __contains__(self, text: str) -> bool:
        """Whether the text is such a path, letter by letter."""
        return text in self._known


RECEIVED = Received()
"""Those of this process; "Reload UI" leaves them be."""


@dataclass(frozen=True)
class Handed:
    """A file that a page says it has uploaded."""

    named: str
    """The path that the page tells, true or not."""

    @property
    def path(self) -> Path:
        """Where the host's upload route has stored it.

        Raises:
            SettingsError: it has stored none under that path, whatever is there.
        """
        if self.named not in RECEIVED:
            raise SettingsError(
                "this file was not uploaded since the webui began; drop it into the page once more"
            )
        return Path(self.named)


def handed(payload: object) -> Handed | None:
    """The file that the value of a page's file field names; None where it is empty.

    Takes whatever a client may send there.
    """
    one = payload[0] if isinstance(payload, list) and payload else payload
    if not one:
        return None
    if isinstance(one, dict):
        name = one.get("name") if one.get("is_file") else one.get("path")
    else:
        name = getattr(one, "path", None)
    return Handed(name if isinstance(name, str) else "")


_LOCK = threading.Lock()
_ASKED: dict[str, float] = {}
"""When a kept file was asked for last, on the monotonic clock, by its name."""
_WRITING: set[str] = set()
"""Names under which files are being written."""


def keep(path: Path, folder: Path, role: str) -> Path:
    """A file that was uploaded, as it is kept in the folder; `role` is `input` or `mask`.

    Raises:
        SettingsError: it is not there any more, or is larger than the limit.
        VideoError: it is of no kind that is taken.
        WorkspaceError: it cannot be kept.
    """
    name = f"the {role} {path.name[:80]!r}"
    try:
        told = path.stat()
    except OSError as error:
        raise SettingsError(f"{name} is not there any more; upload it once more") from error
    _check_size(told.st_size, name)
    kind = _kind(path, name, {"input": _SOUND | _PICTURES}.get(role, _SOUND))
    stem = re.sub(r"[^\w-]+", "-", path.stem)[:40].strip("-") or role
    final = folder / f"{stem}-{_digest(path, told.st_mtime_ns, told.st_size)}{kind}"
    if not _asked(final):
        with _partial(folder) as partial:
            try:
                os.link(path, final)
            except OSError:  # on another disk, or somebody was faster
                shutil.copyfile(path, partial)
                partial.replace(final)
    return final


@functools.lru_cache(maxsize=1000)
def _digest(path: Path, *_: int) -> str:
    """That of the file, which is read once in a state that the other arguments tell."""
    return file_digest(path)[:16]


def keep_url(url: str, folder: Path) -> Path:
    """The video that a data URL holds, as it is kept in the folder.

    Raises:
        SettingsError: the URL is none of a video, is damaged, or is larger than the limit.
        VideoError: it holds no video.
        WorkspaceError: it cannot be kept.
    """
    name = "the input's data URL"
    head = _DATA_URL.match(url[:64])
    if head is None:
        raise SettingsError(f"{name} is not data:video/...;base64,...")
    _check_size((len(url) - head.end()) // 4 * 3, name)
    with _partial(folder) as partial:
        with partial.open("wb") as file:
            for block in _unpacked(url, head.end()):
                file.write(block)
        kind = _kind(partial, name, _SOUND | _PICTURES)
        final = folder / f"{file_digest(partial)[:16]}{kind}"
        if not _asked(final):
            partial.replace(final)
    return final


def _unpacked(url: str, start: int) -> Iterator[bytes]:
    """The content of the data URL, a block at a time."""
    for place in range(start, len(url), _BLOCK):
        block = url[place : place + _BLOCK]
        try:
            if "=" in block.rstrip("=") or ("=" in block and place + _BLOCK < len(url)):
                raise ValueError("its padding stands in the middle")
            yield base64.b64decode(block.encode("ascii"), validate=True)
        except ValueError as error:
            cause = "it holds other characters than those of base64"
            cause = str(error) if "padding" in str(error) else cause
            raise SettingsError(
                f"the input's data URL is damaged: {cause}; encode it anew"
            ) from error


def _check_size(size: int, name: str) -> None:
    limit = limits.current().upload
    if size > limit << 20:
        raise SettingsError(
            f"{name} has {-(-size >> 20)} MiB and is over the limit of {limit} MiB; put the file "
            "where the webui may read it, or raise the limit with --ofgen-limit upload=MIB"
        )


def _kind(path: Path, name: str, refused: Collection[str]) -> str:
    """The extension that the file is to have; `name` is for messages."""
    try:
        kind = extension_of(path)
    except VideoError as error:
        told = str(error).replace(repr(path.name), name)
        raise VideoError(told, bad_input=True) from error
    if kind in refused:
        what = "sound alone" if kind in _SOUND else "a picture"
        raise VideoError(f"{name} is {what} and no video; give a video file", bad_input=True)
    return kind


@contextlib.contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """A name in the folder that nobody else writes to; nothing is left under it."""
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
            with contextlib.suppress(OSError):  # it holds others
                folder.rmdir()


def _asked(path: Path) -> bool:
    """Whether the file is there; it stays for a while from now on."""
    with _LOCK:
        _ASKED[path.name] = time.monotonic()
        return path.is_file()


def let_go(path: Path, since: float) -> None:
    """Say that a job which began at `since` needs the file no more; who asked later may."""
    with _LOCK:
        if _ASKED.get(path.name, since) <= since:
            _ASKED.pop(path.name, None)


def sweep(folder: Path, needed: Collection[str]) -> None:
    """Delete what was kept in the folder and has none of the names that are needed."""
    with _LOCK:
        now = time.monotonic()
        for name in [name for name, when in _ASKED.items() if now - when > _PATIENCE]:
            _ASKED.pop(name)
        for path in folder.glob("*"):
            kept = path.name in needed or path.name in _ASKED or path.name in _WRITING
            if not kept and _OURS.fullmatch(path.name) and not path.is_symlink():
                with contextlib.suppress(OSError):  # somebody reads it, and Windows holds it
                    path.unlink()
