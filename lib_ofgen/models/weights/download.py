"""One file from the web: resumed where it broke off, and whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib_ofgen.errors import WeightsError
from lib_ofgen.system import safe_text

__all__ = ["fetch", "from_hub", "has_hub", "is_address", "link_or_copy"]

_BLOCK = 1 << 18
_TIMEOUT = 30.0
"""Seconds without a byte."""
_TRIES = 3
"""Attempts in a row that bring no byte more than was ever there, before it is given up."""
_PAUSE = 1.0
"""Seconds before another attempt."""
_MOST = 8 << 30
"""Bytes of a file whose size nobody has told beforehand."""
_NOTE = 1 << 16
"""Bytes of a note that are read."""
_PAGES = ("text/html", "application/xhtml+xml")
_RANGE = re.compile(r"bytes (?P<start>\d{1,15})-\d{1,15}/(?P<whole>\d{1,15}|\*)")

Told = Callable[[int, int], None]
"""Hears how many bytes are there, and of how many; 0 where nobody knows."""


def fetch(url: str, target: Path, told: Told, *, size: int = 0, whole: Path | None = None) -> None:
    """Put what is at `url`, an address of http or https, under `target`, or under `whole` instead.

    What has come so far lies beside `target` and is gone on with, if the server says that the file
    is still the same; a changed one begins anew. A line that breaks off is tried again. `size` is
    how many bytes the file has, 0 where that is not known; no more than these come, or 8 GiB. Two
    at once for one target are the caller's to prevent.

    Raises:
        WeightsError: if it cannot be had; the message says why, in a few words.
    """
    _check_address(url)
    part = _Part(target, size)
    tries, most = 0, part.size
    while True:
        try:
            _some(url, part, told)
            break
        except (urllib.error.URLError, http.client.HTTPException, OSError, _BrokenError) as error:
            tries = 1 if part.size > most else tries + 1
            most = max(most, part.size)
            if isinstance(error, urllib.error.HTTPError) or tries >= _TRIES:
                raise WeightsError(_why(error)) from error
            time.sleep(_PAUSE)
    part.finish(whole or target)


def is_address(url: str) -> bool:
    """Whether it is an address of http or https without a user and password."""
    try:
        parts = urllib.parse.urlsplit(url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and "@" not in parts.netloc and url.isprintable() and " " not in url


def has_hub() -> bool:
    """Whether the Hugging Face hub's own client is installed, and can be imported."""
    try:
        import huggingface_hub  # noqa: F401
    except Exception:  # a broken installation raises anything at all
        return False
    return True


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
        link_or_copy(Path(found).resolve(), target)
    except Exception as error:  # the client has a tree of errors for each of its versions
        said = safe_text.to_one_line(" ".join(str(error).split())[:200])
        raise WeightsError(f"the hub's client says {said or type(error).__name__}") from error


def link_or_copy(source: Path, target: Path) -> None:
    """Put the bytes of `source` under `target` too: on one disk as a link, else as a copy.

    Raises:
        OSError: if it cannot be written.
    """
    partial = target.with_name(f".{target.name}.link")
    partial.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another disk, or a file system without links
        os.link(source, partial)
    if not partial.exists():
        shutil.copyfile(source, partial)
    partial.replace(target)


class _BrokenError(Exception):
    """The line broke off before all had come."""


