"""Frames of a clip, and the facts of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from lib_ofgen.values.arrays import Image, Size

__all__ = ["Clip", "Frame", "Jump", "Sampling", "Sound"]


@dataclass(frozen=True)
class Sampling:
    """Which frames of a source are taken, and at which size."""

    start: float = 0.0
    """Seconds after the source's first frame."""
    end: float = 0.0
    """Seconds after the source's first frame; 0: up to its end."""
    max_frames: int = 0
    """0: all."""
    every_nth: int = 1
    width: int = 0
    """px; 0: from the source."""
    height: int = 0
    """px; 0: from the source."""
    fit: str = "fit"
    """`fit`, `crop`, `pad` or `stretch`; see `video.framing.working_size`."""


class Frame(NamedTuple):
    """One frame of the clip, at the working size."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """Counted from 0, over the frames that are taken from the source."""
    image: Image


@dataclass(frozen=True)
class Sound:
    """The source's first sound stream."""

    codec: str
    rate: int
    """Samples per second."""
    channels: int


class Jump(NamedTuple):
    """A place where the clock of the source jumps, such as where recordings were joined."""

    time: Fraction
    """Seconds from the start of the clip to the first picture after the jump."""
    before: Fraction
    """Seconds on the source's clock at which the picture before the jump ends."""
    after: Fraction
    """Seconds on the source's clock at which the picture after the jump begins."""


@dataclass(frozen=True)
class Clip:
    """The frames that are taken from a source: their size and their times."""

    size: Size
    """Working size, a multiple of 8 both ways."""
    rate: Fraction
    """Average frames per second, after sampling; exact if the source is."""
    time_base: Fraction
    """Seconds per tick."""
    ticks: tuple[int, ...]
    """Tick at which each frame begins, from that of the first frame."""
    end: int
    """The tick at which the last frame ends."""
    start: Fraction
    """Seconds from the start of the source to the first frame; sound is cut there."""
    sound: Sound | None
    jumps: tuple[Jump, ...] = ()
    """Jumps of the source's clock in the clip; the clip's own clock has none."""
    damaged: int = 0
    """Number of frames that the source's header promises and its data lacks."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.ticks)

    @property
    def duration(self) -> Fraction:
        """Seconds from the start of the first frame to the end of the last."""
        return self.end * self.time_base

    def seconds(self, index: int) -> float:
        """Return the time in seconds at which frame `index` begins."""
        return float(self.ticks[index] * self.time_base)
