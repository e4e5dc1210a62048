"""Control units: how they are written, which picture each gets, and what a webui is told."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib_ofgen.cli import commands
from lib_ofgen.errors import PainterError, SettingsError
from lib_ofgen.imaging.images import decode_png, encode_png
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.pipeline.run import Job, run_job
from lib_ofgen.planning import schedule
from lib_ofgen.settings import control_units, presets
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import ControlUnit, Image, KeyFrame, PromptRow, Repaint, Scene
from support.fake_webui_api import FakeSdApi
from support.jobs import BASE, SIZE, Counting, Patience, pictures, run_prompted
from support.videos import make_video

LINES = presets.bundled_presets()["lines"].settings["control_units"]


# how they are written


def test_a_line_is_a_unit() -> None:
    text = (
        "softedge_hed / control_v11p_sd15_softedge [a8575a2a] weight=0.7\n\n"
        "  canny/control  start = 0.1 end=0.9 threshold_a=100 threshold_b=200 stages=holes \n"
        "reference_only"
    )
    assert control_units.parse_units(text) == (
        ControlUnit("softedge_hed", "control_v11p_sd15_softedge [a8575a2a]", 0.7),
        ControlUnit("canny", "control", 1.0, 0.1, 0.9, 100, 200, "frame", ("holes",)),
        ControlUnit("reference_only", source="anchor"),
    )
    assert control_units.parse_units("") == control_units.parse_units(" \n") == ()
    (plain,) = control_units.parse_units("ip-adapter (auto) / ip source=anchor stages=keys")
    assert plain == ControlUnit("ip-adapter (auto)", "ip", source="anchor", stages=("keys",))


def test_the_preset_lines_is_what_the_seed_had() -> None:
    assert control_units.parse_units(LINES) == (
        ControlUnit("softedge_hed", "control_v11p_sd15_softedge", 0.7),
        ControlUnit("canny", "control_v11p_sd15_canny", 0.3, threshold_a=100, threshold_b=200),
    )


REFUSED = {
    "option": ("\ncanny / m wieght=1", ["line 2", "'wieght=1'", "did you mean weight?"]),
    "no such option": ("canny / m qqq=1", ["qqq", "weight", "stages"]),
    "number": ("canny / m weight=much", ["'weight=much'", "0..2"]),
    "range": ("canny / m weight=2.5", ["'weight=2.5'", "0..2"]),
    "not a number": ("canny / m end=nan", ["0..1"]),
    "word": ("canny / m source=last", ["'source=last'", "frame, anchor"]),
    "twice": ("canny / m weight=1 weight=1", ["weight twice"]),
    "span": ("canny / m start=0.5 end=0.5", ["ends before it starts"]),
    "no module": ("/ m", ["write MODULE / MODEL"]),
    "no model": ("canny /", ["write MODULE / MODEL"]),
    "options only": ("weight=1", ["write MODULE / MODEL"]),
    "folder": ("canny / models/m.safetensors", ["path or an address", "bare names"]),
    "up": ("canny / ..", ["path or an address"]),
    "windows": ("canny / C:\\m", ["path or an address"]),
    "address": ("https://example.org/x", ["path or an address"]),
    "home": ("~m", ["path or an address"]),
    "four": ("a / b\n" * 4, ["4 units", "at most 3"]),
    "long": ("canny / " + "m " * 999 + "m", ["line 1", "longer than 400"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_unit_is_refused_in_one_line(case: str) -> None:
    text, words = REFUSED[case]
    with pytest.raises(SettingsError) as caught:
        Settings().replace({"control_units": text})
    assert [word for word in words if word not in str(caught.value)] == []
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    with pytest.raises(SettingsError):
        presets.make_preset("mine", {"control_units": text})


def test_names_are_matched_as_controlnet_spells_them() -> None:
    models = ["None", "control_v11p_sd15_canny [d14c016b]", "Tile"]
    asked = control_units.parse_units("CANNY / control_v11p_sd15_Canny\ntile / tile [abcdef12]")
    found = control_units.match_models(asked, ["none", "canny", "tile"], models)
    assert [(unit.module, unit.model) for unit in found] == [("canny", models[1]), ("tile", "Tile")]
    for text, words in {
        "cany / Tile": "module 'cany'; did you mean 'canny'",
        "canny / softedge": "model 'softedge'; it has control_v11p_sd15_canny",
        "canny": "unit 1: 'canny' needs a model",
    }.items():
        with pytest.raises(SettingsError) as caught:
            control_units.match_models(control_units.parse_units(text), ["none", "canny"], models)
        assert words in str(caught.value)
    with pytest.raises(SettingsError, match="models/ControlNet"):
        control_units.match_models(asked, ["canny", "tile"], ["None"])
    (free,) = control_units.match_models(
        control_units.parse_units("invert"), ["invert"], [], {"invert": True}
    )
    assert free.model == ""


# which picture each gets


def test_anchors_are_their_scenes_first_keys() -> None:
    keys = [KeyFrame(index, 0.0, "interval") for index in (0, 2, 5)]
    scenes = [Scene(0, 4), Scene(4, 7)]
    assert schedule.anchors(keys, scenes) == {0: 0, 1: 0, 2: 0, 3: 0, 4: 5, 5: 5, 6: 5}


@pytest.fixture(scope="module")
def two_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dark, bright = pictures(8), pictures(7, seed=8)
    shots = [(image * 0.25).astype(np.uint8) for image in dark] + bright
    return make_video(tmp_path_factory.mktemp("cut") / "clip.mp4", shots)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _as_painted(job: Repaint) -> Image:
    return Counting().paint([job])[0]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("agreement", ["independent", "guided", "canvas"])
def test_a_reference_is_the_scenes_first_key_as_painted(
    two_scenes: Path, tmp_path: Path, agreement: str, batch: int
) -> None:
    """On a canvas that key stands beside already."""
    painter = Counting()
    outcome = run_prompted(
        two_scenes,
        tmp_path,
        painter,
        control_units="reference_only",
        key_agreement=agreement,
        paint_batch=batch,
    )
    starts = [scene.start for scene in outcome.facts.scenes]
    assert len(starts) == 2
    whole = {job.target: _as_painted(job) for job in painter.jobs if job.mask is None}
    for job in painter.jobs:
        first = max(start for start in starts if start <= job.target)
        if job.target == first or job.image.shape[1] > whole[first].shape[1]:
            assert job.anchor is None
            continue
        assert job.anchor is not None
        assert job.anchor.shape == job.image.shape
        if job.mask is None:
            np.testing.assert_array_equal(job.anchor, whole[first])
        else:
            assert _holds(whole[first], job.anchor)
    assert any(job.mask is not None for job in painter.jobs)


def _holds(whole: Image, part: Image) -> bool:
    height, width = part.shape[:2]
    views = np.lib.stride_tricks.sliding_window_view(whole, (height, width, 3))
    return bool((views == part).all(axis=(-1, -2, -3)).any())


@pytest.mark.parametrize("background", ["keep", "once"])
def test_of_a_masked_frame_the_reference_is_its_paint_over_the_source(
    two_scenes: Path, tmp_path: Path, background: str
) -> None:
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[20:70, 30:110] = 255
    (tmp_path / "mask.png").write_bytes(encode_png(mask))
    units = {"control_units": "reference_only", "background": background, "paint_batch": 4}
    settings = Settings().replace({**BASE, **units, "key_agreement": "independent"})
    space, painter = tmp_path / "space", Counting()
    job = Job(two_scenes, tmp_path / "o.mp4", space, settings, mask=tmp_path / "mask.png")
    outcome = run_job(job, painter, Patience())
    starts = [scene.start for scene in outcome.facts.scenes]
    first = {job.target: job for job in painter.jobs if job.target in starts}
    assert sorted(first) == starts
    assert all(job.anchor is None for job in first.values())
    others = [job for job in painter.jobs if job.target not in starts]
    assert others
    assert all(job.anchor is not None and job.anchor.any() for job in others)


def test_anchors_are_for_the_stages_that_ask(two_scenes: Path, tmp_path: Path) -> None:
    painter = Counting()
    keys_only = {"control_units": "reference_only stages=keys", "key_agreement": "independent"}
    run_prompted(two_scenes, _made(tmp_path / "keys"), painter, **keys_only)
    assert all(job.anchor is None for job in painter.jobs if job.mask is not None)
    assert any(job.anchor is not None for job in painter.jobs)
    painter = Counting()
    run_prompted(two_scenes, _made(tmp_path / "other"), painter, control_units=LINES)
    assert all(job.anchor is None for job in painter.jobs)


def test_another_anchor_paints_anew_what_looked_at_it(two_scenes: Path, tmp_path: Path) -> None:
    """The first keys' prompt changes: with a reference the later keys follow, without they stay."""
    for units in ("reference_only", ""):
        folder = _made(tmp_path / (units or "none"))
        same: dict[str, object] = {"control_units": units, "key_agreement": "independent"}
        outcome = run_prompted(two_scenes, folder, Counting(), **same)
        scene = outcome.facts.scenes[1]
        later = [key.index for key in outcome.facts.keys if scene.start < key.index]
        painter = Counting()
        run_prompted(two_scenes, folder, painter, **same)
        assert painter.jobs == [], "nothing has changed"
        rows = [PromptRow(scene.start, scene.start + 1, "another", "")]
        run_prompted(two_scenes, folder, painter, rows=rows, **same)
        assert painter.whole == [scene.start, *(later if units else [])]


