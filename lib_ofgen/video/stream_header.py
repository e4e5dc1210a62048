"""What a container's header says of its film stream: rate, length, end, shape of the pixels."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from typing import Any

import av
import av.container
import av.error

from lib_ofgen.values import Box
from lib_ofgen.video import gif, timing
from lib_ofgen.video.demuxing.matroska import VisiblePart
from lib_ofgen.video.demuxing.streams import packets_of

__all__ = ["StreamHeader"]

SAME_END = Fraction(1, 1000)
"""Seconds: ends that differ by less are the same."""
NEAR_END = 2
"""Seconds before an end from which on packets are read."""
FALLBACK_RATE = Fraction(25)
NO_STAMPS, JUMPING = 0x80, 0x200
"""Flags of libav's formats: raw streams without any times; formats whose clock may jump."""
ESTIMATED = {"mpeg", "mpegts", "gif"}
"""Formats whose header has no end. The one that libav estimates leaves the last frame out, or
differs from what browsers show."""


class StreamHeader:
    """The header's statements about one video stream of an open container.

    They may be wrong: what is decoded decides. Values are read when they are asked for, and only
    as long as the container is open.
    """

    def __init__(
        self, container: av.container.InputContainer, stream: Any, visible: VisiblePart | None
    ) -> None:
        """Take the stream; `visible` is the part that a Matroska file shows, None of others."""
        self._container = container
        self._stream = stream
        self._visible = visible

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the stream."""
        return Fraction(self._stream.time_base or Fraction(1, 1000))

    @property
    def rates(self) -> list[Fraction]:
        """The frame rates in the header, in frames per second, likeliest first."""
        stream = self._stream
        found = [stream.average_rate, stream.guessed_rate, stream.base_rate]
        if self._flags & NO_STAMPS:  # libav counts raw streams at 25 whatever their header says
            found.insert(0, stream.codec_context.framerate)
        rates = [Fraction(rate) for rate in found if rate and Fraction(1, 1000) < rate <= 1000]
        return [gif.browser_rate(rate, self.time_base) for rate in rates] if self.is_gif else rates

    @property
    def rate(self) -> Fraction:
        """The average frame rate, without the rounding of a container's time base."""
        rate = (self.rates or [FALLBACK_RATE])[0]
        return rate if (1 / (rate * self.time_base)).denominator == 1 else timing.nominal_rate(rate)

    @property
    def frame_count(self) -> int:
        """Number of frames; 0 if the header has none."""
        return self._stream.frames or 0

    @property
    def duration(self) -> Fraction | None:
        """Length in seconds; None if the header has none."""
        if self._stream.duration:
            return self._stream.duration * self.time_base
        if self._container.duration:
            return Fraction(self._container.duration, av.time_base)
        return None

    @property
    def end(self) -> int | None:
        """The tick at which the stream ends; None if the header has none."""
        if self._stream.duration is None or self._container.format.name in ESTIMATED:
            return None
        return (self._stream.start_time or 0) + self._stream.duration

    def possible_ends(self, origin: int) -> tuple[int, ...]:
        """The ticks at which the header may mean the stream to end, likeliest first.

        `origin` is the first frame's tick: headers count their end from it, from the stream's
        start or from zero.
        """
        if self.end is not None:
            return (self.end, origin + self._stream.duration, self._stream.duration)
        if not self._container.duration or self._container.format.name in ESTIMATED:
            return ()
        return (round(self._container_end / self.time_base),)

    def ends_with_others(self, reopened: av.container.InputContainer) -> bool:
        """Whether the header's end is that of another stream, whose packets reach up to it.

        Some formats have one length for all streams: if the sound goes on, no picture is missing.
        `reopened` is the same file, opened once more; it is read from near the end.
        """
        end, own = self._container_end, self.end
        if own is not None and abs(own * self.time_base - end) > SAME_END:
            return False
        with contextlib.suppress(av.error.FFmpegError):
            reopened.seek(max(0, int((end - NEAR_END) * av.time_base)))
        streams = [one for one in reopened.streams if one.index != self._stream.index]
        return bool(streams) and any(
            (packet.pts + (packet.duration or 0)) * packet.time_base > end - SAME_END * 100
            for packet in packets_of(reopened, streams)
            if packet.pts is not None
        )

    @property
    def has_display_order(self) -> bool:
        """Whether stamps are in the order of display; those of AVI are in the packets' order."""
        return self._container.format.name != "avi"

    @property
    def is_gif(self) -> bool:
        """Whether the container is a GIF."""
        return str(self._container.format.name) == "gif"

    @property
    def may_jump(self) -> bool:
        """Whether the format's clock may jump, as that of joined recordings."""
        return bool(self._flags & JUMPING)

    @property
    def video_position(self) -> int:
        """The stream's position among the video streams, counted from 0."""
        return [one.index for one in self._container.streams.video].index(self._stream.index)

    @property
    def crop(self) -> tuple[int, int, int, int] | None:
        """Px that the container cuts off at the top, left, bottom and right; None for nothing."""
        return self._visible[:4] if self._visible is not None and self._visible.cuts else None

    def pixel_aspect(self, codec: Any) -> Fraction:
        """Width of a stored pixel over its height; `codec` is the codec context in use."""
        own = codec.sample_aspect_ratio
        if self._visible is not None and self._visible.cuts and self._visible.aspects:
            # Some muxers leave the shown size as it was before cropping: nothing is squeezed.
            usual = Fraction(own) if own and own > 0 else Fraction(1)
            return min(self._visible.aspects, key=lambda one: abs(math.log(one / usual)))
        aspect = getattr(self._stream, "sample_aspect_ratio", None) or own
        return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)

    def visible_box(self, frame: av.VideoFrame) -> Box:
        """The part of a frame that the container shows."""
        visible, height, width = self._visible, frame.height, frame.width
        if visible is None or not visible.cuts or visible[4:6] != (width, height):
            return Box(0, 0, height, width)
        return Box(visible.top, visible.left, height - visible.bottom, width - visible.right)

    @property
    def _container_end(self) -> Fraction:
        """Seconds on the file's clock at which the longest stream ends by the header."""
        start, duration = self._container.start_time or 0, self._container.duration or 0
        return Fraction(start + duration, av.time_base)

    @property
    def _flags(self) -> int:
        """Libav's flags of the container's format."""
        return int(self._container.format.flags)
