"""One request and its answer: within so many bytes and seconds, and given up when asked to."""

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
"""Bytes of a refusal that are read: its words, no more."""
_LOOK = 0.1
"""Seconds between two looks whether to stop."""


class TooLargeError(Exception):
    """The answer has, or says that it has, more bytes than may come."""


class PackedError(Exception):
    """The answer is compressed, which nobody asked for."""


class Reply(NamedTuple):
    """An answer of any status; of a status from 300 only the beginning of the body."""

    status: int
    headers: Message
    body: bytearray


class HttpClient:
    """Asks over HTTP; follows no redirect, which would lose a body and take a password along."""

    def __init__(self, *, direct: bool) -> None:
        """`direct` goes past the proxies that the environment names."""
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
        stopped: Callable[[], bool],
    ) -> Reply:
        """The answer to a GET or, with `data`, a POST, whose body has `most` bytes at most.

        `timeout` s hold for all of it, from the name of the host to the last byte. The work is done
        in a thread, for nothing else can be left while a name is looked up or bytes trickle.

        Raises:
            Stopped: `stopped` says that the user asked for it.
            TimeoutError: the answer is not whole in time.
            TooLargeError: it is larger.
            PackedError: it is compressed.
            OSError: there is no connection, or it was lost; or another error of `http.client`.
            ValueError: the address, or a proxy's, is none.
        """
        attempt = _Attempt()
        request = _Request(url, data, headers)
        request.attempt = attempt
        told: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()

        def work() -> None:
            try:
                told.put(_answer(self._opener, request, most, timeout))
            except Exception as error:  # raised where the answer is waited for
                told.put(error)

        threading.Thread(target=work, name="ofgen-exchange", daemon=True).start()
        try:
            found = _heard(told, timeout, stopped)
        finally:
            attempt.leave()
        if isinstance(found, Exception):
            raise found
        return found


def _heard(
    told: queue.SimpleQueue[Reply | Exception], timeout: float, stopped: Callable[[], bool]
) -> Reply | Exception:
    """What the thread found, if it does in time."""
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            return told.get(timeout=min(_LOOK, left))
        if stopped():
            raise Stopped
    raise TimeoutError


def _answer(
    opener: urllib.request.OpenerDirector, request: _Request, most: int, timeout: float
) -> Reply:
    """The whole answer, read in blocks."""
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
        if reply.length:  # `read` of so many bytes does not mind that fewer came
            raise http.client.IncompleteRead(b"", reply.length)
        return Reply(reply.status, reply.headers, body)


class _Attempt:
    """The connection of one request, which may be cut from another thread."""

    def __init__(self) -> None:
        self._left = False
        self._held: socket.socket | None = None

    def hold(self, held: socket.socket) -> None:
        """This is the connection; it is cut at once where nobody waits any more."""
        self._held = held
        if self._left:
            self.leave()

    def leave(self) -> None:
        """Nobody waits any more: whatever blocks the thread ends."""
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
        return self.do_open(_made(_Connection, req), req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> Any:
        return self.do_open(_made(_SecureConnection, req), req, context=self._context)


def _made(kind: type[_Connection], request: _Request) -> Any:
    """What makes a connection for the request."""
    return functools.partial(kind, request.attempt)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
