"""What is decided before painting: scenes, key frames and steps."""

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
    """A frame that is painted whole, and why it is one."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    distance: float
    """Edge distance 0..255 that was measured; 0 if none is."""
    cause: Cause


@dataclass(frozen=True)
class Step:
    """How a frame is made: its sources are painted frames, in order of preference.

    `shares[i]` is the share of source i in a pixel that every source with a share shows. A source
    with share 0 supplies only what the others lack. A frame without sources is painted whole.
    """

    target: int
    sources: tuple[int, ...]
    shares: tuple[float, ...]
    fresh: bool = False
    """Whether the subject of a masked frame is painted even where sources could supply it."""
    beside: tuple[int, ...] = ()
    """Key frames on its left and right on the canvas on which it is painted whole."""
    matched: tuple[int, ...] = ()
    """Earlier key frames whose colours it takes on after it has been painted whole."""
