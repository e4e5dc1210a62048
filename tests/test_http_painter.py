"""The painter on a webui's public API, against a small server that answers as the webui does."""

from __future__ import annotations

import base64
import dataclasses
import json
import socket
import time
from collections.abc import Iterator
from threading import Timer
from typing import Any

import numpy as np
import pytest

from lib_ofgen.errors import PainterError
from lib_ofgen.imaging.images import decode_png
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.values import Painter, Repaint
from support.fake_webui_api import MODELS, FakeSdApi

PHOTO, ANIME, INPAINT = (model["title"] for model in MODELS)


@pytest.fixture
def host() -> Iterator[FakeSdApi]:
    with FakeSdApi() as fake:
        yield fake


def _painter(host: FakeSdApi, **options: Any) -> HttpPainter:
    return HttpPainter(host.url, **{"patience": 0.3, "timeout": 5.0, **options})


def _job(rng: np.random.Generator, height: int = 40, width: int = 72, **changes: Any) -> Repaint:
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return dataclasses.replace(Repaint(3, image, None, image, "a bunny", "", 0.4, 11), **changes)


def _one_line(error: pytest.ExceptionInfo[PainterError], *words: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_picture_comes_back_with_what_was_asked_for(
    host: FakeSdApi, rng: np.random.Generator
) -> None:
    painter: Painter = _painter(host, sampler="k_euler_a", scheduler="Karras", steps=9)
    job = _job(rng, negative_prompt="blur", strength=0.55)
    (picture,) = painter.paint([job])
    np.testing.assert_array_equal(picture, 255 - job.image)
    body = host.calls[-1][2]
    np.testing.assert_array_equal(decode_png(base64.b64decode(body["init_images"][0])), job.image)
    wanted = {
        "prompt": "a bunny", "negative_prompt": "blur", "denoising_strength": 0.55, "seed": 11,
        "width": 72, "height": 40, "steps": 9, "cfg_scale": 7.0, "sampler_name": "Euler a",
        "scheduler": "karras", "batch_size": 1, "n_iter": 1, "do_not_save_samples": True,
        "do_not_save_grid": True, "send_images": True, "alwayson_scripts": {},
    }  # fmt: skip
    assert {key: body[key] for key in wanted} == wanted
    assert "mask" not in body


def test_the_hosts_defaults_are_left_alone_where_nothing_is_asked(
    host: FakeSdApi, rng: np.random.Generator
) -> None:
    _painter(host).paint([_job(rng)])
    assert not {"sampler_name", "scheduler", "override_settings"} & set(host.calls[-1][2])
    assert host.switches() == []


def test_outside_the_mask_the_job_s_own_pixels_come_back(
    host: FakeSdApi, rng: np.random.Generator
) -> None:
    mask = np.zeros((40, 72), np.uint8)
    mask[10:30, 20:50] = 255
    job = _job(rng, mask=mask)
    (picture,) = _painter(host).paint([job])
    np.testing.assert_array_equal(picture[mask == 0], job.image[mask == 0])
    np.testing.assert_array_equal(picture[mask > 0], 255 - job.image[mask > 0])
    body = host.calls[-1][2]
    wanted = {"inpainting_fill": 1, "inpaint_full_res": False, "mask_blur": 0}
    assert {key: body[key] for key in wanted} == wanted
    assert body["inpainting_mask_invert"] == 0


@pytest.mark.parametrize(("height", "width"), [(41, 67), (8, 8), (16, 9)])
def test_odd_sizes_are_padded_there_and_cut_here(
    host: FakeSdApi, rng: np.random.Generator, height: int, width: int
) -> None:
    mask = np.full((height, width), 255, np.uint8)
    jobs = [_job(rng, height, width), _job(rng, height, width, mask=mask)]
    pictures = _painter(host).paint(jobs)
    for job, picture in zip(jobs, pictures, strict=True):
        np.testing.assert_array_equal(picture, 255 - job.image)
    assert host.calls[-1][2]["width"] % 8 == 0 == host.calls[-1][2]["height"] % 8


def test_nothing_is_asked_where_nothing_may_change(
    host: FakeSdApi, rng: np.random.Generator
) -> None:
    jobs = [_job(rng, strength=0.0), _job(rng, mask=np.zeros((40, 72), np.uint8))]
    for job, picture in zip(jobs, _painter(host).paint(jobs), strict=True):
        np.testing.assert_array_equal(picture, job.image)
        assert picture is not job.image
    assert host.asked()["POST img2img"] == 0


def test_each_stage_switches_once_and_goes_back(host: FakeSdApi, rng: np.random.Generator) -> None:
    painter = _painter(host, checkpoint="anime", inpaint_checkpoint="b1f00dcafe")
    with painter.stage("keys"):
        assert host.loaded == ANIME
        painter.paint([_job(rng), _job(rng)])
    assert host.loaded == PHOTO
    with painter.stage("holes"):
        assert host.loaded == INPAINT
    assert host.switches() == [ANIME, PHOTO, INPAINT, PHOTO]


@pytest.mark.parametrize("name", ["", "photo", "PHOTO.safetensors", "6ce0161689", PHOTO])
def test_no_switch_where_the_checkpoint_is_loaded(host: FakeSdApi, name: str) -> None:
    host.loaded = "photo.safetensors"  # as a host says it before it has computed the hash
    painter = _painter(host, checkpoint=name)
    with painter.stage("keys"), painter.stage("holes"):
        pass
    assert host.switches() == []


def test_holes_are_painted_in_the_style_of_the_keys(host: FakeSdApi) -> None:
    with _painter(host, checkpoint="style/anime.safetensors").stage("holes"):
        assert host.loaded == ANIME


def test_the_checkpoint_is_restored_when_painting_fails(
    host: FakeSdApi, rng: np.random.Generator
) -> None:
    painter = _painter(host, checkpoint="anime")
    host.fail("422")
    with pytest.raises(PainterError, match="value is too large"), painter.stage("keys"):
        painter.paint([_job(rng)])
    assert host.loaded == PHOTO


def test_a_failed_restore_does_not_hide_what_went_wrong(host: FakeSdApi) -> None:
    painter = _painter(host, checkpoint="anime")
    with pytest.raises(KeyError, match="first"), painter.stage("keys"):
        _break(host)


def _break(host: FakeSdApi) -> None:
    host.fail("422", route="options")
    raise KeyError("first")


def test_a_host_that_keeps_its_checkpoint_is_refused(host: FakeSdApi) -> None:
    host.frozen = True
    painter = _painter(host, checkpoint="anime")
    with pytest.raises(PainterError, match="--freeze-settings"), painter.stage("keys"):
        pass


def test_identity_is_what_changes_a_pixel(host: FakeSdApi) -> None:
    def identity(**options: Any) -> str:
        return _painter(host, **options).identity

    same = identity()
    assert identity(checkpoint="photo") == same == identity(timeout=1.0, auth="a:b")
    with FakeSdApi() as other:
        assert _painter(other).identity == same
        other.loaded = ANIME
        assert _painter(other).identity == identity(checkpoint="anime")
    changed = [
        identity(checkpoint="anime"), identity(inpaint_checkpoint="anime"), identity(steps=21),
        identity(sampler="Euler a"), identity(scheduler="karras"), identity(cfg_scale=8.0),
    ]  # fmt: skip
    assert len({same, *changed}) == 7
    assert host.url not in same


def test_construction_asks_nobody(host: FakeSdApi) -> None:
    HttpPainter(host.url)
    assert host.asked() == {}
    HttpPainter("http://painter.invalid:7860")  # no such host, and nobody looked


@pytest.mark.parametrize("end", ["", "/", "/sdapi/v1", "/sdapi/v1/"])
def test_the_address_in_every_common_form(host: FakeSdApi, end: str) -> None:
    HttpPainter(host.url + end).connect()
    assert host.asked() == {"GET options": 1, "GET sd-models": 1}


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "localhost:7860", "", "file:///etc/passwd", "http://", "http://[::1"]
)
def test_addresses_that_are_no_webui_are_refused(url: str) -> None:
    with pytest.raises(PainterError) as error:
        HttpPainter(url)
    _one_line(error, repr(url), "http://HOST:PORT")


