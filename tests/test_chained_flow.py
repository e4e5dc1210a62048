"""Flow between distant frames, supported by the composed flows between neighbours.

A texture slides within a border of another, which stands still; so the true flow is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.pipeline import stage_options
from lib_ofgen.pipeline.rendering.chained_flow import ChainedFlow
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.frame_store import FrameStore, read_source
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Flow, FlowEstimator, Frame, Sampling, Size
from support.jobs import Patience
from support.videos import make_video

SIZE = Size(96, 192)
STEP = 5
"""px by which the texture moves to the left from frame to frame."""
FAR = 16
"""Frames: as many times `STEP` px are too far for a direct search."""
BAND = np.s_[16:80, 16:176]
"""The rest stands still."""


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    noise = cv2.GaussianBlur(rng.normal(size=(*size, 3)).astype(np.float32), (0, 0), 2)
    return np.clip(128 + 45 * noise / noise.std(), 0, 255)


@pytest.fixture
def frames(tmp_path: Path, rng: np.random.Generator) -> FrameStore:
    still, wide = _texture(rng, SIZE), _texture(rng, (64, 160 + FAR * STEP))
    pictures = []
    for index in range(FAR + 1):
        picture = still.copy()
        picture[BAND] = wide[:, index * STEP : index * STEP + 160]
        pictures.append(picture.astype(np.uint8))
    clip = make_video(tmp_path / "clip.mkv", pictures)
    return read_source(Workspace(tmp_path / "work"), clip, Sampling(), Patience())


def _truth(source: int, target: int) -> NDArray[np.float32]:
    vectors = np.zeros((2, *SIZE), np.float32)
    vectors[0][BAND] = STEP * (target - source)
    return vectors


def _visible(source: int, target: int) -> NDArray[np.bool_]:
    """Pixels of the band that both frames show, 8 px from its edges."""
    there = np.arange(SIZE.width) + STEP * (target - source)
    here = np.arange(SIZE.width)
    seen = (there >= 24) & (there < 168) & (here >= 24) & (here < 168)
    mask = np.zeros(SIZE, np.bool_)
    mask[24:72] = seen
    return mask


class _Told:
    """An estimator that knows neighbours, and says nothing true of other pairs."""

    identity = "told"

    def __init__(self, far: float, near: float = 0.9) -> None:
        """`near` is the confidence between neighbours, `far` that of other pairs."""
        self.far, self.near, self.answers = far, near, list[Flow]()

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        for source, target in pairs:
            near = abs(source.index - target.index) == 1
            vectors = _truth(source.index, target.index) if near else np.zeros((2, *SIZE), "f4")
            sure = np.full(SIZE, self.near if near else self.far, np.float32)
            self.answers.append(Flow(source.index, target.index, vectors, sure, 1.0))
            yield self.answers[-1]

    def release(self) -> None:
        pass


def _chained(frames: FrameStore, estimator: FlowEstimator) -> ChainedFlow:
    rules, nobody = stage_options.render_rules(Settings(), 0), cast("Any", None)
    context = RenderContext(frames, [], nobody, rules, estimator, nobody, Stopwatch())
    return ChainedFlow(context, NeighbourFlow(context))


def _pair(frames: FrameStore, source: int, target: int) -> list[tuple[Frame, Frame]]:
    return [(frames.frame(source), frames.frame(target))]


@pytest.mark.parametrize(("source", "target"), [(0, FAR), (FAR, 0), (3, FAR - 2)])
def test_neighbours_lead_where_a_direct_search_fails(
    frames: FrameStore, source: int, target: int
) -> None:
    pair = _pair(frames, source, target)
    (direct,) = DisEstimator().estimate(pair)
    (found,) = _chained(frames, DisEstimator()).estimate(pair)
    seen = _visible(source, target)
    miss, was = (
        np.hypot(*(flow.vectors - _truth(source, target)))[seen] for flow in (found, direct)
    )
    assert np.median(was) > 8
    assert np.median(miss) < 0.5
    assert direct.confidence[seen].mean() < 0.2
    assert found.confidence[seen].mean() > 0.7
    assert (found.source, found.target, found.radius) == (source, target, direct.radius)
    assert (found.confidence >= direct.confidence).all()


def test_a_chain_helps_any_estimator_that_knows_neighbours(frames: FrameStore) -> None:
    (found,) = _chained(frames, _Told(far=0.1)).estimate(_pair(frames, 0, 12))
    seen = _visible(0, 12)
    assert np.median(np.hypot(*(found.vectors - _truth(0, 12)))[seen]) < 0.5
    assert found.confidence[seen].mean() > 0.7


def test_the_direct_flow_stays_where_it_is_the_surer_one(frames: FrameStore) -> None:
    """Only 300 pixels of it are unsure; there alone it may change."""

    class Patchy(_Told):
        def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
            for flow in super().estimate(pairs):
                if flow.source - flow.target == 12:
                    flow.confidence[30:45, 40:60] = 0
                yield flow

    estimator = Patchy(far=1)
    (found,) = _chained(frames, estimator).estimate(_pair(frames, 12, 0))
    changed = (found.vectors != estimator.answers[0].vectors).any(axis=0)
    assert changed[30:45, 40:60].any()
    changed[30:45, 40:60] = False
    assert not changed.any()


def test_sure_flows_and_neighbours_are_returned_as_they_are(frames: FrameStore) -> None:
    sure, unsure = _Told(far=0.9), _Told(far=0.9, near=0.1)
    for estimator, source, target in ((sure, 0, 12), (unsure, 4, 5), (unsure, 5, 4)):
        (found,) = _chained(frames, estimator).estimate(_pair(frames, source, target))
        assert found is estimator.answers[-1]


def test_flows_come_in_the_order_of_their_pairs(frames: FrameStore) -> None:
    pairs = [(0, 12), (4, 5), (12, 0), (2, 9)]
    asked = [pair for source, target in pairs for pair in _pair(frames, source, target)]
    found = _chained(frames, _Told(far=0.1)).estimate(asked)
    assert [(flow.source, flow.target) for flow in found] == pairs


def test_another_estimator_has_another_identity(frames: FrameStore) -> None:
    told, dis = _chained(frames, _Told(0.1)).identity, _chained(frames, DisEstimator()).identity
    assert told != dis
    assert told != _Told.identity
