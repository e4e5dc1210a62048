"""What is said of a painter behind an address: no credentials, no control codes of the host."""

from __future__ import annotations

import logging
import traceback
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from lib_ofgen.cli import commands
from lib_ofgen.errors import OfgenError, PainterError
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.values import Repaint
from support.addresses import SHAPES
from support.fake_webui_api import FakeSdApi
from support.videos import make_video

SECRET = "s3cr3t:/w ord@#?ß%\x1b"
CODES = "\x1b[2J\x1b]0;owned\x07 \r\n\x9b31m\u202egpj\u200b\u2066\ufeff\U000e0041 end"


@pytest.fixture
def host() -> Iterator[FakeSdApi]:
    with FakeSdApi() as fake:
        yield fake


def _whole(error: BaseException) -> str:
    """Everything that may be printed of an error and of what led to it."""
    told, seen = [], set[int]()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            told += [str(one), repr(one), repr(vars(one)), *traceback.format_exception(one)]
            waiting += [one.__cause__, one.__context__]
    return "\n".join(told)


def _said(call: Callable[[], object]) -> str:
    """What a call that fails says; empty where it does not."""
    try:
        call()
    except OfgenError as error:
        return _whole(error)
    return ""


def _hidden(secret: str, text: str) -> bool:
    return not any(
        form in text for form in {secret, repr(secret)[1:-1], urllib.parse.quote(secret)}
    )


# an address that is used nowhere else, so that nothing answers there
NOWHERE = ["http://{}@127.0.0.1:1", "https://{}@127.0.0.1:1/sub", "http://{}@[::1]:1"]


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([*SHAPES, *NOWHERE]), st.text(max_size=9), st.text(min_size=6, max_size=16))
@example("http://{user}:{secret}@host:99999", "ann", "hunter22")
@example("http://{user}:{secret}@host\x01", "ann", "hunter22")
@example("http://{user}:{secret}@ho st/a\x00b", "ann", "hunter22")
def test_no_error_names_a_password(
    caplog: pytest.LogCaptureFixture, shape: str, user: str, secret: str
) -> None:
    assume(len(secret.strip()) >= 6)
    assume(_hidden(secret.strip(), _whole(PainterError(shape.format("", user="", secret="")))))
    url = shape.format(f"{user}:{secret}", user=user, secret=secret)
    with caplog.at_level(logging.DEBUG):
        text = _said(lambda: _look(url)) + _said(lambda: _look("http://[", auth=secret))
        text += _said(lambda: _look("http://127.0.0.1:1", auth=f"{user}:{secret}"))
    lines = [line for line in text.splitlines() if not line.startswith("    ")]  # our own code
    assert _hidden(secret.strip(), "\n".join(lines))
    assert _hidden(secret.strip(), caplog.text)


def _look(url: str, auth: str | None = None) -> None:
    painter = HttpPainter(url, auth=auth, patience=0.0, timeout=0.2)
    if "127.0.0.1:1" in url or "[::1]:1" in url:
        painter.connect()


@pytest.mark.parametrize("how", ["401", "403", "422", "500", "html", "cut", "drop", "307"])
@pytest.mark.parametrize("by", ["address", "option"])
def test_no_failure_of_the_host_names_a_password(host: FakeSdApi, how: str, by: str) -> None:
    host.fail(how, route="options")
    userinfo = f"ann:{urllib.parse.quote(SECRET, safe='')}"
    url = host.url.replace("//", f"//{userinfo}@") if by == "address" else host.url
    auth = f"ann:{SECRET}" if by == "option" else None
    text = _said(HttpPainter(url, auth=auth, patience=0.1).connect)
    assert host.url in text
    assert _hidden(SECRET, text)


def test_what_the_host_repeats_of_a_password_is_left_out(host: FakeSdApi) -> None:
    for secret in ("hunter22", SECRET):
        painter = HttpPainter(host.url, auth=f"ann:{secret}", checkpoint="nowhere")
        host.give([{"title": f"photo {secret}"}], route="sd-models")
        text = _said(painter.connect)
        assert "has no checkpoint" in text
        assert _hidden(secret, text)


def test_a_redirect_is_named_without_what_it_carries(host: FakeSdApi) -> None:
    host.location = "https://ann:hunter22@elsewhere.invalid/in?token=abcdefgh"
    host.fail("302", route="options")
    text = _said(HttpPainter(host.url).connect)
    assert "give https://...@elsewhere.invalid/in?... as the address" in text
    assert "hunter22" not in text
    assert "abcdefgh" not in text