@pytest.mark.parametrize("url", ["http://ann:p/w@host", "http://ann:12?34@host", "http://h/#a@b"])
def test_an_address_whose_password_is_not_escaped_is_refused(url: str) -> None:
    with pytest.raises(PainterError) as error:
        HttpPainter(url)
    _one_line(error, "'http://...'")


def test_credentials(host: FakeSdApi) -> None:
    host.auth = "ann:p:w"
    _painter(host, auth="ann:p:w").connect()
    HttpPainter(host.url.replace("//", "//ann:p%3Aw@")).connect()
    for auth in (None, "ann:wrong"):
        with pytest.raises(PainterError) as error:
            _painter(host, auth=auth).connect()
        _one_line(error, host.url, "401", "--painter-auth user:password")
    with pytest.raises(PainterError, match="user:password"):
        _painter(host, auth="ann")


def test_a_proxy_is_not_asked_for_this_machine(
    host: FakeSdApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    _painter(host).connect()
    HttpPainter(host.url.replace("127.0.0.1", "localhost")).connect()
    assert host.asked() == {"GET options": 2, "GET sd-models": 2}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_connecting_where_nobody_listens_fails_at_once() -> None:
    url = f"http://127.0.0.1:{_free_port()}"
    began = time.monotonic()
    with pytest.raises(PainterError) as error:
        HttpPainter(url).connect()
    _one_line(error, url, "refused", "--api")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("url", ["http://painter.invalid", "http://a..b", "http://bad host"])
def test_names_that_lead_nowhere(url: str) -> None:
    with pytest.raises(PainterError) as error:
        HttpPainter(url).connect()
    _one_line(error, url, "cannot be reached")


def test_a_host_that_says_nothing_is_given_up() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(PainterError) as error:
            HttpPainter(url, timeout=0.2).connect()
    _one_line(error, url, "no answer in 0.2 s")


def test_https_where_http_is_spoken(host: FakeSdApi) -> None:
    with pytest.raises(PainterError) as error:
        HttpPainter(host.url.replace("http", "https")).connect()
    _one_line(error, "https://", "no secure connection")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("html", ("not JSON", "--api")),
        ("307", ("307", "http://elsewhere.invalid/")),
        ("500", ("500", "OutOfMemoryError, CUDA out of memory.")),
        ("403", ("403", "--painter-auth")),
    ],
)
def test_what_is_not_a_webui_is_named(host: FakeSdApi, how: str, words: tuple[str, ...]) -> None:
    host.fail(how, route="options")
    with pytest.raises(PainterError) as error:
        _painter(host).connect()
    _one_line(error, host.url, *words)


