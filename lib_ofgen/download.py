"""One file from the web: resumed where it broke off, and whole or not at all."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

from lib_ofgen.errors import WeightsError

__all__ = ["fetch", "from_hub", "has_hub"]

_BLOCK = 1 << 18
_TIMEOUT = 30.0
"""Seconds without a byte."""
_TRIES = 3
"""Attempts in a row without a byte before it is given up."""
_PAUSE = 1.0
"""Seconds before another attempt."""

Told = Callable[[int, int], None]
"""Hears how many bytes are there, and of how many; 0 where nobody knows."""


def fetch(url: str, target: Path, told: Told) -> None:
    """Put what is at `url` under `target`.

    What has come so far lies beside it and is gone on with, if the server says that the file is
    still the same; a changed one begins anew. A line that breaks off is tried again.

    Raises:
        WeightsError: it cannot be had; the message says why, in a few words.
    """
    part = _Part(target)
    tries = 0
    while True:
        before = part.size
        try:
            _some(url, part, told)
            break
        except (urllib.error.URLError, http.client.HTTPException, OSError, _BrokenError) as error:
            tries = tries + 1 if part.size <= before else 1
            if isinstance(error, urllib.error.HTTPError) or tries >= _TRIES:
                raise WeightsError(_why(error)) from error
            time.sleep(_PAUSE)
    part.finish()


def has_hub() -> bool:
    """Whether the Hugging Face hub's own client is installed."""
    return util.find_spec("huggingface_hub") is not None


def from_hub(repository: str, revision: str, target: Path) -> None:
    """Put the file of `target`'s name, of that revision of a repository, under `target`.

    By the hub's own client, so that its cache, its mirror and its proxy are the user's. On one
    disk the cache's bytes and these are the same.

    Raises:
        WeightsError: it cannot be had; the message says why, in a few words.
    """
    import huggingface_hub

    try:
        found = huggingface_hub.hf_hub_download(repository, target.name, revision=revision)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        partial.unlink(missing_ok=True)
        source = Path(found).resolve()
        with contextlib.suppress(OSError):  # another disk
            os.link(source, partial)
        if not partial.exists():
            shutil.copyfile(source, partial)
        partial.replace(target)
    except Exception as error:  # the client has a tree of errors for each of its versions
        said = " ".join(str(error).split())[:200]
        raise WeightsError(f"the hub's client says {said or type(error).__name__}") from error


class _BrokenError(Exception):
    """The line broke off before all had come."""


class _Part:
    """What has come so far, and of which version of which file."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._file = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(f"cannot make '{target.parent}': {error.strerror}") from error

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._target.parent

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self._file.stat().st_size if self._file.is_file() else 0

    def version(self, url: str) -> str:
        """The validator of the version that is there; empty where nothing can be gone on with."""
        try:
            note = json.loads(self._note.read_text("utf-8"))
        except (OSError, ValueError):
            return ""
        return str(note["version"]) if note.get("url") == url and self.size else ""

    def write(self, url: str, version: str, answer: Any, start: int, told: Told, of: int) -> None:
        """Append what the server sends to the first `start` bytes."""
        self._note.write_text(json.dumps({"url": url, "version": version}), "utf-8")
        with self._file.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            while block := answer.read(_BLOCK):
                file.write(block)
                start += len(block)
                told(start, of)

    def finish(self) -> None:
        """All is there."""
        self._file.replace(self._target)
        self._note.unlink(missing_ok=True)


def _some(url: str, part: _Part, told: Told) -> None:
    """As much of the file as one connection gives."""
    version, have = part.version(url), part.size
    request = urllib.request.Request(url, headers={"User-Agent": "ofgen"})
    if version:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        if "text/html" in answer.headers.get("Content-Type", ""):
            raise WeightsError("the server gives a page, of a quota or a consent, and no file")
        start = have if answer.status == 206 and _starts_at(answer, have) else 0
        length = int(answer.headers.get("Content-Length") or 0)
        whole = start + length if length else 0
        _check_room(part, length)
        part.write(url, _validator(answer), answer, start, told, whole)
        if whole and part.size < whole:
            raise _BrokenError(f"{part.size} of {whole} bytes came")


def _starts_at(answer: Any, have: int) -> bool:
    """Whether a partial answer goes on where we are; anything else begins anew."""
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _validator(answer: Any) -> str:
    """What tells this version of the file from others; empty where the server gives none."""
    tag = str(answer.headers.get("ETag") or "")
    # A weak tag does not vouch for bytes, RFC 9110 section 13.1.5.
    return str(answer.headers.get("Last-Modified") or "") if tag[:2] in ("", "W/") else tag


def _check_room(part: _Part, length: int) -> None:
    folder = part.folder
    free = shutil.disk_usage(folder).free
    if length > free:
        raise WeightsError(
            f"'{folder}' has room for {free >> 20} MiB and {length >> 20} are to come"
        )


def _why(error: Exception) -> str:
    """In a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection: {error.reason}"
    return str(error) or type(error).__name__
