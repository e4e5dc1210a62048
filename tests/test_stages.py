"""Flow, key frames, plan, fusing, holes: each on inputs whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lib_ofgen.errors import OfgenError
from lib_ofgen.imaging import flow_io, fusion, images, metrics, render, tracks, warp
from lib_ofgen.imaging import holes as inpaint
from lib_ofgen.models.flow import choose_estimator
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.planning import coverage, keyframes, schedule
from lib_ofgen.values import (
    Box,
    Clip,
    Contribution,
    Draft,
    Flow,
    Frame,
    Origin,
    Painted,
    Scene,
    Size,
)

SIZE = Size(40, 67)


def _texture(rng: np.random.Generator, size: Size, fine: float = 1.5) -> np.ndarray:
    noise = rng.normal(0, 1, (*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, ksize=(0, 0), sigmaX=fine)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


# flow


def _all_of(draft: Draft) -> Box:
    return Box(0, 0, *draft.holes.shape)


@pytest.mark.parametrize("shift", [(4, 0), (-3, 5), (0, -6)])
def test_dis_finds_a_shift_in_the_direction_of_the_convention(
    rng: np.random.Generator, shift: tuple[int, int]
) -> None:
    wide = _texture(rng, Size(140, 200))
    x, y = shift
    target = wide[20:120, 20:180]
    source = wide[20 - y : 120 - y, 20 - x : 180 - x]  # target (x, y) is at source (x+u, y+v)
    (found,) = DisEstimator().estimate([(Frame(7, source), Frame(3, target))])
    assert (found.source, found.target) == (7, 3)
    inner = found.vectors[:, 15:-15, 15:-15]
    assert abs(np.median(inner[0]) - x) < 0.5
    assert abs(np.median(inner[1]) - y) < 0.5
    assert np.median(found.confidence[15:-15, 15:-15]) > 0.8


def test_confidence_is_zero_outside_and_low_where_pictures_differ(
    rng: np.random.Generator,
) -> None:
    target = _texture(rng, Size(96, 160))
    source = target.copy()
    source[30:70, 60:110] = _texture(rng, Size(40, 50))
    (found,) = DisEstimator().estimate([(Frame(0, source), Frame(1, target))])
    assert found.confidence[36:64, 66:104].mean() < 0.25
    assert found.confidence[:20].mean() > 0.9
    off = ~warp.inside(found.vectors, Size(96, 160))
    assert (found.confidence[off] == 0).all()


def test_tiny_pictures_have_a_flow(rng: np.random.Generator) -> None:
    image = _texture(rng, Size(16, 32))
    (found,) = DisEstimator().estimate([(Frame(0, image), Frame(1, image))])
    assert found.vectors.shape == (2, 16, 32)
    assert not found.vectors.any()


def test_a_pair_turned_round_is_the_same_as_alone(rng: np.random.Generator) -> None:
    one, two = (Frame(i, _texture(rng, Size(72, 80))) for i in range(2))
    there, back = DisEstimator().estimate([(one, two), (two, one)])
    (alone,) = DisEstimator().estimate([(two, one)])
    assert (there.source, back.source) == (0, 1)
    assert (back.vectors == alone.vectors).all()
    assert (back.confidence == alone.confidence).all()


def test_auto_takes_an_estimator_that_is_there() -> None:
    estimator, name, reason = choose_estimator("auto")
    assert reason.endswith("the best that can run here")
    assert name == "dis"
    assert "dis" in estimator.identity
    with pytest.raises(OfgenError, match=r"torch|download"):
        choose_estimator("pdcnet")


def test_confidence_is_the_probability_of_being_right(data: Path) -> None:
    """On true flow, in each fifth of the scale: as many are right as it says, within 0.2.

    Where a vector leaves the source there is nothing to take, and 0 is no probability.
    """
    for folder, kind in (("alley_1", "clean"), ("alley_1", "final"), ("cave_2", "final")):
        here, there = (
            images.decode_png((data / "flow" / folder / kind / f"frame_000{n}.png").read_bytes())
            for n in (2, 3)
        )
        truth = flow_io.from_flo((data / "flow" / folder / "flow" / "frame_0002.flo").read_bytes())
        (found,) = DisEstimator().estimate([(Frame(3, there), Frame(2, here))])
        right = np.hypot(*(found.vectors - truth)) <= found.radius
        for low in (0.0, 0.2, 0.4, 0.6, 0.8):
            part = (found.confidence > low) & (found.confidence < low + 0.2001)
            said = found.confidence[part].mean()
            assert abs(said - right[part].mean()) < 0.2, (folder, kind, low)


# key frames


def _clip(length: int, rate: int = 10) -> Clip:
    ticks = tuple(range(length))
    return Clip(SIZE, Fraction(rate), Fraction(1, rate), ticks, length, Fraction(0), None)


def _still(length: int) -> list[Frame]:
    image = _texture(np.random.default_rng(0), SIZE)
    return [Frame(index, image) for index in range(length)]


def test_a_still_clip_has_a_key_after_the_longest_gap() -> None:
    rule = keyframes.EdgeRule(threshold=8.5, gap_min=0.3, gap_max=2)
    keys = keyframes.by_edges(_still(45), [Scene(0, 45)], _clip(45), rule, last=False)
    assert [(key.index, key.cause) for key in keys] == [(0, "first"), (20, "gap"), (40, "gap")]


def test_the_shortest_gap_holds_where_everything_changes(rng: np.random.Generator) -> None:
    frames = [Frame(i, _texture(rng, SIZE)) for i in range(12)]
    rule = keyframes.EdgeRule(threshold=1, gap_min=0.5, gap_max=10)
    keys = keyframes.by_edges(frames, [Scene(0, 12)], _clip(12), rule, last=False)
    assert [key.index for key in keys] == [0, 5, 10]
    assert keys[1].cause == "change"
    assert keys[1].distance > 1


def test_a_scene_shorter_than_the_shortest_gap_has_one_key_by_edges_too(
    rng: np.random.Generator,
) -> None:
    """Whether its edges change or not; a longer scene closes with a key."""
    scenes = [Scene(0, 2), Scene(2, 10), Scene(10, 19), Scene(19, 20)]
    rule = keyframes.EdgeRule(threshold=1, gap_min=0.75, gap_max=10)
    changing = [Frame(index, _texture(rng, SIZE)) for index in range(20)]
    for frames, cause in ((changing, "change"), (_still(20), "last")):
        keys = keyframes.by_edges(frames, scenes, _clip(20), rule, last=True)
        assert [key.index for key in keys] == [0, 2, 10, 18, 19]
        assert keys[3].cause == cause


def test_each_cut_is_a_key_and_a_scene_may_close_with_one() -> None:
    scenes = [Scene(0, 7), Scene(7, 8), Scene(8, 30)]
    keys = keyframes.by_interval(scenes, 10, last=True)
    assert [(key.index, key.cause) for key in keys] == [
        (0, "first"), (6, "last"), (7, "cut"), (8, "cut"),
        (18, "interval"), (28, "interval"), (29, "last"),
    ]  # fmt: skip
    rule = keyframes.EdgeRule(threshold=200, gap_min=0, gap_max=100)
    found = keyframes.by_edges(_still(30), scenes, _clip(30), rule, last=True)
    assert [key.index for key in found] == [0, 6, 7, 8, 29]


def test_every_frame_can_be_a_key() -> None:
    keys = keyframes.by_interval([Scene(0, 3), Scene(3, 5)], 1, last=True)
    assert [key.cause for key in keys] == ["first", "every", "every", "cut", "every"]


def test_chosen_keys_are_those_and_the_cuts() -> None:
    keys = keyframes.by_choice([Scene(0, 5), Scene(5, 9)], [2, 5, 8])
    assert [(key.index, key.cause) for key in keys] == [
        (0, "first"), (2, "chosen"), (5, "cut"), (8, "chosen"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="frame 9, but the last one is 8"):
        keyframes.by_choice([Scene(0, 9)], [9])


# plan


@st.composite
def _plans(draw: st.DrawFn) -> tuple[list[Scene], list[int], bool]:
    cuts = sorted(draw(st.sets(st.integers(1, 60), max_size=4)) | {0, draw(st.integers(61, 90))})
    scenes = [Scene(a, b) for a, b in pairwise(cuts)]
    return scenes, sorted(draw(st.sets(st.integers(0, cuts[-1] - 1)))), draw(st.booleans())


@given(_plans())
@settings(max_examples=150, deadline=None)
def test_a_plan_makes_each_frame_once_from_earlier_ones_of_its_scene(
    case: tuple[list[Scene], list[int], bool],
) -> None:
    scenes, indices, guided = case
    keys = keyframes.by_choice(scenes, indices)
    scene_of = {i: scene for scene in scenes for i in range(scene.start, scene.stop)}
    made: set[int] = set()
    levels = [[step] for step in schedule.group_keys(keys, scenes, guided=guided)]
    levels += [
        level for gap in schedule.group_between(keys, scenes, guided=guided) for level in gap
    ]
    for level in levels:
        for step in level:
            assert step.target not in made
            assert set(step.sources) <= made
            assert len(set(step.sources)) == len(step.sources)
            assert {scene_of[i] for i in step.sources} <= {scene_of[step.target]}
            assert len(step.shares) == len(step.sources)
            assert not step.sources or sum(step.shares) == pytest.approx(1)
        made |= {step.target for step in level}
    assert made == set(range(scenes[-1].stop))


def test_a_gap_is_made_middle_first_and_cross_faded_in_its_middle_quarter() -> None:
    keys = keyframes.by_interval([Scene(0, 25)], 24, last=True)
    (gap,) = schedule.group_between(keys, [Scene(0, 25)], guided=False)
    order = [[step.target for step in level] for level in gap]
    assert order[:3] == [[12], [6, 18], [3, 9, 15, 21]]
    shares = {step.target: step.shares[1] for level in gap for step in level}
    assert shares[9] == 0
    assert shares[12] == pytest.approx(0.5)
    assert shares[15] == 1
    assert gap[1][0].sources == (0, 24, 12)


# coverage


def _fading(target: int, sources: Sequence[int]) -> float:
    """Reach that is lost with distance: 2 % of a frame for each frame."""
    return min(1.0, 0.02 * min(abs(target - source) for source in sources))


@given(_plans(), st.integers(1, 12), st.integers(1, 60), st.booleans())
@settings(max_examples=80, deadline=None)
@pytest.mark.parametrize("seek", [coverage.by_coverage, coverage.by_pyramid])
def test_keys_by_reach_open_scenes_and_keep_their_distance(
    seek: Any, case: tuple[list[Scene], list[int], bool], least: int, most: int, last: bool
) -> None:
    scenes = case[0]
    rule = coverage.GapRule(0.85, least, max(least, most), last)
    keys = [key.index for key in seek(scenes, rule, _fading)]
    assert keys == sorted(set(keys))
    for scene in scenes:
        inner = [key for key in keys if scene.start <= key < scene.stop]
        assert inner[0] == scene.start
        assert not last or inner[-1] == scene.stop - 1 or scene.stop - 1 - scene.start < least
        apart = [b - a for a, b in pairwise(inner)]
        assert all(gap >= least for gap in apart[:-1])
        if seek is coverage.by_coverage:
            assert all(gap <= max(rule.longest, 1.5 * least) for gap in apart)


@pytest.mark.parametrize("seek", [coverage.by_coverage, coverage.by_pyramid])
def test_a_scene_that_is_shorter_than_a_gap_has_one_key(seek: Any) -> None:
    rule = coverage.GapRule(0.85, 8, 60, close_scene=True)
    scenes = [Scene(0, 2), Scene(2, 10), Scene(10, 19), Scene(19, 20)]
    keys = [key.index for key in seek(scenes, rule, lambda target, sources: 0.0)]
    assert keys == [0, 2, 10, 18, 19]


def test_keys_stand_where_reach_is_lost() -> None:
    """Where a key on each side shows all, none is needed between; where reach fades, one is."""

    def broken(target: int, sources: Sequence[int]) -> float:
        return float(all((source < 30) != (target < 30) for source in sources))

    rule = coverage.GapRule(0.85, 6, 60, close_scene=True)
    keys = coverage.by_coverage([Scene(0, 60)], rule, broken)
    assert [key.index for key in keys] == [0, 59]
    still = coverage.by_coverage([Scene(0, 60)], rule, lambda target, sources: 0.0)
    assert [(key.index, key.cause) for key in still] == [(0, "first"), (59, "last")]
    fading = coverage.by_coverage([Scene(0, 60)], rule, _fading)
    gaps = coverage.estimate_gaps([key.index for key in fading], [Scene(0, 60)], _fading)
    assert len(gaps) == 4
    assert all(gap.coverage > 0.85 - 0.1 for gap in gaps), "a key is cheaper than a tenth missing"


# fusing


def _candidate(
    index: int, colour: int, sure: np.ndarray, share: float, fresh: np.ndarray | None = None
) -> fusion.Candidate:
    image = np.full((*SIZE, 3), colour, np.uint8)
    mask = np.ones(SIZE, np.bool_) if fresh is None else fresh
    flow = Flow(index, 5, np.zeros((2, *SIZE), np.float32), sure.astype(np.float32), 1.0)
    return fusion.candidate(Painted(index, image, mask), flow, share, threshold=0.5, least=20)


def _shown(fused: Draft, colours: dict[int, int]) -> np.ndarray:
    """The picture, where each origin is of one colour."""
    whole = np.ones(SIZE, np.bool_)
    flat = {i: Painted(i, np.full((*SIZE, 3), c, np.uint8), whole) for i, c in colours.items()}
    return render.Renderer(lambda origin: flat[origin.frame]).plain(fused, _all_of(fused))


def _sum(fused: Draft) -> np.ndarray:
    """(H, W): all weights together."""
    return sum(one.over(Box(0, 0, *fused.holes.shape))[1] for one in fused.contributions)


def test_sources_mix_where_both_are_sure_and_stand_alone_elsewhere() -> None:
    left, right = np.zeros(SIZE), np.zeros(SIZE)
    left[:, :45] = 1
    right[:, 22:] = 1
    fused = fusion.merge([_candidate(0, 40, left, 0.25), _candidate(9, 200, right, 0.75)], 20)
    image = _shown(fused, {0: 40, 9: 200})
    assert (image[:, :22] == 40).all()
    assert (image[:, 45:] == 200).all()
    assert (image[:, 30:36] == 160).all()
    assert not fused.holes.any()
    assert np.allclose(_sum(fused), 1)
    assert (fused.origin_frames(lambda origin: origin.frame)[:, :22] == 0).all()
    assert (fused.origin_frames(lambda origin: origin.frame)[:, 22 + 3 :] == 9).all()


def test_what_nobody_shows_is_a_hole_and_specks_are_not() -> None:
    sure = np.ones(SIZE)
    sure[5:15, 10:30] = 0.4
    sure[30:33, 50:53] = 0
    fused = fusion.merge([_candidate(0, 90, sure, 1.0)], 20)
    assert fused.holes[5:15, 10:30].all()
    assert fused.holes.sum() == 200
    assert (_shown(fused, {0: 90}) == 90).all()


@given(st.integers(0, 10**6), st.sampled_from([1, 4, 20, 100]))
@settings(max_examples=60, deadline=None)
def test_specks_are_regions_and_gaps_of_few_pixels(seed: int, least: int) -> None:
    """Held against labelling: what is small goes, and nothing else; rings count what they hold."""
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.random(SIZE), ksize=(0, 0), sigmaX=2)
    mask = blobs > np.quantile(blobs, rng.uniform(0.2, 0.8))
    before = mask.copy()
    found = fusion.without_specks(mask, least)
    assert (mask == before).all()
    for left in (found, ~found):
        regions = _regions(left)
        assert not found.any() or all(max(size, box) >= least for size, box in regions)
    for gone in (mask & ~found, found & ~mask):
        assert all(size < least for size, _ in _regions(gone))


def _regions(mask: np.ndarray) -> list[tuple[int, int]]:
    """Pixels of each 8-connected region, and of the box around it."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return [(int(row[4]), int(row[2] * row[3])) for row in stats[1:]]


