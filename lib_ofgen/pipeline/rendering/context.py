"""The context that all steps of rendering share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.pipeline.rules import RenderRules
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import FlowEstimator, Scene

__all__ = ["RenderContext"]


@dataclass(frozen=True)
class RenderContext:
    """The source's frames, the rules and the ports of one job."""

    frames: FrameStore
    scenes: Sequence[Scene]
    layers: SingleLayer
    rules: RenderRules
    estimator: FlowEstimator
    painter: PainterSession
    stopwatch: Stopwatch

    @property
    def workspace(self) -> Workspace:
        """The workspace, which stores everything that is rendered."""
        return self.frames.workspace
