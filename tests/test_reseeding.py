"""Frames painted again with another seed: only they, and what depends on them, are made anew."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_ofgen.errors import PainterError, SettingsError
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.results import repaint
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.pipeline.run import Job, JobResult, run_job
from lib_ofgen.pipeline.stage_options import render_rules
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.report.model import FrameFacts, Report
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import PromptRow, Words
from lib_ofgen.webui.access.allowed_paths import AllowedPaths
from lib_ofgen.webui.jobs import document
from support.jobs import BASE, Counting, Patience, kept, pictures
from support.reports import make_report
from support.videos import make_video

LENGTH = 14
STEADIED = Settings().track_reach
"""Frames on each side that a frame is steadied by, and so depends on."""
KEYS = [0, 6, 12, 13]
OWN = 5
"""The job's seed."""


def run(
    clip: Path,
    folder: Path,
    rows: Sequence[PromptRow] = (),
    painter: Counting | None = None,
    frames: Path | None = None,
    **changes: object,
) -> JobResult:
    """The film of `clip` at folder/out.mp4, its workspace beside it."""
    settings = Settings().replace({**BASE, "prompt": "a", "seed": OWN, **changes})
    output, space = folder / "out.mp4", folder / "out.mp4.ofgen"
    job = Job(clip, output, space, settings, frames=frames, prompts=tuple(rows))
    return run_job(job, painter or Counting(), Patience())


def seeded(start: int, stop: int | None, seed: int) -> PromptRow:
    return PromptRow(start, stop, "", "", seed)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures(LENGTH))


