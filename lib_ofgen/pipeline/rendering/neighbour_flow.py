"""The flow between neighbouring frames, on the grid of the tracks."""

from __future__ import annotations

from collections import OrderedDict

from lib_ofgen.imaging import tracks
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.values import Flow

__all__ = ["NeighbourFlow"]

_KEPT = 128
"""Flows in memory, each a sixteenth of a frame's size: enough for the window of one frame."""


class NeighbourFlow:
    """Estimates the flow between neighbouring frames, and remembers the latest."""

    def __init__(self, context: RenderContext) -> None:
        """Prepare; each flow is estimated when it is needed."""
        self._context = context
        self._kept: OrderedDict[tuple[int, int], Flow] = OrderedDict()

    @property
    def identity(self) -> str:
        """The identity of the estimator."""
        return self._context.estimator.identity

    def __call__(self, source: int, target: int) -> Flow:
        """Return the flow between two neighbours. The way back is estimated with it."""
        if (source, target) not in self._kept:
            frames = self._context.frames
            pair = frames.frame(source), frames.frame(target)
            with self._context.stopwatch("flow"):
                for flow in self._context.estimator.estimate([pair, (pair[1], pair[0])]):
                    self._kept[flow.source, flow.target] = tracks.coarse_flow(flow)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end((source, target))
        return self._kept[source, target]
