"""A real webui in a process of its own, and how to talk to it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from conftest import ROOT
from numpy.typing import NDArray

TITLE = "Optical Flow Animation"
WEBUI = Path(os.environ.get("OFGEN_WEBUI") or ".").resolve()
PYTHON = os.environ.get("OFGEN_WEBUI_PYTHON") or sys.executable
LINKED = (
    "scripts", "lib_ofgen", "install.py", "preload.py", "style.css", "javascript", "localizations",
)  # fmt: skip
PATIENCE = 180.0  # seconds, for a start or a job on a busy machine
OPTIONS = {
    "live_previews_enable": False,  # some kinds would fetch a model
    "sd_vae": "None",
    "sd_checkpoints_limit": 1,
}
FLAGS = (
    "--skip-prepare-environment", "--skip-install", "--skip-python-version-check",
    "--skip-torch-cuda-test", "--skip-version-check", "--use-cpu", "all", "--no-half",
    "--precision", "full", "--do-not-download-clip", "--no-download-sd-model",
)  # fmt: skip
_LEFT = re.compile(
    r"Traceback \(most recent call last\):\n(?: .*\n)+"
    r"starlette\.websockets\.WebSocketDisconnect: .*"
)
"""What the host tells of a page that was closed while it asked for something."""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "MPLBACKEND": "Agg",
    "MKL_CBWR": "AVX2,STRICT",  # else a sum depends on where in memory its numbers lie
    "OMP_NUM_THREADS": "1",  # on busy cores threads that wait for each other are slower than one
}


class Answer(NamedTuple):
    """What the webui said."""

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


class Host:
    """A webui that runs with the extension linked into its data folder."""

    def __init__(
        self,
        data: Path,
        models: Path,
        *flags: str,
        extensions: Sequence[Path] = (),
        localization: str = "None",
        **environment: str,
    ) -> None:
        """Start it; it can be asked as soon as `ready` returns.

        `extensions` are folders that it loads beside ours, copied, for they may write into theirs.
        """
        self.data, self._secret = data, ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        _furnish(data, {**OPTIONS, "localization": localization})
        for folder in extensions:
            place = data / "extensions" / folder.name
            shutil.copytree(folder, place, ignore=shutil.ignore_patterns(".git"))
        where = ("--data-dir", data, "--ckpt-dir", models, "--ckpt", models / "tiny.ckpt")
        self._log = data / "webui.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "launch.py", *FLAGS, *map(str, where), "--port", str(self.port), *flags],
                cwd=WEBUI, env={**_environment(data), **environment},
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._forgiven: list[tuple[int, int]] = []

    def ready(self, *lines: str) -> Host:
        """Itself, when the log has all of these; asked any earlier, this webui may die."""

        def there() -> bool:
            assert self._process.poll() is None, f"the webui has ended:\n{self.log()[-3000:]}"
            return all(line in self.log() for line in ("Startup time:", *lines))

        waited(there, "start of the webui")
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
        """What it has written, from the character `start` on."""
        return self._log.read_text("utf-8", errors="replace")[start:]

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

    def loads(self, start: int = 0) -> list[str]:
        """Names of the checkpoints that it has loaded, in order."""
        found = re.findall(r"Loading weights \[\w+\] from (.*)", self.log(start))
        return [Path(path.strip()).stem for path in found]

    def sampled(self, start: int = 0) -> int:
        """How many calls to its sampler have begun since the character `start` of the log."""
        return len(re.findall(r"(?<!\d)0%\|", self.log(start)))

    def signed(self, secret: str) -> None:
        """From now on give these credentials, `user:password`."""
        self._secret = secret

    def call(self, route: str, document: Any = None, *, method: str = "") -> Answer:
        """GET, or POST where there is a document."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{route}",
            body,
            {"Content-Type": "application/json"},
            method=method or ("GET" if body is None else "POST"),
        )
        if self._secret:
            code = base64.b64encode(self._secret.encode()).decode()
            request.add_header("Authorization", f"Basic {code}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return Answer(answer.status, _read(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _read(error.read()))

    def film(self, job: Any, tab: str = "img2img", **fields: Any) -> Answer:
        """The job by the script; small pictures, few steps."""
        request = {
            "prompt": "oil painting", "seed": 7, "steps": 4, "cfg_scale": 5, "width": 128,
            "height": 64, "sampler_name": "Euler", "denoising_strength": 0.5,
            "script_name": TITLE, "script_args": [job], **fields,
        }  # fmt: skip
        if tab == "img2img":
            request |= {"init_images": []}
        return self.call(f"/sdapi/v1/{tab}", request)

    def plain(self, **fields: Any) -> NDArray[np.uint8]:
        """A picture by the checkpoint that the user has loaded, without us."""
        request = {
            "prompt": "a walk", "seed": 3, "steps": 3, "width": 64, "height": 64,
            "sampler_name": "Euler", **fields,
        }  # fmt: skip
        return self.call("/sdapi/v1/txt2img", request).image()

    def options(self) -> dict[str, Any]:
        """All options of the host."""
        return self.call("/sdapi/v1/options").body

    def progress(self) -> dict[str, Any]:
        """What the host tells of its work."""
        return self.call("/sdapi/v1/progress?skip_current_image=true").body


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _furnish(data: Path, options: dict[str, Any]) -> None:
    """A data folder with the extension in it, as a plain folder: not every copy is a clone."""
    extension = data / "extensions" / "ofgen"
    extension.mkdir(parents=True)
    for name in LINKED:
        if (ROOT / name).exists():
            (extension / name).symlink_to(ROOT / name)
    (data / "config.json").write_text(json.dumps(options), encoding="utf-8")


def _environment(data: Path) -> dict[str, str]:
    fixed = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRADIO_TEMP_DIR": str(data / "gradio"),
        "no_proxy": "127.0.0.1,localhost",
    }
    return {**ENVIRONMENT, **os.environ, **fixed}
