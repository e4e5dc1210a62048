"""Clips that are enlarged, and light that changes, before the eyes of flow and judge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lib_ofgen.imaging import metrics
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.values import Frame, Image

FACTOR = 2.5


def texture(seed: int = 5) -> Image:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (160, 264, 3)), (0, 0), 1.5)
    return cv2.normalize(noise, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def enlarged(picture: Image) -> Image:
    return cv2.resize(picture, None, fx=FACTOR, fy=FACTOR, interpolation=cv2.INTER_CUBIC)


def test_flow_of_an_enlarged_clip_is_that_of_the_clip_enlarged() -> None:
    wide = texture()
    here, there = wide[:144, 3:259], wide[2:146, :256]
    flows = []
    for pair in ((here, there), (enlarged(here), enlarged(there))):
        source, target = (np.ascontiguousarray(picture) for picture in pair)
        flows += DisEstimator().estimate([(Frame(0, source), Frame(1, target))])
    small, large = flows
    moved = np.stack([cv2.resize(p, (640, 360)) for p in small.vectors]) * np.float32(FACTOR)
    inner = np.s_[:, 20:-20, 20:-20]
    assert np.abs(large.vectors - moved)[inner].max() < 0.2 * FACTOR
    assert large.confidence[20:-20, 20:-20].mean() > 0.9


def test_what_stands_still_in_an_enlarged_clip_with_grain_is_copied(
    rng: np.random.Generator,
) -> None:
    still = texture()[:144, :256]
    pair = []
    for index in range(2):
        grainy = np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8)
        pair.append(Frame(index, enlarged(grainy)))
    (flow,) = DisEstimator().estimate([(pair[0], pair[1])])
    assert (flow.vectors == 0).all(axis=0).mean() > 0.95


@pytest.mark.parametrize("size", [(8, 8), (8, 200), (72, 128)])
@pytest.mark.parametrize("flat", [True, False])
def test_pictures_without_detail_or_of_the_smallest_size_have_a_flow(
    size: tuple[int, int], flat: bool
) -> None:
    """How far a picture can be shrunk is found for these, too."""
    height, width = size
    picture = np.full((*size, 3), 90, np.uint8) if flat else texture()[:height, :width]
    (flow,) = DisEstimator().estimate([(Frame(0, picture), Frame(1, picture.copy()))])
    assert not flow.vectors.any()
    assert (flow.confidence > 0.5).all()


def test_a_source_of_another_size_has_a_flow() -> None:
    picture = texture()[:144, :256]
    smaller = cv2.resize(picture, (128, 72), interpolation=cv2.INTER_AREA)
    for source, target in ((smaller, picture), (picture, smaller)):
        (flow,) = DisEstimator().estimate([(Frame(0, source), Frame(1, target))])
        assert flow.confidence.shape == target.shape[:2]


@pytest.mark.parametrize("judge", [metrics.tvl1, metrics.farneback])
def test_a_judge_does_not_take_a_change_of_light_for_motion(judge: metrics.Judge) -> None:
    ramp = np.linspace(60, 140, 256, dtype=np.float32)[:, None]
    still = ramp + 0.15 * (texture()[:144, :256].astype(np.float32) - 128)
    pair = tuple(np.clip(still * k, 0, 255).astype(np.uint8) for k in (1.0, 1.06))
    plain, even = (
        metrics.judge_pair((pair[0], pair[1]), judge, even_out=each) for each in (False, True)
    )
    lengths = [np.hypot(*judged.forward).mean() for judged in (plain, even)]
    assert lengths[1] < 0.1
    assert lengths[0] > 1 or judge is metrics.farneback, "the plain TV-L1 is deceived"
