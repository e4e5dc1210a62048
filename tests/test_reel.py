"""A finished job's frames come back out of its workspace as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from moving import make_video
from test_jobs import BASE, pictures
from test_page import Reader

from lib_ofgen.brush import BrushPainter
from lib_ofgen.console import Progress
from lib_ofgen.errors import WorkspaceError
from lib_ofgen.images import decode_png
from lib_ofgen.pipeline import Job, animate
from lib_ofgen.reel import Reel
from lib_ofgen.settings import Settings
from lib_ofgen.values import Frame
from lib_ofgen.video import open_video


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("reel")
    source = make_video(folder / "clip.mp4", pictures(5))
    made = Job(source, folder / "film.mp4", folder / "space", Settings().replace(BASE),
               frames=folder / "frames")  # fmt: skip
    with Progress(quiet=True) as progress:
        animate(made, BrushPainter(), progress)
    return made


def test_both_frames_are_what_they_were(job: Job) -> None:
    reel = Reel(job.workspace)
    assert len(reel) == 5
    with open_video(job.source) as video:
        for index, image in (Frame(*frame) for frame in video):
            assert np.array_equal(reel.source(index), image)
    assert job.frames is not None
    for index, path in enumerate(sorted(job.frames.glob("*.png"))):
        assert np.array_equal(reel.result(index), decode_png(path.read_bytes()))


def test_they_are_laid_over_each_other(job: Job) -> None:
    shown = Reader(Reel(job.workspace).compared(3).replace('style="--at:50%"', "").encode())
    assert [image["alt"] for image in shown.of("img")] == [
        "frame 3 of the source", "frame 3 of the film",
    ]  # fmt: skip


def test_what_is_no_finished_job_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"frames": []}', encoding="utf-8")
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(WorkspaceError, match="run the same job again"):
            Reel(folder)
