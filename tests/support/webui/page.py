"""The webui's page without a browser: gradio's queue over a websocket, on the standard library."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

from support.webui.host import PATIENCE

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class _Socket:
    """As much of RFC 6455 as gradio needs."""

    def __init__(self, port: int, path: str) -> None:
        self._stream = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._stream.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
        )  # fmt: skip
        self._stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert b" 101 " in self._file.readline()
        while self._file.readline().strip():
            pass

    def close(self) -> None:
        self._file.close()
        self._stream.close()

    def send(self, message: Any) -> None:
        self._send(_TEXT, json.dumps(message).encode())

    def _send(self, kind: int, body: bytes) -> None:
        size = len(body)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, size)
        self._stream.sendall(head + b"\0\0\0\0" + body)  # a mask of zeros changes nothing

    def receive(self) -> Any:
        """The next message; None when the other side has closed."""
        whole = b""
        while True:
            first, size = self._file.read(2)
            if size > 125:
                wide = 2 if size == 126 else 8
                size = int.from_bytes(self._file.read(wide), "big")
            body = self._file.read(size)
            if first & 15 == _CLOSE:
                return None
            if first & 15 == _PING:
                self._send(_PONG, body)
                continue
            whole += body
            if first & 0x80:
                return json.loads(whole)


class Page:
    """One visit to the page, with gradio's session of it."""

    def __init__(self, port: int, user: str = "") -> None:
        """Load the page's description; `user` is who logs in first, as `name:password`."""
        self._port, self._session = port, uuid.uuid4().hex[:10]
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor())
        if user:
            name, _, password = user.partition(":")
            form = urlencode({"username": name, "password": password}).encode()
            self._ask("/login", form, "application/x-www-form-urlencoded")
        self._config = self._ask("/config")
        self._parts = {part["id"]: part for part in self._config["components"]}

    def _ask(self, route: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        request = Request(f"http://127.0.0.1:{self._port}{route}", body, {"Content-Type": kind})
        with self._opener.open(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def element(self, part: int) -> str:
        """The id of a component's element."""
        return self._parts[part]["props"].get("elem_id") or ""

    def elements(self) -> set[str]:
        """The ids of all elements."""
        return {self.element(part) for part in self._parts}

    def upload(self, path: Path, name: str = "") -> dict[str, Any]:
        """A file as the page hands it in, under its name or another: a file field's value."""
        border = uuid.uuid4().hex
        head = (
            f'--{border}\r\nContent-Disposition: form-data; name="files"; '
            f'filename="{name or path.name}"\r\nContent-Type: video/mp4\r\n\r\n'
        )
        body = head.encode() + path.read_bytes() + f"\r\n--{border}--\r\n".encode()
        (kept,) = self._ask("/upload", body, f"multipart/form-data; boundary={border}")
        size = path.stat().st_size
        return {"name": kept, "orig_name": path.name, "size": size, "data": None, "is_file": True}

    def fields(self, *kinds: str) -> dict[str, list[tuple[int, int]]]:
        """Our components of these kinds: for each the steps that take it, and its place there.

        Of steps that take and give the same there is one.
        """
        ours = {
            part: f"{name}:{part}"
            for part, whole in self._parts.items()
            if whole["type"] in kinds and (name := self.element(part)).startswith("ofgen_")
        }
        alike = {
            (*step["inputs"], None, *step["outputs"]): (at, step)
            for at, step in enumerate(self._config["dependencies"])
        }
        steps = list(alike.values())
        return {
            told: [(at, step["inputs"].index(part)) for at, step in steps if part in step["inputs"]]
            for part, told in ours.items()
        }

    def send(self, step: int, place: int, value: Any) -> str:
        """Take a step as the page stands, but with this value at that place of its inputs."""
        given = self._inputs(self._config["dependencies"][step], {})
        given[place] = value
        document = {"fn_index": step, "data": given, "session_hash": self._session}
        return json.dumps(self._ask("/run/predict", json.dumps(document).encode()))

    def _step(self, button: str) -> tuple[int, dict[str, Any]]:
        """What a click on the element does; of several things the one that takes most."""
        found = [
            (len(step["inputs"]), place, step)
            for place, step in enumerate(self._config["dependencies"])
            if any(self.element(part) == button for part in step["targets"] if part in self._parts)
        ]
        assert found, f"nothing happens at a click on {button}"
        _, place, step = max(found, key=lambda each: each[0])
        return place, step

    def _inputs(self, step: dict[str, Any], values: dict[str, Any]) -> list[Any]:
        given = []
        unknown = set(values)
        for part in step["inputs"]:
            name = self.element(part)
            unknown.discard(name)
            shown = self._parts[part]["props"]
            empty = [] if shown.get("multiselect") else None
            value = shown.get("value")
            given.append(values.get(name, empty if value is None else value))
        assert not unknown, f"no such controls: {unknown}"
        return given

    def _named(self, step: dict[str, Any], output: Any) -> dict[str, Any]:
        """Outputs by their element's id."""
        assert "data" in output, output
        return dict(zip(map(self.element, step["outputs"]), output["data"], strict=True))

    def press(self, button: str, **values: Any) -> dict[str, Any]:
        """The outputs of a click that does not wait in the queue."""
        place, step = self._step(button)
        document = {
            "fn_index": place, "data": self._inputs(step, values), "session_hash": self._session,
        }  # fmt: skip
        return self._named(step, self._ask("/run/predict", json.dumps(document).encode()))

    def run(self, button: str, *first: Any, **values: Any) -> Iterator[dict[str, Any]]:
        """The outputs of a click that waits in the queue, as often as they change.

        `first` stands for what the page's own script puts before the other inputs.
        """
        place, step = self._step(button)
        joined = _Socket(self._port, "/queue/join")
        who = {"fn_index": place, "session_hash": self._session}
        try:
            while (message := joined.receive()) is not None:
                said = message["msg"]
                if said == "send_hash":
                    joined.send(who)
                elif said == "send_data":
                    inputs = [*first, *self._inputs(step, values)[len(first) :]]
                    joined.send({**who, "data": inputs, "event_data": None})
                elif said in ("process_generating", "process_completed"):
                    assert message["success"], message
                    yield self._named(step, message["output"])
                if said == "process_completed":
                    return
        finally:
            joined.close()
