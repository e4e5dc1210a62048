"""A reverse proxy that serves another port under a sub path, as `--subpath` expects one."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

_BLOCK = 1 << 16


class Proxy(ThreadingTCPServer):
    """`http://127.0.0.1:PORT/PATH/...` is `/...` of the other port; whatever else is 404."""

    daemon_threads = True

    def __init__(self, path: str, other: int) -> None:
        """Serve in the background until it is shut down."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.path, self.other = path, other
        self.asked_outside: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Of the page, with the sub path."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.path}/"


class _Handler(StreamRequestHandler):
    """One request a connection; an upgraded one is a pipe from then on."""

    server: Proxy

    def handle(self) -> None:
        asked = self.rfile.readline().decode("latin-1").split()
        if len(asked) != 3:  # a connection that was opened ahead and never used
            return
        method, place, version = asked
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line)
        start = f"/{self.server.path}"
        if not place.startswith(f"{start}/"):
            self.server.asked_outside.append(place)
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        upgraded = any(line.lower().startswith(b"upgrade:") for line in lines)
        kept = [line for line in lines if upgraded or not line.lower().startswith(b"connection:")]
        closing = [] if upgraded else [b"Connection: close\r\n"]
        first = f"{method} {place[len(start) :]} {version}\r\n".encode("latin-1")
        with socket.create_connection(("127.0.0.1", self.server.other)) as other:
            other.sendall(b"".join([first, *kept, *closing, b"\r\n"]))
            up = threading.Thread(
                target=_copied, args=(self.rfile.read1, other.sendall), daemon=True
            )
            up.start()
            _copied(other.recv, self.wfile.write)
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RD)  # the other thread comes to an end
            up.join()


def _copied(read: Callable[[int], bytes], write: Callable[[bytes], Any]) -> None:
    """Hand on what comes until one side has had enough."""
    try:
        while block := read(_BLOCK):
            write(block)
    except OSError:  # the other side has closed
        return
