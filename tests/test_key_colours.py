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
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.report.model import Report
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
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
    shot: Path, folder: Path, painter: Counting, mask: Path | None = None, **changes: object
) -> tuple[Report, list[Image]]:
    output = folder / "film.mkv"
    settings = Settings().replace({**BASE, **changes})
    job = Job(shot, output, folder / "workspace", settings, mask=mask)
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


# masks

SUBJECT = np.s_[8:88, 8:152]


@pytest.fixture(scope="module")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mask of nearly the whole frame."""
    grey = np.zeros((96, 160, 3), np.uint8)
    grey[SUBJECT] = 255
    path = tmp_path_factory.mktemp("mask") / "mask.png"
    assert cv2.imwrite(str(path), grey)
    return path


@pytest.mark.parametrize("agreement", ["independent", "canvas"])
def test_keys_with_a_mask_stay_as_they_were_painted(
    shot: Path, mask: Path, tmp_path: Path, agreement: str
) -> None:
    changes = {"key_agreement": agreement, "track_reach": 0}  # no mean over neighbours
    report, film = animate(shot, tmp_path, Tinting(), mask, **changes)
    assert report.colour is None
    inner = [film[index][20:76, 20:140].mean(axis=(0, 1)) for index in (0, 6, 12)]
    for later in inner[1:]:
        assert np.abs(later - inner[0] - TINT).max() < 5


@pytest.mark.parametrize("background", ["keep", "once"])
@pytest.mark.parametrize("agreement", ["independent", "canvas"])
def test_a_plan_matches_no_key_if_there_is_a_mask(
    shot: Path, mask: Path, tmp_path: Path, agreement: str, background: str
) -> None:
    settings = Settings().replace({**BASE, "key_agreement": agreement, "background": background})
    matched = []
    for place, given in enumerate((None, mask)):
        workspace = Workspace(tmp_path / str(place))
        known = pipeline.analyse_source(shot, workspace, settings, Patience(), Stopwatch(), given)
        matched.append(pipeline.count_matched_frames(known, settings))
    assert matched == [2, 0]


# being killed


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("agreement", ["independent", "canvas"])
def test_a_kill_between_the_facts_and_the_picture_of_a_matched_key_changes_nothing(
    shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreement: str
) -> None:
    folders = [tmp_path / name for name in ("through", "killed")]
    for folder in folders:
        folder.mkdir()
    through, painter = Tinting(), Tinting()
    whole, film = animate(shot, folders[0], through, key_agreement=agreement)
    save = Workspace.save_frame

    def save_or_die(space: Workspace, key: str, image: Image) -> None:
        if space.facts(key) is not None:
            raise Killed
        save(space, key, image)

    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "save_frame", save_or_die)
        with pytest.raises(Killed):
            animate(shot, folders[1], painter, key_agreement=agreement)
    assert [job.target for job in painter.jobs] == [0, 6]
    again, resumed = animate(shot, folders[1], painter, key_agreement=agreement)
    assert again.colour == whole.colour
    assert [job.target for job in painter.jobs] == [job.target for job in through.jobs]
    assert all(np.array_equal(one, other) for one, other in zip(resumed, film, strict=True))