@pytest.fixture(scope="module")
def done(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    run(clip, folder)
    return folder


@pytest.fixture
def again(done: Path, tmp_path: Path) -> Path:
    return shutil.copytree(done, tmp_path / "again")


def changed(folder: Path, before: Sequence[str]) -> set[int]:
    """The frames that are kept under other digests than before; their pixels are others too."""
    reel = ResultFrames(folder / "out.mp4.ofgen")
    now = reel.facts.kept.frames
    return {index for index, pair in enumerate(zip(before, now, strict=True)) if len({*pair}) > 1}


def digests(folder: Path) -> list[str]:
    return list(ResultFrames(folder / "out.mp4.ofgen").facts.kept.frames)


# what is made anew


def test_a_key_frame_is_repainted_with_what_depends_on_it(again: Path, clip: Path) -> None:
    before, files, painter = digests(again), kept(again, "frames", "painted"), Counting()
    run(clip, again, [seeded(6, 7, 7)], painter)
    assert painter.whole == [6]
    assert painter.holes <= set(range(1, 12)) - {6}
    for job in painter.jobs:
        assert job.seed == (7 if job.target == 6 else OWN)
        assert (job.prompt, job.negative_prompt) == ("a", "")
    assert 6 in changed(again, before)
    assert changed(again, before) <= set(range(1, LENGTH)), "later keys take on its colours"
    assert files.items() <= kept(again, "frames", "painted").items(), "what was there was touched"


def test_a_range_between_keys_repaints_its_holes_alone(again: Path, clip: Path) -> None:
    before, painter = digests(again), Counting()
    run(clip, again, [seeded(2, 5, 7)], painter)
    assert painter.whole == []
    assert painter.holes & {2, 3, 4}
    assert painter.holes <= set(range(1, 6))
    for job in painter.jobs:
        assert job.seed == (7 if 2 <= job.target < 5 else OWN)
    assert {2, 3, 4} & changed(again, before)
    assert changed(again, before) <= set(range(1, 6 + STEADIED)) - {6}


@pytest.mark.parametrize("agreement", ["guided", "canvas"])
def test_keys_that_agree_are_repainted_as_they_depend(
    tmp_path: Path, clip: Path, agreement: str
) -> None:
    run(clip, tmp_path, key_agreement=agreement)
    before, painter = digests(tmp_path), Counting()
    run(clip, tmp_path, [seeded(12, None, 7)], painter, key_agreement=agreement)
    assert {job.target for job in painter.jobs if job.seed == 7} <= {12, 13}
    assert {job.target for job in painter.jobs if job.seed == OWN} <= set(range(7, 12))
    assert changed(tmp_path, before) <= set(range(7 - STEADIED, LENGTH))
    assert changed(tmp_path, before)
    painter = Counting()
    run(clip, tmp_path, [seeded(0, 1, 7)], painter, key_agreement=agreement)
    assert [job.seed for job in painter.jobs if job.target == 0] == [7]
    assert changed(tmp_path, before) == set(range(LENGTH)), "the rest is moved there from frame 0"


def test_taking_it_back_paints_nothing_and_gives_the_same_film(again: Path, clip: Path) -> None:
    film, before, rows = (again / "out.mp4").read_bytes(), digests(again), [seeded(5, 8, 7)]
    run(clip, again, rows)
    other = (again / "out.mp4").read_bytes()
    assert other != film
    painter = Counting()
    for listed, wanted in (([], film), (rows, other), ([*rows, seeded(5, 8, OWN)], film)):
        run(clip, again, listed, painter)
        assert painter.jobs == []
        assert (again / "out.mp4").read_bytes() == wanted
    assert changed(again, before) == set()


def test_a_repaint_that_fails_leaves_the_film_as_it_was(again: Path, clip: Path) -> None:
    film, before = (again / "out.mp4").read_bytes(), digests(again)
    with pytest.raises(PainterError):
        run(clip, again, [seeded(2, 7, 7)], Counting(fails=True))
    assert (again / "out.mp4").read_bytes() == film
    assert digests(again) == before
    painter = Counting()
    run(clip, again, [seeded(2, 7, 7)], painter)
    assert painter.whole == [], "frame 6 was painted before it failed"


def test_a_seed_leaves_a_rows_prompt_as_it_is(again: Path, clip: Path) -> None:
    painter = Counting()
    run(clip, again, [PromptRow(6, 12, "b", "n"), seeded(0, 7, 7)], painter)
    (key,) = [job for job in painter.jobs if job.target == 6]
    assert (key.prompt, key.negative_prompt, key.seed) == ("b", "n", 7)
    assert {job.prompt for job in painter.jobs if job.target < 6} == {"a"}
    assert {job.seed for job in painter.jobs if job.target > 6} == {OWN}


def test_the_second_pass_takes_the_seed_too(tmp_path: Path, clip: Path) -> None:
    changes = {"second_pass": 0.3, "second_tolerance": 2.0}
    run(clip, tmp_path, **changes)
    painter = Counting()
    run(clip, tmp_path, [seeded(2, 5, 7)], painter, **changes)
    second = [job for job in painter.jobs if job.strength == 0.3]
    assert second
    for job in second:
        assert job.seed == (7 if 2 <= job.target < 5 else OWN)


def test_what_has_no_seed_of_its_own_keeps_its_digest() -> None:
    rules = render_rules(Settings(), OWN)
    own = {0: Words("a", "n")}
    for rows, seed in (([], OWN), ([seeded(0, 1, 7)], 7), ([seeded(1, None, 7)], OWN)):
        session = PainterSession(Counting(), rules, Prompts(2, own, rows), Patience(), Stopwatch())
        assert session.words("keys", 0) == (Counting().identity, "a", "n", rules.strength, seed)


# what is told


def test_the_seeds_used_are_told(again: Path, clip: Path, tmp_path: Path) -> None:
    rows = [seeded(12, None, 7), seeded(5, 8, 9)]
    outcome = run(clip, again, rows, frames=tmp_path / "png")
    facts = json.loads(outcome.report.read_text("utf-8"))
    assert [key["seed"] for key in facts["keys"]] == [OWN, 9, 7, 7]
    assert facts["seed"] == OWN
    assert {
        row["start"]: row.get("seed") for row in facts["prompts"] if row["start"] in (0, 5, 8, 12)
    } == {0: None, 5: 9, 8: None, 12: 7}
    assert "5; frames 5 to 7: 9; frames 12 to 13: 7" in outcome.page.read_text("utf-8")
    for index, seed in zip(KEYS, (OWN, 9, 7, 7), strict=True):
        with PIL.Image.open(tmp_path / "png" / f"{index:06}.png") as picture:
            assert f"Seed: {seed}," in picture.info["parameters"]
    listed = prompt_rows.read_rows(again / "out.mp4.ofgen" / "prompts.csv")
    painter = Counting()
    run(clip, again, listed, painter)
    assert painter.jobs == [], "the list that was written repeats the job"


# which frames can be


@pytest.fixture(scope="module")
def facts(done: Path) -> Report:
    return ResultFrames(done / "out.mp4.ofgen").facts


def test_a_range_becomes_a_row(facts: Report) -> None:
    assert repaint.make_seed_row(facts, 0, "13", " 4294967295 ") == seeded(0, LENGTH, 2**32 - 1)
    drawn = {repaint.make_seed_row(facts, 6, 6, -1) for _ in range(3)}
    assert len(drawn) == 3
    assert all(row[:2] == (6, 7) and 0 <= (row.seed or 0) < 2**32 for row in drawn)
    share = 100 * np.mean([facts.frames[index].painted for index in (6, 7)])
    assert repaint.describe_change(facts, repaint.make_seed_row(facts, 6, 7, 3)) == (
        f"frames 6 to 7, seed 3: {share:.1f} % of the pixels were painted there and are painted "
        "anew; the others come from elsewhere, such as key frames 0 and 12"
    )
    assert repaint.describe_change(facts, seeded(6, 7, 3)) == (
        "frame 6, seed 3: 100.0 % of the pixels were painted there and are painted anew"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((9, 3, 7), "begin at 9 and end at 3"),
        ((0, 14, 7), "to frame is '14'; give a whole number from 0 to 13"),
        ((-1, 3, 7), "from frame is '-1'"),
        ((None, 3, 7), "from frame is empty"),
        ((0, 3, ""), "seed is empty; give a whole number from -1 to 4294967295"),
        ((0, 3, "red"), "seed is 'red'"),
        ((0, 3, 1.5), "seed is '1.5'"),
        ((0, 3, 2**32), "seed is '4294967296'"),
        ((0, 3, -2), "seed is '-2'"),
        ((0, 3, "٣"), "seed is '٣'"),
    ],
)
def test_what_is_no_range_or_seed_is_named(
    facts: Report, given: tuple[object, object, object], said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        repaint.make_seed_row(facts, *given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.tuples(*[st.text(max_size=6) | st.integers() | st.none() | st.floats()] * 3))
def test_anything_else_is_refused_in_one_line(given: tuple[object, object, object]) -> None:
    facts = make_report([FrameFacts(0, (), 0.0, 1.0)], [0])
    said = ""
    try:
        repaint.make_seed_row(facts, *given)
    except SettingsError as error:
        said = str(error)
    assert said.isprintable()


def test_where_nothing_is_painted_the_key_frames_are_named(tmp_path: Path) -> None:
    still = make_video(tmp_path / "still.mp4", [pictures(1)[0]] * LENGTH)
    facts = run(still, tmp_path).facts
    with pytest.raises(SettingsError) as caught:
        repaint.make_seed_row(facts, 2, 4, 7)
    assert str(caught.value) == (
        "nothing is painted in frames 2 to 4: their pixels come from key frames 0 and 6; choose "
        "a range with such a frame in it"
    )
    painter = Counting()
    run(still, tmp_path, [seeded(2, 5, 7)], painter)
    assert painter.jobs == []
    run(still, tmp_path, [repaint.make_seed_row(facts, 2, 6, 7)], painter)
    assert painter.whole == [6]


@pytest.mark.parametrize(
    ("sources", "keys", "said"),
    [
        ([[9, 8, 7, 6, 5], [9, 8, 7, 6, 4]], [], "from frames 6, 7, 8, 9 and 2 more; choose"),
        ([[9, 8, 7, 6, 5], [9, 8, 7, 6, 4]], [4, 8], "from key frames 4 and 8; choose"),
        ([[9, 8], [8]], [8, 20], "from key frame 8; choose"),
        ([[9], []], [8], "from frame 9; choose"),
        ([[], []], [8], "they show the source as it is"),
    ],
)
def test_of_many_lenders_the_first_are_named(
    sources: list[list[int]], keys: list[int], said: str
) -> None:
    frames = [FrameFacts(i, tuple(one), 1.0, 0.0) for i, one in enumerate(sources)]
    facts = make_report(frames, keys)
    with pytest.raises(SettingsError, match=f"nothing is painted in frames 0 to 1: .*{said}"):
        repaint.make_seed_row(facts, 0, 1, 7)


# by the job document and the command line


def test_a_job_document_with_other_seeds_goes_on_in_the_same_place(tmp_path: Path) -> None:
    places, settings = AllowedPaths(tmp_path, []), Settings()

    def output(*rows: dict[str, object]) -> Path:
        job = document.parse({"input": "clip.mp4", "prompts": [*rows]})
        return document.find_output(job, Path("clip.mp4"), settings, places)

    said = {"start": 4, "prompt": "b"}
    seed = {"start": 2, "stop": 6, "seed": 7}
    assert output() == output(seed) == output(seed, {**seed, "seed": 8})
    assert output(said) == output(seed, said) == output({**said, "seed": 7})
    assert output() != output(said)
    with pytest.raises(SettingsError, match="the job's prompts, row 1 has seed -1"):
        output({**seed, "seed": -1})


def _ofgen(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lib_ofgen", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_line_takes_seeds_in_its_list(clip: Path, tmp_path: Path) -> None:
    listed, film = tmp_path / "seeds.csv", tmp_path / "out.mp4"
    pairs = [word for name, value in BASE.items() for word in ("--set", f"{name}={value}")]
    made = ["animate", clip, "-o", film, "--quiet", "--max-frames", 8, *pairs]
    assert _ofgen(*made).returncode == 0
    before = digests(tmp_path)
    listed.write_text("start,stop,seed\n6,7,9\n", "utf-8")
    done = _ofgen(*made, "--prompts", listed)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "the brush reads seeds"
    assert {6} <= changed(tmp_path, before) <= set(range(1, 8)), "7 takes on its colours"
    listed.write_text("start,stop,seed\n6,7,-1\n", "utf-8")
    refused = _ofgen(*made, "--prompts", listed)
    assert refused.returncode == 2
    assert "seeds.csv', line 2 has seed '-1'" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
