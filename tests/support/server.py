"""A server of the tests in a process of its own, its log, and how to talk to it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from numpy.typing import NDArray

PATIENCE = 180.0  # seconds, for a start or a job on a busy machine
_LEFT = re.compile(
    r"Traceback \(most recent call last\):\n(?: .*\n)+"
    r"starlette\.websockets\.WebSocketDisconnect: .*"
)
"""What a server tells of a page that was closed while it asked for something."""
_FIXED = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "no_proxy": "127.0.0.1,localhost",
}
_DEFAULT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MPLBACKEND": "Agg",
    "MKL_CBWR": "AVX2,STRICT",  # else a sum depends on where in memory its numbers lie
    "OMP_NUM_THREADS": "1",  # on busy cores threads that wait for each other are slower than one
}


class Answer(NamedTuple):
    """What a server said."""

    status: int
    body: Any

    @property
    def info(self) -> dict[str, Any]:
        """The host's JSON about what it has painted."""
        assert self.status == 200, self.body
        return json.loads(self.body["info"])

    @property
    def film(self) -> dict[str, Any]:
        """Our part of it."""
        return self.info["ofgen"]

    def image(self) -> NDArray[np.uint8]:
        """The only picture."""
        assert self.status == 200, self.body
        (text,) = self.body["images"]
        return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def waited(found: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """The first true answer of `found`."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"no {what} in {patience:g} s")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A process that answers at a port, and writes a log."""

    name = "server"
    user = ""
    """Who logs in at its page, as `name:password`; empty: nobody need."""

    def __init__(
        self, command: Sequence[str], port: int, data: Path, cwd: Path, **environment: str
    ) -> None:
        """Start it; it can be asked as soon as `ready` returns."""
        self.port, self.data, self._secret = port, data, ""
        self._log = data / f"{self.name}.log"
        fixed = {**_FIXED, "GRADIO_TEMP_DIR": str(data / "gradio")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=cwd, env={**_DEFAULT, **os.environ, **fixed, **environment},
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._forgiven: list[tuple[int, int]] = []

    def ready(self, *lines: str) -> Server:
        """Itself, when the log has all of these; asked any earlier, it may die."""

        def there() -> bool:
            assert self._process.poll() is None, f"the {self.name} has ended:\n{self.log()[-3000:]}"
            return all(line in self.log() for line in ("Startup time:", *lines))

        waited(there, f"start of the {self.name}")
        return self

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def outputs(self) -> Path:
        """Where requests may read and write."""
        return self.data / "outputs"

    def memory(self) -> int:
        """KiB of memory that its process holds."""
        told = Path(f"/proc/{self._process.pid}/status").read_text("ascii")
        return int(re.search(r"VmRSS:\s*(\d+)", told)[1])

    def cpu_seconds(self) -> float:
        """CPU seconds that its process has used, those of all threads."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text("ascii").rpartition(")")[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def log(self, start: int = 0) -> str:
        """What it has written, from the character `start` on; bars of progress return by CR."""
        with self._log.open(encoding="utf-8", errors="replace", newline="") as log:
            return log.read()[start:]

    @contextlib.contextmanager
    def forgiven(self) -> Iterator[None]:
        """What the log gets inside is not held against the extension."""
        start = len(self.log())
        yield
        self._forgiven.append((start, len(self.log())))

    def faults(self) -> list[str]:
        """Lines of the log that tell of an error that nobody has provoked."""
        text = self.log()
        for start, stop in reversed(self._forgiven):
            text = text[:start] + text[stop:]
        text = _LEFT.sub("", text)
        return [line for line in text.splitlines() if re.match(r"\s*(Traceback|\*\*\* )", line)]

    def signed(self, secret: str) -> None:
        """From now on give these credentials, `user:password`."""
        self._secret = secret

    def call(self, route: str, document: Any = None, *, method: str = "") -> Answer:
        """GET, or POST where there is a document."""
        body = None if document is None else json.dumps(document).encode()
        status, _, told = self.ask(route, body, method)
        return Answer(status, _read(told))

    def ask(
        self, route: str, body: bytes | None = None, method: str = "", **headers: str
    ) -> tuple[int, Message, bytes]:
        """Status, headers and content of the answer; `_` stands for - in names of headers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{route}",
            body,
            {"Content-Type": "application/json"},
            method=method or ("GET" if body is None else "POST"),
        )
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if self._secret:
            code = base64.b64encode(self._secret.encode()).decode()
            request.add_header("Authorization", f"Basic {code}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()


@contextlib.contextmanager
def watched(server: Any, *lines: str) -> Iterator[Any]:
    """The server, once its log has all of these lines; in the end it has told of no error."""
    try:
        yield server.ready(*lines)
        faults = server.faults()
    finally:
        server.close()
    assert faults == [], f"the log, {server.data / server.name}.log, tells of errors"


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
