"""The ports of the engine: flow estimator, painter, tagger, sink and reporter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from lib_ofgen.values.arrays import Image
from lib_ofgen.values.flow import Flow
from lib_ofgen.values.frames import Frame
from lib_ofgen.values.painting import Repaint, Stage, Tags

__all__ = ["FlowEstimator", "FrameSink", "Painter", "Reporter", "Tagger"]


class FlowEstimator(Protocol):
    """Estimates the flow of pairs of frames."""

    @property
    def identity(self) -> str:
        """Everything about the estimator that changes a vector or a confidence."""
        ...

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """Yield the flow of each pair (source, target), in order; it batches and caches itself."""
        ...

    def release(self) -> None:
        """Free the device; the next estimate loads everything again."""
        ...


class Painter(Protocol):
    """Paints pictures."""

    @property
    def identity(self) -> str:
        """Everything about the painter that changes a pixel, except what a `Repaint` has."""
        ...

    def stage(self, kind: Stage) -> AbstractContextManager[None]:
        """Load the model of that stage inside the context; restore the last one after it."""
        ...

    def paint(self, repaints: Sequence[Repaint]) -> list[Image]:
        """Return the pictures, in the order and sizes of the repaints; it batches itself."""
        ...


class Tagger(Protocol):
    """Finds the tags of pictures."""

    @property
    def identity(self) -> str:
        """Everything about the tagger that changes a tag or its confidence."""
        ...

    def tag(self, images: Sequence[Image]) -> list[Tags]:
        """Return the tags of each picture, in order; it batches itself."""
        ...

    def release(self) -> None:
        """Free the device; the next picture loads everything again."""
        ...


class FrameSink(Protocol):
    """Receives the finished frames, in order."""

    def write(self, frame: Frame) -> None:
        """Append one frame."""
        ...


class Reporter(Protocol):
    """Receives the progress of a job, and says whether the user wants to stop."""

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        """Report that `done` of `of` units of the phase `phase` are finished."""
        ...

    def should_stop(self) -> bool:
        """Whether the user asked to stop."""
        ...
