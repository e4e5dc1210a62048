"""A webui's public API behind an address: JSON in, JSON out, failures as `PainterError`."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from lib_ofgen.errors import PainterError

__all__ = ["Host", "NoRouteError"]

_QUICK = 30.0  # seconds that a list of names may take
_LONGEST_PAUSE = 8.0  # seconds between two tries
_CRASHES = 3  # how often a 500 is tried again: it is the host's own error, and seldom passes


class _AwayError(PainterError):
    """What may pass: a connection refused or lost, an answer of 5xx."""

    def __init__(self, message: str, *, crash: bool = False) -> None:
        super().__init__(message)
        self.crash = crash


class NoRouteError(PainterError):
    """A route that the host does not have; while it starts, its pages are there before its API."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a redirected POST loses its body, and takes the password elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Host:
    """The webui behind one address: JSON in, JSON out, every failure a `PainterError`."""

    def __init__(self, url: str, auth: str | None, timeout: float, patience: float) -> None:
        """`timeout` s for one answer, `patience` s for a host that is away; contacts nobody."""
        self.url, found = _address(url)
        auth = auth or found
        if auth is not None and ":" not in auth:
            raise PainterError(f"{self.url}: give the painter's credentials as user:password")
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if auth is not None:
            token = base64.b64encode(auth.encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._timeout, self._patience = timeout, patience
        local = _is_local(urllib.parse.urlsplit(self.url).hostname or "")
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(_NoRedirect, *proxies)

    def call(self, route: str, document: Any = None, *, quick: bool = False) -> Any:
        """The answer to one GET, or to one POST of `document`.

        The route is one of `/sdapi/v1`, or begins with a slash.
        """
        data = None if document is None else json.dumps(document).encode()
        url = self.url + (route if route.startswith("/") else f"/sdapi/v1/{route}")
        request = urllib.request.Request(url, data=data, headers=self._headers)
        timeout = min(self._timeout, _QUICK) if quick else self._timeout
        try:
            with self._opener.open(request, timeout=timeout) as reply:
                body = reply.read()
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error, route) from error
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise self._failure(error, timeout) from error
        try:
            return json.loads(body)
        except ValueError as error:
            raise PainterError(
                f"{url}: the answer is not JSON: check that this is a webui started with --api"
            ) from error

    def insist(
        self, route: str, document: Any = None, again: Callable[[], None] | None = None
    ) -> Any:
        """`call`, tried again while the host is away; `again` runs before each new try."""
        end: float | None = None
        pause, crashes = min(0.5, self._patience / 4), 0
        while True:
            try:
                if end is not None and again is not None:
                    again()
                return self.call(route, document)
            except (_AwayError, NoRouteError) as error:
                now = time.monotonic()
                end = now + self._patience if end is None else end
                crashes += isinstance(error, _AwayError) and error.crash
                if now + pause > end or crashes > _CRASHES:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _refusal(self, error: urllib.error.HTTPError, route: str) -> PainterError:
        """What an answer of 3xx to 5xx means, with the host's own words."""
        said = _said(error)
        what = f"{self.url}: answered {error.code} to {route}" + (f": {said}" if said else "")
        if error.code >= 500:
            return _AwayError(what, crash=error.code == 500)
        if error.code in (401, 403):
            return PainterError(f"{what}: give its credentials by --painter-auth user:password")
        if error.code == 404 and said in ("", "Not Found"):
            return NoRouteError(f"{what}: start the webui with --api")
        if error.code < 400:
            return PainterError(f"{what}: give {error.headers.get('Location')} as the address")
        return PainterError(what)

    def _failure(self, error: Exception, timeout: float) -> PainterError:
        """What a connection that was not made, or did not last, means."""
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            return PainterError(
                f"{self.url}: no answer in {timeout:g} s: check that the webui is not stuck"
            )
        text = _one_line(str(getattr(reason, "strerror", None) or reason or type(reason).__name__))
        if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLEOFError):
            return PainterError(f"{self.url}: no secure connection ({text}): check the address")
        return _AwayError(
            f"{self.url}: cannot be reached ({text}): "
            "check the address, and that the webui runs there with --api"
        )


def _address(url: str) -> tuple[str, str | None]:
    """The webui's root without a trailing slash, and the user:password that the URL holds."""
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port, name = parts.port, parts.hostname
        if parts.scheme not in ("http", "https") or not name:
            raise ValueError
    except ValueError as error:
        raise PainterError(
            f"{url!r} is no painter: give http://HOST:PORT of a webui, or 'brush'"
        ) from error
    host = f"[{name}]" if ":" in name else name
    root = parts.path.rstrip("/").removesuffix("/sdapi/v1").rstrip("/")
    auth = None
    if parts.username is not None:
        auth = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{root}", auth


def _is_local(name: str) -> bool:
    """Whether the host is this machine, which no proxy stands before."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _said(error: urllib.error.HTTPError) -> str:
    """The host's own words about an error, in one line; empty where it said nothing to read."""
    try:
        answer = json.loads(error.read())
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    if not isinstance(answer, dict):
        return ""
    words: list[str] = []
    for key in ("error", "detail", "errors"):
        value = answer.get(key)
        problems = value if isinstance(value, list) else [value]
        words += [str(p.get("msg", p)) if isinstance(p, dict) else str(p) for p in problems if p]
    return _one_line(", ".join(words))


def _one_line(text: str) -> str:
    """The text on one line of at most 300 characters."""
    return " ".join(text.split())[:300]