# what a webui is told


@pytest.fixture
def host() -> Iterator[FakeSdApi]:
    with FakeSdApi() as fake:
        fake.controlnet = {
            "version": {"version": 3},
            "settings": {"control_net_unit_count": 3},
            "model_list": {"model_list": ["control_v11p_sd15_canny [d14c016b]"]},
            "module_list": {
                "module_list": ["none", "canny", "reference_only"],
                "module_detail": {
                    "none": {"model_free": False},
                    "canny": {"model_free": False},
                    "reference_only": {"model_free": True},
                },
            },
        }
        yield fake


CANNY = "canny / control_v11p_sd15_canny weight=0.3 threshold_a=100 threshold_b=200"


def _painter(host: FakeSdApi, text: str) -> HttpPainter:
    return HttpPainter(host.url, patience=0.3, timeout=5.0, units=control_units.parse_units(text))


def _job(rng: np.random.Generator, **changes: Any) -> Repaint:
    image, original = rng.integers(0, 256, (2, 41, 66, 3), dtype=np.uint8)
    return dataclasses.replace(Repaint(3, image, None, original, "a", "", 0.4, 11), **changes)


def _decoded(text: str) -> Image:
    return decode_png(base64.b64decode(text))


def test_units_go_with_each_picture(host: FakeSdApi, rng: np.random.Generator) -> None:
    painter = _painter(host, f"{CANNY}\nreference_only")
    job = _job(rng)
    (picture,) = painter.paint([job])
    np.testing.assert_array_equal(picture, 255 - job.image)
    (unit,) = host.calls[-1][2]["alwayson_scripts"]["controlnet"]["args"]
    assert unit.pop("image")
    assert unit == {
        "enabled": True, "module": "canny", "model": "control_v11p_sd15_canny [d14c016b]",
        "weight": 0.3, "guidance_start": 0.0, "guidance_end": 1.0, "threshold_a": 100.0,
        "threshold_b": 200.0, "pixel_perfect": True, "save_detected_map": True,
    }  # fmt: skip
    anchor = _job(rng).image
    painter.paint([dataclasses.replace(job, anchor=anchor)])
    units = host.calls[-1][2]["alwayson_scripts"]["controlnet"]["args"]
    assert [unit["model"] for unit in units][1] == "None"
    for unit, image in zip(units, (job.original, anchor), strict=True):
        sent = _decoded(unit["image"])
        assert sent.shape == (48, 72, 3), "of the size of the picture, which is padded"
        np.testing.assert_array_equal(sent[:41, :66], image)


