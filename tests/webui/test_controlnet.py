"""ControlNet in the real webui: which pictures its units get, in every call.

Needs OFGEN_CONTROLNET, a checkout of sd-webui-controlnet, and where its requirements are not
installed OFGEN_CONTROLNET_LIBS, a folder that has them. `reference_only` needs no weights; a unit
with a model steers by a tiny T2I adapter, which the test makes.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from lib_ofgen.errors import PainterError
from lib_ofgen.imaging.images import encode_png
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.settings import control_units
from lib_ofgen.values import Repaint, Sampling
from lib_ofgen.video.reader import open_video
from support.webui.film_requests import Running
from support.webui.films import JOB, KEYS, LENGTH, alike, frames_of, walk
from support.webui.host import PYTHON, SUPPORT, Answer, Host, waited

CONTROLNET = Path(os.environ.get("OFGEN_CONTROLNET") or ".").resolve()
LIBRARIES = os.environ.get("OFGEN_CONTROLNET_LIBS", "")
pytestmark = pytest.mark.skipif(
    not os.environ.get("OFGEN_CONTROLNET"),
    reason="OFGEN_CONTROLNET names no checkout of sd-webui-controlnet",
)
CANNY = "canny / tiny-canny weight=0.8 end=0.9 threshold_a=100 threshold_b=200"


class Call(NamedTuple):
    """A picture of ours that the host was asked for."""

    init: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    units: list[dict[str, Any]]
    images: list[NDArray[np.uint8]]
    scripts: list[str]
    painted: NDArray[np.uint8] | None
    """None where it failed."""


class Watched(NamedTuple):
    """A webui with ControlNet, and the folder in which the probe keeps what it sees."""

    host: Host
    folder: Path

    def film(self, clip: Path, seed: int, **settings: Any) -> tuple[Answer, list[Call]]:
        """What a job answers, and the calls that it made."""
        for old in self.folder.iterdir():
            old.unlink()
        job = {"input": str(clip), "settings": {**JOB, **settings}}
        return self.host.film(job, seed=seed), [_call(path) for path in self._begun()]

    def _begun(self) -> list[Path]:
        return sorted(self.folder.glob("*-begun.npz"))


def _call(path: Path) -> Call:
    done = path.with_name(path.name.replace("begun", "done"))
    with np.load(path) as begun:
        units = json.loads(str(begun["told"]))
        images = [begun[f"image{place}"] for place in range(len(units))]
        names = json.loads(str(begun["scripts"]))
        init, mask = begun["init"], begun["mask"]
    painted = None
    if done.exists():
        with np.load(done) as kept:
            painted = kept["image"]
    return Call(init, mask, units, images, names, painted)


@pytest.fixture(scope="module")
def watched(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    data, seen = tmp_path_factory.mktemp("controlled"), tmp_path_factory.mktemp("seen")
    probe = tmp_path_factory.mktemp("more") / "probe"
    (probe / "scripts").mkdir(parents=True)
    (probe / "scripts" / "probe.py").write_bytes((SUPPORT / "probe.py").read_bytes())
    folder = data / "models" / "ControlNet"
    folder.mkdir(parents=True)
    subprocess.run(
        [PYTHON, SUPPORT / "tiny_adapter.py", folder / "tiny-canny.safetensors"], check=True
    )
    (folder / "empty.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    running = Host(
        data, models, "--api", extensions=[CONTROLNET, probe],
        PYTHONPATH=LIBRARIES, PROBE_FOLDER=str(seen),
    )  # fmt: skip
    try:
        yield Watched(running.ready("Model loaded in"), seen)
        assert running.faults() == []
    finally:
        running.close()


@pytest.fixture(scope="module")
def clip(watched: Watched) -> Path:
    return walk(watched.host)


@pytest.fixture(scope="module")
def source(clip: Path) -> list[NDArray[np.uint8]]:
    """The clip's frames as a job has them."""
    with open_video(clip, Sampling(width=128, height=64)) as frames:
        return [frame.image for frame in frames]