def test_no_hole_is_left_where_the_least_is_more_than_the_frame() -> None:
    sure = np.ones(SIZE)
    sure[5:30, 10:50] = 0
    for least, lost in ((1000, 1000), (1001, 0), (10**6, 0)):
        assert fusion.find_missing([_candidate(0, 90, sure, 1.0)], least).sum() == lost


def test_complete_is_nothing_missing(rng: np.random.Generator) -> None:
    for least in (1, 30, 100, 1000):
        for share in (0.0, 0.002, 0.1, 1.0):
            sure = cv2.GaussianBlur(rng.random(SIZE), ksize=(0, 0), sigmaX=5)
            sure = (sure > np.quantile(sure, share)).astype(float)
            pair = [_candidate(0, 90, sure, 1.0)]
            assert fusion.has_no_holes(pair, least) == (not fusion.find_missing(pair, least).any())


def test_a_source_lends_only_what_was_painted_fresh_in_it() -> None:
    fresh = np.zeros(SIZE, np.bool_)
    fresh[5:35, 10:50] = True
    unsure, sure = np.zeros(SIZE), np.ones(SIZE)
    fused = fusion.merge(
        [_candidate(0, 10, unsure, 1.0), _candidate(5, 250, sure, 0.0, fresh=fresh)], 20
    )
    reach = warp.KERNEL_RADIUS
    core = np.zeros(SIZE, np.bool_)
    core[5 + reach : 35 - reach, 10 + reach : 50 - reach] = True
    assert (fused.holes == ~core).all()
    image = _shown(fused, {0: 10, 5: 250})
    assert (image[core] == 250).all()
    assert (image[~core] == 10).all()


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_every_contribution_samples_its_frame_once(seed: int) -> None:
    """The fused picture is exactly the weighted sum of its sources, each warped one time."""
    rng = np.random.default_rng(seed)
    shares = [*rng.dirichlet(np.ones(2)).tolist(), 0.0]
    candidates = []
    for index, share in enumerate(shares):
        sure = cv2.GaussianBlur(rng.random(SIZE), ksize=(0, 0), sigmaX=6)
        sure = (sure > np.quantile(sure, 0.4)).astype(np.float32)
        vectors = np.stack([cv2.GaussianBlur(rng.normal(0, 20, SIZE), (0, 0), 8) for _ in "xy"])
        painted = Painted(index, _texture(rng, SIZE), np.ones(SIZE, np.bool_))
        flow = Flow(index, 9, vectors.astype(np.float32), sure, 1.0)
        candidates.append(fusion.candidate(painted, flow, share, threshold=0.5, least=20))
    fused = fusion.merge(candidates, 20)
    lent = {c.painted.index: c.painted for c in candidates}
    again = np.zeros((*SIZE, 3))
    covered = np.logical_or.reduce([c.trusted for c in candidates])
    for one in fused.contributions:
        _, weight = one.over(Box(0, 0, *SIZE))
        again += weight[..., None] * warp.warp_backward(
            lent[one.origin.frame].image, candidates[one.origin.frame].flow.vectors
        )
        assert not weight[covered & ~candidates[one.origin.frame].trusted].any()
    shown = render.Renderer(lambda origin: lent[origin.frame]).plain(fused, _all_of(fused))
    assert np.abs(shown - again).max() <= 0.51
    assert np.allclose(_sum(fused), 1, atol=1e-5)


