"""A webui's public API behind an address: JSON in, JSON out, failures as `PainterError`."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import json
import ssl
import time
import urllib.error
import urllib.parse
from collections.abc import Callable
from typing import Any

from lib_ofgen.errors import PainterError, Stopped
from lib_ofgen.system import limits
from lib_ofgen.system.http_request import HttpClient, PackedError, Reply, TooLargeError
from lib_ofgen.system.safe_text import hide_secrets, to_one_line

__all__ = ["MIB", "Host", "NoRouteError"]

MIB = 1 << 20
_LISTS = 16 * MIB  # bytes of a list of names
_PARTS = 1_000_000  # values of an answer: more of them than bytes are what fills the memory
_QUICK = 30.0  # seconds that a list of names may take
_FAREWELL = 0.3  # seconds for a last word to the host when the user has asked to stop
_LONGEST_PAUSE = 8.0  # seconds between two tries
_LOOK = 0.1  # seconds between two looks whether to stop
_CRASHES = 3  # how often a 500 is tried again: it is the host's own error, and seldom passes
_LONGEST = 300  # characters of the host's words
_SECRET = 6  # characters from which a password is looked for in the host's words


class _AwayError(PainterError):
    """A failure that may pass: a connection refused or lost, an answer of 5xx."""

    def __init__(self, message: str, *, crash: bool = False) -> None:
        super().__init__(message)
        self.crash = crash


class NoRouteError(PainterError):
    """A route that the host does not have; while it starts, its pages are there before its API."""


class Host:
    """The webui behind one address: JSON in, JSON out, every failure a `PainterError`."""

    def __init__(
        self,
        url: str,
        auth: str | None,
        timeout: float,
        patience: float,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """`timeout` s for one answer, `patience` s for a host that is away; contacts nobody.

        While anything is waited for, `should_stop` is asked whether the user wants to stop.
        """
        self._root, found = _address(url)
        self.url = hide_secrets(self._root)
        """As messages name it: without user and password."""
        given = found if auth is None else auth.encode("utf-8", "surrogatepass")
        if given is not None and b":" not in given:
            raise PainterError(f"{self.url}: give the painter's credentials as user:password")
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        self._secrets: list[str] = []
        if given is not None:
            token = base64.b64encode(given).decode()
            self._headers["Authorization"] = f"Basic {token}"
            self._secrets = [token, *_forms(given.partition(b":")[2].decode("utf-8", "replace"))]
        self._timeout, self._patience, self._should_stop = timeout, patience, should_stop
        self._line = HttpClient(direct=_is_local(urllib.parse.urlsplit(self._root).hostname or ""))

    def call(
        self, route: str, document: Any = None, *, quick: bool = False, most: int = _LISTS
    ) -> Any:
        """The answer, of `most` bytes at most, to one GET, or to one POST of `document`.

        The route is one of `/sdapi/v1`, or begins with a slash.

        Raises:
            PainterError: if there is no answer, or not a webui's.
            Stopped: if the user asked to stop meanwhile.
        """
        timeout = min(self._timeout, _QUICK) if quick else self._timeout
        most = min(most, limits.current().answer * MIB)
        failure: PainterError | None = None
        try:
            reply = self._ask(route, document, most, timeout, self._should_stop)
        except (OSError, http.client.HTTPException, ValueError) as error:
            failure = self._failure(error, timeout)
        except (TooLargeError, PackedError) as error:
            failure = self._refuse_answer(error, most)
        else:
            return self._read(reply, route)
        raise failure  # out here, for what was caught may quote the address

    def insist(
        self,
        route: str,
        document: Any = None,
        again: Callable[[], None] | None = None,
        *,
        most: int = _LISTS,
    ) -> Any:
        """`call`, tried again while the host is away; `again` runs before each new try."""
        end: float | None = None
        pause, crashes = min(0.5, self._patience / 4), 0
        while True:
            try:
                if end is not None and again is not None:
                    again()
                return self.call(route, document, most=most)
            except (_AwayError, NoRouteError) as error:
                now = time.monotonic()
                end = now + self._patience if end is None else end
                crashes += isinstance(error, _AwayError) and error.crash
                if now + pause > end or crashes > _CRASHES:
                    raise
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def leave(self, route: str, document: Any, *, brief: bool) -> None:
        """POST a last word and make little of what becomes of it; `brief`: the user waits."""
        seconds = _FAREWELL if brief or self._should_stop() else min(self._timeout, _QUICK)
        ignored = (OSError, http.client.HTTPException, ValueError, TooLargeError, PackedError)
        with contextlib.suppress(*ignored):
            self._ask(route, document, _LISTS, seconds, lambda: False)

    def refuse(self, text: str) -> PainterError:
        """An error that begins with the address; of `text` only what may be shown."""
        return PainterError(f"{self.url}: {self._clean_text(text, 2 * _LONGEST)}")

    def _ask(
        self,
        route: str,
        document: Any,
        most: int,
        timeout: float,
        should_stop: Callable[[], bool],
    ) -> Reply:
        data = None if document is None else json.dumps(document).encode()
        url = self._root + (route if route.startswith("/") else f"/sdapi/v1/{route}")
        return self._line.ask(
            url, data, self._headers, most=most, timeout=timeout, should_stop=should_stop
        )

    def _sleep(self, seconds: float) -> None:
        """Wait, unless the user asks to stop."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._should_stop():
                raise Stopped
            time.sleep(min(_LOOK, left))

    def _read(self, reply: Reply, route: str) -> Any:
        """The document of an answer."""
        if reply.status >= 300:
            raise self._refusal(reply, route)
        found = _document(reply.body)
        if found is _NONE:
            raise self.refuse(
                f"the answer to {route} is not JSON of a webui: "
                "check that this is one, started with --api"
            )
        return found

    def _refusal(self, reply: Reply, route: str) -> PainterError:
        """What an answer of 3xx to 5xx means, with the host's own words."""
        said, code = self._clean_text(_words(_document(reply.body))), reply.status
        what = f"{self.url}: answered {code} to {route}" + (f": {said}" if said else "")
        if code >= 500:
            return _AwayError(what, crash=code == 500)
        if code in (401, 403):
            return PainterError(f"{what}: give its credentials by --painter-auth user:password")
        if code == 404 and said in ("", "Not Found"):
            return NoRouteError(f"{what}: start the webui with --api")
        if code < 400:
            place = self._clean_text(hide_secrets(reply.headers.get("Location") or ""))
            return PainterError(f"{what}: give {place or 'where it leads'} as the address")
        return PainterError(what)

    def _failure(self, error: Exception, timeout: float) -> PainterError:
        """What a connection that was not made, or did not last, means."""
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            return PainterError(
                f"{self.url}: no answer in {timeout:g} s: check that the webui is not stuck"
            )
        text = str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
        if isinstance(reason, (ValueError, http.client.InvalidURL)):  # its text quotes the address
            text = "no valid address, or none of a proxy in http_proxy"
        text = self._clean_text(text)
        if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLEOFError):
            return PainterError(f"{self.url}: no secure connection ({text}): check the address")
        return _AwayError(
            f"{self.url}: cannot be reached ({text}): "
            "check the address, and that the webui runs there with --api"
        )

    def _refuse_answer(self, error: Exception, most: int) -> PainterError:
        """Return the refusal of an answer that was not read to its end."""
        if isinstance(error, PackedError):
            return self.refuse("the answer is compressed: switch that off there, or at its proxy")
        raised = most == limits.current().answer * MIB
        hint = "check that this is a webui" + (", or raise --limit answer=MIB" if raised else "")
        why = "" if raised else ", more than was asked for"
        return self.refuse(f"the answer is larger than {most / MIB:.0f} MiB{why}: {hint}")

    def _clean_text(self, text: str, longest: int = _LONGEST) -> str:
        """Return the host's text on one line, without control codes and secrets."""
        text = to_one_line(" ".join(text[: 8 * longest].split()))
        for secret in self._secrets:
            text = text.replace(secret, "...")
        return text[:longest]


