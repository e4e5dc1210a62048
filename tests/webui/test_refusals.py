"""What cannot be done is refused by one line, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.webui.films import JOB
from support.webui.host import TITLE, Host

HERE = object()
"""Stands for the clip's path."""


def _with(**settings: Any) -> dict[str, Any]:
    return {"input": HERE, "settings": {**JOB, **settings}}


REFUSED = {
    "unknown setting": (_with(stenght=1), ["stenght", "strength"]),
    "wrong type": (_with(key_interval="8"), ["key_interval", "whole number"]),
    "out of range": (_with(confidence=2), ["confidence=2", "0..1"]),
    "a list": ([1, 2], ["object"]),
    "a list in a text": ("[1, 2]", ["object"]),
    "no JSON": ("walk.mp4", ["not JSON"]),
    "no input": ({"settings": {}}, ["no input"]),
    "unknown part": ({"input": HERE, "sittings": {}}, ["sittings"]),
    "path outside": ({"input": "/etc/passwd"}, ["/etc/passwd", "--ofgen-allow-path"]),
    "path with a zero": ({"input": "/etc/pass\0wd"}, ["is not a path"]),
    "path up and out": ({"input": "outputs/../../etc/passwd"}, ["outside"]),
    "no such file": ({"input": "{outputs}/none.mp4"}, ["none.mp4", "is not a file"]),
    "a folder": ({"input": "{outputs}"}, ["is not a file"]),
    "damaged URL": ({"input": "data:video/mp4;base64,@@"}, ["damaged"]),
    "URL of a page": ({"input": "data:text/html,<p>"}, ["data URL"]),
    "output outside": ({"input": HERE, "output": "/tmp/film.mp4"}, ["/tmp/film.mp4", "outside"]),
    "output's kind": ({"input": HERE, "output": "{outputs}/film.txt"}, ["film.txt", ".mp4"]),
    "output's folder": (
        {"input": HERE, "output": "{outputs}/no/film.mp4"},
        ["film.mp4", "create the folder"],
    ),
    "mask outside": ({"input": HERE, "mask": "/etc/passwd"}, ["mask", "--ofgen-allow-path"]),
    "no such mask": ({"input": HERE, "mask": "{outputs}/none.png"}, ["none.png", "does not exist"]),
    "preset": ({"input": HERE, "preset": "nonesuch"}, ["nonesuch"]),
    "checkpoint": (_with(checkpoint="nonesuch"), ["checkpoint", "nonesuch"]),
    "inpainting checkpoint": (_with(inpaint_checkpoint="tiny-inpointing"), ["did you mean"]),
    "sampler": (_with(sampler="Euller"), ["sampler 'Euller'", "did you mean 'Euler"]),
    "scheduler": (_with(scheduler="Karas"), ["scheduler 'Karas'", "did you mean 'Karras'"]),
}


def _filled(host: Host, clip: Path, job: Any) -> Any:
    if not isinstance(job, dict):
        return job
    texts = {name: str(clip) if part is HERE else part for name, part in job.items()}
    return {
        name: part.replace("{outputs}", str(host.outputs)) if isinstance(part, str) else part
        for name, part in texts.items()
    }


def _files(host: Host) -> set[str]:
    return {str(path) for path in host.data.rglob("*") if path.name != "webui.log"}


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line(host: Host, clip: Path, name: str) -> None:
    job, words = REFUSED[name]
    before = _files(host)
    answer = host.film(_filled(host, clip, job))
    assert answer.status == 422, answer.body
    said = answer.body["detail"]
    assert said.startswith(f"{TITLE}: ")
    assert "\n" not in said
    for word in words:
        assert word.replace("{outputs}", str(host.outputs)) in said
    assert _files(host) == before, "something was left behind"


@pytest.mark.usefixtures("restored")
def test_a_file_that_is_no_video_is_named(host: Host) -> None:
    text = host.outputs / "notes.mp4"
    text.write_text("nothing moves here", encoding="utf-8")
    answer = host.film({"input": str(text)})
    assert answer.status == 422, answer.body
    assert "notes.mp4" in answer.body["detail"]
    assert list((host.outputs / "ofgen").glob("notes*.mp4")) == []


@pytest.mark.parametrize("arguments", [[], [{}, {}]])
def test_a_wrong_number_of_arguments_is_no_job(host: Host, arguments: list[Any]) -> None:
    """The host shifts what follows; ours must not take another's argument for a job."""
    with host.forgiven():
        answer = host.call("/sdapi/v1/txt2img", {"script_name": TITLE, "script_args": arguments})
    assert answer.status in (422, 500)
