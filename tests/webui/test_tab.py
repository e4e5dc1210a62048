"""The tab, as the page drives it, beside the API's requests."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib_ofgen.settings.fields import Settings
from support.webui.film_requests import SMALL, Pressed
from support.webui.films import JOB, LENGTH, alike, frames_of, same_film
from support.webui.host import TITLE, Host, waited
from support.webui.page import Page

SLOW = {"steps": 12, "strength": 0.9, "hole_strength": 0.9}
"""Of such a job one can see the middle."""


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
    assert any("frame" in text and "%" in text for text in shown[:-1])
    assert "18 frames of 128x64" in shown[-1]
    live = [_text(outputs["ofgen_live"]) for outputs in pressed.seen]
    assert any("Where its pixels were painted" in text for text in live)
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
        "tab": lambda host, page, job: page.press("ofgen_interrupt"),
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
    assert "stopped" in pressed.seen[-1]["ofgen_progress"]
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
    assert len(frames_of(told["ofgen"]["output"])) == 3
    assert told["seed"] == 47
    assert len(last["txt2img_gallery"]) == 1
    *_, last = page.run("txt2img_generate", "task(two)", ofgen_txt2img_job="{}", **chosen)
    assert "the job names no input" in last["html_info_txt2img"]
    assert last["txt2img_gallery"] == []


def test_a_mistake_is_one_line(host: Host) -> None:
    told = Page(host.port).press("ofgen_generate", ofgen_path="/etc/passwd")["ofgen_told"]
    assert "outside" in told
    assert "/etc/passwd" in told
    assert told.count("role=") == 1


@pytest.mark.usefixtures("restored")
def test_a_pause_holds_the_job_and_nobody_else(host: Host, clip: Path, plain: np.ndarray) -> None:
    pressed = Pressed(host, clip, **SLOW, seed=48)
    _running(host)
    waited(lambda: host.progress()["progress"] > 0.15, "job's painting")
    assert pressed.page.press("ofgen_pause")["ofgen_pause"]["value"] == "Resume"
    try:
        waited(lambda: "paused" in pressed.seen[-1]["ofgen_progress"], "pause")
        held = pressed.job()["progress"]
        assert alike(host.plain(), plain)
        assert pressed.job()["progress"] == held
        other = Page(host.port).press("ofgen_look")
        assert pressed.id in other["ofgen_progress"], "another page does not find the job"
    finally:
        pressed.page.press("ofgen_pause")
    assert len(frames_of(pressed.film())) == LENGTH


@pytest.mark.usefixtures("restored")
def test_films_wait_for_each_other(host: Host, clip: Path) -> None:
    first, second = Pressed(host, clip, seed=49), Pressed(host, clip, seed=50, max_frames=2)
    assert second.job()["state"] == "waiting"
    queues = [_text(outputs["ofgen_queue"]) for outputs in first.seen]
    assert len(frames_of(second.film())) == 2
    assert first.job()["state"] == "done"
    queues += [_text(outputs["ofgen_queue"]) for outputs in first.seen]
    assert any("1 waiting" in text for text in queues)


@pytest.mark.usefixtures("restored")
def test_what_is_done_so_far_can_be_played(host: Host, clip: Path) -> None:
    pressed = Pressed(host, clip, **SLOW, seed=51)
    waited(lambda: any(_text(seen["ofgen_live"]) for seen in list(pressed.seen)), "picture")

    def played() -> Any:
        *_, shown = pressed.page.run("ofgen_play")
        return re.search(r"src='file=([^?]+)\?", shown["ofgen_so_far"])

    found = waited(played, "finished frame")
    assert 0 < len(frames_of(found[1])) < LENGTH
    pressed.film()


def _text(output: Any) -> str:
    """What an element is set to; empty where it is left as it is."""
    return output if isinstance(output, str) else ""


def _planned(page: Page, button: str, **values: Any) -> dict[str, Any]:
    """The outputs of a look once the plan is drawn or refused."""
    last = page.press(button, **values)
    if "data-busy" not in last["ofgen_plan_told"]:
        return last

    def drawn() -> Any:
        seen = page.press("ofgen_look")
        return seen if "data-busy" not in str(seen["ofgen_plan_told"]) else None

    return waited(drawn, "plan")


def test_a_plan_is_drawn_and_its_keys_can_be_changed(host: Host, clip: Path) -> None:
    page = Page(host.port)
    job = {f"ofgen_{name}": value for name, value in JOB.items()}
    plan = _planned(page, "ofgen_plan", ofgen_path=str(clip), **job)
    assert plan["ofgen_plan_keys"] == "0, 8, 16, 17"
    assert plan["ofgen_plan_view"].count("<button") == 4
    assert "18 of 128x64" in plan["ofgen_plan_view"]
    assert "small" in plan["ofgen_plan_view"]
    asked = {"ofgen_path": str(clip), **job, "ofgen_plan_keys": "0, 5, 17"}
    changed = page.press("ofgen_plan_take", **asked)
    assert changed["ofgen_key_frames"] == "chosen"
    assert changed["ofgen_key_indices"] == "0, 5, 17"
    shown = waited(lambda: _text(page.press("ofgen_look")["ofgen_plan_keys"]), "second plan")
    assert shown == "0, 5, 17"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ofgen_path": ""}, "Drop a video first"),
        ({"ofgen_rows": "start,prompt\nx,a meadow"}, "index of a frame"),
        ({"ofgen_mask": "/etc"}, "outside"),
        ({"ofgen_key_frames": "chosen", "ofgen_key_indices": "99"}, "name frames of the clip"),
        ({"ofgen_end": 0.5, "ofgen_start": 0.7}, "give a later end"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    host: Host, clip: Path, values: dict[str, Any], told: str
) -> None:
    refused = _planned(Page(host.port), "ofgen_plan", **{"ofgen_path": str(clip), **values})
    assert told in refused["ofgen_plan_told"]
    assert refused["ofgen_plan_told"].count("role=") == 1


@pytest.mark.usefixtures("restored")
def test_a_film_is_shown_compared_and_deleted(host: Host, clip: Path) -> None:
    pressed = Pressed(host, clip, seed=52, max_frames=4)
    film, page = pressed.film(), pressed.page
    # A look before the job has begun may show the film made last.
    films = [_text(seen["ofgen_film"]) for seen in pressed.seen]
    shown = [text for text in films if str(film) in text]
    assert len(shown) == 1, "the player is put in once, or it would begin anew at each look"
    assert f"<video controls playsinline preload='metadata' src='file={film}" in shown[0]
    assert "report.html" in shown[0]
    first = Page(host.port).press("ofgen_look")["ofgen_film"]
    assert str(film) in first, "it would come over a film that is opened before the second look"
    other = page.press("ofgen_frame", ofgen_frame=2)
    assert other["ofgen_compare"].count("<img") == 2
    assert "Frame 2" in other["ofgen_compare"]
    assert other["ofgen_frame_image"].startswith("data:image/png")
    text = other["ofgen_frame_text"]
    assert text.startswith("oil painting\nSteps: 4, Sampler: Euler")
    assert "Seed: 52" in text
    assert ".json" in page.press("ofgen_export")["ofgen_exported"]
    page.press("ofgen_beside_play")
    look = lambda: _text(page.press("ofgen_look")["ofgen_beside"])  # noqa: E731
    pair = waited(lambda: re.search(r"'file=([^?]+)", look()), "film beside its source")[1]
    assert [frame.shape for frame in frames_of(pair)] == [(64, 264, 3)] * 4
    assert look() == "", "the player would begin anew"
    (listed,) = [_text(seen["ofgen_history"]) for seen in pressed.seen[-1:]]
    assert "seed" not in listed
    job = f"[{pressed.id}]"
    assert (
        "MB" in page.press("ofgen_history_choice", ofgen_history_choice=job)["ofgen_history_told"]
    )
    opened = Page(host.port).press("ofgen_history_open", ofgen_history_choice=job)
    assert str(film) in opened["ofgen_film"]
    gone = page.press("ofgen_history_delete", ofgen_history_choice=job, ofgen_history_film=True)
    assert "free again" in gone["ofgen_history_told"]
    assert not film.exists()
    assert not film.with_name(f"{film.name}.ofgen").exists()
    assert not Path(pair).exists()
    assert pressed.id not in page.press("ofgen_look")["ofgen_history"]


@pytest.mark.usefixtures("restored")
def test_a_stopped_film_is_resumed(host: Host, clip: Path) -> None:
    pressed = Pressed(host, clip, **SLOW, seed=53, max_frames=9)
    waited(lambda: host.progress()["progress"] > 0.3, "middle of the job")
    pressed.page.press("ofgen_interrupt")
    pressed.join()
    assert pressed.job()["state"] == "stopped"
    job = f"[{pressed.id}]"
    told = pressed.page.press("ofgen_history_resume", ofgen_history_choice=job)
    assert "goes on" in told["ofgen_history_told"]
    waited(lambda: pressed.job()["state"] == "done", "film")
    assert len(frames_of(host.outputs / "ofgen" / pressed.job()["output"])) == 9


INFOTEXT = """a <fox>
in snow
Negative prompt: blurry
Steps: 12, Sampler: DPM++ 2M, Schedule type: Exponential, CFG scale: 4.5, Seed: 99, Size: 64x64, """


@pytest.mark.parametrize(
    ("tab", "index", "rest", "shown"),
    [
        ("img2img", 1, "Denoising strength: 0.35", {"strength": 0.35, "seed": 99}),
        ("img2img", 0, "Denoising strength: 0.35", {"prompt": "a grid"}),
        ("txt2img", -1, "Denoising strength: 0.35, Hires upscale: 2", {"prompt": "a grid"}),
        ("txt2img", 1, "Denoising strength: 0.35, Hires upscale: 2", {"strength": None}),
        ("img2img", 1, "Model hash: {hash}, Model: tiny", {"checkpoint": "tiny"}),
    ],
)
def test_a_picture_of_another_tab_sends_what_it_was_painted_by(
    host: Host, tab: str, index: int, rest: str, shown: dict[str, Any]
) -> None:
    known = host.call("/sdapi/v1/sd-models").body
    text = INFOTEXT + rest.format(hash=next(one["hash"] for one in known if one["hash"]))
    info = json.dumps({"infotexts": ["a grid\nSteps: 5, Seed: 98, CFG scale: 3", text]})
    sent = {f"generation_info_{tab}": info, "ofgen_preset_told": str(index)}
    form = Page(host.port).press(f"ofgen_from_{tab}", **sent)
    whole = {
        "prompt": "a <fox>\nin snow", "negative_prompt": "blurry", "sampler": "DPM++ 2M",
        "scheduler": "Exponential", "steps": 12, "cfg_scale": 4.5, "seed": 99,
    }  # fmt: skip
    for name, value in {**(whole if index == 1 else {}), **shown}.items():
        found = form[f"ofgen_{name}"]
        found = found.get("value") if isinstance(found, dict) else found
        assert str(found).startswith(str(value)) if value else found is None, name
    assert "Prompt" in form["ofgen_preset_told"]


def test_what_cannot_be_taken_from_a_picture_is_told(host: Host) -> None:
    page = Page(host.port)
    none = page.press("ofgen_from_img2img", ofgen_preset_told="-1")
    assert "generate one first" in none["ofgen_preset_told"]
    text = "a fox\nSteps: 12, Seed: 99, CFG scale: 400, Model hash: 0123456789"
    sent = {"generation_info_img2img": json.dumps({"infotexts": [text]})}
    form = page.press("ofgen_from_img2img", **sent, ofgen_preset_told="-1")
    assert form["ofgen_steps"]["value"] == 12
    assert "value" not in form["ofgen_cfg_scale"]
    assert "no checkpoint" in form["ofgen_preset_told"]
    assert "400" in form["ofgen_preset_told"]
