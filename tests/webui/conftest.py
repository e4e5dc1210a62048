"""The running webui, and the clip that it is given."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import ROOT
from moving import make_video, walking
from numpy.typing import NDArray

from webui.host import PYTHON, WEBUI, Answer, Host

HERE = Path(__file__).parent
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = "" if os.environ.get("OFGEN_WEBUI") else "OFGEN_WEBUI does not name a webui's folder"
    if not lacking and not (WEBUI / "launch.py").is_file():
        lacking = f"OFGEN_WEBUI={WEBUI} is no webui: it has no launch.py"
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.webui)
            if lacking:
                item.add_marker(pytest.mark.skip(reason=lacking))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([PYTHON, "-W", "ignore", HERE / "tiny_checkpoint.py", folder], check=True)
    whole = (folder / "tiny.ckpt").read_bytes()
    (folder / "damaged.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.yaml").write_bytes((folder / "tiny.yaml").read_bytes())
    return folder


@pytest.fixture(scope="session")
def host(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    running = Host(tmp_path_factory.mktemp("data"), models, "--api")
    try:
        yield running.ready("Model loaded in")
        faults = running.faults()
    finally:
        running.close()
    assert faults == [], f"the webui's log, {running.data / 'webui.log'}, tells of errors"


@pytest.fixture(scope="session")
def clip(host: Host) -> Path:
    """The clip where the webui may read it."""
    return walk(host)


def walk(host: Host) -> Path:
    """Something moves over a still picture, faster than the flow can follow, then leaves."""
    folder = host.outputs / "sources"
    folder.mkdir(parents=True)
    pictures = walking(LENGTH)
    return make_video(folder / "walk.mp4", pictures, rate=RATE, sound="aac", click=0.5)


@pytest.fixture(scope="session")
def plain(host: Host) -> NDArray[np.uint8]:
    """What the user's checkpoint paints before any job of ours."""
    return host.plain()


@pytest.fixture(scope="session")
def user(host: Host, plain: NDArray[np.uint8]) -> dict[str, Any]:
    """The host's options before any job of ours."""
    return host.options()


@pytest.fixture
def restored(host: Host, plain: NDArray[np.uint8], user: dict[str, Any]) -> Iterator[None]:
    """After the test the host is as the user had it: its options, and the checkpoint loaded."""
    yield
    assert host.options() == user
    start = len(host.log())
    assert alike(host.plain(), plain)
    assert host.loads(start) == [], "the user's checkpoint had not been loaded again"


@pytest.fixture(scope="session")
def done(host: Host, clip: Path, user: dict[str, Any]) -> Answer:
    """A finished job by /sdapi/v1/img2img, for tests that only look at it."""
    return host.film({"input": str(clip), "settings": JOB})


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
    done = subprocess.run(
        [PYTHON, HERE / "fused_again.py", answer.film["workspace"], *files],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)