class _Part:
    """What has come so far, and of which version of which file."""

    def __init__(self, target: Path, size: int) -> None:
        self.folder = target.parent
        """Where it lies."""
        self._file = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")
        self.wanted = size
        """Bytes; 0 where that is not known."""
        self.most = size or _MOST
        """Bytes that are taken."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(f"cannot make '{target.parent}': {error.strerror}") from error

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self._file.stat().st_size if self._file.is_file() else 0

    def version(self, url: str) -> str:
        """The validator of the version that is there; empty where nothing can be gone on with."""
        if not self._note.is_file():
            return ""
        try:
            with self._note.open("rb") as file:
                note = json.loads(file.read(_NOTE))
            known = note["address"] == _mark(url) and isinstance(note["version"], str)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return ""
        return note["version"] if known and self.size and note["version"].isprintable() else ""

    def begin(self, url: str, version: str) -> None:
        """Nothing is there any more; what comes is of this version."""
        # In this order: a note must never vouch for the bytes of another version.
        with _written(self._file):
            self._note.unlink(missing_ok=True)
            self._file.write_bytes(b"")
            # The address itself may hold what is secret.
            self._note.write_text(json.dumps({"address": _mark(url), "version": version}), "utf-8")

    def append(self, answer: Any, told: Told, of: int) -> None:
        """Add what the server sends to what is there."""
        there = self.size
        with _written(self._file):
            file = self._file.open("ab")
        with file:
            # As it comes, not by the block: a slow line loses little, and shows that it lives.
            while block := answer.read1(_BLOCK):
                there += len(block)
                if there > self.most:
                    self.forget()
                    raise WeightsError(f"the server gives more than the file's {self.most} bytes")
                with _written(self._file):
                    file.write(block)
                    file.flush()
                told(there, of)

    def forget(self) -> None:
        """Have the file begin anew."""
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """All is there."""
        with _written(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file.replace(target)
            self._note.unlink(missing_ok=True)


@contextlib.contextmanager
def _written(path: Path) -> Any:
    """An error of writing is told at once; only the line is worth another attempt."""
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"cannot write '{path}': {error.strerror or error}; see to it and run the same command "
            "again: what has come is kept"
        ) from error


def _some(url: str, part: _Part, told: Told) -> None:
    """As much of the file as one connection gives."""
    version, have = part.version(url), part.size
    request = urllib.request.Request(url, headers={"User-Agent": "ofgen"})
    if version:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    try:
        answer = _opener().open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if not version or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            if _is_all(error, version, have):
                return
        part.forget()
        raise _BrokenError("the server's file is another one now") from error
    with answer:
        _check_kind(answer)
        start, whole = _place(answer)
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        wanted = have if version else 0
        if goes_on and (start != wanted or _validator(answer) not in ("", version)):
            part.forget()
            raise _BrokenError("the server gives another part than was asked for")
        _check_size(whole, part)
        _check_room(part, answer.length or 0)
        if not start:
            part.begin(url, _validator(answer))
        part.append(answer, told, whole)
    whole = whole or part.wanted
    if part.size < whole:
        raise _BrokenError(f"{part.size} of {whole} bytes came")


def _is_all(refusal: Any, version: str, have: int) -> bool:
    """Whether nothing is left to come, by an answer that no such range is there."""
    whole = str(refusal.headers.get("Content-Range", "")).strip() == f"bytes */{have}"
    return whole and _validator(refusal) in ("", version)


def _check_kind(answer: Any) -> None:
    """Do nothing if the answer is a file or a part of one.

    Raises:
        WeightsError: if it is something else.
    """
    if answer.headers.get_content_type() in _PAGES:
        raise WeightsError("the server gives a page, of a quota or a consent, and no file")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise WeightsError("the server gives it compressed, which nobody asked for")
    if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.PARTIAL_CONTENT):
        raise WeightsError(f"the server answers {answer.status} and gives no file")


def _place(answer: Any) -> tuple[int, int]:
    """Where in the file the answer's bytes begin, and how many it has; 0 where nobody tells."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, answer.length or 0
    found = _RANGE.fullmatch(str(answer.headers.get("Content-Range", "")).strip())
    if not found:
        return -1, 0
    start, whole = int(found["start"]), found["whole"]
    return start, int(whole) if whole != "*" else start + (answer.length or 0)


def _check_size(whole: int, part: _Part) -> None:
    """Do nothing if the file may be so large; 0 is unknown.

    Raises:
        WeightsError: if it may not.
    """
    if whole > part.most:
        raise WeightsError(
            f"the server's file has {whole} bytes and not {part.most}: it is another file"
        )


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows a server to other addresses of http and https, and never from https to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """The request that is made in the place of `req`."""
        address = newurl.replace(" ", "%20")
        with contextlib.ExitStack() as refused:
            refused.callback(fp.close)
            _check_address(address)
            if req.type == "https" and not address.startswith("https:"):
                raise WeightsError(
                    f"the server sends us on to {safe_text.hide_secrets(address)}, in clear"
                )
            refused.pop_all()
        return super().redirect_request(req, fp, code, msg, headers, address)


def _opener() -> urllib.request.OpenerDirector:
    """What opens addresses of http and https alone."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, _OnlyHttp,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _check_address(url: str) -> None:
    """Do nothing if it is an address that may be fetched.

    Raises:
        WeightsError: if it is not.
    """
    if not is_address(url):
        raise WeightsError(f"{safe_text.hide_secrets(url)!r} is no address of http or https")


def _mark(url: str) -> str:
    """A mark by which an address is known again, and which does not tell it."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


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
        if error.code // 100 == 3:
            return f"the server answers {error.code} and sends us on to no file of http or https"
        return f"the server answers {error.code} {http.client.responses.get(error.code, '')}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection: {safe_text.to_one_line(str(error.reason)[:200])}"
    return safe_text.to_one_line(" ".join(str(error).split())[:200]) or type(error).__name__
