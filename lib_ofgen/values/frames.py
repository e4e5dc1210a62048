"""Frames of a clip, and what is known of it."""

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
    """Counted from 0 over the frames taken from the source."""
    image: Image


@dataclass(frozen=True)
class Sound:
    """The source's first sound stream."""

    codec: str
    rate: int
    """Samples per second."""
    channels: int


class Jump(NamedTuple):
    """A place where the source's clock jumps, as it does where recordings were joined."""

    time: Fraction
    """Seconds into the clip at which the picture after the jump is shown."""
    before: Fraction
    """Seconds on the source's clock at which the picture before it ends."""
    after: Fraction
    """Seconds on the source's clock at which the picture after it begins."""


@dataclass(frozen=True)
class Clip:
    """The frames taken from a source: their size and their time."""

    size: Size
    """Working size, a multiple of 8 both ways."""
    rate: Fraction
    """Average frames per second, after sampling; exact where the source is."""
    time_base: Fraction
    """Seconds per tick."""
    ticks: tuple[int, ...]
    """When each frame begins, counted from the first one."""
    end: int
    """The tick at which the last frame ends."""
    start: Fraction
    """Seconds into the source at which the first frame lies; sound is cut there."""
    sound: Sound | None
    jumps: tuple[Jump, ...] = ()
    """Where the source's clock jumps inside the clip; the clip's own clock does not."""
    damaged: int = 0
    """Frames that the source's header promises and its data no longer holds."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.ticks)

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last one's end."""
        return self.end * self.time_base

    def seconds(self, index: int) -> float:
        """When frame `index` begins, in seconds."""
        return float(self.ticks[index] * self.time_base)