def _place(part: NDArray[np.uint8], whole: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Where the part lies in the picture."""
    height, width = part.shape[:2]
    for top in range(whole.shape[0] - height + 1):
        for left in range(whole.shape[1] - width + 1):
            if np.array_equal(whole[top : top + height, left : left + width], part):
                return top, left
    return None


@pytest.fixture
def unhurt(watched: Watched) -> Iterator[None]:
    """After the test the host paints as before: its options, its checkpoint, and no control."""
    host = watched.host
    options, pictures = host.options(), [host.plain(), _plain_img2img(host)]
    yield
    assert host.options() == options
    assert all(map(alike, [host.plain(), _plain_img2img(host)], pictures))


def _plain_img2img(host: Host) -> NDArray[np.uint8]:
    grey = np.tile(np.arange(64, dtype=np.uint8)[:, None, None] * 4, (1, 64, 3))
    request = {
        "init_images": [base64.b64encode(encode_png(grey)).decode()], "seed": 3, "steps": 4,
        "width": 64, "height": 64, "sampler_name": "Euler", "prompt": "a walk",
    }  # fmt: skip
    return host.call("/sdapi/v1/img2img", request).image()


@pytest.mark.usefixtures("unhurt")
def test_reference_only_gets_the_scenes_first_key_frame(
    watched: Watched, clip: Path, source: list[NDArray[np.uint8]]
) -> None:
    answer, calls = watched.film(clip, 51, control_units="reference_only")
    assert answer.film["state"] == "done"
    assert len(frames_of(answer.film["video"])) == LENGTH
    first, *others = calls
    assert np.array_equal(first.init, source[0])
    assert first.units == [], "the first key frame has nothing to refer to"
    keys, holes = [[c for c in others if bool(c.mask.size) is masked] for masked in (False, True)]
    assert [len(keys), bool(holes)] == [len(KEYS) - 1, True]
    for call, key in zip(keys, KEYS[1:], strict=True):
        assert np.array_equal(call.init, source[key])
        assert np.array_equal(call.images[0], first.painted)
    for call in holes:
        assert [unit["module"] for unit in call.units] == ["reference_only"]
        assert call.images[0].shape == call.init.shape
        assert _place(call.images[0], first.painted) is not None
    assert all(call.painted is not None for call in calls)


@pytest.mark.usefixtures("unhurt")
def test_a_unit_gets_the_frame_it_steers(
    watched: Watched, clip: Path, source: list[NDArray[np.uint8]]
) -> None:
    """Keys get the whole original, holes the original's part: not what painting starts from."""
    answer, calls = watched.film(clip, 52, control_units=CANNY, paint_batch=4)
    assert answer.film["state"] == "done"
    keys, holes = [[c for c in calls if bool(c.mask.size) is masked] for masked in (False, True)]
    for call, key in zip(keys, KEYS, strict=True):
        assert np.array_equal(call.images[0], source[key])
        assert call.units == [
            {
                "module": "canny", "model": call.units[0]["model"], "weight": 0.8,
                "guidance_start": 0.0, "guidance_end": 0.9,
                "threshold_a": 100.0, "threshold_b": 200.0,
            }
        ]  # fmt: skip
        assert call.units[0]["model"].startswith("tiny-canny [")
    assert holes
    for call in holes:
        inside = call.mask > 0  # which starts from the original
        assert np.array_equal(call.images[0][inside], call.init[inside])
        assert any(_place(call.images[0], frame) is not None for frame in source)
    assert not all(np.array_equal(call.images[0], call.init) for call in holes)
    plain, bare = watched.film(clip, 52, quality=0)
    assert plain.film["state"] == "done"
    change = np.abs(keys[1].painted.astype(int) - bare[1].painted)
    assert change.mean() > 1.5, "the unit has changed nothing"


@pytest.mark.usefixtures("unhurt")
def test_on_a_canvas_it_is_the_canvas_of_source_frames(
    watched: Watched, clip: Path, source: list[NDArray[np.uint8]]
) -> None:
    units = f"{CANNY} stages=keys\nreference_only stages=keys"
    answer, calls = watched.film(clip, 58, control_units=units, key_agreement="canvas")
    assert answer.film["state"] == "done"
    wide = [call for call in calls if call.init.shape[1] > 128]
    assert len(wide) == len(KEYS) - 1
    for call, key in zip(wide, KEYS[1:], strict=True):
        assert [unit["module"] for unit in call.units] == ["canny"], "the anchor is on the canvas"
        assert call.images[0].shape == call.init.shape
        assert _place(source[key], call.images[0]) is not None
        assert _place(source[0], call.images[0]) is not None


@pytest.mark.usefixtures("unhurt")
def test_units_keep_to_their_stages_and_may_be_three(watched: Watched, clip: Path) -> None:
    units = f"{CANNY} stages=keys\nreference_only stages=holes\nreference_adain stages=holes"
    answer, calls = watched.film(clip, 53, control_units=units)
    assert answer.film["state"] == "done"
    found = {bool(call.mask.size): [unit["module"] for unit in call.units] for call in calls}
    assert found == {False: ["canny"], True: ["reference_only", "reference_adain"]}


@pytest.mark.usefixtures("unhurt")
def test_a_model_that_cannot_be_loaded_fails_the_job(
    watched: Watched, clip: Path, source: list[NDArray[np.uint8]]
) -> None:
    """The host logs it and would paint on without the unit."""
    with watched.host.forgiven():
        answer, calls = watched.film(clip, 54, control_units="canny / empty weight=0.3")
    assert answer.status == 422, answer.body
    assert "ControlNet failed on frame 0" in answer.body["detail"]
    assert "\n" not in answer.body["detail"]
    (call,) = calls
    assert call.painted is None
    assert call.units[0]["model"].startswith("empty")
    assert np.array_equal(call.images[0], source[0])


REFUSED = {
    "module": ("cany / tiny-canny", ["module 'cany'", "did you mean 'canny'"]),
    "model": ("canny / control_v11p_sd15_canny", ["model 'control_v11p_sd15_canny'", "tiny-canny"]),
    "no model": ("canny", ["unit 1", "needs a model"]),
    "line": ("canny / tiny-canny wieght=1", ["line 1", "wieght", "did you mean weight"]),
    "address": ("canny / http://example.invalid/x", ["line 1", "path or an address"]),
    "too many": ("reference_only\n" * 4, ["4 units", "at most 3"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_units_that_cannot_be_are_refused_before_anything(
    watched: Watched, clip: Path, case: str
) -> None:
    text, words = REFUSED[case]
    start = len(watched.host.log())
    answer, calls = watched.film(clip, 55, control_units=text)
    assert answer.status == 422, answer.body
    assert [word for word in words if word not in answer.body["detail"]] == []
    assert calls == []
    assert watched.host.loads(start) == []


@pytest.mark.usefixtures("unhurt")
def test_other_scripts_run_on_key_frames_when_asked(watched: Watched, clip: Path) -> None:
    """With the request's own values; ControlNet does not run unless units ask for it."""
    host, given = watched.host, {"alwayson_scripts": {"Probe": {"args": ["mine"]}}}
    job = {"input": str(clip), "settings": {**JOB, "max_frames": 10}}
    start = len(host.log())
    assert host.film(job, seed=56, **given).film["state"] == "done"
    assert "probe: " not in host.log(start)
    job["settings"]["other_scripts"] = True
    for old in watched.folder.iterdir():
        old.unlink()
    assert host.film(job, seed=56, **given).film["state"] == "done"
    assert host.log(start).count("probe: mine on _Processing") == 3  # frames 0, 8 and the last
    calls = [_call(path) for path in sorted(watched.folder.glob("*-begun.npz"))]
    assert all("Probe" in call.scripts for call in calls if not call.mask.size)
    assert all(call.scripts == [] for call in calls if call.mask.size)
    assert not any({"ControlNet", "Refiner", "Seed"} & set(call.scripts) for call in calls)


@pytest.mark.usefixtures("unhurt")
def test_an_interrupted_job_leaves_no_control_behind(watched: Watched, clip: Path) -> None:
    host = watched.host
    job = {"input": str(clip), "settings": {**JOB, "steps": 12, "control_units": CANNY}}
    running = Running(host, job, seed=57)
    waited(lambda: host.progress()["progress"] > 0.3, "middle of the job")
    host.call("/sdapi/v1/interrupt", {})
    assert running.ended().film["state"] == "stopped"


def test_another_webui_is_steered_over_its_api(
    watched: Watched, source: list[NDArray[np.uint8]]
) -> None:
    """By the command line's painter; a unit that fails there is no picture either."""
    image = source[8]
    job = Repaint(0, image, None, image, "oil", "", 0.6, 1, anchor=255 - image)
    address = f"http://127.0.0.1:{watched.host.port}"
    pictures = {}
    for units in ("", CANNY, "reference_only"):
        painter = HttpPainter(
            address, steps=4, sampler="Euler", units=control_units.parse_units(units)
        )
        painter.connect()
        (pictures[units],) = painter.paint([job])
    for units in (CANNY, "reference_only"):
        assert np.abs(pictures[""].astype(int) - pictures[units]).max() > 3, units
    painter = HttpPainter(address, steps=4, units=control_units.parse_units("canny / empty"))
    painter.connect()
    with watched.host.forgiven(), pytest.raises(PainterError, match="ControlNet failed on frame 0"):
        painter.paint([job])
    with pytest.raises(PainterError, match="no model 'softedge'"):
        HttpPainter(address, units=control_units.parse_units("canny / softedge")).connect()
