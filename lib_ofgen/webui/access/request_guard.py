"""Which requests may change something, and which files the upload route has stored."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from lib_ofgen.webui.access.uploads import RECEIVED

__all__ = ["is_foreign", "watch_uploads"]

_PORTS = {"http": 80, "https": 443}
_MAX_ANSWER = 1 << 20
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

    Args:
        site: The header Sec-Fetch-Site; programs that are not browsers send none.
        origin: The header Origin; programs that are not browsers send none.
        host: The header Host.
        allowed: Origins whose pages the host accepts; `*` is any.
        pattern: Regular expression of further such origins.
    """
    if origin and (origin in allowed or "*" in allowed):
        return False
    if origin and pattern and re.fullmatch(pattern, origin):
        return False
    if site not in (None, "same-origin", "none"):
        return True
    return origin is not None and not _is_same_host(origin, host)


def _is_same_host(origin: str, host: str) -> bool:
    """Whether the origin is the host that the request asks."""
    try:
        scheme, name = urlsplit(origin).scheme.lower(), urlsplit(origin).hostname
        target = urlsplit(f"//{host}")
        port = _PORTS.get(scheme)
        ports = urlsplit(origin).port or port, target.port or port
    except ValueError:
        return False
    return bool(name) and name == target.hostname and ports[0] == ports[1]


def watch_uploads(_: Any, app: Any) -> None:
    """Note which files the host's upload route stores; for the host's `on_app_started`."""
    for route in app.routes:
        if getattr(route, "path", "").rstrip("/") == "/upload" and hasattr(route, "app"):
            route.app = _UploadRoute(route.app)


class _UploadRoute:
    """The host's upload route; it answers with the list of paths of the stored files."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self, scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]
    ) -> None:
        stored, body = False, b""

        async def read_answer(message: Message) -> None:
            nonlocal stored, body
            if message["type"] == "http.response.start":
                stored = message["status"] == 200
            elif message["type"] == "http.response.body" and len(body) <= _MAX_ANSWER:
                body += message.get("body", b"")
                if stored and not message.get("more_body"):
                    RECEIVED.add(_stored_paths(body))
            await send(message)

        await self._app(scope, receive, read_answer)


def _stored_paths(body: bytes) -> list[str]:
    """Return the paths in an answer of the upload route."""
    try:
        answer = json.loads(body)
    except ValueError:
        return []
    return [one for one in answer if isinstance(one, str)] if isinstance(answer, list) else []
