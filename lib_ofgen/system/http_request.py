"""One HTTP request and its answer, with limits of bytes and seconds, and stoppable."""

from __future__ import annotations

import contextlib
import functools
import http.client
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import Any, NamedTuple

from lib_ofgen.errors import Stopped

__all__ = ["HttpClient", "PackedError", "Reply", "TooLargeError"]

_BLOCK = 1 << 18
_SAID = 1 << 16
"""Bytes that are read of an error's body."""
_LOOK = 0.1
"""Seconds between two checks whether to stop."""


class TooLargeError(Exception):
    """The answer has, or announces, more bytes than allowed."""


class PackedError(Exception):
    """The answer is compressed, although the request did not allow it."""


class Reply(NamedTuple):
    """An answer of any status; of a status from 300 only the beginning of the body."""

    status: int
    headers: Message
    body: bytearray


class HttpClient:
    """Sends requests; follows no redirect, which would lose a body and reveal a password."""

    def __init__(self, *, direct: bool) -> None:
        """With `direct`, the environment's proxies are not used."""
        proxies = [urllib.request.ProxyHandler({})] if direct else []
        self._opener = urllib.request.build_opener(_NoRedirect, _Http, _Https, *proxies)

    def ask(
        self,
        url: str,
        data: bytes | None,
        headers: dict[str, str],
        *,
        most: int,
        timeout: float,
        should_stop: Callable[[], bool],
    ) -> Reply:
        """Send a GET or, with `data`, a POST; return the answer, of at most `most` bytes.

        `timeout` s are for everything, from the host's name to the last byte. A thread does the
        work: looking up a name, and slow bytes, cannot be interrupted otherwise.

        Raises:
            Stopped: if `should_stop` says that the user asked for it.
            TimeoutError: if the answer is not complete in time.
            TooLargeError: if it is larger.
            PackedError: if it is compressed.
            OSError: if there is no connection, or it was lost; or another error of `http.client`.
            ValueError: if the address, or a proxy's, is invalid.
        """
        attempt = _Attempt()
        request = _Request(url, data, headers)
        request.attempt = attempt
        told: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

        def work() -> None:
            try:
                told.put(_answer(self._opener, request, most, timeout))
            except Exception as error:  # raised by the thread that waits
                told.put(error)

        threading.Thread(target=work, name="ofgen-exchange", daemon=True).start()
        try:
            found = _wait_for_reply(told, timeout, should_stop)
        finally:
            attempt.leave()
        if isinstance(found, Exception):
            raise found
        return found


def _wait_for_reply(
    told: queue.SimpleQueue[Reply | Exception], timeout: float, should_stop: Callable[[], bool]
) -> Reply | Exception:
    """Wait for the thread's reply."""
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            return told.get(timeout=min(_LOOK, left))
        if should_stop():
            raise Stopped
    raise TimeoutError


def _answer(
    opener: urllib.request.OpenerDirector, request: _Request, most: int, timeout: float
) -> Reply:
    """Read the whole answer in blocks."""
    try:
        reply: Any = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers, bytearray(error.read(_SAID)))
    with reply:
        if reply.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise PackedError
        if (reply.length or 0) > most:
            raise TooLargeError
        body = bytearray()
        while block := reply.read(_BLOCK):
            body += block
            if len(body) > most:
                raise TooLargeError
        if reply.length:  # `read` does not report a body that is too short
            raise http.client.IncompleteRead(b"", reply.length)
        return Reply(reply.status, reply.headers, body)


class _Attempt:
    """The connection of one request; another thread may close it."""

    def __init__(self) -> None:
        self._left = False
        self._held: socket.socket | None = None

    def hold(self, held: socket.socket) -> None:
        """Keep the connection; close it at once if the request was abandoned."""
        self._held = held
        if self._left:
            self.leave()

    def leave(self) -> None:
        """Abandon the request: close the connection, so that the thread ends."""
        self._left = True
        if self._held is not None:
            with contextlib.suppress(OSError):
                self._held.shutdown(socket.SHUT_RDWR)


class _Request(urllib.request.Request):
    attempt: _Attempt


class _Connection(http.client.HTTPConnection):
    def __init__(self, attempt: _Attempt, *args: Any, **options: Any) -> None:
        self._attempt = attempt
        super().__init__(*args, **options)

    def connect(self) -> None:
        super().connect()
        self._attempt.hold(self.sock)


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> Any:
        return self.do_open(_connection_maker(_Connection, req), req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> Any:
        context = self._context  # pyright: ignore[reportAttributeAccessIssue] - as the base class
        return self.do_open(_connection_maker(_SecureConnection, req), req, context=context)


def _connection_maker(kind: type[_Connection], request: _Request) -> Any:
    """Return a function that makes the request's connection."""
    return functools.partial(kind, request.attempt)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
