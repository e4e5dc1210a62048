"""A second pass and deflickering: what they mend, what they leave, and what they repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lib_ofgen.imaging import metrics
from lib_ofgen.pipeline.run import Job, JobResult, run_job
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image, Repaint
from lib_ofgen.video.reader import open_video
from support.jobs import SIZE, Counting, Patience, pictures
from support.masks import film, folder, place
from support.videos import make_video

LENGTH = 12
ODD = 5
BASE: dict[str, object] = {"key_frames": "every", "flow": "dis", "hole_min": 20, "hole_box": 64}


@dataclass
class Copying(Counting):
    """Gives back what it is given; what a subclass does to key frames comes on top."""

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        self.jobs += jobs
        return [self.key(job) if job.mask is None else job.image for job in jobs]

    def key(self, job: Repaint) -> Image:
        return job.image


@dataclass
class Flickering(Copying):
    """Every other key frame is brighter by 16 levels."""

    def key(self, job: Repaint) -> Image:
        brighter = job.image.astype(int) + 16 * (job.target % 2)
        return np.clip(brighter, 0, 255).astype(np.uint8)


@dataclass
class Slipping(Copying):
    """One key frame has a patch of another colour."""

    def key(self, job: Repaint) -> Image:
        image = job.image.copy()
        if job.target == ODD:
            image[40:70, 8:48] = (250, 30, 30)
        return image


def run(clip: Path, space: Path, painter: Counting, **changes: object) -> JobResult:
    space.mkdir(exist_ok=True)
    mask = changes.pop("mask", None)
    assert mask is None or isinstance(mask, Path)
    settings = Settings().replace({**BASE, **changes})
    output = space / "out.mp4"
    frames = space / "png"
    return run_job(
        Job(clip, output, space / "out.mp4.ofgen", settings, frames=frames, mask=mask),
        painter,
        Patience(),
    )


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", pictures(LENGTH))


def brightness(frames: Sequence[Image]) -> list[float]:
    """Steps of the mean level from frame to frame, at the still margin of nothing that moves."""
    means = [float(image[:, :40].mean()) for image in frames]
    return [abs(b - a) for a, b in pairwise(means)]


def test_deflickering_evens_out_brightness_and_leaves_detail(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "raw", Flickering())
    raw = film(tmp_path / "raw")
    outcome = run(clip, tmp_path / "even", Flickering(), deflicker=1.0)
    even = film(tmp_path / "even")
    assert len(even) == LENGTH
    assert max(brightness(even)) < 0.4 * min(brightness(raw))
    sharp = [np.mean([metrics.sharpness(image) for image in frames]) for frames in (raw, even)]
    assert 0.95 * sharp[0] < sharp[1] < 1.05 * sharp[0]
    assert outcome.facts.settings["deflicker"] == 1.0


def test_deflickering_keeps_the_light_of_the_source(tmp_path: Path) -> None:
    """Every other frame of the source is brighter by 16 levels, and so is that of the film."""
    unsteady = [image // 2 + np.uint8(16 * (i % 2)) for i, image in enumerate(pictures(LENGTH))]
    clip = make_video(tmp_path / "clip.mp4", unsteady)
    run(clip, tmp_path / "even", Copying(), deflicker=1.0)
    for image, source in zip(film(tmp_path / "even"), unsteady, strict=True):
        assert abs(float(image.mean()) - float(source.mean())) < 1.5


def test_deflickering_stops_at_a_cut(tmp_path: Path) -> None:
    """Dark before the cut and bright after it: neither side takes on anything of the other."""
    dark = [(image // 3).astype(np.uint8) for image in pictures(8)]
    bright = [(255 - image // 3).astype(np.uint8) for image in pictures(8, seed=9)]
    clip = make_video(tmp_path / "cut.mp4", [*dark, *bright])
    outcome = run(clip, tmp_path / "even", Copying(), deflicker=1.0)
    assert [scene.start for scene in outcome.facts.scenes] == [0, 8]
    with open_video(clip) as source:
        means = [float(frame.image.mean()) for frame in source]
    for image, mean in zip(film(tmp_path / "even"), means, strict=True):
        assert abs(float(image.mean()) - mean) < 4


def test_a_second_pass_repaints_the_patch_that_its_neighbours_do_not_have(
    clip: Path, tmp_path: Path
) -> None:
    painter = Slipping()
    outcome = run(clip, tmp_path / "two", painter, second_pass=0.2, second_tolerance=60.0)
    again = [job for job in painter.jobs if job.mask is not None]
    assert {job.target for job in again} == {ODD}
    assert {job.strength for job in again} == {0.2}
    picture = film(tmp_path / "two")[ODD]
    assert (np.abs(picture[45:65, 14:42] - np.array([250, 30, 30])).mean(axis=2) > 40).mean() > 0.9
    shares = {one.index: one.second for one in outcome.facts.frames}
    assert 0 < shares.pop(ODD) < 0.5
    assert not any(shares.values())


def test_what_agrees_is_not_painted_twice(clip: Path, tmp_path: Path) -> None:
    painter = Copying()
    outcome = run(clip, tmp_path / "same", painter, second_pass=0.2, second_tolerance=60.0)
    assert all(job.mask is None for job in painter.jobs)
    assert not any(one.second for one in outcome.facts.frames)


def test_another_light_of_the_source_is_not_painted_twice(tmp_path: Path) -> None:
    """Every other frame is brighter by 16 levels; the second pass looks for 8."""
    unsteady = [image // 2 + np.uint8(16 * (i % 2)) for i, image in enumerate(pictures(LENGTH))]
    clip = make_video(tmp_path / "clip.mp4", unsteady)
    changes: dict[str, object] = {"second_pass": 0.2, "second_tolerance": 8.0, "hole_min": 200}
    outcome = run(clip, tmp_path / "lit", Copying(), **changes)
    assert np.mean([one.second or 0 for one in outcome.facts.frames]) < 0.01


def test_passes_repeat_nothing_that_is_done(clip: Path, tmp_path: Path) -> None:
    wanted: dict[str, object] = {
        "second_pass": 0.2, "second_tolerance": 60.0, "deflicker": 0.5,
    }  # fmt: skip
    run(clip, tmp_path / "job", Slipping(), **wanted)
    first = film(tmp_path / "job")
    before = {path: path.stat().st_mtime_ns for path in _pictures(tmp_path)}
    painter = Slipping()
    run(clip, tmp_path / "job", painter, **wanted)
    assert not painter.jobs
    assert before == {path: path.stat().st_mtime_ns for path in _pictures(tmp_path)}
    assert all((a == b).all() for a, b in zip(first, film(tmp_path / "job"), strict=True))


def _pictures(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "job" / "out.mp4.ofgen" / "frames").iterdir())


def test_a_kept_background_stays_to_the_bit(clip: Path, tmp_path: Path) -> None:
    mask = folder(tmp_path / "mask", length=LENGTH)
    run(
        clip, tmp_path / "kept", Flickering(), mask=mask, deflicker=1.0, second_pass=0.2,
        second_tolerance=1.0,
    )  # fmt: skip
    with open_video(clip) as source:
        shown = [frame.image for frame in source]
    for index, image in enumerate(film(tmp_path / "kept")):
        outside = np.ones(SIZE, np.bool_)
        outside[place(index)] = False
        assert (image == shown[index])[outside].all()
