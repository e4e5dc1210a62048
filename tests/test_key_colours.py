"""Key frames that are painted whole take on the colours that the film has there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib_ofgen.imaging import metrics
from lib_ofgen.pipeline import run as pipeline
from lib_ofgen.pipeline.run import Job
from lib_ofgen.report.model import Report
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image, Repaint
from lib_ofgen.video.reader import open_video
from support.jobs import Counting, Patience
from support.videos import make_video

LENGTH = 13
TINT = np.array([24, 0, -16])
BASE: dict[str, object] = {
    "key_frames": "interval", "key_interval": 6, "key_agreement": "independent", "flow": "dis",
    "quality": 0,
}  # fmt: skip


class Tinting(Counting):
    """The brush, but every picture after the first is warmer, as another seed's may be."""

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        first = not self.jobs
        pictures = super().paint(jobs)
        return [
            picture if first and not place else np.clip(picture + TINT, 0, 255).astype(np.uint8)
            for place, picture in enumerate(pictures)
        ]


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A texture that slides by a pixel a frame."""
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (96, 176, 3)), (0, 0), sigmaX=2.5)
    wide = cv2.normalize(noise, None, 40, 215, cv2.NORM_MINMAX).astype(np.uint8)
    pictures = [np.ascontiguousarray(wide[:, index : index + 160]) for index in range(LENGTH)]
    return make_video(tmp_path_factory.mktemp("shot") / "shot.mkv", pictures)


def animate(
    shot: Path, folder: Path, painter: Counting, **changes: object
) -> tuple[Report, list[Image]]:
    output = folder / "film.mkv"
    settings = Settings().replace({**BASE, **changes})
    job = Job(shot, output, folder / "workspace", settings)
    result = pipeline.run_job(job, painter, Patience())
    with open_video(output) as film:
        report = Report.from_json(json.loads(result.report.read_text("utf-8")))
        return report, [frame.image for frame in film]


@pytest.mark.parametrize("agreement", ["independent", "canvas"])
def test_a_warmer_key_takes_on_the_colours_of_the_first(
    shot: Path, tmp_path: Path, agreement: str
) -> None:
    report, film = animate(shot, tmp_path, Tinting(), key_agreement=agreement)
    assert [key.index for key in report.keys] == [0, 6, 12]
    means = np.array([image.mean(axis=(0, 1)) for image in film])
    assert np.abs(means - means[0]).max() < 5
    steps = [metrics.colour_difference(a, b) for a, b in pairwise(film)]
    assert max(steps) < 4


def test_the_report_says_by_how_much_keys_differed(shot: Path, tmp_path: Path) -> None:
    report, _ = animate(shot, tmp_path, Tinting())
    colour = report.colour
    assert colour is not None
    assert colour.frames == 2
    assert np.abs(TINT).mean() - 4 < colour.mean < np.abs(TINT).mean() + 4


def test_every_frame_painted_stays_as_it_was_painted(shot: Path, tmp_path: Path) -> None:
    report, film = animate(shot, tmp_path, Tinting(), key_frames="every")
    assert report.colour is None
    warmer = film[6].mean(axis=(0, 1)) - film[0].mean(axis=(0, 1))
    assert np.abs(warmer - TINT).max() < 5


def test_a_matched_key_is_found_again(shot: Path, tmp_path: Path) -> None:
    first, _ = animate(shot, tmp_path, Tinting())
    painter = Tinting()
    again, _ = animate(shot, tmp_path, painter)
    assert painter.jobs == []
    assert again.colour == first.colour


def test_with_an_interval_of_one_every_frame_stays_as_it_was_painted(
    shot: Path, tmp_path: Path
) -> None:
    report, film = animate(shot, tmp_path, Tinting(), key_interval=1)
    assert report.colour is None
    warmer = film[6].mean(axis=(0, 1)) - film[0].mean(axis=(0, 1))
    assert np.abs(warmer - TINT).max() < 5
