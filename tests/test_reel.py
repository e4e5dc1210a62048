"""A finished job's frames come back out of its workspace as they were."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lib_ofgen.cli.console import Progress
from lib_ofgen.errors import WorkspaceError
from lib_ofgen.imaging.images import decode_png
from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline.results import side_by_side
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.pipeline.run import Job, run_job
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store import workspace
from lib_ofgen.values import Frame, PromptRow, Size
from lib_ofgen.video.reader import open_video
from support.html_reader import Reader
from support.jobs import BASE, pictures
from support.videos import make_video, number, numbered


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("reel")
    source = make_video(folder / "clip.mp4", pictures(5))
    made = Job(source, folder / "film.mp4", folder / "space", Settings().replace(BASE),
               frames=folder / "frames")  # fmt: skip
    with Progress(quiet=True) as progress:
        run_job(made, BrushPainter(), progress)
    return made


def test_both_frames_are_what_they_were(job: Job) -> None:
    reel = ResultFrames(job.workspace)
    assert len(reel) == 5
    with open_video(job.source) as video:
        for index, image in (Frame(*frame) for frame in video):
            assert np.array_equal(reel.source(index), image)
    assert job.frames is not None
    for index, path in enumerate(sorted(job.frames.glob("*.png"))):
        assert np.array_equal(reel.result(index), decode_png(path.read_bytes()))


def test_they_are_laid_over_each_other(job: Job) -> None:
    shown = Reader(
        ResultFrames(job.workspace).comparison_html(3).replace('style="--at:50%"', "").encode()
    )
    assert [image["alt"] for image in shown.of("img")] == [
        "frame 3 of the source", "frame 3 of the film",
    ]  # fmt: skip


def test_what_is_no_finished_job_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"frames": []}', encoding="utf-8")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(WorkspaceError, match="run the same job again"):
            ResultFrames(folder)


def _sound(path: Path) -> str:
    with av.open(str(path)) as container:
        return "".join(stream.codec_context.name for stream in container.streams.audio)


def test_a_film_and_its_source_are_one_film_in_step(tmp_path: Path) -> None:
    """Of a part of a clip whose frames come at uneven times, at every second of them."""
    times = [0, 40, 90, 120, 170, 200, 230, 290, 330, 360, 410, 440]
    source = make_video(
        tmp_path / "clip.mkv", [numbered(i, Size(64, 96)) for i in range(12)], times=times,
        time_base=Fraction(1, 1000), sound="ac3", click=0.1,
    )  # fmt: skip
    settings = Settings().replace({**BASE, "start": 0.08, "every_nth": 2})
    job = Job(source, tmp_path / "film.mp4", tmp_path / "space", settings)
    with Progress(quiet=True) as progress:
        run_job(job, BrushPainter(), progress)
    assert _sound(job.output) == "ac3"
    reel = ResultFrames(job.workspace)
    made = side_by_side.side_by_side_file(reel)
    assert list(side_by_side.write_side_by_side(reel, job.output)) == list(range(1, 6))
    with open_video(made) as both, open_video(job.output) as film:
        shown, films = list(both), list(film)
    assert both.clip.ticks == film.clip.ticks
    assert both.clip.time_base == film.clip.time_base
    assert both.clip.size == Size(64, 96 * 2 + 8)
    assert [number(frame.image[:, :96]) for frame in shown] == [2, 4, 6, 8, 10]
    for one, other in zip(shown, films, strict=True):
        assert np.abs(one.image[:, -96:].astype(int) - other.image).mean() < 4
    assert _sound(made) == "aac"


def test_other_frames_are_another_film_and_the_old_one_goes(job: Job) -> None:
    reel = ResultFrames(job.workspace)
    old = side_by_side.side_by_side_file(reel)
    assert len(list(side_by_side.write_side_by_side(reel, job.output.with_name("none.mp4")))) == 5
    assert _sound(old) == ""
    kept = replace(reel.facts.kept, frames=reel.facts.kept.frames[::-1])
    reel.facts = replace(reel.facts, kept=kept)
    list(side_by_side.write_side_by_side(reel, job.output))
    assert sorted(job.workspace.glob("*beside*")) == [side_by_side.side_by_side_file(reel)] != [old]


def test_what_is_missing_leaves_nothing(job: Job, tmp_path: Path) -> None:
    space = tmp_path / "space"
    shutil.copytree(job.workspace, space)
    reel = ResultFrames(space)
    (space / "frames" / f"{reel.facts.kept.frames[3]}.qoi").unlink()
    for old in space.glob("*beside*"):
        old.unlink()
    with pytest.raises(WorkspaceError, match=r"frame 3 is missing.*run the same job again"):
        list(side_by_side.write_side_by_side(reel, job.output))
    assert list(space.glob("*beside*")) == []
    next((space / "spool").rglob("000002.qoi")).unlink()
    with pytest.raises(WorkspaceError, match="frames of the source are missing"):
        list(side_by_side.write_side_by_side(reel, job.output))
    assert workspace.delete_workspace(space) > 0
    assert not space.exists()


def test_a_frame_tells_what_it_was_painted_by(tmp_path: Path) -> None:
    source = make_video(tmp_path / "clip.mp4", pictures(5))
    settings = Settings().replace({**BASE, "prompt": "a hill", "steps": 7, "sampler": "Euler"})
    rows = (PromptRow(3, None, "a river", "rain"),)
    job = Job(source, tmp_path / "film.mp4", tmp_path / "space", settings, prompts=rows)
    with Progress(quiet=True) as progress:
        run_job(job, BrushPainter(), progress)
    reel = ResultFrames(job.workspace)
    assert reel.text(2).startswith("a hill\nSteps: 7, Sampler: Euler, ")
    assert reel.text(4).startswith("a river\nNegative prompt: rain\nSteps: 7")