def test_stages_have_their_own_units(host: FakeSdApi, rng: np.random.Generator) -> None:
    painter = _painter(host, f"{CANNY} stages=holes")
    with painter.stage("keys"):
        painter.paint([_job(rng)])
    with painter.stage("holes"):
        painter.paint([_job(rng)])
    painted = [body["alwayson_scripts"] for _, route, body in host.calls if route == "img2img"]
    assert [bool(scripts) for scripts in painted] == [False, True]


def test_units_are_part_of_the_painters_identity(host: FakeSdApi) -> None:
    texts = ("", CANNY, CANNY.replace("0.3", "0.4"), "reference_only")
    assert len({_painter(host, text).identity for text in texts}) == len(texts)


def test_without_controlnet_the_job_is_refused_before_it_starts(host: FakeSdApi) -> None:
    host.controlnet = {}
    with pytest.raises(PainterError, match=r"has no ControlNet.*install sd-webui-controlnet"):
        _painter(host, CANNY).connect()
    _painter(host, "").connect()
    assert host.asked()["POST img2img"] == 0


@pytest.mark.parametrize(
    ("route", "answer", "word"),
    [
        ("version", {"version": 9}, "version 9"),
        ("version", {}, "version None"),
        ("module_list", {}, "unknown form"),
        ("module_list", [], "unknown form"),
        ("module_list", {"module_list": 5}, "unknown form"),
        ("model_list", {"models": []}, "unknown form"),
        ("model_list", {"model_list": []}, "no model 'control_v11p_sd15_canny'"),
        ("settings", {"control_net_unit_count": 0}, "takes 0 units"),
    ],
)
def test_a_changed_controlnet_is_refused(
    host: FakeSdApi, route: str, answer: Any, word: str
) -> None:
    host.controlnet[route] = answer
    with pytest.raises(PainterError) as caught:
        _painter(host, CANNY).connect()
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_forge_tells_no_version(host: FakeSdApi, rng: np.random.Generator) -> None:
    del host.controlnet["version"], host.controlnet["settings"]
    del host.controlnet["module_list"]["module_detail"]
    host.maps = False
    painter = _painter(host, "reference_only")
    painter.paint([_job(rng, anchor=_job(rng).image)])
    (unit,) = host.calls[-1][2]["alwayson_scripts"]["controlnet"]["args"]
    assert not unit["save_detected_map"]


def test_a_picture_without_its_control_is_none(host: FakeSdApi, rng: np.random.Generator) -> None:
    """The host logs a unit that failed, and paints on."""
    host.maps = False
    with pytest.raises(PainterError, match="ControlNet failed on frame 3"):
        _painter(host, CANNY).paint([_job(rng)])
    host.hides_maps = True
    _painter(host, CANNY).paint([_job(rng)])


@pytest.mark.parametrize("setting", ["control_units=reference_only", "other_scripts=true"])
def test_the_brush_has_no_control(
    tmp_path: Path, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_video(tmp_path / "clip.mp4", pictures(2))
    assert (
        commands.main(["animate", str(clip), "-o", str(tmp_path / "o.mp4"), "--set", setting]) == 2
    )
    assert setting.partition("=")[0] in capsys.readouterr().err