def test_a_webui_without_its_api(host: FakeSdApi) -> None:
    with pytest.raises(PainterError) as error:
        HttpPainter(host.url + "/elsewhere").connect()
    _one_line(error, "/elsewhere", "404", "--api")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"checkpoint": "anme"}, ("checkpoint 'anme'", "'anime'")),
        ({"inpaint_checkpoint": "anime-inpaint"}, ("'anime-inpaint'", "'anime-inpainting'")),
        ({"sampler": "Euler b"}, ("sampler 'Euler b'", "'Euler a'")),
        ({"scheduler": "caras"}, ("scheduler 'caras'", "'karras'")),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(
    host: FakeSdApi, options: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(PainterError) as error:
        _painter(host, **options).connect()
    _one_line(error, host.url, *words)


def test_a_host_without_a_list_of_schedulers_is_believed(host: FakeSdApi) -> None:
    host.missing.add("schedulers")
    painter = _painter(host, scheduler="Karras")
    painter.connect()
    assert json.loads(painter.identity)[2]["scheduler"] == "Karras"


@pytest.mark.parametrize("how", ["drop", "cut", "500", "503", "starting"])
def test_a_passing_failure_is_survived(host: FakeSdApi, rng: np.random.Generator, how: str) -> None:
    painter, job = _painter(host), _job(rng)
    host.fail(how, times=2)
    np.testing.assert_array_equal(painter.paint([job])[0], 255 - job.image)
    assert host.asked()["POST img2img"] == 3


def test_a_restart_is_survived_and_the_checkpoint_asked_for_again(
    host: FakeSdApi, rng: np.random.Generator
) -> None:
    painter = _painter(host, checkpoint="anime")
    with painter.stage("keys"):
        host.fail("forget")
        painter.paint([_job(rng)])
        assert host.loaded == ANIME
    assert host.switches() == [ANIME, ANIME, PHOTO]


def test_a_host_that_is_away_for_a_while_is_waited_for(rng: np.random.Generator) -> None:
    with FakeSdApi() as host:
        painter, job = _painter(host, patience=5.0), _job(rng)
        painter.connect()
    started: list[FakeSdApi] = []
    timer = Timer(0.3, lambda: started.append(FakeSdApi(port=host.port).__enter__()))
    timer.start()
    try:
        np.testing.assert_array_equal(painter.paint([job])[0], 255 - job.image)
    finally:
        timer.join()
        started[0].__exit__(None, None, None)


@pytest.mark.parametrize(("how", "calls"), [("500", 4), ("503", 4), ("drop", 4)])
def test_a_lasting_failure_is_given_up(
    host: FakeSdApi, rng: np.random.Generator, how: str, calls: int
) -> None:
    painter = _painter(host, patience=0.4)
    host.fail(how, times=99)
    with pytest.raises(PainterError) as error:
        painter.paint([_job(rng)])
    _one_line(error, host.url)
    assert 2 <= host.asked()["POST img2img"] <= calls


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("422", "value is too large"),
        ("404", "Sampler not found"),
        ("401", "--painter-auth"),
        ("size", "painted 8x8 where 72x40 was asked"),
        ("nothing", "no picture"),
        ("junk", "no picture"),
        ("text", "no picture"),
        ("html", "not JSON"),
    ],
)
def test_a_refusal_is_passed_on_and_not_repeated(
    host: FakeSdApi, rng: np.random.Generator, how: str, words: str
) -> None:
    painter = _painter(host)
    host.fail(how)
    with pytest.raises(PainterError) as error:
        painter.paint([_job(rng)])
    _one_line(error, host.url, words)
    assert host.asked()["POST img2img"] == 1
