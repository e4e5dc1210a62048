"""The tab, as the page drives it, beside the API's requests."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib_ofgen.settings import Settings
from webui.conftest import JOB, LENGTH, alike, frames_of, same_film
from webui.host import TITLE, Host, waited
from webui.page import Page

SMALL = {
    **JOB, "prompt": "oil painting", "steps": 4, "cfg_scale": 5.0, "sampler": "Euler", "seed": 41,
    "strength": 0.5, "hole_strength": 0.5,
}  # fmt: skip

SLOW = {"steps": 12, "strength": 0.9, "hole_strength": 0.9}
"""Of such a job one can see the middle."""


class Pressed(threading.Thread):
    """Generate was pressed; `seen` grows while the job runs."""

    def __init__(self, host: Host, clip: Path, **changes: Any) -> None:
        super().__init__(daemon=True)
        self.page = Page(host.port)
        values = {f"ofgen_{name}": value for name, value in {**SMALL, **changes}.items()}
        file = self.page.upload(clip)
        self._run = lambda: self.page.run("ofgen_generate", ofgen_upload=file, **values)
        self.seen: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        for outputs in self._run():
            self.seen.append(outputs)

    def film(self) -> Path:
        """The film, when the job has ended."""
        self.join()
        film = self.seen[-1]["ofgen_film"]
        assert film, self.seen[-1]
        return Path((film[0] if isinstance(film, list) else film)["name"])


def _running(host: Host) -> dict[str, Any]:
    """The newest job of the tab, once it runs."""

    def found() -> Any:
        jobs = host.call("/ofgen/v1/jobs").body
        return jobs[-1] if jobs and jobs[-1]["state"] == "running" else None

    return waited(found, "job of the tab")


def _state(host: Host, job: dict[str, Any]) -> str:
    return host.call(f"/ofgen/v1/jobs/{job['id']}").body["state"]


def test_every_setting_has_its_control(host: Host) -> None:
    lacking = {f"ofgen_{name}" for name in Settings.names()} - Page(host.port).elements()
    assert lacking == set()


@pytest.mark.usefixtures("restored")
def test_the_tab_makes_the_film_that_the_api_makes(host: Host, clip: Path) -> None:
    pressed = Pressed(host, clip)
    film = pressed.film()
    assert len(frames_of(film)) == LENGTH
    shown = [outputs["ofgen_progress"] for outputs in pressed.seen]
    assert any("%" in text for text in shown[:-1])
    settings = {**Settings().to_json(), **SMALL}
    output = str(host.outputs / "like-the-tab.mp4")
    answer = host.film({"input": str(clip), "output": output, "settings": settings})
    assert same_film(film, answer.film["video"])


@pytest.mark.usefixtures("restored")
def test_others_get_their_turn_with_their_own_checkpoint(
    host: Host, clip: Path, plain: np.ndarray
) -> None:
    pressed = Pressed(host, clip, **SLOW, seed=42)
    job, start = _running(host), len(host.log())
    waited(lambda: "tiny-inpainting" in host.loads(start), "stage of holes")
    for _ in range(2):
        assert alike(host.plain(), plain), "painted by a checkpoint of the job"
    assert _state(host, job) == "running", "the request had to wait for the whole job"
    assert len(frames_of(pressed.film())) == LENGTH
    assert _state(host, job) == "done"


@pytest.mark.usefixtures("restored")
def test_an_interrupt_of_anothers_picture_is_not_ours(host: Host, clip: Path) -> None:
    pressed = Pressed(host, clip, **SLOW, seed=43)
    job = _running(host)
    waited(lambda: host.progress()["progress"] > 0.1, "job's painting")
    long = {"steps": 150, "width": 256, "height": 256}
    other = threading.Thread(target=lambda: host.call("/sdapi/v1/txt2img", long))
    other.start()
    waited(lambda: host.progress()["state"]["job"] == "scripts_txt2img", "turn of the other")
    start = len(host.log())
    host.call("/sdapi/v1/interrupt", {})
    other.join()
    assert "150/150" not in host.log(start), "the other was not interrupted"
    assert len(frames_of(pressed.film())) == LENGTH
    assert _state(host, job) == "done"


@pytest.fixture
def stops() -> dict[str, Any]:
    return {
        "tab": lambda host, page, job: page.press("ofgen_stop"),
        "api": lambda host, page, job: host.call(f"/ofgen/v1/jobs/{job['id']}/cancel", {}),
        "host": lambda host, page, job: host.call("/sdapi/v1/interrupt", {}),
    }


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(("how", "seed"), [("tab", 44), ("api", 45), ("host", 46)])
def test_a_stop_ends_the_job_and_the_next_runs(
    host: Host, clip: Path, stops: dict[str, Any], how: str, seed: int
) -> None:
    pressed = Pressed(host, clip, **SLOW, seed=seed)
    job = _running(host)
    waited(lambda: host.progress()["progress"] > 0.2, "middle of the job")
    start = len(host.log())
    stops[how](host, pressed.page, job)
    pressed.join()
    assert host.sampled(start) <= 1, "it went on painting"
    last = pressed.seen[-1]
    assert not last["ofgen_film"]
    assert "stopped" in last["ofgen_progress"]
    assert _state(host, job) == "stopped"
    told = host.progress()
    assert told["progress"] == 0
    assert told["state"]["job"] == ""
    assert len(frames_of(Pressed(host, clip, seed=seed, max_frames=2).film())) == 2


@pytest.mark.usefixtures("restored")
def test_the_hosts_generate_runs_the_script(host: Host, clip: Path) -> None:
    """As chosen among the scripts of its own tab; a mistake is a line under the gallery."""
    page = Page(host.port)
    chosen = {
        "script_list": TITLE, "txt2img_steps": 3, "txt2img_width": 128, "txt2img_height": 64,
        "txt2img_prompt": "oil painting",
    }  # fmt: skip
    job = json.dumps({"input": str(clip), "settings": {**JOB, "max_frames": 3, "seed": 47}})
    *_, last = page.run("txt2img_generate", "task(one)", ofgen_txt2img_job=job, **chosen)
    told = json.loads(last["generation_info_txt2img"])
    assert len(frames_of(told["ofgen"]["video"])) == 3
    assert told["seed"] == 47
    assert len(last["txt2img_gallery"]) == 1
    *_, last = page.run("txt2img_generate", "task(two)", ofgen_txt2img_job="{}", **chosen)
    assert "the job names no input" in last["html_info_txt2img"]
    assert last["txt2img_gallery"] == []


def test_a_mistake_is_one_line(host: Host) -> None:
    page = Page(host.port)
    *_, last = page.run("ofgen_generate", ofgen_path="/etc/passwd")
    assert "outside" in last["ofgen_progress"]
    assert "/etc/passwd" in last["ofgen_progress"]
    assert not last["ofgen_film"]
