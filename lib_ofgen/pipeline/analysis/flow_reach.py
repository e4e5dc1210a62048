"""How much of a frame the flow can supply from other frames, estimated on small pictures."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lib_ofgen.imaging import fusion, images
from lib_ofgen.models.flow import dis
from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.store.frame_store import RECENT, FrameStore
from lib_ofgen.system.stopping import report_step
from lib_ofgen.values import Clip, Frame, Image, Mask, Reporter

__all__ = ["FlowReach", "ReachRule", "sample_holes"]

_SMALL = 320
"""px: width of the pictures on which reach is estimated."""
_KNOWN = 4096
"""Masks of reach that are remembered, each at most 60 kB."""


class ReachRule(NamedTuple):
    """When a pixel counts as within reach of the flow."""

    confidence: float
    """0..1: the least confidence of its flow."""
    radius: float
    """px, at the clip's own size: the error up to which a vector counts as right."""


class _SilentReporter:
    """Reports nothing, and asks another reporter whether to stop."""

    def __init__(self, reporter: Reporter) -> None:
        """`reporter` is asked whether to stop."""
        self.should_stop = reporter.should_stop

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        """Do nothing."""


class FlowReach:
    """Estimates which pixels of a frame the flow finds in other frames.

    It always uses DIS on pictures of at most `_SMALL` px width: only shares of pixels are needed,
    for many pairs, and the choice of key frames must not depend on weights.
    """

    def __init__(
        self, frames: FrameStore, rule: ReachRule, layers: SingleLayer, reporter: Reporter
    ) -> None:
        """Only what is painted of a frame counts; `layers` knows it."""
        self.reporter = reporter
        self._frames, self._rule, self._layers = frames, rule, layers
        size = frames.clip.size
        share = min(1.0, _SMALL / size.width)
        self._size = images.scale_size(size, share)
        self._estimator = dis.DisEstimator(rule.radius * share)
        self._small = lru_cache(maxsize=4 * RECENT)(self._shrink)
        self._within = lru_cache(maxsize=_KNOWN)(self._estimate)
        self._asked = 0

    @property
    def clip(self) -> Clip:
        """The clip whose frames are compared."""
        return self._frames.clip

    def without_reports(self) -> FlowReach:
        """Return the same estimate that reports nothing, but still stops when the user asks."""
        quiet = _SilentReporter(self.reporter)
        return FlowReach(self._frames, self._rule, self._layers, quiet)

    def share_without_source(self, target: int, sources: Sequence[int]) -> float:
        """Return the share 0..1 of `target` that none of the sources can supply."""
        within, counted = self._reach_mask(target, sources), self._inside_mask(target)
        within = within if counted is None else within[counted]
        return 1 - float(within.mean()) if within.size else 0.0

    def holes(self, target: int, sources: Sequence[int], least: int) -> float:
        """Return the share 0..1 of `target` that is holes of at least `least` px of the clip."""
        missing, counted = ~self._reach_mask(target, sources), self._inside_mask(target)
        missing = missing if counted is None else missing & counted
        size = self._frames.clip.size
        small = max(1, round(least * missing.size / (size.height * size.width)))
        return float(fusion.without_specks(missing, small).mean())

    def _reach_mask(self, target: int, sources: Sequence[int]) -> Mask:
        """Return a small (h, w) mask of what flow from any of the sources can supply."""
        return np.logical_or.reduce([self._within(source, target) for source in sources])

    def _inside_mask(self, target: int) -> Mask | None:
        """Return a small (h, w) mask of what is painted of the target; None: all of it."""
        inside = self._layers.inside(target)
        if inside is None:
            return None
        return images.resize(inside.astype(np.float32), self._size) >= 0.5

    def _estimate(self, source: int, target: int) -> Mask:
        self._asked += 1
        length = self._frames.clip.length
        report_step(self.reporter, "keys", min(self._asked, length), length, self._small(target))
        pair = Frame(source, self._small(source)), Frame(target, self._small(target))
        (flow,) = self._estimator.estimate([pair])
        return flow.confidence >= self._rule.confidence

    def _shrink(self, index: int) -> Image:
        return images.resize(self._frames.frame(index).image, self._size)


def sample_holes(
    reach: FlowReach, sources: Mapping[int, Sequence[int]], least: int, most: int
) -> dict[int, float]:
    """Return the share 0..1 of holes of at least `least` px, for frames made of these sources.

    It is cheap and reports nothing: it tells how long a job will take. Only `most` frames are
    looked at, evenly over the clip. Each other frame gets the value of the nearest of them.
    """
    asked = sorted(sources)
    step = max(1, -(-len(asked) // most))
    looked = asked[step // 2 :: step]
    found = {target: reach.holes(target, sources[target], least) for target in looked}
    return {target: found[_nearest(looked, target)] for target in asked}


def _nearest(places: Sequence[int], target: int) -> int:
    """Return the one of the sorted places that is nearest to the target."""
    after = bisect_left(places, target)
    return min(places[max(0, after - 1) : after + 1], key=lambda place: abs(place - target))
