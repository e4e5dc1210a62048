"""The doors at a real webui that listens to all, with logins and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.attacks import BROKEN_URLS, DASH, OUTSIDE, SCRIPTS, Doors, data_url, furnish
from support.attacks import away as away
from support.attacks import made as made
from support.attacks import page as page
from support.server import watched
from support.videos import make_video, walking
from support.webui.films import JOB, RATE
from support.webui.host import TITLE, Answer, Host

USER, SIGNED = "ada:one", "api:two"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "walk.mp4"
    return make_video(path, walking(4), rate=RATE, sound="aac", click=0.1)


@pytest.fixture(scope="module", params=["open", "guarded"])
def host(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    data = tmp_path_factory.mktemp("data")
    furnish(data)
    flags = ("--gradio-auth", USER, "--api-auth", SIGNED) if request.param == "guarded" else ()
    running = Host(data, models, "--api", "--listen", *flags)
    if flags:
        running.user = USER
        running.signed(SIGNED)
    with watched(running, "Model loaded in"):
        yield running


class TestRealHost(Doors):
    """All of them."""

    def asked(self, host: Host, **job: Any) -> Answer:
        """The host's own route of pictures, asked for a film."""
        fields = {"script_name": TITLE, "init_images": [], "width": 128, "height": 64, "steps": 1}
        small = {**JOB, "end": 0.25, **job.pop("settings", {})}
        document = {**job, "settings": small}
        return host.call("/sdapi/v1/img2img", {**fields, "script_args": [document]})

    @pytest.mark.parametrize("name", [*SCRIPTS, *BROKEN_URLS, "manifest"])
    def test_a_request_that_sends_no_video_is_one_line(
        self, host: Host, away: Path, name: str
    ) -> None:
        url = BROKEN_URLS.get(name) or data_url(SCRIPTS.get(name, b""), "html")
        if name == "manifest":
            url = data_url(DASH.format(film=away).encode())
        answer = self.asked(host, input=url)
        assert answer.status == 422, answer.body
        assert "data URL" in answer.body["detail"]
        assert "\n" not in answer.body["detail"]
        assert str(host.data) not in answer.body["detail"]

    @pytest.mark.parametrize("part", ["input", "mask", "output"])
    @pytest.mark.parametrize("path", [*OUTSIDE, "{data}/gradio/0123/hostname"])
    def test_a_request_names_no_path_outside(
        self, host: Host, clip: Path, part: str, path: str
    ) -> None:
        inside = host.outputs / "clip.mp4"
        inside.write_bytes(clip.read_bytes())
        place = path.format(outputs=host.outputs, data=host.data)
        answer = self.asked(host, **{"input": str(inside), part: place})
        assert answer.status == 422, answer.body
        assert "is outside the folders" in answer.body["detail"]

    def test_a_film_of_a_request_tells_addresses_and_its_own_words(
        self, host: Host, clip: Path
    ) -> None:
        named = str(host.outputs / "named.mp4")
        sent = data_url(clip.read_bytes(), "html")
        before = {path.name for path in (host.outputs / "ofgen" / "uploads").glob("*")}
        for job in ({"input": sent}, {"input": sent, "output": named}):
            answer = self.asked(host, **job)
            film = answer.film
            assert film["state"] == "done"
            assert film["output"] == job.get("output", Path(film["output"]).name)
            whole = json.dumps(answer.body["info"]).replace(named, "")
            assert str(host.data) not in whole
            for name in ("video", "report", "page", "keys"):
                status, headers, body = host.ask(film[name])
                assert (status, headers["X-Content-Type-Options"]) == (200, "nosniff")
                assert str(host.data).encode() not in body, name
        after = {path.name for path in (host.outputs / "ofgen" / "uploads").glob("*")}
        assert after == before, "what was sent stays though its jobs are over"

    def test_a_path_that_a_request_named_stands_in_its_answer(self, host: Host, clip: Path) -> None:
        inside = host.outputs / "clip.mp4"
        inside.write_bytes(clip.read_bytes())
        answer = self.asked(host, input=str(inside))
        assert str(inside) in answer.info["infotexts"][0]
        missing = self.asked(host, input=f"{host.outputs}/none.mp4")
        assert f"{host.outputs}/none.mp4" in missing.body["detail"]
