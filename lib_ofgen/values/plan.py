"""What is decided before painting: scenes, key frames, steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["Cause", "KeyFrame", "Scene", "Step"]

Cause = Literal[
    "first", "cut", "change", "coverage", "gap", "pyramid", "interval", "chosen", "every", "last"
]
"""Why a frame is a key frame; `last` closes a scene so that every frame has a key on both sides."""


class Scene(NamedTuple):
    """Frames `start` to `stop - 1`, between two cuts."""

    start: int
    stop: int


class KeyFrame(NamedTuple):
    """A frame that is painted whole, and why."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    distance: float
    """What the choice measured (edge distance 0..255), or 0 where it measures nothing."""
    cause: Cause


@dataclass(frozen=True)
class Step:
    """How one frame is made: from which painted frames, in order of preference.

    `shares[i]` is what source i contributes to a pixel that every source with a share shows. A
    source with share 0 supplies only what the others lack. No sources: painted whole.
    """

    target: int
    sources: tuple[int, ...]
    shares: tuple[float, ...]
    fresh: bool = False
    """Whether the subject of a masked frame is painted anew, whatever the sources could supply."""
    beside: tuple[int, ...] = ()
    """Key frames left and right of it on one canvas where it is painted whole; see `canvas`."""
