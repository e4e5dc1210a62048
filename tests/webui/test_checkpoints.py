"""Whose checkpoint paints what, and that the user's own is back in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.webui.film_requests import Running
from support.webui.films import JOB, KEYS, alike, frames_of
from support.webui.host import Host, waited


@pytest.mark.usefixtures("restored")
def test_each_stage_loads_its_checkpoint_once(host: Host, clip: Path) -> None:
    start = len(host.log())
    answer = host.film({"input": str(clip), "settings": JOB}, seed=21)
    assert answer.film["state"] == "done"
    assert host.loads(start) == ["tiny-inpainting", "tiny"]


@pytest.mark.usefixtures("restored")
def test_holes_are_painted_by_the_other_checkpoint(host: Host, clip: Path) -> None:
    """The same job with one checkpoint for all: same keys, other holes. Encoded without loss."""
    both, one = (
        frames_of(host.film({"input": str(clip), "settings": settings}, seed=21).film["video"])
        for settings in ({**JOB, "quality": 0}, {**JOB, "quality": 0, "inpaint_checkpoint": ""})
    )
    pairs = zip(both, one, strict=True)
    changed = [float(np.abs(a.astype(int) - b).mean()) for a, b in pairs]
    assert max(changed[key] for key in KEYS) < 0.1
    assert sum(change > 0.5 for change in changed) >= 4


@pytest.mark.usefixtures("restored")
def test_a_job_may_name_both(host: Host, clip: Path, user: dict[str, Any]) -> None:
    """The user has loaded the one that is to paint holes: it goes, comes, and stays."""
    host.call("/sdapi/v1/options", {"sd_model_checkpoint": "tiny-inpainting"})
    before, start = host.options(), len(host.log())
    settings = {**JOB, "checkpoint": "tiny.ckpt"}
    assert host.film({"input": str(clip), "settings": settings}, seed=22).film["state"] == "done"
    assert host.loads(start) == ["tiny", "tiny-inpainting"]
    assert host.options() == before
    host.call(
        "/sdapi/v1/options",
        {name: user[name] for name in ("sd_model_checkpoint", "sd_checkpoint_hash")},
    )


@pytest.mark.usefixtures("restored")
def test_overridden_options_hold_for_the_job_alone(host: Host, clip: Path) -> None:
    job = {"input": str(clip), "settings": {**JOB, "max_frames": 2}}
    override = {"eta_noise_seed_delta": 31337, "sd_model_checkpoint": "tiny"}
    one = host.film(job, seed=23)
    other = host.film(
        {**job, "output": str(host.outputs / "overridden.mp4")}, seed=23, override_settings=override
    )
    assert other.film["state"] == "done"
    assert one.info["sd_model_name"] == other.info["sd_model_name"] == "tiny"


@pytest.mark.usefixtures("restored")
def test_a_checkpoint_that_gives_nan_is_named_with_the_remedy(host: Host, clip: Path) -> None:
    job = {"input": str(clip), "settings": {**JOB, "checkpoint": "nan"}}
    answer = host.film(job)
    assert answer.status == 422, answer.body
    said = answer.body["detail"]
    assert "frame 0" in said
    assert "NaN" in said
    assert "another checkpoint" in said
    assert "\n" not in said


@pytest.mark.usefixtures("restored")
def test_a_damaged_checkpoint_is_one_line_and_leaves_the_users(host: Host, clip: Path) -> None:
    """It fails in the stage of holes, after keys have been painted; these are kept."""
    job = {"input": str(clip), "settings": {**JOB, "inpaint_checkpoint": "damaged"}}
    with host.forgiven():
        answer = host.film(job, seed=24)
    assert answer.status == 422, answer.body
    assert "could not paint frame" in answer.body["detail"]
    assert "\n" not in answer.body["detail"]


def test_the_user_can_change_the_checkpoint_afterwards(
    host: Host, plain: np.ndarray, user: dict[str, Any]
) -> None:
    """Nothing of ours is in the way of the host's own switching."""
    host.call("/sdapi/v1/options", {"sd_model_checkpoint": "tiny-inpainting"})
    assert not alike(host.plain(), plain)
    host.call("/sdapi/v1/options", {"sd_model_checkpoint": user["sd_model_checkpoint"]})
    assert alike(host.plain(), plain)


@pytest.mark.usefixtures("restored")
def test_an_interrupted_job_loads_no_more_than_a_whole_one(host: Host, clip: Path) -> None:
    """Stopped while holes are painted: their checkpoint once, and the user's once."""
    job = {"input": str(clip), "settings": {**JOB, "steps": 12, "strength": 0.8}}
    start = len(host.log())
    running = Running(host, job, seed=26)
    waited(lambda: host.loads(start), "checkpoint of the holes")
    host.call("/sdapi/v1/interrupt", {})
    assert running.ended().film["state"] == "stopped"
    assert host.loads(start) == ["tiny-inpainting", "tiny"]


@pytest.mark.usefixtures("restored")
def test_checkpoints_of_two_families_are_refused_before_any_is_loaded(
    host: Host, clip: Path, models: Path
) -> None:
    """An SDXL base, of which the list of tensors is enough, and an SD 1.x inpainting model."""
    name = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    header = json.dumps({name: {"dtype": "F16", "shape": [1, 2048], "data_offsets": [0, 4096]}})
    file = models / "grand.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(4096))
    host.call("/sdapi/v1/refresh-checkpoints", {})
    start = len(host.log())
    answer = host.film({"input": str(clip), "settings": {**JOB, "checkpoint": "grand"}})
    file.unlink()
    host.call("/sdapi/v1/refresh-checkpoints", {})
    assert answer.status == 422, answer.body
    for word in ("tiny-inpainting", "SD 1.x", "grand", "SDXL", "choose an inpainting model"):
        assert word in answer.body["detail"]
    assert host.loads(start) == []


def test_without_controlnet_units_are_refused(host: Host, clip: Path) -> None:
    settings = {**JOB, "control_units": "reference_only"}
    answer = host.film({"input": str(clip), "settings": settings})
    assert answer.status == 422, answer.body
    assert "install the extension sd-webui-controlnet" in answer.body["detail"]
