"""How neighbouring frames move into each other, on the grid of the tracks."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache

import numpy as np

from lib_ofgen.imaging import tracks
from lib_ofgen.pipeline.context import Stopwatch
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.values import Flow, FlowEstimator

__all__ = ["NeighbourFlow"]

_KEPT = 128
"""Flows in memory, a sixteenth of a frame's size each: enough for the frames that steady one."""


class NeighbourFlow:
    """The flow between neighbouring frames; those used last stay in memory."""

    def __init__(self, spool: FrameStore, estimator: FlowEstimator, watch: Stopwatch) -> None:
        """Nothing is estimated before it is asked for."""
        self._spool, self._estimator, self._watch = spool, estimator, watch
        self._kept: OrderedDict[tuple[int, int], Flow] = OrderedDict()
        self.view = lru_cache(maxsize=_KEPT)(self._view_of)

    @property
    def identity(self) -> str:
        """The estimator's."""
        return self._estimator.identity

    def __call__(self, source: int, target: int) -> Flow:
        """The flow between two neighbours; its way back is estimated with it."""
        if (source, target) not in self._kept:
            pair = self._spool.frame(source), self._spool.frame(target)
            with self._watch("flow"):
                for flow in self._estimator.estimate([pair, (pair[1], pair[0])]):
                    self._kept[flow.source, flow.target] = tracks.coarse_flow(flow)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end((source, target))
        return self._kept[source, target]

    def _view_of(self, index: int) -> tracks.Floats:
        """Frame `index` of the source on the tracks' grid, (h, w, 3)."""
        return tracks.coarse_view(self._spool.frame(index).image.astype(np.float32))
