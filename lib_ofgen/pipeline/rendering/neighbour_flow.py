"""The flow between neighbouring frames, on the grid of the tracks.

It is always that of DIS. Neighbours differ little, and a network would need the device on which
the painter works.
"""

from __future__ import annotations

from collections import OrderedDict

from lib_ofgen.imaging import tracks
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.values import Flow, Size

__all__ = ["NeighbourFlow"]

_METHOD = 1
"""Increase it when the flow changes, so that old frames are not used."""
_KEPT = 128
"""Flows in memory, each a sixteenth of a frame's size: enough for the window of one frame."""


class NeighbourFlow:
    """Estimates the flow between neighbouring frames, and remembers the latest."""

    def __init__(self, context: RenderContext) -> None:
        """Prepare; each flow is estimated when it is needed."""
        self._frames, self._stopwatch = context.frames, context.stopwatch
        self._estimator = DisEstimator()
        size = context.frames.clip.size
        self._grid = Size(size.height // tracks.GRID, size.width // tracks.GRID)
        self._kept: OrderedDict[tuple[int, int], Flow] = OrderedDict()

    @property
    def identity(self) -> str:
        """All that changes a vector or its confidence."""
        return f"neighbours/{_METHOD} {self._estimator.identity}"

    def __call__(self, source: int, target: int) -> Flow:
        """Return the flow between two neighbours. The way back is estimated with it."""
        if (source, target) not in self._kept:
            pair = self._frames.frame(source), self._frames.frame(target)
            with self._stopwatch("flow"):
                for flow in self._estimator.estimate_coarsely(*pair, self._grid):
                    self._kept[flow.source, flow.target] = flow
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end((source, target))
        return self._kept[source, target]