# holes


@given(st.integers(0, 10**6), st.integers(8, 20), st.integers(8, 30), st.sampled_from([8, 64, 96]))
@settings(max_examples=60, deadline=None)
def test_boxes_hold_the_mask_and_do_not_overlap(
    seed: int, rows: int, columns: int, least: int
) -> None:
    rng = np.random.default_rng(seed)
    size = Size(rows * 8, columns * 8)
    blobs = cv2.GaussianBlur(rng.random(size), ksize=(0, 0), sigmaX=5)
    mask = blobs > np.quantile(blobs, 0.9)
    covered = np.zeros(size, np.int32)
    for box in inpaint.find_boxes(mask, least):
        assert box.size.height % 8 == box.size.width % 8 == 0
        assert 0 <= box.top < box.bottom <= size.height
        assert 0 <= box.left < box.right <= size.width
        assert box.size.height >= min(least, size.height)
        covered[box.top : box.bottom, box.left : box.right] += 1
    assert (covered[mask] == 1).all()
    assert covered.max() <= 1


def test_paint_is_shown_whole_in_holes_and_nowhere_beyond_their_margin() -> None:
    holes = np.zeros((64, 96), np.bool_)
    holes[20:40, 30:60] = True
    mask = inpaint.grow(holes)
    shown = inpaint.edge_opacity(holes, mask)
    assert (shown[holes] == 1).all()
    assert not shown[~mask].any()
    assert mask[holes].all()
    assert (np.diff(shown[:, 45]) >= 0)[:20].all()


