"""A network's flow beside the host's checkpoint on one device."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT
from support.webui.films import JOB, alike, frames_of
from support.webui.host import PYTHON, Host
from support.webui.page import Page

NETWORK: dict[str, Any] = {
    **JOB, "inpaint_checkpoint": "", "flow": "pdcnet", "key_interval": 4, "max_frames": 5,
    "track_reach": 1,
}  # fmt: skip
NAME = "PDCNet_plus_megadepth.pth.tar"
SAVE = """
import sys, torch
from support.pdcnet import seeded
torch.save({"state_dict": seeded.state_dict()}, sys.argv[1])
"""
LOAD = """
import os
from modules import safe, shared  # what replaces torch.load
import torch
assert torch.load is not safe.unsafe_torch_load, "the host has not replaced torch.load"
from pathlib import Path
from lib_ofgen.models.weights import checkpoint_io
print(len(checkpoint_io.load(Path(os.environ["OFGEN_FILE"]))))
"""


@pytest.fixture(scope="module")
def network(host: Host) -> Iterator[Path]:
    """Seeded weights where the published ones would lie; with them `auto` means another flow."""
    place = _placed(host.data)
    yield place
    place.unlink()


def _placed(data: Path) -> Path:
    place = data / "models" / "ofgen" / NAME
    place.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    subprocess.run([PYTHON, "-c", SAVE, place], env={**os.environ, "PYTHONPATH": path}, check=True)
    return place


def _film(host: Host, clip: Path, seed: int, **changes: Any) -> dict[str, Any]:
    answer = host.film({"input": str(clip), "settings": {**NETWORK, **changes}}, seed=seed)
    assert answer.film["state"] == "done", answer.film
    assert len(frames_of(answer.film["video"])) == NETWORK["max_frames"]
    return json.loads(Path(answer.film["report"]).read_text("utf-8"))


@pytest.mark.usefixtures("network", "restored")
def test_memory_returns_after_jobs_with_a_network(
    host: Host, clip: Path, record_property: Callable[[str, object], None]
) -> None:
    """The first job loads libraries; after it, three more leave what they found."""
    assert _film(host, clip, 60)["flow"]["estimator"] == "pdcnet"
    before = host.memory()
    after: list[int] = []
    for seed in (61, 62, 63):
        _film(host, clip, seed)
        after.append(host.memory())
    record_property("resident KiB, before and after each job", (before, after))
    assert after[-1] < 1.05 * before, f"{before} KiB before, {after} after each job"


@pytest.mark.usefixtures("network")
def test_the_tab_shows_the_flow_of_a_frame(host: Host, clip: Path) -> None:
    page = Page(host.port)
    file = page.upload(clip)
    *_, last = page.run("ofgen_flow_show", ofgen_flow_frame=4, ofgen_upload=file, ofgen_flow="dis")
    assert last["ofgen_flow_picture"], last
    *_, last = page.run("ofgen_flow_show", ofgen_flow_frame=99, ofgen_upload=file)
    assert "no frame 99" in last["ofgen_plan_told"]
    assert not last["ofgen_flow_picture"]


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_checkpoints_load_where_torch_load_is_replaced(form: str) -> None:
    given = os.environ.get("OFGEN_PDCNET", str(ROOT.parent / "shared" / "pdcnet"))
    path = Path(given) / f"ckpt_like_{form}.pth.tar"
    if not path.is_file():
        pytest.skip(f"no {path}; OFGEN_PDCNET names the folder")
    done = subprocess.run(
        [PYTHON, "-c", LOAD, "--use-cpu", "all", "--skip-torch-cuda-test"],
        cwd=os.environ["OFGEN_WEBUI"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["OFGEN_WEBUI"], str(ROOT)]),
             "OFGEN_FILE": str(path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 0


@pytest.fixture(scope="module")
def small(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host whose user has said that memory is short."""
    data = tmp_path_factory.mktemp("medvram")
    _placed(data)
    running = Host(data, models, "--api", "--medvram")
    try:
        yield running.ready("Model loaded in")
        faults = running.faults()
    finally:
        running.close()
    assert faults == []


def test_the_checkpoint_leaves_the_device_for_flow_and_comes_back(small: Host, clip: Path) -> None:
    before = small.plain()
    copy = small.outputs / "walk.mp4"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(clip.read_bytes())
    _film(small, copy, 64)
    assert "the checkpoint leaves it while flow runs" in small.log()
    assert alike(small.plain(), before)
