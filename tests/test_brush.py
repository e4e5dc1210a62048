"""The embedded painter: as obedient as a diffusion model, and with the same faults."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lib_ofgen.imaging.images import luma
from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.values import Image, Painter, Repaint
from support.paths import ROOT

PAINTER: Painter = BrushPainter()


def _scene(height: int = 120, width: int = 200) -> Image:
    """Hills, a disc and a fence: edges, flats and fine detail."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([90 + y * 100 // height, 140 - y * 40 // height, 60 + x // 3], axis=2)
    image[(x - 60) ** 2 + (y - 50) ** 2 < 900] = (220, 180, 40)
    image[(x > 120) & (x % 8 < 3)] = (40, 40, 60)
    return image.astype(np.uint8)


def _job(image: Image, **changes: Any) -> Repaint:
    return dataclasses.replace(Repaint(0, image, None, image, "", "", 0.4, 0), **changes)


def _paint(image: Image, **changes: Any) -> Image:
    return PAINTER.paint([_job(image, **changes)])[0]


def _far(first: Image, second: Image) -> float:
    return float(np.abs(first.astype(float) - second).mean())


def _sharpness(image: Image) -> float:
    return float(cv2.Laplacian(luma(image), ddepth=cv2.CV_32F, ksize=3).var())


@pytest.fixture(scope="module")
def frame(request: pytest.FixtureRequest) -> Image:
    data: Path = request.getfixturevalue("data")
    with av.open(data / "clips" / "bbb_4s_640x360.mp4") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(8, 70),
    width=st.integers(8, 70),
    strength=st.floats(0, 1),
    seed=st.integers(-1, 2**63 - 1),
    data=st.data(),
)
def test_any_job_keeps_size_context_and_input(
    height: int, width: int, strength: float, seed: int, data: st.DataObject
) -> None:
    image = data.draw(arrays.arrays(np.uint8, (height, width, 3), fill=st.integers(0, 255)))
    mask = np.zeros((height, width), np.uint8)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mask[top : top + data.draw(st.integers(0, height)), left : left + 9] = data.draw(
        st.sampled_from([1, 128, 255])
    )
    before = image.copy(), mask.copy()
    picture = _paint(image, mask=mask, strength=strength, seed=seed)
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    assert not np.shares_memory(picture, image)
    np.testing.assert_array_equal(picture[mask == 0], image[mask == 0])
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_strength_0_changes_nothing() -> None:
    np.testing.assert_array_equal(_paint(_scene(), strength=0.0), _scene())


def test_more_strength_goes_further_from_the_picture() -> None:
    scene = _scene()
    steps = [_far(_paint(scene, strength=s), scene) for s in (0.0, 0.02, 0.1, 0.2, 0.4, 1.0)]
    assert steps == sorted(steps)
    assert steps[1] < 1.5
    assert steps[4] > 5


def test_a_painting_is_the_same_bytes_whatever_the_batch() -> None:
    jobs = [_job(_scene(), seed=seed) for seed in (1, 2, 3)]
    together = PAINTER.paint(jobs)
    for job, picture in zip(jobs[::-1], together[::-1], strict=True):
        np.testing.assert_array_equal(BrushPainter().paint([job])[0], picture)
    assert PAINTER.paint([]) == []


def test_a_painting_is_the_same_bytes_in_another_process() -> None:
    code = (
        "import numpy as np, zlib; from lib_ofgen.models.painters.brush import BrushPainter as B;"
        "from lib_ofgen.values import Repaint as R;"
        "i = (np.mgrid[:40, :64].sum(axis=0)[..., None] * [1, 2, 3] % 256).astype(np.uint8);"
        "print(zlib.crc32(B().paint([R(0, i, None, i, '', '', .4, 5)])[0].tobytes()))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout


def test_nothing_global_is_drawn_from() -> None:
    state = np.random.get_state()[1]
    first = _paint(_scene())
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    np.testing.assert_array_equal(_paint(_scene()), first)


def test_another_seed_is_another_picture() -> None:
    scene = _scene()
    paintings = [_paint(scene, seed=seed) for seed in (0, 1)]
    assert _far(*paintings) > 5


def test_one_seed_sticks_to_the_screen() -> None:
    """Painted flats have one texture for one seed, wherever the world has moved."""
    flat = np.full((96, 128, 3), 120, np.uint8)
    brighter = np.full((96, 128, 3), 130, np.uint8)
    here, there = (_paint(image).astype(float) for image in (flat, brighter))
    other = _paint(brighter, seed=1).astype(float)
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.95
    assert abs(np.corrcoef(here.ravel(), other.ravel())[0, 1]) < 0.3


def test_strokes_follow_edges() -> None:
    stripes = np.zeros((96, 128, 3), np.uint8)
    stripes[:, (np.arange(128) // 16) % 2 == 0] = 200
    grey = luma(_paint(stripes))
    across, along = (cv2.Sobel(grey, cv2.CV_32F, dx=1 - i, dy=i) for i in (0, 1))
    assert (across**2).mean() > 5 * (along**2).mean()


def test_a_masked_region_resembles_the_same_region_of_the_whole() -> None:
    scene = _scene()
    mask = np.zeros(scene.shape[:2], np.uint8)
    mask[40:80, 60:120] = 255
    part, whole = _paint(scene, mask=mask), _paint(scene)
    inside = mask > 0
    assert _far(part[inside], whole[inside]) < 0.5 * _far(whole[inside], scene[inside])


def test_a_soft_mask_mixes() -> None:
    scene = _scene()
    half = _paint(scene, mask=np.full(scene.shape[:2], 128, np.uint8))
    assert abs(_far(half, scene) / _far(_paint(scene), scene) - 0.5) < 0.05


def test_wrong_shapes_are_refused() -> None:
    scene = _scene()
    with pytest.raises(ValueError, match="image"):
        _paint(scene[..., 0])
    with pytest.raises(ValueError, match="mask"):
        _paint(scene, mask=np.zeros((3, 4), np.uint8))


def test_a_frame_looks_painted_yet_sharp_and_recognisable(frame: Image) -> None:
    picture = _paint(frame)
    assert 0.7 < _sharpness(picture) / _sharpness(frame) < 1.6
    assert 6 < _far(picture, frame) < 20
    coarse = [cv2.resize(i, (40, 22), interpolation=cv2.INTER_AREA) for i in (picture, frame)]
    assert _far(*coarse) < 6


def test_cost_follows_the_masked_area(frame: Image) -> None:
    def cost(mask: Any) -> float:
        took = []
        for _ in range(3):
            began = time.process_time()
            _paint(frame, mask=mask)
            took.append(time.process_time() - began)
        return min(took)

    small = np.zeros(frame.shape[:2], np.uint8)
    small[100:180, 200:300] = 255
    assert cost(small) < 0.5 * cost(None)


def test_stages_and_identity() -> None:
    with PAINTER.stage("keys"), PAINTER.stage("holes"):
        assert PAINTER.identity == BrushPainter().identity
    assert PAINTER.identity.startswith("brush ")
