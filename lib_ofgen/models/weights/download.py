"""Download of one file: resumed after a lost connection, and written whole or not at all."""

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
"""Attempts in a row without a new byte after which a download fails."""
_PAUSE = 1.0
"""Seconds before another attempt."""
_MOST = 8 << 30
"""Most bytes of a file of unknown size."""
_NOTE = 1 << 16
"""Bytes of a note that are read."""
_PAGES = ("text/html", "application/xhtml+xml")
_RANGE = re.compile(r"bytes (?P<start>\d{1,15})-\d{1,15}/(?P<whole>\d{1,15}|\*)")

Told = Callable[[int, int], None]
"""Called with the number of bytes so far, and of all bytes; 0 if unknown."""


def fetch(url: str, target: Path, told: Told, *, size: int = 0, whole: Path | None = None) -> None:
    """Put what is at `url`, an address of http or https, under `target`, or under `whole` instead.

    An incomplete file lies beside `target` and is resumed if the server says that the file is
    still the same; a changed one begins again. A lost connection is tried again. `size` is
    the number of the file's bytes, 0 if unknown; not more than these, or 8 GiB, are read. The
    caller prevents two downloads of one target at once.

    Raises:
        WeightsError: if it cannot be downloaded; the message says why, in a few words.
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
    except Exception:  # a broken installation raises any exception
        return False
    return True


def from_hub(repository: str, revision: str, target: Path) -> None:
    """Put the file of `target`'s name, of that revision of a repository, under `target`.

    This uses the hub's own client, so that the user's cache, mirror and proxy are used. On one
    disk, the file is a link to the cache.

    Raises:
        WeightsError: if it cannot be downloaded; the message says why, in a few words.
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
    """Put the bytes of `source` under `target` too: a link on the same disk, else a copy.

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
    """The connection was lost before the file was complete."""


class _Part:
    """An incomplete file, with a note on the version of the file."""

    def __init__(self, target: Path, size: int) -> None:
        self.folder = target.parent
        """Its path."""
        self._file = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")
        self.wanted = size
        """Bytes; 0 where that is not known."""
        self.most = size or _MOST
        """Most bytes that are accepted."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(f"cannot make '{target.parent}': {error.strerror}") from error

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.stat().st_size if self._file.is_file() else 0

    def version(self, url: str) -> str:
        """The validator of the version so far; empty if it cannot be resumed."""
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
        """Empty the file; the next bytes belong to this version."""
        # In this order: a note must never vouch for the bytes of another version.
        with _explain_errors(self._file):
            self._note.unlink(missing_ok=True)
            self._file.write_bytes(b"")
            # The address itself may hold what is secret.
            self._note.write_text(json.dumps({"address": _mark(url), "version": version}), "utf-8")

    def append(self, answer: Any, told: Told, of: int) -> None:
        """Append what the server sends."""
        there = self.size
        with _explain_errors(self._file):
            file = self._file.open("ab")
        with file:
            # Not block by block: a slow connection then loses little, and shows progress.
            while block := answer.read1(_BLOCK):
                there += len(block)
                if there > self.most:
                    self.forget()
                    raise WeightsError(f"the server gives more than the file's {self.most} bytes")
                with _explain_errors(self._file):
                    file.write(block)
                    file.flush()
                told(there, of)

    def forget(self) -> None:
        """Begin the file again."""
        self._note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """All is there."""
        with _explain_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._file.replace(target)
            self._note.unlink(missing_ok=True)


@contextlib.contextmanager
def _explain_errors(path: Path) -> Any:
    """Explain an error of writing at once: only a lost connection is tried again."""
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"cannot write '{path}': {error.strerror or error}; mend it and run the same command "
            "again: the part so far is kept"
        ) from error


def _some(url: str, part: _Part, told: Told) -> None:
    """Download as much of the file as one connection gives."""
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
    """Whether the file is complete, by an answer that the range does not exist."""
    whole = str(refusal.headers.get("Content-Range", "")).strip() == f"bytes */{have}"
    return whole and _validator(refusal) in ("", version)


def _check_kind(answer: Any) -> None:
    """Check that the answer is a file or a part of one.

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
    """Return where in the file the answer's bytes begin, and the file's size; 0 if unknown."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, answer.length or 0
    found = _RANGE.fullmatch(str(answer.headers.get("Content-Range", "")).strip())
    if not found:
        return -1, 0
    start, whole = int(found["start"]), found["whole"]
    return start, int(whole) if whole != "*" else start + (answer.length or 0)


def _check_size(whole: int, part: _Part) -> None:
    """Check that a file may be so large; 0 is unknown.

    Raises:
        WeightsError: if it is too large.
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
        """Return the request that replaces `req`."""
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
    """Return an opener for addresses of http and https only."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPErrorProcessor, _OnlyHttp,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _check_address(url: str) -> None:
    """Check that an address may be fetched.

    Raises:
        WeightsError: if it is not.
    """
    if not is_address(url):
        raise WeightsError(f"{safe_text.hide_secrets(url)!r} is not an address of http or https")


def _mark(url: str) -> str:
    """Return a digest that identifies an address without revealing it."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _validator(answer: Any) -> str:
    """Return the validator of this version of the file; empty if the server sends none."""
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
    """Describe an error in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code // 100 == 3:
            return f"the server answers {error.code} and sends us on to no file of http or https"
        return f"the server answers {error.code} {http.client.responses.get(error.code, '')}"
    if isinstance(error, urllib.error.URLError):
        return f"no connection: {safe_text.to_one_line(str(error.reason)[:200])}"
    return safe_text.to_one_line(" ".join(str(error).split())[:200]) or type(error).__name__
