"""What every part of the making of frames shares: the rules of the job and its stopwatch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from lib_ofgen.values import Stage

__all__ = ["Rules", "Stopwatch"]

_STAGES = ("decode", "analyse", "flow", "paint", "fuse", "encode", "measure")
"""What a job's time is divided into."""


class Stopwatch:
    """Seconds spent by stage."""

    def __init__(self) -> None:
        """All at zero."""
        self.seconds: dict[str, float] = dict.fromkeys(_STAGES, 0.0)

    @property
    def making(self) -> float:
        """Seconds in which frames were made."""
        return sum(self.seconds[stage] for stage in ("flow", "paint", "fuse"))

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to `stage`."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += perf_counter() - begun


@dataclass(frozen=True)
class Rules:
    """How frames are made; the pipeline reads these from the settings."""

    confidence: float
    """0..1: pixels whose flow is less sure are not taken."""
    least: int
    """px: smaller holes are not painted, smaller patches not used."""
    box: int
    """px: least side of what the painter gets."""
    reach: int
    """Frames on each side over which correspondences are averaged along their tracks."""
    strength: float
    hole_strength: float
    seed: int
    """Of frames to which no row gives another."""
    second: float
    """Strength 0..1 of the second pass; 0: none."""
    tolerance: float
    """Levels of 255 from which the second pass repaints."""
    deflicker: float
    """0..1: how far colours are brought to their mean along tracks."""
    batch: int
    """Frames whose paint is asked for at once; a stop loses no more."""
    anchored: tuple[Stage, ...] = ()
    """Stages whose pictures are painted with an eye on the scene's first key frame."""