def test_paint_takes_on_the_colours_around_its_hole(rng: np.random.Generator) -> None:
    """A painter that fills holes 20 levels too dark leaves no seam, and keeps its own inside."""
    around = np.full((160, 240, 3), 120, np.uint8)
    around += rng.integers(0, 20, around.shape, dtype=np.uint8)
    picture = around - np.uint8(20)
    holes = np.zeros(around.shape[:2], np.bool_)
    holes[20:140, 20:220] = True
    ring = inpaint.grow(holes) & ~holes
    current = np.zeros(around.shape, np.float32)
    matched = inpaint.match_colours(picture, around, ring, current).astype(int)
    apart = np.abs(matched - around).mean(axis=2)
    near = holes & inpaint.grow(~holes)
    assert apart[near].mean() < 4
    assert (np.diff(apart[80, 20:120].reshape(-1, 10).mean(axis=1)) > -0.5).all()
    assert np.abs(apart[75:85, 110:130] - 20).max() < 3
    assert (picture + 20 == around).all(), "the caller's picture stays"


HOLE = Box(40, 60, 120, 180)


def _matched(apart: NDArray[np.int_], misfit: NDArray[np.float32] | None = None) -> np.ndarray:
    """(H, W) levels added to paint around a hole, from which what is around differs by `apart`."""
    holes = np.zeros((160, 240), np.bool_)
    HOLE.crop(holes)[...] = True
    around = np.full((*holes.shape, 3), 120, np.uint8)
    picture = (around - apart[..., None]).astype(np.uint8)
    away = np.zeros(around.shape, np.float32) if misfit is None else misfit
    ring = inpaint.grow(holes) & ~holes
    matched = inpaint.match_colours(picture, around, ring, away).astype(int) - picture
    return matched[..., 0][holes & inpaint.grow(~holes)]