def _address(url: str) -> tuple[str, bytes | None]:
    """Return the webui's root without a trailing slash, and the user:password in the URL."""
    parts = _parts(url.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise PainterError(
            f"{hide_secrets(url)!r} is not a painter: give http://HOST:PORT of a webui, or 'brush'"
        )
    if "@" in parts.path + parts.query + parts.fragment:
        raise PainterError(
            f"{hide_secrets(url)!r} has an @ behind its host: write / ? # of a password as %2F "
            "%3F %23, or give it by --painter-auth user:password"
        )
    name, port = parts.hostname, parts.port
    host = f"[{name}]" if ":" in name else name
    root = parts.path.rstrip("/").removesuffix("/sdapi/v1").rstrip("/")
    auth = None
    if parts.username is not None:
        known = f"{parts.username}:{parts.password or ''}".encode("utf-8", "surrogatepass")
        auth = urllib.parse.unquote_to_bytes(known)
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{root}", auth


def _parts(url: str) -> urllib.parse.SplitResult | None:
    """Return the parts of an address; None if it is not one: the error would quote passwords."""
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port  # raises if it is not a number
    except ValueError:
        return None
    return parts


def _forms(password: str) -> list[str]:
    """Return the forms of a password in a host's messages; none if it is too short to search."""
    if len(password) < _SECRET:
        return []
    found = {password, repr(password)[1:-1], json.dumps(password)[1:-1]}
    found |= {urllib.parse.quote(password), urllib.parse.quote(password, safe="")}
    found |= {to_one_line(" ".join(form.split())) for form in found}
    return sorted(found, key=len, reverse=True)


def _is_local(name: str) -> bool:
    """Whether the host is this machine, which is never behind a proxy."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


_NONE = object()
"""No document; JSON has a null of its own."""


def _document(body: bytearray) -> Any:
    """Parse JSON, or return `_NONE`; empty `body`, so that it is not in memory twice."""
    if sum(body.count(mark) for mark in b"[{,:") > _PARTS:
        return _NONE
    # One wide character, which may be escaped, makes the whole text four times as large.
    if (not body.isascii() or b"\\u" in body) and 3 * len(body) > limits.current().answer * MIB:
        return _NONE
    try:
        text = body.decode("utf-8")
        body.clear()
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NONE


def _words(answer: Any) -> str:
    """The host's own words about an error; empty where it said nothing to read."""
    if not isinstance(answer, dict):
        return ""
    words: list[str] = []
    for key in ("error", "detail", "errors"):
        value = answer.get(key)
        problems = value if isinstance(value, list) else [value]
        said = [one.get("msg") if isinstance(one, dict) else one for one in problems]
        words += [one for one in said if isinstance(one, str) and one]
    return ", ".join(words)
