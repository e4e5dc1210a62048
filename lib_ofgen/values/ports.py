"""The ports of the engine: what an estimator, a painter, a tagger, a sink and a reporter do."""

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
    """Gives the flow of pairs of frames."""

    @property
    def identity(self) -> str:
        """Everything about the estimator that changes a vector or a confidence."""
        ...

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """The flow of each (source, target), in order; batches and caches inside."""
        ...

    def release(self) -> None:
        """Take everything off the device; the next estimate puts it back."""
        ...


class Painter(Protocol):
    """Paints pictures in a style."""

    @property
    def identity(self) -> str:
        """Everything about the painter that changes a pixel, beside what a `Repaint` says."""
        ...

    def stage(self, kind: Stage) -> AbstractContextManager[None]:
        """Have the model of that stage loaded inside; restore on leaving, errors included."""
        ...

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        """The pictures, in the order and of the size of the jobs; batches inside."""
        ...


class Tagger(Protocol):
    """Names what a picture shows."""

    @property
    def identity(self) -> str:
        """Everything about the tagger that changes a tag or its confidence."""
        ...

    def tag(self, images: Sequence[Image]) -> list[Tags]:
        """What each picture shows, in order; batches inside."""
        ...

    def release(self) -> None:
        """Take everything off the device; the next picture puts it back."""
        ...


class FrameSink(Protocol):
    """Takes the finished frames, in order."""

    def write(self, frame: Frame) -> None:
        """Append one frame."""
        ...


class Reporter(Protocol):
    """Hears how far the job is, and is asked whether to go on."""

    def step(self, stage: str, done: int, of: int, preview: Image | None = None) -> None:
        """`done` of `of` units of `stage` are finished."""
        ...

    def stopped(self) -> bool:
        """Whether the user asked to stop."""
        ...
