"""Cuts: where shots begin, to the frame, and nowhere else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lib_ofgen.planning.shots import CutFinder
from lib_ofgen.values import Frame, Image, Scene
from lib_ofgen.video.reader import open_video


def _starts(images: list[Image], **options: float) -> list[int]:
    finder = CutFinder(**options)
    for index, image in enumerate(images):
        finder.add(Frame(index, image))
    scenes = finder.scenes()
    assert scenes[0].start == 0
    assert scenes[-1].stop == len(images)
    assert all(a.stop == b.start for a, b in pairwise(scenes))
    return [scene.start for scene in scenes]


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("sintel_cuts_9s_640x272.mp4", [0, 31, 81, 118, 132, 139]),
        ("bbb_4s_640x360.mp4", [0]),
        ("asl_walk_256.mp4", [0]),
        ("car_5s_512x288.mp4", [0]),
        ("mpi_sintel_alley1_f16-25_1024x436.mp4", [0]),
        ("nasa_8s_480x270.mp4", [0, 240]),  # the last two frames are another shot
    ],
)
def test_the_cuts_of_real_clips(data: Path, name: str, starts: list[int]) -> None:
    with open_video(data / "clips" / name) as source:
        assert _starts([frame.image for frame in source]) == starts


def _shots(lengths: list[int], seed: int = 3) -> list[Image]:
    """Shots of noise that drifts."""
    rng = np.random.default_rng(seed)
    images = []
    for place, length in enumerate(lengths):
        shot = np.kron(rng.integers(0, 256, (9, 12, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        shot = shot // 2 + (place % 2) * 100
        images += [np.roll(shot, step, axis=1) for step in range(length)]
    return images


@pytest.mark.parametrize("lengths", [[8, 8], [1, 9], [9, 1], [2, 9], [9, 2], [6, 1, 6], [5, 5, 5]])
def test_cuts_are_found_at_the_ends_too(lengths: list[int]) -> None:
    assert _starts(_shots(lengths)) == [0, *np.cumsum(lengths)[:-1].tolist()]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 30])
def test_one_shot_is_one_scene(length: int) -> None:
    assert _starts(_shots([length])) == [0]
    assert _starts([np.zeros((40, 64, 3), np.uint8)] * length) == [0]


def test_no_frames_no_scenes() -> None:
    assert CutFinder().scenes() == ()


def test_two_different_frames_need_not_be_one_scene() -> None:
    finder = CutFinder()
    for frame in (
        Frame(0, np.zeros((40, 64, 3), np.uint8)),
        Frame(1, np.full((40, 64, 3), 255, np.uint8)),
    ):
        finder.add(frame)
    assert finder.scenes() in ((Scene(0, 2),), (Scene(0, 1), Scene(1, 2)))


def test_a_higher_threshold_finds_fewer() -> None:
    images = _shots([8, 8, 8])
    assert _starts(images, threshold=250.0) == [0]


def test_frames_are_left_as_they_are() -> None:
    image = _shots([1])[0]
    before = image.copy()
    CutFinder().add(Frame(0, image))
    assert np.array_equal(image, before)
