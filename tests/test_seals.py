"""What is read back out of a workspace is what was written there, or it is made anew."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_ofgen.cli import commands
from lib_ofgen.errors import OfgenError, WorkspaceError
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.pipeline.run import JobResult
from lib_ofgen.report import facts as report
from lib_ofgen.report.model import Report
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Image, Repaint
from support.jobs import Counting, decoded, differing, kept, pictures, run
from support.paths import ROOT
from support.videos import make_video

LENGTH = 6
CHANGES: dict[str, object] = {"seed": -1, "key_interval": 3, "second_pass": 0.3,
                              "second_tolerance": 2.0}  # fmt: skip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "pan.mp4", pictures(LENGTH))


@pytest.fixture(scope="module")
def done(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, JobResult]:
    """A finished job with a drawn seed and a second pass; tests copy it."""
    folder = tmp_path_factory.mktemp("done")
    return folder, run(clip, folder, **CHANGES)


@pytest.fixture
def again(done: tuple[Path, JobResult], tmp_path: Path) -> Path:
    return shutil.copytree(done[0], tmp_path / "again")


def documents(folder: Path) -> list[Path]:
    """Every JSON file that a job reads back."""
    space = folder / "out.mp4.ofgen"
    return sorted(path for part in ("clips", "facts") for path in (space / part).glob("*.json"))


def untimed(facts: Report) -> Report:
    return replace(facts, seconds={})


def resumed(clip: Path, folder: Path, first: JobResult, **changes: object) -> None:
    """The job once more: its film and report are those of before, and no frame is painted."""
    painter = Counting()
    outcome = run(clip, folder, painter, **{**CHANGES, **changes})
    assert painter.jobs == []
    assert differing(decoded(outcome.video), decoded(first.video)) == []
    told = json.loads(outcome.report.read_text("utf-8"))
    kept_report = report.read_report(folder / "out.mp4.ofgen")
    assert kept_report == outcome.facts
    assert untimed(outcome.facts) == untimed(first.facts)
    assert told["seal"]
    for path in documents(folder):
        assert json.loads(path.read_bytes())["seal"], path


# damage


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data)))
    return data[:place] + bytes([data[place] ^ int(rng.integers(1, 256))]) + data[place + 1 :]


def digit(data: bytes, rng: np.random.Generator) -> bytes:
    """Another digit, which is still JSON."""
    places = [i for i, one in enumerate(data) if chr(one).isdigit()]
    place = int(rng.choice(places))
    return data[:place] + b"%d" % ((data[place] - 48 + 1) % 10) + data[place + 1 :]


def unsealed(data: bytes, rng: np.random.Generator) -> bytes:
    """Without its seal, and with another digit."""
    plain = without_seal(data)
    return digit(plain, rng) if any(chr(one).isdigit() for one in plain) else plain


def without_seal(data: bytes) -> bytes:
    """The content as it was written before there were seals."""
    held = json.loads(data)
    del held["seal"]
    return json.dumps(held["value"] if held.keys() == {"value"} else held, indent=1).encode()


DAMAGES: list[Callable[[bytes, np.random.Generator], bytes]] = [
    flipped,
    digit,
    unsealed,
    lambda data, rng: data[: int(rng.integers(len(data)))],
    lambda data, rng: data + data,
    lambda data, rng: data.rstrip(),
    lambda data, rng: rng.choice([b"{}", b"[]", b"null", b"7", b'{"seal": 1}', b"[" * 100_000]),
    lambda data, rng: sealed_json.seal("facts/other.json", {"holes": True}),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_json_is_made_anew(
    done: tuple[Path, JobResult], again: Path, clip: Path, damage: Any
) -> None:
    rng = np.random.default_rng(11)
    for path in documents(again):
        if path != again / "out.mp4.ofgen" / "facts" / "seed.json":
            path.write_bytes(damage(path.read_bytes(), rng))
    resumed(clip, again, done[1])
    painter, before = Counting(), kept(again, "facts", "clips", "frames", "spool", "painted")
    run(clip, again, painter, **CHANGES)
    assert painter.jobs == []
    assert kept(again, "facts", "clips", "frames", "spool", "painted") == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("copy", ["facts", "clips"])
def test_one_copy_of_the_seed_is_enough(
    done: tuple[Path, JobResult], again: Path, damage: Any, copy: str
) -> None:
    space, rng = again / "out.mp4.ofgen", np.random.default_rng(5)
    path = space / copy / "seed.json"
    path.write_bytes(damage(path.read_bytes(), rng))
    assert Workspace(space).seed() == done[1].facts.seed
    assert (space / "facts" / "seed.json").read_bytes() == path.read_bytes()


def test_files_under_each_others_names_are_made_anew(
    done: tuple[Path, JobResult], again: Path, clip: Path
) -> None:
    """Each sealed, and each another's: facts, and pictures."""
    space = again / "out.mp4.ofgen"
    for part in ("facts/*.json", "frames/*.qoi", "painted/*.qoi", "spool/*/*.qoi"):
        paths = sorted(space.glob(part))
        held = [path.read_bytes() for path in paths]
        for path, other in zip(paths, held[1:] + held[:1], strict=True):
            path.write_bytes(other)
    outcome = run(clip, again, **CHANGES)
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []
    assert untimed(outcome.facts) == untimed(done[1].facts)


