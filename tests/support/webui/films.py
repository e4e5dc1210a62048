"""The clip and the job of the tests in a real webui, and how films are compared."""

from __future__ import annotations

import json
import os
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from support.paths import ROOT
from support.videos import make_video, walking
from support.webui.host import PYTHON, Answer, Host

LENGTH = 18
RATE = Fraction(12)
JOB: dict[str, Any] = {
    "key_frames": "interval",
    "key_interval": 8,
    "key_agreement": "independent",
    "hole_min": 16,
    "hole_box": 64,
    "inpaint_checkpoint": "tiny-inpainting",
}
KEYS = [0, 8, 16, 17]
"""Of such a job; between them are frames with holes, and some without."""


def walk(host: Host) -> Path:
    """Something moves over a still picture, faster than the flow can follow, then leaves."""
    folder = host.outputs / "sources"
    folder.mkdir(parents=True)
    pictures = walking(LENGTH)
    return make_video(folder / "walk.mp4", pictures, rate=RATE, sound="aac", click=0.5)


def told_of(answer: Answer) -> dict[str, Any]:
    """What an answer tells of its film, but for the job's id and the address that holds it."""
    return {name: told for name, told in answer.film.items() if name not in ("id", "keys")}


def frames_of(path: str | Path) -> list[NDArray[np.uint8]]:
    """A film's frames, decoded."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether they are the same picture, to the last bit."""
    return np.array_equal(one, other)


def same_film(one: str | Path, other: str | Path) -> bool:
    """Whether all frames are alike."""
    return all(alike(*pair) for pair in zip(frames_of(one), frames_of(other), strict=True))


def made_again(answer: Answer, *files: Path) -> list[dict[str, Any]]:
    """The facts of a finished job's frames, made again; `files` are its clip and its mask."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("recompute.py"), answer.film["workspace"], *files],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)
