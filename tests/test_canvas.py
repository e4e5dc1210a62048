"""Key frames painted beside finished ones on one canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib_ofgen.errors import Stopped
from lib_ofgen.imaging import canvas
from lib_ofgen.imaging.canvas import Column
from lib_ofgen.pipeline import run as pipeline
from lib_ofgen.pipeline.run import Job, JobResult
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Image, Repaint, Size
from lib_ofgen.video.reader import open_video
from support.jobs import Counting, Patience, kept
from support.videos import make_video

SIZE = Size(96, 160)
LENGTH = 19
BASE: dict[str, object] = {
    "key_frames": "interval", "key_interval": 6, "key_agreement": "canvas", "hole_min": 20,
    "hole_box": 64, "flow": "dis",
}  # fmt: skip
KEYS = [0, 6, 12, 18]


@dataclass
class Recording(Counting):
    """The brush, what was asked of it, and what it gave."""

    given: list[Image] = field(default_factory=list)

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        pictures = super().paint(jobs)
        self.given += [picture.copy() for picture in pictures]
        return pictures


def shots() -> list[Image]:
    """A texture that slides, and a block that slides the other way."""
    rng = np.random.default_rng(8)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (96, 180, 3)), (0, 0), sigmaX=2.5)
    wide = cv2.normalize(noise, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)
    found = []
    for index in range(LENGTH):
        image = np.ascontiguousarray(wide[:, index : index + 160])
        image[20:40, 110 - 3 * index : 130 - 3 * index] = (200, 60, 30)
        found.append(image)
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "slide.mp4", shots())


def run(
    clip: Path, space: Path, painter: Counting, reporter: Patience | None = None, **changes: object
) -> JobResult:
    mask = changes.pop("mask", None)
    assert mask is None or isinstance(mask, Path)
    settings = Settings().replace({**BASE, **changes})
    job = Job(
        clip, space / "out.mp4", space / "out.mp4.ofgen", settings, frames=space / "png", mask=mask
    )
    return pipeline.run_job(job, painter, reporter or Patience())


def film(space: Path) -> list[Image]:
    """The finished frames, before encoding."""
    paths = sorted((space / "png").glob("*.png"))
    return [np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]) for path in paths]


@pytest.fixture(scope="module")
def done(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recording, JobResult]:
    space, painter = tmp_path_factory.mktemp("canvas"), Recording()
    return space, painter, run(clip, space, painter)


def _column(picture: Image, place: int) -> Image:
    return picture[:, place * SIZE.width : (place + 1) * SIZE.width]


def test_columns_are_laid_side_by_side() -> None:
    left, middle, right = (
        Column(np.full((8, 16, 3), shade, np.uint8), np.full((8, 16, 3), shade + 1, np.uint8))
        for shade in (10, 20, 30)
    )
    laid = canvas.lay_out(middle, left, right)
    assert [int(_[0, 0]) for _ in np.split(laid.image[..., 0], 3, axis=1)] == [10, 20, 30]
    assert [int(_[0, 0]) for _ in np.split(laid.original[..., 0], 3, axis=1)] == [11, 21, 31]
    assert np.array_equal(laid.box.crop(laid.image), middle.image)
    assert laid.mask.sum() == 8 * 16
    assert laid.box.crop(laid.mask).all()
    two = canvas.lay_out(middle, left)
    assert two.image.shape == two.original.shape == (8, 32, 3)
    assert two.box == laid.box
    with pytest.raises(ValueError, match="column"):
        canvas.lay_out(middle, Column(left.image[:4], left.original[:4]))


def test_later_keys_stand_between_finished_ones(
    done: tuple[Path, Recording, JobResult], clip: Path
) -> None:
    space, painter, outcome = done
    finished = film(space)
    with open_video(clip) as frames:
        source = [frame.image for frame in frames]
    assert [key.index for key in outcome.facts.keys] == KEYS
    jobs, given = painter.jobs[: len(KEYS)], painter.given[: len(KEYS)]
    assert [job.target for job in jobs] == KEYS
    assert jobs[0].mask is None
    assert jobs[0].image.shape == (*SIZE, 3)
    for place, job in enumerate(jobs[1:], 1):
        beside = dict.fromkeys((KEYS[place - 1], 0))  # the nearest, then the first
        columns = [*beside]
        columns.insert(1, job.target)
        assert job.image.shape == (SIZE.height, SIZE.width * len(columns), 3)
        for number, index in enumerate(columns):
            assert np.array_equal(_column(job.original, number), source[index])
            assert job.mask is not None
            white = job.mask[:, number * SIZE.width : (number + 1) * SIZE.width]
            assert (white == (255 if index == job.target else 0)).all()
            if index != job.target:
                assert np.array_equal(_column(job.image, number), finished[index])
        assert job.strength == Settings().strength
        assert np.array_equal(finished[job.target], _column(given[place], 1))


def test_painting_starts_from_what_the_keys_supply(
    done: tuple[Path, Recording, JobResult], clip: Path
) -> None:
    """The guided draft: nearer to the look of the keys than the source's frame is."""
    space, painter, outcome = done
    finished = film(space)
    (still,) = (job for job in painter.jobs if job.target == 6 and job.image.shape[1] > SIZE.width)
    start, source = _column(still.image, 1).astype(int), _column(still.original, 1).astype(int)
    assert np.abs(start - source).mean() > 2, "it is the source's frame"
    # Below the block the texture has moved by 6 px between the two keys.
    first = finished[0][60:80, 30:126].astype(int)
    moved, unpainted = (picture[60:80, 24:120] for picture in (start, source))
    assert np.abs(moved - first).mean() < 0.5 * np.abs(unpainted - first).mean()
    facts = {frame.index: frame for frame in outcome.facts.frames}
    for key in KEYS:
        assert facts[key].painted == 1
        assert facts[key].sources == ()
    assert 0.3 < facts[6].coverage < 1