@given(st.data())
def test_a_seal_finds_every_change(data: st.DataObject) -> None:
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    value = data.draw(
        st.recursive(
            leaves, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(), of, max_size=3)
        )
    )
    written = sealed_json.seal("a", value)
    assert sealed_json.open_sealed("a", written) == value
    assert "seal" in json.loads(written)
    place = data.draw(st.integers(0, len(written) - 1))
    other = data.draw(st.integers(1, 255))
    changed = bytearray(written)
    changed[place] ^= other
    damaged = [bytes(changed), written[:place], written + b"\n", written[place:] + written]
    for one in damaged:
        with pytest.raises(ValueError, match=r"seal|JSON|Expecting|decode") as caught:
            sealed_json.open_sealed("a", one)
        assert "RecursionError" not in str(caught)
    with pytest.raises(ValueError, match="another's"):
        sealed_json.open_sealed("b", written)


def test_a_sealed_file_of_another_shape_counts_as_missing(
    done: tuple[Path, JobResult], again: Path, clip: Path
) -> None:
    space = Workspace(again / "out.mp4.ofgen")
    for path in (space.folder / "facts").glob("*.json"):
        if path.stem != "seed":
            space.save_facts(path.stem, {"of": "another time", "share": "much", "holes": 1})
    (path,) = (one for one in (space.folder / "clips").glob("*.json") if one.stem != "seed")
    for ticks in ([], ["a"], list(range(LENGTH))):
        space.save_clip(path.stem, {"ticks": ticks, "size": [0, 0]})
        resumed(clip, again, done[1])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_report_is_no_report(again: Path, clip: Path, damage: Any) -> None:
    path = again / "out.mp4.ofgen" / "report.json"
    path.write_bytes(damage(path.read_bytes(), np.random.default_rng(3)))
    before = path.read_bytes()
    with pytest.raises(WorkspaceError, match="run the same job again"):
        ResultFrames(again / "out.mp4.ofgen")
    assert path.read_bytes() == before, "who only looks deletes nothing"
    run(clip, again, **CHANGES)
    assert len(ResultFrames(again / "out.mp4.ofgen")) == LENGTH


def test_a_damaged_report_judges_nothing(
    again: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = again / "out.mp4.ofgen" / "report.json"
    path.write_bytes(digit(path.read_bytes(), np.random.default_rng(3)))
    words = ["evaluate", str(clip), str(again / "out.mp4"), "--quiet", "--report", str(path)]
    assert commands.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    path.write_bytes(without_seal(done_report(again, clip)))
    assert commands.main(words) == 0


def done_report(folder: Path, clip: Path) -> bytes:
    return run(clip, folder, **CHANGES).report.read_bytes()


# workspaces of before


def as_before(folder: Path) -> None:
    """Write the workspace as it was before JSON was sealed and checksums knew names."""
    space = folder / "out.mp4.ofgen"
    for path in [*documents(folder), space / "report.json"]:
        path.write_bytes(without_seal(path.read_bytes()))
    (space / "clips" / "seed.json").unlink(missing_ok=True)
    pictures_of = [path for part in ("spool", "frames", "painted") for path in
                   (space / part).rglob("*.*") if path.is_file()]  # fmt: skip
    for path in pictures_of:
        data = path.read_bytes()[:-4]
        path.write_bytes(data + zlib.crc32(data).to_bytes(4, "big"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"second_pass": 0.0, "deflicker": 0.5},
        {"key_agreement": "canvas"},
        {"key_agreement": "guided", "key_frames": "coverage"},
    ],
)
def test_a_workspace_of_before_is_not_painted_again(
    tmp_path: Path, clip: Path, changes: dict[str, object]
) -> None:
    first = run(clip, tmp_path, **{**CHANGES, **changes})
    film = first.video.rename(tmp_path / "first.mp4")
    as_before(tmp_path)
    painter = Counting()
    outcome = run(clip, tmp_path, painter, **{**CHANGES, **changes})
    assert painter.jobs == []
    assert outcome.facts.seed == first.facts.seed
    assert differing(decoded(outcome.video), decoded(film)) == []
    assert untimed(outcome.facts) == untimed(first.facts)
    for path in documents(tmp_path):
        assert json.loads(path.read_bytes())["seal"], "once resumed, all is sealed"


