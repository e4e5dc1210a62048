"""Light between two frames: fitted, applied to paint, and doubted, where the answer is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib_ofgen.imaging import images, light, metrics, tracks
from lib_ofgen.imaging.render import Renderer
from lib_ofgen.values import Box, Contribution, Draft, Image, Light, Origin, Painted, Size

Floats = NDArray[np.float32]
GRID = Size(40, 60)
"""Points of a view."""
FRAME = Size(GRID.height * Light.GRID, GRID.width * Light.GRID)
INNER = np.s_[6:-6, 6:-6]
SURE = np.ones(GRID, np.float32)
SEEDS = st.integers(0, 10**6)


def _texture(seed: int, size: Size = GRID, fine: float = 1.2, contrast: float = 25) -> Floats:
    noise = np.random.default_rng(seed).normal(size=(*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, ksize=(0, 0), sigmaX=fine)
    return np.clip(100 + contrast * smooth / smooth.std(), 0, 255).astype(np.float32)


def _picture(levels: Floats) -> Image:
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


# the fit


@given(SEEDS, st.floats(0.55, 1.6), st.floats(-30, 30))
@settings(max_examples=40, deadline=None)
def test_a_gain_and_an_offset_are_found(seed: int, gain: float, offset: float) -> None:
    before = _texture(seed)
    after = (before * np.float32(gain) + np.float32(offset)).astype(np.float32)
    assume(abs(float(after.mean() - before.mean())) > 8)
    found = light.fit(before, after, SURE)
    assert found.box == Box(0, 0, *GRID)
    assert np.abs(found.gain - gain)[INNER].mean() < 0.02 + 0.15 * abs(gain - 1)
    apart = np.abs(light.apply(found, before) - after)
    assert apart.mean() < 1.2
    assert apart.max() < 8


def test_each_channel_has_its_own_light() -> None:
    before = _texture(1)
    gain = np.array([1, 0.6, 1.4], np.float32)
    found = light.fit(before, before * gain, SURE)
    assert np.abs(found.gain[INNER].mean(axis=(0, 1)) - gain).max() < 0.06


def test_light_may_differ_from_place_to_place() -> None:
    before = _texture(2)
    gain = np.linspace(0.6, 1.4, GRID.width, dtype=np.float32)[:, None]
    found = light.fit(before, before * gain, SURE)
    assert np.abs(light.apply(found, before) - before * gain).mean() < 1.5


@given(SEEDS, st.floats(0, 14))
@settings(max_examples=40, deadline=None)
def test_grain_in_a_still_light_changes_nothing(seed: int, grain: float) -> None:
    """Grain of single pixels, as a film has it; a view averages `Light.GRID` of them each way."""
    rng = np.random.default_rng(seed)
    still = _texture(seed, FRAME, fine=5)
    one, other = (
        light.view(_picture(still + rng.normal(0, grain, still.shape).astype(np.float32)))
        for _ in range(2)
    )
    found = light.fit(one, other, SURE)
    assert np.abs(light.apply(found, one) - one).mean() < 0.1
    assert np.abs(found.gain - 1).mean() < 0.01
    assert np.abs(found.gain - 1).max() < 0.04
    assert light.trust(one, other, SURE, found).mean() > 0.95


def test_what_is_unsure_does_not_count() -> None:
    """Another thing has come into the left third, where the flow has no confidence."""
    before = _texture(3)
    after, sure = before * np.float32(1.3), SURE.copy()
    after[:, :20] = _texture(4)[:, :20] * np.float32(0.3)
    sure[:, :20] = 0
    found = light.fit(before, after, sure)
    assert np.abs(light.apply(found, before) - after)[:, 20:].mean() < 1.2


# the light of a region


@given(SEEDS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_region_is_lit_as_it_is_in_the_whole_frame(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    found = Light(
        Box(0, 0, *GRID),
        rng.uniform(0.5, 2, (*GRID, 3)).astype(np.float32),
        rng.uniform(-40, 40, (*GRID, 3)).astype(np.float32),
    )
    top, left = data.draw(st.integers(0, FRAME.height - 1)), data.draw(st.integers(0, 239))
    box = Box(
        top, left, data.draw(st.integers(top + 1, FRAME.height)),
        data.draw(st.integers(left + 1, FRAME.width)),
    )  # fmt: skip
    picture = rng.uniform(0, 255, (*FRAME, 3)).astype(np.float32)
    whole = light.light_up(found, picture, Box(0, 0, *FRAME))
    part = light.light_up(found, box.crop(picture), box)
    assert np.abs(part - box.crop(whole)).max() < 1e-3


# drafts


def _part(origin: int, columns: slice, shift: int = 0) -> Contribution:
    weight = np.zeros(FRAME, np.float32)
    weight[:, columns] = 1
    vectors = np.zeros((2, *FRAME), np.float32)
    vectors[0] = shift
    found = Contribution.of(Origin(origin), vectors, weight)
    assert found is not None
    return found


def _relit(sources: Mapping[int, Image], target: int, *parts: Contribution) -> Draft:
    draft = Draft(parts, np.zeros(FRAME, np.bool_))
    return light.relight(draft, tracks.coarse(draft), _views(sources), target)


def _views(sources: Mapping[int, Image]) -> Callable[[int], Floats]:
    return lambda index: light.view(sources[index])


def _shown(draft: Draft, paint: Mapping[int, Image]) -> Image:
    whole = np.ones(FRAME, np.bool_)
    lend = {index: Painted(index, image, whole) for index, image in paint.items()}
    return Renderer(lambda origin: lend[origin.frame]).plain(draft, Box(0, 0, *FRAME))


def _strokes(picture: Image) -> Image:
    """Paint of a picture: coarse, and with an edge of its own that the source lacks."""
    paint = images.resize(images.resize(picture, Size(20, 30)), FRAME).astype(np.float32)
    paint[::16] *= 0.8
    return _picture(paint)


WIDE = _texture(5, FRAME, fine=5)
BRIGHT, DARK = _picture(WIDE), _picture(WIDE * np.float32(0.6))
LEFT, RIGHT = slice(0, 120), slice(120, 240)


def test_paint_takes_on_the_light_and_keeps_its_strokes() -> None:
    draft = _relit({0: DARK, 1: BRIGHT}, 1, _part(0, slice(None)))
    shown = _shown(draft, {0: _strokes(DARK)}).astype(np.float32)
    wanted = _strokes(BRIGHT).astype(np.float32)
    assert np.abs(shown - wanted).mean() < 2.5
    assert np.abs(_strokes(DARK) - wanted).mean() > 30


def test_light_moves_with_the_paint() -> None:
    """The source is 8 px beside its place, under a shade that is fixed to the screen."""
    shade = np.linspace(0.6, 1, FRAME.width, dtype=np.float32)[:, None]
    moved = _picture(np.roll(WIDE, 8, axis=1) * shade)
    draft = _relit({0: moved, 1: _picture(WIDE * shade)}, 1, _part(0, slice(16, 224), shift=8))
    apart = _shown(draft, {0: moved})[:, 24:216].astype(np.float32) - (WIDE * shade)[:, 24:216]
    assert np.abs(apart).mean() < 1.5


def test_the_light_of_a_part_is_fitted_to_that_part() -> None:
    """The left half darkens, the right one brightens; each comes from another frame."""
    now = WIDE.copy()
    now[:, LEFT] *= 0.6
    now[:, RIGHT] *= 1.3
    draft = _relit({0: BRIGHT, 9: BRIGHT, 4: _picture(now)}, 4, _part(0, LEFT), _part(9, RIGHT))
    for one, columns, gain in zip(draft.contributions, (LEFT, RIGHT), (0.6, 1.3), strict=True):
        assert one.light is not None
        inner = np.s_[:, columns.start + 8 : columns.stop - 8]
        change = light.light_up(one.light, np.full((*one.box.size, 3), 100, np.float32), one.box)
        laid = np.zeros((*FRAME, 3), np.float32)
        one.box.crop(laid)[...] = change
        assert np.abs(laid[inner].mean() - 100 * gain) < 4
    assert np.abs(_shown(draft, {0: BRIGHT, 9: BRIGHT}) - now).mean() < 1.5


def test_paint_of_the_frame_itself_stays() -> None:
    own = _part(4, RIGHT)
    draft = _relit({0: DARK, 4: BRIGHT}, 4, _part(0, LEFT), own)
    assert draft.contributions[0].light is not None
    assert draft.contributions[1] is own
    assert (_shown(draft, {0: DARK, 4: DARK})[:, 130:] == DARK[:, 130:]).all()


def test_lent_paint_is_lit_once() -> None:
    """Paint of the bright frame 0 and of the dark frame 3 meets in frame 6, which is bright."""
    sources = {0: BRIGHT, 3: DARK, 6: BRIGHT}
    dark = _relit(sources, 3, _part(0, LEFT), _part(3, RIGHT))
    bright = _relit(sources, 6, _part(0, LEFT), _part(3, RIGHT))
    paint = {0: BRIGHT, 3: DARK}
    assert np.abs(_shown(dark, paint).astype(np.float32) - DARK).mean() < 1.5
    assert np.abs(_shown(bright, paint).astype(np.float32) - BRIGHT).mean() < 1.5
    again = light.relight(bright, tracks.coarse(bright), _views(sources), 6)
    assert (_shown(again, paint) == _shown(bright, paint)).all()


@pytest.mark.parametrize("gain", [0.6, 1.5])
def test_lit_paint_is_as_sharp_as_it_was_painted(gain: float) -> None:
    """Half a pixel off: what resampling removes is restored, and no more in another light."""
    now = _picture(WIDE * np.float32(gain))
    fine = _picture(WIDE + _texture(9, FRAME, fine=0.8) - 100)
    painted = Painted(0, fine, np.ones(FRAME, np.bool_))
    (one,) = _relit({0: BRIGHT, 1: now}, 1, _part(0, slice(None))).contributions
    assert one.light is not None
    between = replace(one, vectors=one.vectors + np.float32(0.5))
    found = Renderer(lambda origin: painted).sharp(Draft((between,), ~painted.mask))
    wanted = float(np.square(one.light.gain).mean()) * metrics.sharpness(fine)
    assert metrics.sharpness(found) == pytest.approx(wanted, rel=0.1)


# trust


UNLIT: dict[str, Callable[[Floats], Floats]] = {
    "black": lambda f: f * 0,
    "near black": lambda f: f * np.float32(0.03),
    "burnt out": lambda f: f * 0 + 255,
    "blurred": lambda f: cv2.GaussianBlur(f, ksize=(0, 0), sigmaX=6),
    "a third as bright": lambda f: f / 3,
    "another thing": lambda f: np.roll(f, 20, axis=0),
}


BRIGHTENED_ONLY = ("near black", "a third as bright")
"""Paint may get darker by more than it may get brighter."""


@pytest.mark.parametrize(
    ("name", "turned"),
    [*((name, False) for name in UNLIT), *((n, True) for n in UNLIT if n not in BRIGHTENED_ONLY)],
)
def test_what_cannot_be_lit_is_not_trusted_and_the_rest_is(name: str, turned: bool) -> None:
    here = _texture(6, contrast=35)
    there = here.copy()
    there[:, :30] = UNLIT[name](here)[:, :30]
    before, after = (here, there) if turned else (there, here)
    found = light.fit(before, after, SURE)
    trust = light.trust(before, after, SURE, found)
    assert trust[6:-6, 6:20].mean() < 0.05
    assert trust[6:-6, 42:].mean() > 0.95


@pytest.mark.parametrize("gain", [0.55, 0.8, 1.25, 1.6])
def test_what_can_be_lit_is_trusted(gain: float) -> None:
    before = _texture(7)
    after = before * np.float32(gain)
    found = light.fit(before, after, SURE)
    assert light.trust(before, after, SURE, found)[INNER].min() > 0.9


FLAT = {
    "black to grey": (4, 60, 0),
    "white to grey": (252, 150, 0),
    "grey to white": (150, 252, 1),
    "grey to lighter grey": (100, 150, 1),
    "grey to black": (100, 4, 1),
}


@pytest.mark.parametrize(("before", "after", "trusted"), FLAT.values(), ids=list(FLAT))
def test_flat_black_and_white_hold_nothing_to_light(before: int, after: int, trusted: int) -> None:
    one, other = (np.full((*GRID, 3), level, np.float32) for level in (before, after))
    found = light.fit(one, other, SURE)
    assert np.abs(light.trust(one, other, SURE, found) - trusted).max() < 0.2