def test_what_is_finished_is_not_painted_again(
    done: tuple[Path, Recording, JobResult], clip: Path, tmp_path: Path
) -> None:
    space, first, _ = done
    painter = Recording()
    run(clip, space, painter)
    assert painter.jobs == []
    stopped, rest = Recording(), Recording()
    with pytest.raises(Stopped):
        run(clip, tmp_path, stopped, Patience("paint", 2))
    before = kept(tmp_path, "frames", "painted")
    run(clip, tmp_path, rest)
    assert before.items() <= kept(tmp_path, "frames", "painted").items()
    assert len(stopped.jobs) + len(rest.jobs) == len(first.jobs)
    assert all(np.array_equal(a, b) for a, b in zip(film(tmp_path), film(space), strict=True))


def test_another_strength_repaints_every_key(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path, Recording())
    painter = Recording()
    run(clip, tmp_path, painter, strength=0.7)
    assert [job.target for job in painter.jobs[: len(KEYS)]] == KEYS


def test_with_a_mask_or_every_frame_a_key_there_is_no_canvas(clip: Path, tmp_path: Path) -> None:
    grey = np.zeros((*SIZE, 3), np.uint8)
    grey[16:80, 32:128] = 255
    assert cv2.imwrite(str(tmp_path / "mask.png"), grey)
    for number, changes in enumerate(
        [{"mask": tmp_path / "mask.png"}, {"key_frames": "every", "max_frames": 4}]
    ):
        painter, space = Recording(), tmp_path / str(number)
        space.mkdir()
        run(clip, space, painter, **changes)
        assert painter.jobs
        assert max(job.image.shape[1] for job in painter.jobs) <= SIZE.width


def test_the_plan_counts_them_as_painted_whole(clip: Path, tmp_path: Path) -> None:
    settings = Settings().replace(BASE)
    known = pipeline.analyse_source(clip, Workspace(tmp_path), settings, Patience(), Stopwatch())
    assert pipeline.count_whole_frames(known, settings) == len(KEYS)
    assert pipeline.count_whole_frames(known, settings.replace({"key_agreement": "guided"})) == 1
