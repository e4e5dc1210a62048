"""A small webui on a real socket: `/sdapi/v1` as AUTOMATIC1111 answers it, and its bad days."""

from __future__ import annotations

import base64
import json
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any

import numpy as np

from lib_ofgen.imaging.images import decode_png, encode_png
from support.hostile_answers import ANSWERS

MODELS = [
    {
        "title": f"{folder}{name}.safetensors [{short}]",
        "model_name": name,
        "hash": short,
        "sha256": short * 6,
        "filename": f"/webui/models/Stable-diffusion/{folder}{name}.safetensors",
        "config": None,
    }
    for folder, name, short in (
        ("", "photo", "6ce0161689"),
        ("style/", "anime", "a0e5c1d277"),
        ("", "anime-inpainting", "b1f00dcafe"),
    )
]
SAMPLERS = [
    {"name": "Euler a", "aliases": ["k_euler_a"], "options": {}},
    {"name": "DPM++ 2M", "aliases": ["k_dpmpp_2m"], "options": {}},
]
SCHEDULERS = [{"name": "karras", "label": "Karras", "aliases": None}]


class FakeSdApi:
    """`with FakeSdApi() as host:` listens at `host.url`; `host.calls` is what was asked."""

    def __init__(self, *, auth: str | None = None, port: int = 0) -> None:
        self.auth = auth
        self.loaded = MODELS[0]["title"]
        self.calls: list[tuple[str, str, Any]] = []
        self.failures: list[tuple[str, Any]] = []
        self.location = "http://elsewhere.invalid/"
        """Where an answer of 3xx leads."""
        self.frozen = False
        self.missing: set[str] = set()
        self.controlnet: dict[str, Any] = {}
        """What `/controlnet/...` answers, by route; empty: there is no ControlNet."""
        self.closed = Event()
        """Nobody listens any more."""
        self.maps = True
        """Whether ControlNet works: what its units have seen is then among the pictures."""
        self.hides_maps = False
        """The host's option that keeps them from it."""
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", port), type("Handler", (_Handler,), {"host": self})
        )
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeSdApi:
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()
        self._thread.join()

    def close(self) -> None:
        """From now on nobody listens."""
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()

    def give(self, document: Any, *, route: str = "img2img", status: int = 200) -> None:
        """The next answer on the route is this document, or these bytes."""
        self.failures.append((route, (status, document)))

    def fail(self, how: str, *, times: int = 1, route: str = "img2img") -> None:
        """The next answers on the route are `how`: a status, or what `_Handler._fail` knows.

        An empty one is right.
        """
        self.failures += [(route, how)] * times

    def failure(self, route: str) -> Any:
        """What goes wrong with this call; each failure is used once."""
        for number, (where, how) in enumerate(self.failures):
            if where == route:
                del self.failures[number]
                return how
        return ""

    def asked(self) -> Counter[str]:
        """How often each `METHOD route` was called."""
        return Counter(f"{method} {route}" for method, route, _ in self.calls)

    def switches(self) -> list[str]:
        """The checkpoints that were asked for by POST, in order."""
        posts = [body for method, route, body in self.calls if (method, route) == _SWITCH]
        return [body["sd_model_checkpoint"] for body in posts]

    def answer(self, method: str, route: str, body: Any) -> tuple[int, Any]:
        """Status and document of a call that nothing goes wrong with."""
        if (method, route) == _SWITCH:
            return self._switch(body["sd_model_checkpoint"])
        if (method, route) == ("POST", "img2img"):
            pictures = [_painted(body), *self._maps(body)]
            return 200, {"images": pictures, "parameters": {}, "info": "{}"}
        if route.startswith("/controlnet/"):
            found = self.controlnet.get(route.removeprefix("/controlnet/"))
            return (404, {"detail": "Not Found"}) if found is None else (200, found)
        lists: dict[str, Any] = {
            "options": {
                "sd_model_checkpoint": self.loaded,
                "samples_format": "png",
                "control_net_no_detectmap": self.hides_maps,
            },
            "sd-models": MODELS,
            "samplers": SAMPLERS,
            "schedulers": SCHEDULERS,
        }
        if method == "GET" and route in lists and route not in self.missing:
            return 200, lists[route]
        return 404, {"detail": "Not Found"}

    def _maps(self, body: dict[str, Any]) -> list[str]:
        units = body["alwayson_scripts"].get("controlnet", {}).get("args", [])
        shown = self.maps and not self.hides_maps
        return [unit["image"] for unit in units if shown and unit["save_detected_map"]]

    def _switch(self, title: str) -> tuple[int, Any]:
        if title not in [model["title"] for model in MODELS]:
            return 500, {"error": "RuntimeError", "detail": "", "errors": f"{title!r} not found"}
        if not self.frozen:
            self.loaded = title
        return 200, None


_SWITCH = ("POST", "options")


def _painted(body: dict[str, Any]) -> str:
    """The picture with inverted colours, outside the mask a little off as a VAE leaves it."""
    image = decode_png(base64.b64decode(body["init_images"][0]))
    assert image.shape == (body["height"], body["width"], 3)
    picture = 255 - image
    if "mask" in body:
        inside = decode_png(base64.b64decode(body["mask"])) > 127
        picture = np.where(inside, picture, image ^ 1)
    return base64.b64encode(encode_png(picture)).decode()


class _Handler(BaseHTTPRequestHandler):
    host: FakeSdApi

    def do_GET(self) -> None:
        self._serve("GET", None)

    def do_POST(self) -> None:
        self._serve("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, method: str, body: Any) -> None:
        host, route = self.host, self.path.removeprefix("/sdapi/v1/")
        host.calls.append((method, route, body))
        wanted = host.auth and "Basic " + base64.b64encode(host.auth.encode()).decode()
        if wanted and self.headers["Authorization"] != wanted:
            self._send(401, {"detail": "Incorrect username or password"})
        elif how := host.failure(route):
            self._fail(how)
        elif route == "img2img" and body["prompt"] in ANSWERS:
            self._fail(body["prompt"])
        else:
            self._send(*host.answer(method, route, body))

    def _fail(self, how: Any) -> None:
        if isinstance(how, tuple):
            self._send(*how)
        elif how == "cut":
            self._send(200, {"images": ["x" * 500]}, short=300)
        elif how == "forget":  # a restart that comes back with the default checkpoint
            self.host.loaded = MODELS[0]["title"]
        elif how == "starting":  # its pages are up, its API is not
            self._send(404, {"detail": "Not Found"})
        elif how == "silence":
            self.host.closed.wait(30)
        elif how.isdigit():
            self._send(int(how), _REFUSALS.get(int(how), {"detail": "no"}))
        elif how in ANSWERS:
            self.close_connection = True
            with suppress(OSError):
                ANSWERS[how](self.wfile)
        elif how != "drop":
            self._send(200, _ODD[how])

    def _send(self, status: int, document: Any, *, short: int = 0) -> None:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", self.host.location)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) - short])

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test's output is not the server's log."""


_REFUSALS: dict[int, Any] = {
    404: {"detail": "Sampler not found"},
    422: {"detail": [{"loc": ["body", "steps"], "msg": "value is too large"}]},
    500: {"error": "OutOfMemoryError", "detail": "", "body": "", "errors": "CUDA out of\nmemory."},
}
_ODD: dict[str, Any] = {
    "html": b"<!doctype html><title>Log in</title>",
    "size": {"images": [base64.b64encode(encode_png(np.zeros((8, 8, 3), np.uint8))).decode()]},
    "nothing": {"images": []},
    "junk": {"images": ["bm8gcGljdHVyZQ=="]},
    "text": "hello",
}