@pytest.mark.parametrize("levels", [-60, -20, -8, 0, 8, 20, 60])
def test_a_difference_that_is_the_same_all_around_is_matched(levels: int) -> None:
    added = _matched(np.full((160, 240), levels))
    assert np.abs(added - levels).max() <= 0.25 * abs(levels)


def test_strokes_that_differ_are_not_carried_into_the_hole() -> None:
    """Strokes of 8 px, each 40 levels darker or brighter by chance; a real difference stays."""
    carried, kept = [], []
    for seed in range(20):
        strokes = np.random.default_rng(seed).choice([-40, 40], (20, 30)).repeat(8, 0).repeat(8, 1)
        carried.append(np.abs(_matched(strokes)).mean())
        kept.append(_matched(strokes + 50).mean())
    assert np.mean(carried) < 4
    assert np.mean(kept) > 20


def test_another_thing_around_the_hole_does_not_count() -> None:
    apart = np.full((160, 240), 10)
    misfit = np.zeros((160, 240, 3), np.float32)
    apart[:, 120:], misfit[:, 120:, 1] = 90, 40
    assert _matched(apart, misfit).max() <= 10
    assert _matched(apart).max() > 60


# tracks


GRIDDED = Size(40, 72)
"""As frames have it: multiples of 8."""


