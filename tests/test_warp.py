from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_ofgen.imaging import flow_io, images, warp
from lib_ofgen.values import Size

SIZE = Size(40, 67)


def _constant(x: float, y: float, size: Size = SIZE) -> np.ndarray:
    return np.stack([np.full(size, x), np.full(size, y)]).astype(np.float32)


def test_backward_looks_up_the_source_at_the_vector() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[12, 34] = 255
    moved = warp.warp_backward(image, _constant(3, -2))
    # target (x, y) shows source (x + 3, y - 2): the dot at (34, 12) appears at (31, 14)
    assert np.argwhere(moved[..., 0] == 255).tolist() == [[14, 31]]


@given(st.integers(-30, 30), st.integers(-20, 20), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_whole_vectors_copy_pixels(x: int, y: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    vectors = _constant(x, y)
    moved = warp.warp_backward(image, vectors)
    seen = warp.inside(vectors, SIZE)
    rows, columns = np.nonzero(seen)
    assert (moved[seen] == image[rows + y, columns + x]).all()


def test_part_of_a_warp_is_the_warp(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    vectors = rng.normal(0, 4, (2, *SIZE)).astype(np.float32)
    whole = warp.warp_backward(image, vectors)
    for top, left, bottom, right in ((0, 0, *SIZE), (3, 5, 30, 40), (10, 0, 11, 1)):
        part = warp.warp_backward(image, vectors[:, top:bottom, left:right], corner=(top, left))
        assert (part == whole[top:bottom, left:right]).all()


def test_resized_flow_scales_its_vectors_and_comes_back() -> None:
    double = warp.resize_flow(_constant(3, -2), Size(80, 134))
    assert double.shape == (2, 80, 134)
    assert np.allclose(double, _constant(6, -4, Size(80, 134)))
    assert np.allclose(warp.resize_flow(double, SIZE), _constant(3, -2))
    wide = warp.resize_flow(_constant(10, 10), Size(40, 134))
    assert np.allclose(wide[0], 20)
    assert np.allclose(wide[1], 10)


def test_a_true_way_back_leads_home() -> None:
    miss = warp.forward_backward(_constant(5, 1), _constant(-5, -1))
    assert np.allclose(miss, 0)
    assert np.allclose(warp.forward_backward(_constant(5, 1), _constant(-5, 2)), 3)


def test_nothing_is_written_to_what_the_caller_holds(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    vectors = rng.normal(0, 1, (2, *SIZE)).astype(np.float32)
    before = image.copy(), vectors.copy()
    warp.warp_backward(image, vectors)
    warp.resize_flow(vectors, Size(8, 8))
    warp.zero_short_vectors(vectors)
    warp.forward_backward(vectors, vectors)
    assert (image == before[0]).all()
    assert (vectors == before[1]).all()


def test_a_flow_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"vectors has shape \(40, 67, 2\), wanted \(2 H W\)"):
        warp.resize_flow(np.zeros((*SIZE, 2), np.float32), SIZE)


def test_small_vectors_are_stilled() -> None:
    vectors = np.stack([np.full(SIZE, 0.1), np.full(SIZE, 0.1)]).astype(np.float32)
    assert not warp.zero_short_vectors(vectors).any()
    assert (warp.zero_short_vectors(vectors * 2) == vectors * 2).all()


def test_flo_files_come_back(rng: np.random.Generator) -> None:
    vectors = rng.normal(0, 9, (2, *SIZE)).astype(np.float32)
    assert (flow_io.from_flo(flow_io.to_flo(vectors)) == vectors).all()
    for bad in (b"", b"PIEH", flow_io.to_flo(vectors)[:-1]):
        with pytest.raises(ValueError, match=r"\.flo"):
            flow_io.from_flo(bad)


def test_packing_keeps_every_bit(rng: np.random.Generator) -> None:
    for size in (Size(8, 8), SIZE, Size(1, 1)):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        assert (images.unpack(images.pack(image)) == image).all()
        assert (images.decode_png(images.encode_png(image)) == image).all()
    with pytest.raises(ValueError, match="QOI"):
        images.unpack(b"no picture")
    with pytest.raises(ValueError, match="picture"):
        images.decode_png(b"")
