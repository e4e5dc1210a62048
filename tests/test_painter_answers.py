"""What a painter behind an address may send: pictures, and what is refused, within limits."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures

from lib_ofgen.errors import PainterError
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.system import limits
from lib_ofgen.values import Image, Repaint
from support.fake_webui_api import FakeSdApi
from support.hostile_answers import ANSWERS, SIZE, answer, picture
from support.paths import ROOT

_CHILD = """
import json, sys, time
import numpy as np
from pathlib import Path
from lib_ofgen.errors import PainterError
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.values import Repaint

def peak():
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))

image = np.random.default_rng(3).integers(0, 256, (40, 72, 3), dtype=np.uint8)
for name in json.loads(sys.argv[2]):
    painter = HttpPainter(sys.argv[1], timeout=0.6, patience=0.2)
    painter.connect()
    begun = time.monotonic()
    try:
        painter.paint([Repaint(3, image, None, image, name, "", 0.4, 11)])
        said = ""
    except PainterError as error:
        said = str(error)
    print(json.dumps([name, said, time.monotonic() - begun, peak()]), flush=True)
"""
"""Asks for a picture by each of the names; tells what came, in s and MiB of memory."""


@pytest.fixture
def host() -> Iterator[FakeSdApi]:
    with FakeSdApi() as fake:
        yield fake


@pytest.fixture
def limits_kept() -> Iterator[None]:
    before = limits.current()
    yield
    limits.change([f"answer={before.answer}"])


def _job(image: Image | None = None, **more: Any) -> Repaint:
    noise = np.random.default_rng(3).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    image = noise if image is None else image
    return Repaint(3, image, more.pop("mask", None), image, "a bunny", "", 0.4, 11)


def _given(host: FakeSdApi, body: bytes, job: Repaint | None = None) -> Image:
    host.give(body)
    (found,) = HttpPainter(host.url, timeout=5, patience=0.2).paint([job or _job()])
    return found


def _refused(host: FakeSdApi, body: bytes, *words: str, job: Repaint | None = None) -> None:
    with pytest.raises(PainterError) as error:
        _given(host, body, job)
    assert [word for word in (host.url, *words) if word not in str(error.value)] == []
    assert "\n" not in str(error.value)
    assert host.asked()["POST img2img"] == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by /proc only")
def test_no_answer_takes_much_memory_or_time(host: FakeSdApi) -> None:
    names = list(ANSWERS)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, host.url, json.dumps(names)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in told] == names, done.stderr
    for name, said, seconds, peak in told:
        assert said.startswith(host.url), name
        assert "\n" not in said, name
        assert len(said) < 700, name
        assert seconds < 0.6 + 5, name
        assert peak < 600, name


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_of_each_kind_is_taken(host: FakeSdApi, form: str, mode: str) -> None:
    file = picture(form, mode)
    found = _given(host, answer("data:image/x;base64," + base64.b64encode(file).decode()))
    assert found.shape == (40, 72, 3)
    assert found.std() > 20


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "LA"])
def test_a_png_of_any_mode_comes_out_as_rgb(host: FakeSdApi, mode: str) -> None:
    assert _given(host, answer(picture(mode=mode))).shape == (40, 72, 3)


MOVING: dict[str, Any] = {"save_all": True, "append_images": [Pictures.new("RGB", SIZE)]}
NOT_TAKEN = {
    "animated PNG": (picture(**MOVING), "animation"),
    "animated WebP": (picture("WEBP", **MOVING), "animation"),
    "16 bits": (picture(mode="I;16"), "8 bits"),
    "transparent": (picture(mode="RGBA", opacity=200), "transparent"),
    "GIF": (picture("GIF", "P"), "no picture"),
    "TIFF": (picture("TIFF"), "no picture"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" width="72" height="40"/>', "no picture"),
    "half a PNG": (picture()[:2000], "not usable"),
    "half a JPEG": (picture("JPEG")[:900], "not usable"),
    "half a WebP": (picture("WEBP")[:900], ""),
    "turned": (picture(size=(40, 72)), "painted 40x72 where 72x40 was asked"),
    "nothing": (b"", "no picture"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_TAKEN)
def test_what_is_not_the_picture_asked_for_is_refused(host: FakeSdApi, case: str) -> None:
    file, word = NOT_TAKEN[case]
    _refused(host, answer(file), word)


@pytest.mark.parametrize(
    ("images", "word"),
    [
        ([], "no picture"),
        ("AAAA", "no picture"),
        ({"0": "AAAA"}, "no picture"),
        (None, "no picture"),
        ([None], "no picture"),
        ([["AAAA"]], "no picture"),
        ([5], "no picture"),
        (["größe"], "no picture"),
        (["\ud800"], "no picture"),
        (["%%%%"], "no picture"),
        (["data:image/png;base64"], "no picture"),
        (["AAAA", "AAAA"], "gave 2 pictures where 1 was asked"),
    ],
)
def test_a_list_of_something_else_is_refused(host: FakeSdApi, images: Any, word: str) -> None:
    _refused(host, json.dumps({"images": images}).encode(), word)


def test_what_else_an_answer_says_is_not_read(host: FakeSdApi) -> None:
    file = picture()
    for info in ("{", "[" * 5000, {"a": [{}] * 9}, None, float("nan")):
        found = _given(host, answer(file, info=info, parameters=info))
        np.testing.assert_array_equal(found, np.asarray(Pictures.open(io.BytesIO(file))))


def _flat(level: int) -> bytes:
    return answer(picture(image=np.full((SIZE[1], SIZE[0], 3), level, np.uint8)))


@pytest.mark.parametrize("level", [0, 127, 128, 255])
def test_a_picture_of_a_model_that_gave_no_numbers_is_refused(host: FakeSdApi, level: int) -> None:
    _refused(host, _flat(level), "frame 3", "one flat colour", "--no-half-vae")


def test_a_hole_that_came_out_black_is_refused(host: FakeSdApi) -> None:
    mask = np.zeros((40, 72), np.uint8)
    mask[8:24, 8:24] = 255
    job = _job(mask=mask)
    painted = np.where(mask[..., None] > 0, 0, job.image).astype(np.uint8)
    _refused(host, answer(picture(image=painted)), "one flat colour", job=job)


@pytest.mark.parametrize("case", ["black before", "dark before", "one colour before", "few px"])
def test_what_may_be_black_is_taken(host: FakeSdApi, case: str) -> None:
    job = _job()
    if case == "black before":
        job = _job(np.zeros((40, 72, 3), np.uint8))
    elif case == "dark before":
        job = _job((job.image // 32).astype(np.uint8))
    elif case == "one colour before":
        job = _job(np.full((40, 72, 3), 200, np.uint8))
    else:
        mask = np.zeros((40, 72), np.uint8)
        mask[:5, :5] = 255
        job = _job(mask=mask)
    found = _given(host, _flat(0), job)
    assert not found[:5, :5].any()


@pytest.mark.usefixtures("limits_kept")
def test_the_limit_of_an_answer_is_the_user_s(host: FakeSdApi) -> None:
    large = answer(picture(), info="x" * (3 << 20))
    assert _given(host, large).shape == (40, 72, 3)
    limits.change(["answer=2"])
    with pytest.raises(PainterError, match=r"larger than 2 MiB.*--limit answer="):
        _given(host, large)


@pytest.mark.parametrize("route", ["options", "sd-models", "samplers"])
@pytest.mark.parametrize(
    "document",
    [5, None, "x", [], [5], [None], [[]], {}, {"sd_model_checkpoint": [[]]},
     [{"title": {}, "filename": 5, "hash": []}], [{"name": [], "aliases": 5}],
     [{"name": "x", "aliases": [[], {}, None]}]],
)  # fmt: skip
def test_lists_of_something_else_end_in_one_line(
    host: FakeSdApi, route: str, document: Any
) -> None:
    host.give(document, route=route)
    painter = HttpPainter(host.url, sampler="Euler a", checkpoint="photo")
    said = _error(painter.connect)
    assert said.startswith(host.url) or not said
    assert "\n" not in said


def _error(call: Callable[[], None]) -> str:
    """What it says of what went wrong; empty where nothing did."""
    try:
        call()
    except PainterError as error:
        return str(error)
    return ""


def test_names_that_take_long_to_compare_do_not(host: FakeSdApi) -> None:
    names = ["photo " + " " * 200_000 + "x", "Z" * 300_000, *map(str, range(20_000))]
    host.give([{"title": name, "model_name": name} for name in names], route="sd-models")
    with pytest.raises(PainterError, match="has no checkpoint"):
        HttpPainter(host.url, checkpoint="phto" * 9, timeout=5).connect()


_IN_PROCESS = """
import sys
import numpy as np
from PIL import Image as Pictures
from modules import processing
from lib_ofgen.errors import PainterError
from lib_ofgen.values import Repaint
from lib_ofgen.webui.host.painter import PainterOptions, WebuiPainter

image = np.random.default_rng(3).integers(0, 256, (40, 72, 3), dtype=np.uint8)
processing.process_images = lambda p: processing.Processed(p, [Pictures.new("RGB", (72, 40))])
try:
    WebuiPainter(PainterOptions()).paint([Repaint(3, image, None, image, "a bunny", "", 0.4, 11)])
except PainterError as error:
    print(error)
"""


def test_a_black_picture_of_the_webui_in_process_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the webui brings torch, which is not installed here")
    done = subprocess.run(
        [sys.executable, "-c", _IN_PROCESS, "--data", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), "tests/fake_host"])},
    )  # fmt: skip
    assert "frame 3 in one flat colour" in done.stdout, done.stderr
    assert "--no-half-vae" in done.stdout