class _World:
    """A texture that moves by whole pixels, and frames made of what is painted of it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.rng, self.scene, self.pan = rng, Scene(0, 9), int(rng.integers(-2, 3))
        self.painted = {i: self._painted(i) for i in (0, 3, 8)}
        self.drafts = [self._draft(i) for i in range(self.scene.stop)]

    def _painted(self, index: int) -> Painted:
        mask = np.ones(GRIDDED, np.bool_)
        if index == 3:
            mask[:, : GRIDDED[1] // 2] = False
        image = _texture(self.rng, GRIDDED) * mask[..., None].astype(np.uint8)
        return Painted(index, image, mask)

    def flow(self, source: int, target: int) -> Flow:
        vectors = np.zeros((2, *GRIDDED), np.float32)
        vectors[0] = self.pan * (source - target)
        sure = cv2.GaussianBlur(self.rng.random(GRIDDED), ksize=(0, 0), sigmaX=4).astype(np.float32)
        return Flow(source, target, vectors, sure, 1.0)

    def _jitter(self) -> NDArray[np.float32]:
        """(2, H, W) px: of 0.4 px, its correlation falling to 1/e over 10 px.

        So do the errors of DIS on the true flow of alley_1 (10 to 12 px; cave_2: over 16).
        """
        planes = [
            cv2.GaussianBlur(self.rng.normal(size=GRIDDED), ksize=(0, 0), sigmaX=5)
            for _ in range(2)
        ]
        return np.stack([plane / plane.std() * 0.4 for plane in planes]).astype(np.float32)

    def _draft(self, target: int) -> Draft:
        parts = []
        for origin, lender in self.painted.items():
            flow = self.flow(origin, target)
            jitter = self._jitter()
            sure = fusion.lendable(lender, flow.vectors + jitter) & (self.rng.random(GRIDDED) < 0.8)
            weight = np.maximum(sure, origin == 0) * self.rng.random(GRIDDED) + (origin == 0) * 0.01
            parts.append(Contribution.of(Origin(origin), flow.vectors + jitter, np.float32(weight)))
        return Draft.normalise(parts, np.zeros(GRIDDED, np.bool_))

    def _coarse_flow(self, source: int, target: int) -> Flow:
        """The flow on the grid of the tracks, in its px."""
        flow = self.flow(source, target)
        grid = Size(*(side // tracks.GRID for side in GRIDDED))
        vectors = warp.resize_flow(flow.vectors, grid)
        return replace(flow, vectors=vectors, confidence=images.resize(flow.confidence, grid))

    def steadied(self, target: int, reach: int) -> Draft:
        found = tracks.follow(target, self.scene, reach, self._coarse_flow)
        assert {track.frame for track in found} == {
            i for i in range(self.scene.stop) if 0 < abs(i - target) <= reach
        }
        draft, own = self.drafts[target], tracks.coarse(self.drafts[target])
        neighbours = [(track, tracks.coarse(self.drafts[track.frame])) for track in found]
        steady = tracks.refine(draft, own, tracks.steady(own, neighbours))
        return fusion.limit_to_paint(steady, draft, lambda origin: self.painted[origin.frame])


@given(st.integers(0, 10**6), st.integers(0, 8), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_a_steadied_frame_samples_paint_once_and_names_it(
    seed: int, target: int, reach: int
) -> None:
    """Every contribution is one warp of what its origin painted, and the weights sum to 1."""
    world = _World(seed)
    fused = world.steadied(target, reach)
    assert np.allclose(_sum(fused), 1, atol=1e-4)
    assert len({one.origin for one in fused.contributions}) == len(fused.contributions)
    again = np.zeros((*GRIDDED, 3))
    for one in fused.contributions:
        vectors, weight = one.over(Box(0, 0, *GRIDDED))
        lender = world.painted[one.origin.frame]
        again += weight[..., None] * warp.warp_backward(lender.image, vectors)
        assert fusion.lendable(lender, vectors)[weight > 0].all()
    lend = world.painted.__getitem__
    shown = render.Renderer(lambda origin: lend(origin.frame)).plain(fused, _all_of(fused))
    assert np.abs(shown - np.clip(again, 0, 255)).max() <= 0.51


def test_a_frame_with_nothing_to_steady_it_comes_back_from_the_coarse_grid() -> None:
    """Without neighbours each place stays to the bit, edges of sources included."""
    world = _World(3)
    steadied, draft = world.steadied(4, 0), world.drafts[4]
    before = {one.origin: one for one in draft.contributions}
    for one in steadied.contributions:
        was, known = before[one.origin].over(one.box)
        assert np.array_equal(one.vectors[:, known > 0], was[:, known > 0])


@pytest.mark.parametrize("target", [2, 4, 6])
def test_steadying_brings_places_nearer_to_the_truth(target: int) -> None:
    worlds = [_World(seed) for seed in range(5)]

    def miss(world: _World, fused: Draft) -> float:
        (one,) = (one for one in fused.contributions if one.origin.frame == 0)
        vectors, _ = one.over(Box(0, 0, *GRIDDED))
        truth = world.flow(0, target).vectors
        inner = np.s_[:, 8:-8, 16:-16]
        return float(np.abs(vectors - truth)[inner].mean())

    before = sum(miss(world, world.drafts[target]) for world in worlds)
    assert sum(miss(world, world.steadied(target, 4)) for world in worlds) < 0.6 * before


def test_a_picture_keeps_the_detail_that_was_painted(rng: np.random.Generator) -> None:
    """Half a pixel off, blurred by resampling: the mean square Laplacian comes back."""
    painted = Painted(0, _texture(rng, SIZE, 0.6), np.ones(SIZE, np.bool_))
    renderer = render.Renderer(lambda origin: painted)
    ones = np.ones(SIZE, np.float32)
    still, between = (
        Draft(
            (Contribution.of(Origin(0), np.full((2, *SIZE), by, np.float32), ones),), ~painted.mask
        )
        for by in (0, 0.5)
    )
    assert (renderer.sharp(still) == painted.image).all()
    want, plain, sharp = (
        metrics.sharpness(i)
        for i in (
            painted.image,
            renderer.plain(between, Box(0, 0, *between.holes.shape)),
            renderer.sharp(between),
        )
    )
    assert plain < 0.8 * want
    assert abs(sharp - want) < 0.5 * abs(plain - want)


# measures


def test_a_moved_picture_has_no_warp_error_and_a_flickering_one_has(
    rng: np.random.Generator,
) -> None:
    wide = _texture(rng, Size(120, 170), fine=2.5)
    pair = wide[10:110, 10:160].copy(), wide[10:110, 8:158].copy()
    brighter = pair[0], np.clip(pair[1].astype(int) + 20, 0, 255).astype(np.uint8)
    for judge in (metrics.farneback, metrics.tvl1):
        judgement = metrics.judge_pair(pair, judge)
        same, other = judgement.error(pair), judgement.error(brighter)
        assert same < 5e-4
        assert other == pytest.approx((20 / 255) ** 2, rel=0.35)
        part = np.zeros(pair[0].shape[:2], np.bool_)
        assert np.isnan(judgement.error(brighter, part))
        part[20:60, 30:90] = True
        half = pair[0], np.where(part[..., None], brighter[1], pair[1])
        assert judgement.error(half, part) > 4 * judgement.error(half, ~part)


def test_pairs_are_spread_and_never_straddle_a_cut() -> None:
    chosen = metrics.pairs([Scene(0, 50), Scene(50, 51), Scene(51, 120)])
    assert len(chosen) == 24
    assert chosen[0] == 0
    assert chosen[-1] == 118
    assert not {49, 50} & set(chosen)
    assert metrics.pairs([Scene(0, 1)]) == []


def test_motion_boundaries_and_misses_are_left_out() -> None:
    forward = np.zeros((2, *SIZE), np.float32)
    assert not metrics.find_occlusions(forward, forward).any()
    forward[0, :, 30:] = 4
    marked = metrics.find_occlusions(forward, -forward)
    assert marked[:, 29:31].all()
    assert not marked[:, 5:20].any()
