"""Who may come in: which requests may change something, and what the upload route stores."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from lib_ofgen.webui.access.uploads import RECEIVED

__all__ = ["is_foreign", "watch_uploads"]

_PORTS = {"http": 80, "https": 443}
_LARGEST = 1 << 20
"""Bytes of an answer of the upload route that are read."""

Message = MutableMapping[str, Any]


def is_foreign(
    site: str | None,
    origin: str | None,
    host: str,
    allowed: Collection[str] = (),
    pattern: str = "",
) -> bool:
    """Whether a browser sends the request for a page of another site.

    `site`, `origin` and `host` are the headers Sec-Fetch-Site, Origin and Host. A program that is
    no browser sends neither of the first two. Origins in `allowed`, or that `pattern` matches, are
    those whose pages the host lets in.
    """
    if origin and (origin in allowed or "*" in allowed):
        return False
    if origin and pattern and re.fullmatch(pattern, origin):
        return False
    if site not in (None, "same-origin", "none"):
        return True
    return origin is not None and not _same(origin, host)


def _same(origin: str, host: str) -> bool:
    """Whether the origin is at the host that was asked."""
    try:
        scheme, name = urlsplit(origin).scheme.lower(), urlsplit(origin).hostname
        asked = urlsplit(f"//{host}")
        port = _PORTS.get(scheme)
        ports = urlsplit(origin).port or port, asked.port or port
    except ValueError:
        return False
    return bool(name) and name == asked.hostname and ports[0] == ports[1]


def watch_uploads(_: Any, app: Any) -> None:
    """Remember what the host's upload route stores; for the host's `on_app_started`."""
    for route in app.routes:
        if getattr(route, "path", "").rstrip("/") == "/upload" and hasattr(route, "app"):
            route.app = _Watched(route.app)


class _Watched:
    """A route that answers with the list of paths under which it has stored what was sent."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]
    ) -> None:
        stored, body = False, b""

        async def heard(message: Message) -> None:
            nonlocal stored, body
            if message["type"] == "http.response.start":
                stored = message["status"] == 200
            elif message["type"] == "http.response.body" and len(body) <= _LARGEST:
                body += message.get("body", b"")
                if stored and not message.get("more_body"):
                    RECEIVED.note(_paths(body))
            await send(message)

        await self._app(scope, receive, heard)


def _paths(body: bytes) -> list[str]:
    try:
        told = json.loads(body)
    except ValueError:
        return []
    return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
