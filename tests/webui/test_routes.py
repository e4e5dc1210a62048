"""`/ofgen/v1`, and who may ask."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib_ofgen.settings import presets
from lib_ofgen.settings.schema import schema
from support.webui.films import JOB
from support.webui.host import Answer, Host, waited

ROUTES = ("settings", "presets", "jobs")


def test_settings_and_presets(host: Host) -> None:
    assert host.call("/ofgen/v1/settings").body == json.loads(json.dumps(schema()))
    told = host.call("/ofgen/v1/presets").body
    assert {preset["name"] for preset in told} == set(presets.bundled_presets())
    for preset in told:
        assert preset["settings"] == json.loads(json.dumps(presets.find(preset["name"])[1]))


def test_a_finished_job_tells_of_itself(host: Host, done: Answer) -> None:
    jobs = host.call("/ofgen/v1/jobs").body
    (ours, *_) = [job for job in jobs if job["id"] == done.film["id"]]
    assert ours["state"] == "done"
    assert ours["progress"] == 1
    assert ours["output"] == Path(done.film["video"]).name
    assert host.call(f"/ofgen/v1/jobs/{ours['id']}").body == ours
    film = host.call(f"/ofgen/v1/jobs/{ours['id']}/video")
    assert film.status == 200
    assert film.body == Path(done.film["video"]).read_bytes()


def test_unknown_jobs_are_404(host: Host) -> None:
    for route, method in (("", "GET"), ("/video", "GET"), ("/cancel", "POST")):
        answer = host.call(f"/ofgen/v1/jobs/none{route}", method=method)
        assert answer.status == 404
        assert "none" in answer.body["detail"]


@pytest.mark.usefixtures("restored")
def test_a_running_job_can_be_cancelled(host: Host, clip: Path) -> None:
    answers: list[Answer] = []
    job = {"input": str(clip), "settings": {**JOB, "steps": 12, "strength": 0.9}}
    asked = threading.Thread(target=lambda: answers.append(host.film(job, seed=51)))
    asked.start()

    def found() -> Any:
        known = host.call("/ofgen/v1/jobs").body
        return next((one for one in known if one["state"] == "running"), None)

    running = waited(found, "job")
    assert 0 <= running["progress"] < 1
    assert host.call(f"/ofgen/v1/jobs/{running['id']}/video").status == 409
    assert host.call(f"/ofgen/v1/jobs/{running['id']}/cancel", {}).status == 200
    asked.join()
    assert answers[0].film["state"] == "stopped"
    told = host.call(f"/ofgen/v1/jobs/{running['id']}").body
    assert told["state"] == "stopped"
    assert told["progress"] < 1


@pytest.fixture(params=["guarded", "without"])
def other(
    request: pytest.FixtureRequest, models: Path, tmp_path: Path
) -> Iterator[tuple[str, Host]]:
    """A second webui, quickly started for it loads no checkpoint."""
    flags = ("--api", "--api-auth", "ada:one, bob:two") if request.param == "guarded" else ()
    running = Host(tmp_path / "data", models, "--ui-debug-mode", *flags)
    try:
        yield request.param, running.ready()
        assert running.faults() == []
    finally:
        running.close()


def test_routes_are_guarded_like_the_hosts_or_not_there(other: tuple[str, Host]) -> None:
    kind, host = other
    asked = [f"/ofgen/v1/{route}" for route in ROUTES]
    if kind == "without":
        assert [host.call(route).status for route in asked] == [404, 404, 404]
        page = f"http://127.0.0.1:{host.port}/config"
        with urllib.request.urlopen(page, timeout=30) as config:
            assert b"ofgen_generate" in config.read(), "the tab wants no --api"
        return
    theirs = "/sdapi/v1/options"
    assert {host.call(route).status for route in (*asked, theirs)} == {401}
    host.signed("ada:two")
    assert {host.call(route).status for route in (*asked, theirs)} == {401}
    host.signed("ada:one")
    assert {host.call(route).status for route in (*asked, theirs)} == {200}
    assert host.call("/ofgen/v1/jobs/none/cancel", method="POST").status == 404