def test_an_unsealed_seed_is_taken_only_where_no_other_was_kept(again: Path) -> None:
    space = again / "out.mp4.ofgen"
    (space / "clips" / "seed.json").write_bytes(b"damaged")
    (space / "facts" / "seed.json").write_bytes(b"7")
    assert Workspace(space).seed() is None
    for text in (b"-1", b"4294967296", b"true", b"1.0", b'"7"', b"[7]", b"7 7", b""):
        (space / "facts" / "seed.json").write_bytes(text)
        assert Workspace(space).seed() is None
    (space / "facts" / "seed.json").write_bytes(b"7")
    assert Workspace(space).seed() == 7
    assert (space / "clips" / "seed.json").exists()


# what is no file, may not be read, or is gone


def test_a_folder_in_the_place_of_a_file(
    done: tuple[Path, JobResult], again: Path, clip: Path
) -> None:
    space = again / "out.mp4.ofgen"
    victims = [next(space.glob(part)) for part in ("clips/[0-9a-f]*.json", "facts/*.json",
               "frames/*", "painted/*.png", "spool/*/*")]  # fmt: skip
    for path in victims:
        path.unlink()
        path.mkdir()
    outcome = run(clip, again, **CHANGES)
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []
    path = next(space.glob("facts/*.json"))
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("kept")
    with pytest.raises(OfgenError, match=rf"{path.name}.*it is a folder"):
        run(clip, again, **CHANGES)
    assert (path / "mine").read_text() == "kept"


@pytest.mark.parametrize("name", ["facts", "spool", "lock", "report.json", "keys.png"])
def test_what_is_in_the_way_is_told_before_anything_is_painted(
    tmp_path: Path, clip: Path, name: str
) -> None:
    space = tmp_path / "out.mp4.ofgen"
    space.mkdir()
    (space / name).write_text("") if name in ("facts", "spool") else (space / name).mkdir()
    painter = Counting()
    with pytest.raises(WorkspaceError, match=name) as caught:
        run(clip, tmp_path, painter, **CHANGES)
    assert "\n" not in str(caught.value)
    assert painter.jobs == []
    assert list(tmp_path.glob("out.mp4")) == []


class Vandal(Counting):
    """A painter during whose work somebody deletes the workspace."""

    folder: Path

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        if len(self.jobs) == 2:
            shutil.rmtree(self.folder)
        return super().paint(jobs)


def test_a_workspace_that_vanishes_is_one_line(
    done: tuple[Path, JobResult], clip: Path, tmp_path: Path
) -> None:
    painter = Vandal()
    painter.folder = tmp_path / "out.mp4.ofgen"
    changes = {**CHANGES, "seed": done[1].facts.seed}
    with pytest.raises(WorkspaceError, match="run the same command again"):
        run(clip, tmp_path, painter, **changes)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.ofgen"]
    outcome = run(clip, tmp_path, **changes)
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []


UNPRIVILEGED = """
import fcntl, os, sys, encodings.idna, concurrent.futures.thread
import PIL.Image, scenedetect
from lib_ofgen.cli.commands import main
PIL.Image.init()
if os.getuid() == 0:  # nothing is forbidden to root
    os.setgid(65534); os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def _open_to_all(path: Path) -> None:
    for one in (path, *path.rglob("*")):
        one.chmod(0o777 if one.is_dir() else 0o666)
    for one in path.parents:
        if "pytest" in str(one):
            one.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="the rights are POSIX's")
@pytest.mark.parametrize(
    ("closed", "mode", "named"),
    [
        ("out.mp4.ofgen/facts", 0o555, "facts/.*Permission denied"),
        ("out.mp4.ofgen/clips", 0o555, "clips/.*Permission denied"),
        ("out.mp4.ofgen/painted", 0o000, "see to it that it may be read"),
        ("out.mp4.ofgen", 0o555, "ofgen/.*Permission denied"),
        ("out.mp4.ofgen/spool/*", 0o000, "spool/.*Permission denied"),
        ("frames", 0o555, "frames.*Permission denied"),
        (".", 0o555, "choose a folder that may be written"),
    ],
)
def test_what_may_not_be_written_or_read_is_one_line(
    done: tuple[Path, JobResult], again: Path, clip: Path, closed: str, mode: int, named: str
) -> None:
    folder = shutil.copytree(again, again.parent / "open")
    shutil.copy(clip, folder / "clip.mp4")
    (folder / "frames").mkdir()
    _open_to_all(folder)
    film = (folder / "out.mp4").read_bytes()
    for path in documents(folder)[:-1]:  # something is to be made anew
        path.unlink()
    (place,) = folder.glob(closed) if "*" in closed else [folder / closed]
    place.chmod(mode)
    settings = [word for name, value in {**CHANGES, "key_frames": "interval"}.items()
                for word in ("--set", f"{name}={value}")]  # fmt: skip
    words = ["animate", folder / "clip.mp4", "-o", folder / "out.mp4", "--quiet", "--frames",
             folder / "frames", *settings]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, *map(str, words), "--set", "flow=dis"],
        check=False, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    place.chmod(0o777)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert re.search(named, ended.stderr), ended.stderr
    assert (folder / "out.mp4").read_bytes() == film
    assert [path.name for path in folder.rglob("*.partial")] == []
