"""The command line: exit statuses, one line for each fault, and nothing left half-written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lib_ofgen.imaging import flow_io
from lib_ofgen.report import evaluate
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.video.reader import open_video
from support.command import Command, Said
from support.fake_webui_api import FakeSdApi
from support.jobs import pictures
from support.videos import make_video

FAST = ("--quiet", "--set", "key_frames=interval", "--set", "hole_box=64")


def shell(*words: object, **how: Any) -> Said:
    """Runs `ofgen` in a process of its own."""
    command = [sys.executable, "-m", "lib_ofgen", *(str(word) for word in words)]
    done = subprocess.run(command, check=False, capture_output=True, timeout=120, **how)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def ofgen(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("cli") / "clip.mp4", pictures(6))


def length(path: Path) -> int:
    with open_video(path) as source:
        return sum(1 for _ in source)


def left(folder: Path) -> set[str]:
    """What lies in the folder, but for the workspace of a job."""
    return {path.name for path in folder.iterdir() if path.suffix != ".ofgen"}


# animate


def test_animate_ends_with_where_everything_is(ofgen: Command, clip: Path, place: Path) -> None:
    said = ofgen("animate", clip, "-o", "out.mp4", "--report", "deep/r.json", *FAST)
    assert (said.status, said.err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in said.out.splitlines())
    assert lines == {
        "video": "out.mp4", "keys": "out.mp4.ofgen/keys.png", "report": "deep/r.json",
        "page": "out.mp4.ofgen/report.html",
    }  # fmt: skip
    assert all((place / path).is_file() for path in lines.values())
    kept = (place / "out.mp4.ofgen" / "report.json").read_bytes()
    assert (place / "deep" / "r.json").read_bytes() == kept


def test_progress_goes_to_standard_error(ofgen: Command, clip: Path, place: Path) -> None:
    said = ofgen("animate", clip, "-o", "out.mp4", "--set", "hole_box=64")
    assert said.status == 0
    for stage in ("reading the video", "looking for cuts", "choosing key frames", "painting"):
        assert stage in said.err
    assert "6/6" in said.err
    assert left(place) == {"out.mp4"}


def test_a_film_ends_with_measures_that_a_person_reads(
    ofgen: Command, clip: Path, place: Path
) -> None:
    words = [word for word in FAST if word != "--quiet"]
    said = ofgen("animate", clip, "-o", "out.mp4", *words)
    report = json.loads((place / "out.mp4.ofgen" / "report.json").read_text())
    error, lines = report["warp_error"], said.err.splitlines()
    share = f"{error['result'] / error['source']:.2f}"
    assert f"warp error  {share} times the source's own" in lines
    assert "flickering  none: nothing in the picture stands still" in lines
    assert any(re.fullmatch(r"sharpness   \d\.\d\d times that of the key frames", i) for i in lines)


READABLE = {
    "anamorphic_sar4_3.mp4": 50,
    "av1_video.mkv": 125,
    "decord_unordered.mov": 4,
    "interlaced_tff.mp4": 25,
    "nasa_hdr_hevc10.mp4": 325,
    "odd_321x181_ffv1.mkv": 10,
    "odd_321x241_444.mp4": 25,
    "one_frame.mp4": 1,
    "phone_rot90_3f.mov": 3,
    "rotated90_displaymatrix.mp4": 60,
    "tiny_32x18.mp4": 25,
    "transparent_alpha_vp9.webm": 150,
    "two_frames.mp4": 2,
    "vfr_gaps.mp4": 66,
}
UNREADABLE = {
    "audio_only.mp4": "only sound",
    "text_renamed.mp4": "not a video",
    "truncated_no_moov.mp4": "moov",
    "zero_bytes.mp4": "empty",
}
DAMAGED = {"truncated_moov_ok.mp4": 100}


def test_every_bad_file_is_known(data: Path) -> None:
    known = {*READABLE, *UNREADABLE, *DAMAGED}
    assert {path.name for path in (data / "bad").iterdir()} == known


@pytest.mark.parametrize(("name", "frames"), READABLE.items())
def test_what_can_be_read_becomes_a_film(
    ofgen: Command, data: Path, place: Path, name: str, frames: int
) -> None:
    said = ofgen(
        "animate", data / "bad" / name, "-o", "out.mp4", *FAST,
        "--set", "width=64", "--set", "key_interval=48",
    )  # fmt: skip
    assert (said.status, said.err) == (0, "")
    assert length(place / "out.mp4") == frames


@pytest.mark.parametrize(("name", "promised"), DAMAGED.items())
def test_a_damaged_tail_costs_its_frames_and_is_told(
    ofgen: Command, data: Path, place: Path, name: str, promised: int
) -> None:
    said = ofgen("animate", data / "bad" / name, "-o", "out.mp4", *FAST, "--set", "width=64")
    facts = json.loads((place / "out.mp4.ofgen" / "report.json").read_text())["clip"]
    assert said.status == 0
    assert 30 < facts["frames"] == length(place / "out.mp4")
    assert facts["frames"] + facts["damaged"] == promised
    assert re.fullmatch(rf"ofgen: note: {facts['damaged']} frames .* damaged.*\n", said.err)


@pytest.mark.parametrize(("name", "word"), UNREADABLE.items())
@pytest.mark.parametrize("command", ["animate", "plan", "evaluate"])
def test_what_cannot_be_read_is_bad_input(
    ofgen: Command, data: Path, place: Path, clip: Path, command: str, name: str, word: str
) -> None:
    more = {"animate": ["-o", "out.mp4"], "plan": ["-o", "s.png"], "evaluate": [clip]}[command]
    said = ofgen(command, data / "bad" / name, *more, "--quiet")
    assert said.status == 2
    assert name in said.refusal
    assert word in said.refusal
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["missing.mp4", ".", "", "/dev/null", "no/such/place.mp4"])
def test_what_is_no_file_is_bad_input(ofgen: Command, place: Path, name: str) -> None:
    said = ofgen("animate", name, "-o", "out.mp4", "--quiet")
    assert said.status == 2
    assert Path(name).name in said.refusal
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "two words.mp4",
        'it\'s "quoted".mp4',
        "кино 映画 ملف.mp4",
        "%03d.mp4",
        "a:b.mp4",
        "[x]*?.mp4",
        "-dash.mp4",
        "--set.mp4",
        "~.mp4",
        "new\nline.mp4",
        b"latin1 \xe9.mp4".decode("utf-8", "surrogateescape"),
        "x" * 230 + ".mp4",
    ],
)
def test_any_name_is_a_name(ofgen: Command, clip: Path, place: Path, name: str) -> None:
    shutil.copy(clip, place / name)
    (place / "to").mkdir()
    said = ofgen("animate", f"./{name}", "-o", f"to/{name}", *FAST)
    assert said.status == 0, said.err
    assert length(place / "to" / name) == 6
    assert left(place / "to") == {name}


def test_a_leading_dash_is_told(clip: Path, place: Path) -> None:
    shutil.copy(clip, place / "-in.mp4")
    said = shell("animate", "-in.mp4", "-o", "out.mp4", cwd=place)
    assert said.status == 2
    assert "write ./-in.mp4 for the file -in.mp4" in said.refusal
    said = shell("animate", "./-in.mp4", "-o", "-out.mp4", cwd=place)
    assert said.status == 2
    assert "write ./-out.mp4" in said.refusal


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ("out.avi", "end it in"),
        ("out", "end it in"),
        ("", "end it in"),
        (".", "end it in"),
        ("/", "end it in"),
        ("..", "end it in"),
        ("no/such/out.mp4", "create the folder"),
        ("file/out.mp4", "another folder"),
        ("folder.mp4", "it is a folder"),
        ("/proc/out.mp4", "/proc"),
    ],
)
def test_where_nothing_can_be_written_is_told_at_once(
    ofgen: Command, clip: Path, place: Path, output: str, word: str
) -> None:
    (place / "file").write_text("in the way")
    (place / "folder.mp4").mkdir()
    said = ofgen("animate", clip, "-o", output, *FAST)
    assert said.status in (1, 2)
    assert word in said.refusal
    assert {path.name for path in place.iterdir()} == {"file", "folder.mp4"}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--report", "file/r.json"), "r.json"),
        (("--report", "folder"), "folder"),
        (("--workspace", "file"), "file"),
        (("--workspace", "file/w"), "file/w"),
        (("--frames", "file/frames"), "frames"),
        (("--frames", "file"), "file"),
    ],
)
def test_other_places_are_named_too(
    ofgen: Command, clip: Path, place: Path, words: tuple[str, ...], name: str
) -> None:
    (place / "file").write_text("in the way")
    (place / "folder").mkdir()
    said = ofgen("animate", clip, "-o", "out.mp4", *FAST, *words)
    assert said.status == 1
    assert name in said.refusal
    assert re.search("choose another|name of a file|another name", said.refusal)
    assert left(place) == {"file", "folder"}
    assert not list((place / "out.mp4.ofgen").glob("frames/*"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.name != "posix" or not shutil.which("mount"):
        pytest.skip("no disk can be mounted here")
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here; it takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("full", ["workspace", "output", "frames"])
def test_a_full_disk_is_told_and_what_is_done_is_kept(
    ofgen: Command, clip: Path, tmp_path: Path, tiny_disk: Path, full: str
) -> None:
    where = {name: tmp_path / name for name in ("workspace", "output", "frames")}
    where[full] = tiny_disk
    (tmp_path / "output").mkdir()
    words = ("--workspace", where["workspace"], "--frames", where["frames"])
    if full == "output":
        (tiny_disk / "fill").write_bytes(bytes(190_000))
    job = ("animate", clip, "-o", where["output"] / "out.mp4", *words, *FAST)
    said = ofgen(*job)
    assert said.status == 1
    assert "No space left" in said.refusal
    assert re.search(r"(free some space|make room)", said.refusal)
    assert not list(where["output"].glob("*.mp4"))
    assert not list(where["output"].glob(".*"))
    if full != "workspace":
        kept = {p: p.stat().st_mtime_ns for p in where["workspace"].glob("frames/*")}
        words = ("--workspace", where["workspace"])
        assert ofgen("animate", clip, "-o", tmp_path / "out.mp4", *words, *FAST).status == 0
        assert (
            kept.items()
            <= {p: p.stat().st_mtime_ns for p in where["workspace"].glob("frames/*")}.items()
        )


# settings, presets, painters


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("strenght=0.5", "unknown setting 'strenght'; did you mean strength?"),
        ("nothing_like_it=1", "see `ofgen settings`"),
        ("strength", "not of the form key=value"),
        ("=1", "unknown setting ''"),
        ("strength=1.5", "strength=1.5 is outside 0..1"),
        ("strength=nan", "not a number"),
        ("strength=", "not a number"),
        ("strength=much", "strength='much' is not a number"),
        ("steps=2.5", "not a whole number"),
        ("seed=-2", "outside -1..4294967295"),
        ("keep_sound=perhaps", "true or false"),
        ("key_frames=all", "is none of"),
        ("key_indices=1,two", "a list of whole numbers"),
        ("key_indices=-1", "outside 0 and up"),
        ("width=100", "is not a multiple of 8"),
        ("width=80000", "outside 0..8192 px"),
        ("end=nan", "not a number"),
        ("key_gap_min=20", "longer than key_gap_max"),
    ],
)
@pytest.mark.parametrize("command", ["animate", "plan"])
def test_settings_are_refused_by_name_and_value(
    ofgen: Command, clip: Path, place: Path, command: str, pair: str, words: str
) -> None:
    output = "out.mp4" if command == "animate" else "out.png"
    said = ofgen(command, clip, "-o", output, "--set", pair, "--quiet")
    assert said.status == 2
    assert words in said.refusal
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--start", "2", "--end", "1"), "does not lie after"),
        (("--start", "99"), "no frame from 99 s"),
        (("--max-frames", "-1"), "max_frames=-1"),
        (("--flow", "telepathy"), "flow='telepathy' is none of"),
        (("--preset", "nosuch"), "no preset 'nosuch'"),
        (("--preset", "."), "no preset '.'"),
        (("--preset", "x" * 4000), "no preset"),
        (("--preset", "/dev/zero"), "no preset"),
        (("--set", "key_frames=chosen", "--set", "key_indices=2,6"), "frame 6, but the last one"),
        (("--painter-auth",), "expected one argument"),
        (("--max-frames", "1", "surplus"), "unrecognized arguments: surplus"),
    ],
)
def test_what_makes_no_sense_is_bad_usage(
    ofgen: Command, clip: Path, place: Path, words: tuple[str, ...], told: str
) -> None:
    said = ofgen("animate", clip, "-o", "out.mp4", "--quiet", *words)
    assert said.status == 2
    assert told in said.refusal
    assert left(place) == set()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9", "cannot be reached"),
        ("ftp://example.org/", "is not a painter"),
        ("Brush", "is not a painter"),
        ("http://", "is not a painter"),
        ("http://127.0.0.1:99999", "is not a painter"),
    ],
)
def test_a_painter_that_is_none_is_told_before_anything_is_read(
    ofgen: Command, clip: Path, place: Path, address: str, words: str
) -> None:
    said = ofgen("animate", clip, "-o", "out.mp4", "--painter", address, "--quiet")
    assert said.status in (1, 2)
    assert address in said.refusal
    assert words in said.refusal
    assert list(place.iterdir()) == []


def test_a_painter_by_its_address_paints(ofgen: Command, clip: Path, place: Path) -> None:
    with FakeSdApi(auth="me:pass") as host:
        job = ("animate", clip, "-o", "out.mp4", "--painter", host.url, *FAST)
        assert "--painter-auth" in ofgen(*job).refusal
        assert left(place) == set()
        job = (*job, "--painter-auth", "me:pass")
        assert ofgen(*job, "--set", "checkpoint=nosuch").status in (1, 2)
        assert ofgen(*job, "--set", "prompt=a film").status == 0
        asked = [body for _, route, body in host.calls if route.endswith("img2img")]
        assert {body["prompt"] for body in asked} == {"a film"}
        done = len(asked)
        assert ofgen(*job, "--set", "prompt=a film").status == 0
        again = [body for _, route, body in host.calls if route.endswith("img2img")]
        assert len(again) == done, "a finished job was painted again"
    assert length(place / "out.mp4") == 6


def test_presets_go_there_and_back(ofgen: Command, clip: Path, place: Path) -> None:
    listed = ofgen("presets", "list").out
    for name in ("every frame", "fast preview", "steady"):
        assert name in listed
        assert json.loads(ofgen("presets", "show", name).out)["name"] == name
        assert ofgen("presets", "validate", name).status == 0
    pairs = ("--set", "strength=0.7", "--set", "key_indices=3,1", "--set", "prompt=é\n\udcff")
    assert ofgen("presets", "export", "mine", "-o", "mine.json", *pairs).status == 0
    shown = json.loads(ofgen("presets", "show", "mine.json").out)
    wanted = {"prompt": "é\n\udcff", "strength": 0.7, "key_indices": [1, 3]}
    assert shown == {"ofgen": 1, "name": "mine", "defaults": 2, "settings": wanted}
    job = ("animate", clip, "-o", "out.mp4", "--preset", "mine.json", "--set", "strength=0.2")
    assert ofgen(*job, *FAST).status == 0
    told = json.loads((place / "out.mp4.ofgen" / "report.json").read_text())["settings"]
    assert (told["strength"], told["prompt"]) == (0.2, "é\n\udcff")
    assert told["key_frames"] == "interval"


@pytest.mark.parametrize(
    "text",
    [
        b"", b"no json", b"[]", b"{}", b'{"ofgen": 2}', b'{"ofgen": 1, "more": 1}', b"\xff\xfe\x00",
        b'{"ofgen": 1, "settings": {"strenght": 1}}', b'{"ofgen": 1, "settings": {"strength": 9}}',
        b'{"ofgen": 1, "settings": {"strength": 1e999}}', b"[" * 100_000, b" " * 2_000_000,
    ],
)  # fmt: skip
def test_what_is_no_preset_is_refused(ofgen: Command, place: Path, text: bytes) -> None:
    (place / "p.json").write_bytes(text)
    for verb in ("show", "validate"):
        said = ofgen("presets", verb, "p.json")
        assert said.status == 2
        assert len(said.refusal) < 400


def test_settings_are_listed(ofgen: Command) -> None:
    said = ofgen("settings")
    assert said.status == 0
    assert all(f"`{name}`" in said.out for name in Settings.names())


# plan, evaluate, flow, workspace


def test_plan_tells_the_work_beforehand(ofgen: Command, clip: Path, place: Path) -> None:
    words = ("--set", "key_frames=interval", "--set", "key_interval=2", "--quiet")
    said = ofgen("plan", clip, "--json", *words, "--set", "key_agreement=independent")
    facts = json.loads(said.out)
    assert [key["index"] for key in facts["keys"]] == [0, 2, 4, 5]
    assert facts["clip"]["frames"] == 6
    assert facts["scenes"] == [{"start": 0, "stop": 6}]
    work = facts["paint"]
    assert (work["whole"], work["share"]) == (4, 0.666667)
    assert [(gap["start"], gap["stop"]) for gap in work["gaps"]] == [(0, 2), (2, 4), (4, 5)]
    assert all(0 <= gap["coverage"] <= 1 for gap in work["gaps"])
    assert work["painted"] >= work["share"]
    guided = ofgen("plan", clip, "--json", *words)
    assert json.loads(guided.out)["paint"]["whole"] == 1
    assert left(place) == set()
    said = ofgen("plan", clip, "-o", "sheet.png", *words)
    assert "1 frames are painted whole: 16.7% of all" in said.out
    back = said.out.splitlines()[-1]
    assert back == "--set key_frames=chosen --set key_indices=0,2,4,5"
    again = json.loads(ofgen("plan", clip, "--json", "--quiet", *back.split()).out)
    assert [key["index"] for key in again["keys"]] == [0, 2, 4, 5]
    assert cv2.imread(str(place / "sheet.png")) is not None
    assert left(place) == {"sheet.png"}


def test_a_plans_workspace_serves_the_job(ofgen: Command, clip: Path, place: Path) -> None:
    assert ofgen("plan", clip, "--workspace", "w", "--quiet").status == 0
    kept = {path: path.stat().st_mtime_ns for path in place.glob("w/spool/*/*")}
    assert len(kept) == 6
    assert ofgen("animate", clip, "-o", "out.mp4", "--workspace", "w", *FAST).status == 0
    assert kept == {path: path.stat().st_mtime_ns for path in place.glob("w/spool/*/*")}


def test_evaluate_gives_all_measures(ofgen: Command, clip: Path, place: Path) -> None:
    assert ofgen("animate", clip, "-o", "out.mp4", *FAST).status == 0
    found = json.loads(ofgen("evaluate", clip, "out.mp4", "--json", "--quiet").out)
    assert found["frames"] == 6
    assert found["warp_error"]["judge"] == "tvl1"
    assert found["warp_error"]["pairs"] == 5
    assert found["warp_error"]["result"] > 0
    assert found["sharpness"]["result"] > 0
    same = json.loads(ofgen("evaluate", clip, clip, "--json", "--quiet").out)
    assert same["warp_error"]["result"] == same["warp_error"]["source"]
    lines = ofgen("evaluate", clip, "out.mp4", "--quiet").out.splitlines()
    names = ["warp error", "flickering", "colour", "sharpness"]
    assert [line.split("  ")[0] for line in lines] == names
    share = found["warp_error"]["result"] / found["warp_error"]["source"]
    assert lines[0].split("  ")[1] == f"{share:.2f} times the source's own"
    assert found["warp_error"]["straddling"] is None
    report = ("--report", "out.mp4.ofgen/report.json")
    split = json.loads(ofgen("evaluate", clip, "out.mp4", "--json", "--quiet", *report).out)
    parts = [split["warp_error"][name] for name in ("straddling", "within")]
    assert min(parts) <= split["warp_error"]["result"] <= max(parts)
    said = ofgen("evaluate", clip, "out.mp4", "--quiet", "--report", "out.mp4")
    assert said.status == 2
    assert "is not a report" in said.refusal


@pytest.mark.parametrize("longer", ["source", "result"])
def test_evaluate_refuses_films_of_other_lengths(
    ofgen: Command, clip: Path, place: Path, longer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate.metrics, "judge_pair", None)  # told before anything is measured
    other = make_video(place / "other.mp4", pictures(4))
    pair = (clip, other) if longer == "source" else (other, clip)
    said = ofgen("evaluate", *pair, "--quiet")
    assert said.status == 2
    counts = (6, 4) if longer == "source" else (4, 6)
    assert re.search(r"gives {} frames and .* {}; .*--max-frames".format(*counts), said.refusal)


def test_evaluate_takes_the_frames_that_the_job_took(
    ofgen: Command, clip: Path, place: Path
) -> None:
    part = ("--max-frames", "3", "--set", "every_nth=2")
    assert ofgen("animate", clip, "-o", "out.mp4", *FAST, *part).status == 0
    assert ofgen("evaluate", clip, "out.mp4", "--quiet", *part).status == 0
    assert ofgen("evaluate", clip, "out.mp4", "--quiet").status == 2
    assert left(place) == {"out.mp4"}


@pytest.fixture
def shifted(place: Path) -> Path:
    """Pictures a, b and small: b is a, moved 4 px to the right."""
    wide = pictures(1)[0]
    cv2.imwrite(str(place / "a.png"), wide[:, 8:])
    cv2.imwrite(str(place / "b.png"), wide[:, 4:-4])
    cv2.imwrite(str(place / "small.png"), wide[:, 16:])
    return place


def test_flow_leads_from_the_first_picture_to_the_second(ofgen: Command, shifted: Path) -> None:
    said = ofgen("flow", "a.png", "b.png", "-o", "f.flo", "--png", "f.png")
    assert (said.status, said.out, said.err) == (0, "", "")
    vectors = flow_io.from_flo((shifted / "f.flo").read_bytes())
    assert np.median(vectors[0]) == pytest.approx(4, abs=0.3)
    assert np.median(vectors[1]) == pytest.approx(0, abs=0.3)
    assert cv2.imread(str(shifted / "f.png")).shape == (96, 152, 3)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("a.png", "small.png", "-o", "f.flo"), 2, "152x96 and 144x96"),
        (("a.png", "none.png", "-o", "f.flo"), 2, "none.png"),
        (("a.png", ".", "-o", "f.flo"), 2, "Is a directory"),
        (("a.png", "text.png", "-o", "f.flo"), 2, "not a picture"),
        (("a.png", "b.png", "-o", "f.flo", "--flow", "magic"), 2, "flow='magic' is none of"),
        (("a.png", "b.png", "-o", "a.png/f.flo"), 1, "a.png/f.flo"),
        (("a.png", "b.png", "-o", "."), 1, "it is a folder"),
        (("a.png", "b.png"), 2, "-o"),
    ],
)
def test_flow_says_what_it_cannot_do(
    ofgen: Command, shifted: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    (shifted / "text.png").write_text("hello")
    said = ofgen("flow", *words)
    assert said.status == status
    assert told in said.refusal
    assert left(shifted) == {"a.png", "b.png", "small.png", "text.png"}


def test_a_workspace_is_deleted_when_asked(ofgen: Command, clip: Path, place: Path) -> None:
    assert ofgen("animate", clip, "-o", "out.mp4", *FAST).status == 0
    with Workspace(place / "out.mp4.ofgen").lock():
        assert "another job" in ofgen("workspace", "clean", "out.mp4.ofgen").refusal
    said = ofgen("workspace", "clean", "out.mp4.ofgen")
    assert said.status == 0
    assert "MB are free again" in said.out
    assert [path.name for path in place.iterdir()] == ["out.mp4"]
    for folder in ("out.mp4.ofgen", ".", "out.mp4"):
        assert "is not a workspace" in ofgen("workspace", "clean", folder).refusal
    assert [path.name for path in place.iterdir()] == ["out.mp4"]


# usage, signals, and broken pipes


@pytest.mark.parametrize("words", [(), ("nonsense",), ("animate",), ("presets",), ("workspace",)])
def test_bad_usage_is_one_line(ofgen: Command, words: tuple[str, ...]) -> None:
    said = ofgen(*words)
    assert said.status == 2
    assert "--help" in said.refusal


@pytest.mark.parametrize(
    "words", [("--help",), ("animate", "--help"), ("presets", "--help"), ("--version",)]
)
def test_help_helps(ofgen: Command, words: tuple[str, ...]) -> None:
    said = ofgen(*words)
    assert said.status == 0
    assert "ofgen" in said.out


def test_a_second_ctrl_c_ends_at_once(clip: Path, place: Path) -> None:
    command = [sys.executable, "-m", "lib_ofgen", "animate", str(clip), "-o", "out.mp4", *FAST]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(place.glob("out.mp4.ofgen/spool/*/*")) and process.poll() is None:
            time.sleep(0.002)
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        error = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in error
    assert error.splitlines()[-1].startswith("ofgen: stopped")
    assert left(place) == set()


def test_names_that_the_terminal_lacks_are_escaped(clip: Path, place: Path) -> None:
    shell_ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    said = shell("animate", clip, "-o", "фильм.mp4", *FAST, env=shell_, cwd=place)
    assert said.status == 0, said.err
    assert "\\u0444" in said.out
    assert length(place / "фильм.mp4") == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    ("redirected", "status", "told"),
    [
        (">/dev/full", 1, "cannot write to standard output"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        ("| true", 0, ""),
    ],
)
@pytest.mark.parametrize("command", ["settings", "plan"])
def test_whoever_listens_may_leave(
    clip: Path, place: Path, command: str, redirected: str, status: int, told: str
) -> None:
    words = ["plan", f"'{clip}'"] if command == "plan" else ["settings"]
    line = " ".join(["exec", f"'{sys.executable}'", "-m", "lib_ofgen", *words, redirected])
    line = line.removeprefix("exec ") if "|" in line else line
    done = subprocess.run(["sh", "-c", line], check=False, capture_output=True, cwd=place)
    error = done.stderr.decode()
    assert done.returncode == status, error
    assert "Traceback" not in error
    assert "Exception ignored" not in error
    assert told in error


@pytest.mark.parametrize(
    "words",
    [
        ("animate", "SRC", "-o", "film.mp4", "--report", "SRC"),
        ("animate", "SRC", "-o", "film.mp4", "--report", "film.mp4"),
        ("animate", "SRC", "-o", "SRC"),
        ("plan", "SRC", "-o", "SRC"),
    ],
)
def test_no_file_is_written_over_one_that_is_needed(
    ofgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = make_video(tmp_path / "SRC.mp4")
    before = source.read_bytes()
    said = ofgen(*(word.replace("SRC", "SRC.mp4") for word in words))
    assert said.status == 2
    assert said.refusal
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["SRC.mp4"]


@pytest.mark.parametrize("value", ["1e15", "1e300", "9" * 400, "inf"])
def test_a_start_beyond_all_bounds_is_one_line(ofgen: Command, tmp_path: Path, value: str) -> None:
    source = make_video(tmp_path / "a.mp4")
    said = ofgen("animate", source, "-o", tmp_path / "b.mp4", "--start", value, "--quiet")
    assert said.status == 2
    assert said.refusal
    assert ofgen("animate", source, "-o", tmp_path / "b.mp4", "--max-frames", "9" * 400).status == 2


@pytest.mark.parametrize("name", ["checkpoint", "inpaint_checkpoint", "sampler", "scheduler"])
def test_the_brush_refuses_what_only_a_webui_has(ofgen: Command, tmp_path: Path, name: str) -> None:
    source = make_video(tmp_path / "a.mp4")
    said = ofgen("animate", source, "-o", tmp_path / "b.mp4", "--set", f"{name}=nosuch")
    assert said.status == 2
    assert "nosuch" in said.refusal
    assert "--painter" in said.refusal


def test_a_folder_of_frames_holds_this_film_alone(ofgen: Command, tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4")
    words = ("animate", source, "-o", tmp_path / "b.mp4", "--frames", tmp_path / "f", *FAST)
    assert ofgen(*words, "--max-frames", "6").status == 0
    (tmp_path / "f" / "mine.png").write_bytes(b"kept")
    assert ofgen(*words, "--max-frames", "3").status == 0
    names = sorted(path.name for path in (tmp_path / "f").iterdir())
    assert names == ["000000.png", "000001.png", "000002.png", "mine.png"]


@pytest.mark.parametrize("head", ["ffconcat version 1.0\nfile other.mp4\n", "#EXTM3U\n"])
def test_a_list_of_other_files_is_no_video(ofgen: Command, tmp_path: Path, head: str) -> None:
    make_video(tmp_path / "other.mp4")
    (tmp_path / "a.mp4").write_text(head)
    said = ofgen("animate", tmp_path / "a.mp4", "-o", tmp_path / "b.mp4")
    assert said.status == 2
    assert "names other files" in said.refusal