@pytest.mark.parametrize("proxy", ["http:/ann:hunter22@proxy", "http://ann:hunt/er22x@proxy:3128"])
def test_a_proxy_that_is_none_is_not_quoted(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    text = _said(HttpPainter("http://painter.invalid", patience=0.0).connect)
    assert "cannot be reached" in text
    assert "hunt" not in text


# the command line


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("words") / "a.mp4", 4)


URL = "http://ann:hunter22@127.0.0.1:1"


@pytest.mark.parametrize(
    "words",
    [
        ["--painter", URL],
        ["--painter", f"{URL}99999"],
        ["--painter", "ftp://ann:hunter22@host"],
        ["--painter", "ann:hunter22@host"],
        [f"--painter={URL}", "--unknown"],
        [f"--paint={URL}"],
        ["--pinter", URL],
        ["--painter", "brush", "--painter_auth", "ann:hunter22"],
        ["--painter_auth=ann:hunter22"],
        ["--painter-auth", "hunter22", "--painter", "http://127.0.0.1:1"],
        ["--painter-auth", "ann:hunter22", "extra", "--painter", "http://127.0.0.1:1"],
        ["--mask", f"{URL}/mask.mp4"],
        ["--preset", URL],
        ["--set", f"prompts={URL}"],
    ],
)
def test_the_command_line_repeats_no_password(
    words: list[str], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = _status(["animate", str(clip), "-o", str(tmp_path / "a.mp4"), "--quiet", *words])
    said = capsys.readouterr()
    assert status in (1, 2)
    assert "hunter22" not in said.out + said.err
    assert len(said.err.splitlines()) == 1


def test_an_input_that_is_an_address_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert _status(["animate", f"{URL}/a.mp4", "-o", "a.mp4"]) == 2
    said = capsys.readouterr().err
    assert "hunter22" not in said
    assert "a.mp4' cannot be read" in said


def _status(words: list[str]) -> int:
    try:
        return commands.main(words)
    except SystemExit as end:
        return int(str(end.code))


# control codes


def _plain(text: str) -> bool:
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return not any(unicodedata.category(one) in bad for one in text.removesuffix("\n"))


@pytest.mark.parametrize("route", ["options", "sd-models", "samplers", "img2img"])
def test_codes_of_a_host_do_not_reach_an_error(host: FakeSdApi, route: str) -> None:
    host.give({"detail": CODES, "errors": [{"msg": CODES}]}, route=route, status=422)
    painter = HttpPainter(host.url, sampler="Euler a", patience=0.1)
    with pytest.raises(PainterError) as error:
        painter.paint([_job()])
    assert _plain(str(error.value))
    assert "end" in str(error.value)


def test_codes_in_names_do_not_reach_an_error(host: FakeSdApi) -> None:
    for route, asked in (("sd-models", "checkpoint"), ("samplers", "sampler")):
        host.give([{"title": f"photo{CODES}", "name": f"photo{CODES}"}], route=route)
        with pytest.raises(PainterError) as error:
            HttpPainter(host.url, **{asked: "phot"}).connect()
        assert _plain(str(error.value))
        assert "the nearest it has is 'photo" in str(error.value)


def test_codes_in_a_redirect_or_a_status_line_do_not_reach_an_error(host: FakeSdApi) -> None:
    host.location = "http://elsewhere.invalid/\x1b[2J\x07\x9b"
    host.fail("302", route="options")
    host.fail("status line", route="options")
    for _ in range(2):
        with pytest.raises(PainterError) as error:
            HttpPainter(host.url, patience=0.0).connect()
        assert _plain(str(error.value))


def test_codes_in_names_of_files_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "a\x1b]0;owned\x07\x9b\u202e4pm.mp4"
    assert _status(["animate", str(tmp_path / name), "-o", "a.mp4"]) == 2
    said = capsys.readouterr().err
    assert _plain(said)
    assert "owned" in said
    make_video(tmp_path / "a.mp4", 4).rename(tmp_path / name)
    words = ["animate", str(tmp_path / name), "-o", str(tmp_path / f"film{name}"), "--quiet"]
    assert _status(words) == 0
    out = capsys.readouterr()
    assert all(_plain(line) for line in (out.out + out.err).splitlines())
    assert (tmp_path / f"film{name}").is_file()


def test_codes_in_a_word_that_is_no_option_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _status(["animate", "a.mp4", "-o", "b.mp4", "--\x1b[2J\x07"]) == 2
    assert _plain(capsys.readouterr().err)


def _job() -> Repaint:
    image = np.random.default_rng(3).integers(0, 256, (40, 72, 3), dtype=np.uint8)
    return Repaint(3, image, None, image, "a bunny", "", 0.4, 11)
