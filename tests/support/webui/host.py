"""A real webui in a process of its own, and how to talk to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.paths import ROOT
from support.server import PATIENCE, Answer, Server, free_port, waited

__all__ = ["PATIENCE", "PYTHON", "SUPPORT", "TITLE", "WEBUI", "Answer", "Host", "waited"]

SUPPORT = Path(__file__).parent
"""Where the programs are that run in the webui's own Python."""
TITLE = "Optical Flow Animation"
WEBUI = Path(os.environ.get("OFGEN_WEBUI") or ".").resolve()
PYTHON = os.environ.get("OFGEN_WEBUI_PYTHON") or sys.executable
LINKED = (
    "scripts", "lib_ofgen", "install.py", "preload.py", "style.css", "javascript", "localizations",
)  # fmt: skip
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


class Host(Server):
    """A webui that runs with the extension linked into its data folder."""

    name = "webui"

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
        _furnish(data, {**OPTIONS, "localization": localization})
        for folder in extensions:
            place = data / "extensions" / folder.name
            shutil.copytree(folder, place, ignore=shutil.ignore_patterns(".git"))
        where = ("--data-dir", data, "--ckpt-dir", models, "--ckpt", models / "tiny.ckpt")
        port = free_port()
        told = (*FLAGS, *map(str, where), "--port", str(port), *flags)
        super().__init__([PYTHON, "launch.py", *told], port, data, WEBUI, **environment)

    def loads(self, start: int = 0) -> list[str]:
        """Names of the checkpoints that it has loaded, in order."""
        found = re.findall(r"Loading weights \[\w+\] from (.*)", self.log(start))
        return [Path(path.strip()).stem for path in found]

    def sampled(self, start: int = 0) -> int:
        """How many calls to its sampler have begun since the character `start` of the log.

        One that is interrupted before its first step writes its 0 % over itself when it ends.
        """
        return len(re.findall(r"(?<!\d)0%\|[^\r\n]*(?:\r +0%\|[^\r\n]*)*", self.log(start)))

    def film(self, job: Any, tab: str = "img2img", **fields: Any) -> Answer:
        """The job by the script; small pictures, few steps."""
        request = {
            "prompt": "oil painting", "seed": 7, "steps": 4, "cfg_scale": 5, "width": 128,
            "height": 64, "sampler_name": "Euler", "denoising_strength": 0.5,
            "script_name": TITLE, "script_args": [job], **fields,
        }  # fmt: skip
        if tab == "img2img":
            request |= {"init_images": []}
        return self.located(self.call(f"/sdapi/v1/{tab}", request))

    def located(self, answer: Answer) -> Answer:
        """The answer, with the places of its film's files beside the addresses of the API.

        The API tells none; who sits at the machine finds them under the name of the output.
        """
        if answer.status != 200:
            return answer
        info = json.loads(answer.body["info"])
        film = self.outputs / "ofgen" / info["ofgen"]["output"]
        folder = film.with_name(f"{film.name}.ofgen")
        there = {"video": film, "report": folder / "report.json", "page": folder / "report.html"}
        done = info["ofgen"]["video"] is not None
        paths = {name: str(path) if done else None for name, path in there.items()}
        info["ofgen"] |= {**paths, "workspace": str(folder)}
        return Answer(answer.status, {**answer.body, "info": json.dumps(info)})

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


def _furnish(data: Path, options: dict[str, Any]) -> None:
    """A data folder with the extension in it, as a plain folder: not every copy is a clone."""
    extension = data / "extensions" / "ofgen"
    extension.mkdir(parents=True)
    for name in LINKED:
        if (ROOT / name).exists():
            (extension / name).symlink_to(ROOT / name)
    (data / "config.json").write_text(json.dumps(options), encoding="utf-8")
