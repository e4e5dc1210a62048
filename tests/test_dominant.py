"""The dominant motion, where a flow is unsure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib_ofgen.models.flow import confidence, global_motion
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.values import Box, Frame, Image, Light, Size

HEIGHT, WIDTH = 160, 240
SIZE = Size(HEIGHT, WIDTH)
MIDDLE = np.s_[60:100, 90:150]
HOLE = np.s_[70:90, 105:135]
STILL = Light(
    Box(0, 0, HEIGHT // 2, WIDTH // 2),
    np.ones((HEIGHT // 2, WIDTH // 2, 3), np.float32),
    np.zeros((HEIGHT // 2, WIDTH // 2, 3), np.float32),
)
"""A light that does not change."""


def plane_of(turn: float, grow: float, lean: float, shift: tuple[float, float]) -> NDArray:
    """3 x 3, about the picture's middle: target to source."""
    home = np.array([[1, 0, -WIDTH / 2], [0, 1, -HEIGHT / 2], [0, 0, 1.0]])
    cos, sin = grow * np.cos(turn), grow * np.sin(turn)
    moved = np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [lean, 0, 1]])
    return np.linalg.inv(home) @ moved @ home


def vectors_of(plane: NDArray) -> NDArray[np.float32]:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    u, v, w = np.einsum("ij,jhw->ihw", plane, np.stack([x, y, np.ones_like(x)]))
    return np.stack([u / w - x, v / w - y]).astype(np.float32)


def seen_by(plane: NDArray, source: Image) -> Image:
    """The target that sees the source so."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(source, plane, (WIDTH, HEIGHT), flags=flags, borderMode=1)


def _texture(rng: np.random.Generator) -> Image:
    noise = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH, 3)), (0, 0), 3)
    return np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)


PLANE = plane_of(0.02, 1.03, 1e-4, (4.0, -2.5))


@given(
    st.floats(-0.1, 0.1), st.floats(0.9, 1.1), st.floats(-3e-4, 3e-4),
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
)  # fmt: skip
def test_what_is_unsure_moves_with_what_is_around_it(
    turn: float, grow: float, lean: float, shift: tuple[float, float]
) -> None:
    rng = np.random.default_rng(3)
    plane = plane_of(turn, grow, lean, shift)
    truth = vectors_of(plane)
    grey = confidence.view(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), SIZE)
    vectors, sure = truth.copy(), np.full((HEIGHT, WIDTH), 0.9, np.float32)
    sure[HOLE], vectors[(slice(None), *HOLE)] = 0.1, rng.normal(0, 5, (2, 20, 30))
    found, confident = global_motion.complete_by_global_motion(
        (grey, grey), vectors, sure, 1.0, STILL
    )
    # An estimated vector that lies within half a px of the motion is kept.
    assert np.hypot(*(found - truth))[HOLE].max() < 0.6
    assert confident[HOLE].min() > 0.4
    outside = np.ones(sure.shape, np.bool_)
    outside[HOLE] = False
    assert np.hypot(*(found - truth))[outside].max() < 0.1


def test_what_has_been_covered_is_not_seen(rng: np.random.Generator) -> None:
    source = _texture(rng)
    target = seen_by(PLANE, source)
    vectors, sure = vectors_of(PLANE), np.full((HEIGHT, WIDTH), 0.9, np.float32)
    sure[HOLE] = 0.1
    covered = source.copy()
    cv2.rectangle(covered, (80, 50), (170, 110), (255, 255, 255), cv2.FILLED)
    pair = confidence.view(covered, SIZE), confidence.view(target, SIZE)
    _, confident = global_motion.complete_by_global_motion(pair, vectors, sure, 1.0, STILL)
    assert (confident[HOLE] < 0.4).mean() > 0.95


def test_what_lies_in_another_motion_is_left_alone() -> None:
    grey = confidence.view(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), SIZE)
    vectors, sure = vectors_of(PLANE), np.full((HEIGHT, WIDTH), 0.9, np.float32)
    other = np.s_[20:140, 50:190]
    vectors[(slice(None), *other)] = np.array([-6, 5], np.float32)[:, None, None]
    sure[HOLE] = 0.1
    found, confident = global_motion.complete_by_global_motion(
        (grey, grey), vectors, sure, 1.0, STILL
    )
    np.testing.assert_array_equal(confident[HOLE], sure[HOLE])
    np.testing.assert_array_equal(found[(slice(None), *HOLE)], vectors[(slice(None), *HOLE)])


def test_too_few_sure_vectors_tell_nothing() -> None:
    grey = confidence.view(np.full((HEIGHT, WIDTH, 3), 128, np.uint8), SIZE)
    vectors, sure = vectors_of(PLANE), np.full((HEIGHT, WIDTH), 0.1, np.float32)
    sure[:20, :20] = 0.9
    found, confident = global_motion.complete_by_global_motion(
        (grey, grey), vectors, sure, 1.0, STILL
    )
    assert found is vectors
    assert confident is sure


def test_a_plain_patch_of_a_moving_plane_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = np.mean([_known(seed) for seed in range(3)])
    monkeypatch.setattr(
        global_motion,
        "complete_by_global_motion",
        lambda pair, vectors, sure, radius, light: (vectors, sure),
    )
    assert with_it > 0.7
    assert np.mean([_known(seed) for seed in range(3)]) < with_it - 0.2


def _known(seed: int) -> float:
    """Share of a plain patch's middle that DIS is sure about, and rightly so."""
    rng = np.random.default_rng(seed)
    source = _texture(rng)
    source[40:120, 70:170] = 128
    pair = [
        np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
        for image in (source, seen_by(PLANE, source))
    ]
    (flow,) = DisEstimator().estimate([(Frame(0, pair[0]), Frame(1, pair[1]))])
    right = np.hypot(*(flow.vectors - vectors_of(PLANE))) <= 1
    return float(((flow.confidence >= 0.4) & right)[MIDDLE].mean())


def test_the_same_pair_has_the_same_flow() -> None:
    source = _texture(np.random.default_rng(1))
    pair = Frame(0, source), Frame(1, seen_by(PLANE, source))
    (one,), (other,) = (DisEstimator().estimate([pair]) for _ in range(2))
    np.testing.assert_array_equal(one.vectors, other.vectors)
    np.testing.assert_array_equal(one.confidence, other.confidence)
