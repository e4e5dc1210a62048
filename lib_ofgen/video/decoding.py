"""Decoded pictures of a video file, in the order of display, whatever is wrong with the file."""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.error
import av.video.stream

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import images
from lib_ofgen.system import limits
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import Box, Sound
from lib_ofgen.video import colour, gif, timing
from lib_ofgen.video.demuxing import matroska
from lib_ofgen.video.demuxing.container import decoder_options, open_container, silence, sound_of
from lib_ofgen.video.demuxing.streams import TRIES, film_stream, packets_of
from lib_ofgen.video.interlace import Deinterlacer, Picture, Times
from lib_ofgen.video.stream_header import StreamHeader

__all__ = ["Decoder"]

NEAR = 4.0
"""Seconds: an earlier start is reached by decoding, a later one by seeking."""
MARGIN = 1.0
"""Seconds from the place that is sought to the start: no frame there lacks its references."""
STILLS = ("bmp", "mjpeg", "png", "webp")
"""Codecs whose packets are files of pictures, with their size in the header."""


class Decoder:
    """The film stream of a file, decoded from its start or from a place that was sought."""

    def __init__(self, path: Path) -> None:
        """Open the file and decode its first frame.

        Raises:
            VideoError: if it cannot be opened, or has no frame that can be decoded.
        """
        self.path = path
        self._name = f"a picture of {path.name!r}"
        self.faults = 0
        """Reads and packets that failed."""
        self.decoded = 0
        """Frames that were decoded."""
        self.repeats = 0
        """Empty packets: each repeats the frame before it."""
        self.from_first = True
        """Whether decoding began with the first frame."""
        self._open()
        try:
            first = next(self._pictures, None)
            if first is None:
                raise VideoError(f"{path.name!r} {self._explain_failure()}", bad_input=True)
        except BaseException:
            self.close()
            raise
        # The iterator of one picture releases it, so that its memory is free after its use.
        self._pictures = chain(iter([first]), self._pictures)
        self._has_stamps = first.stamp is not None
        self.origin = first.stamp or 0
        """The first frame's time in ticks."""

    def _explain_failure(self) -> str:
        """Say why no frame was decoded, with the remedy."""
        codec = self.stream.codec_context.name
        if codec == "webp":
            return (
                "is an animated WebP, which this build of libav cannot decode; convert it to GIF, "
                "APNG or a video"
            )
        return (
            f"has a video stream ({codec}), but not one frame of it can be decoded; convert or "
            "copy the file again"
        )

    def close(self) -> None:
        """Close the file."""
        silence()
        self.container.close()

    @property
    def traits(self) -> list[object]:
        """The stream's position and its crop; empty for the first stream without a crop."""
        position, crop = self.header.video_position, self.header.crop or ()
        return [position, crop] if position or crop else []

    @property
    def codec(self) -> Any:
        """The codec context in use."""
        return self._codec

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a stored pixel over its height."""
        return self.header.pixel_aspect(self._codec)

    @property
    def sound(self) -> Sound | None:
        """The first sound stream."""
        return sound_of(self.container)

    @property
    def possible_ends(self) -> tuple[int, ...]:
        """The ticks at which the header may mean the stream to end, likeliest first."""
        return self.header.possible_ends(self.origin)

    def ends_with_others(self) -> bool:
        """Whether the header's end is that of another stream, whose packets reach up to it."""
        with open_container(self.path) as reopened:
            return self.header.ends_with_others(reopened)

    def visible_box(self, frame: av.VideoFrame) -> Box:
        """The part of a frame that the container shows."""
        return self.header.visible_box(frame)

    def seconds(self, stamp: int) -> Fraction:
        """Seconds from the first frame to a stamp in ticks."""
        return (stamp - self.origin) * self.header.time_base

    def pictures(self, start: float) -> Iterator[Picture]:
        """Yield the pictures from one at or before `start`, in seconds, to the end."""
        if start > NEAR and self._has_stamps and self._can_seek(start):
            first = self._seek(start - MARGIN)
            if first is not None:
                self.from_first = False
                yield first
                yield from self._pictures
                return
            self.close()
            self._open()
        yield from self._pictures

    def _can_seek(self, start: float) -> bool:
        """Whether a time can be sought: not in a GIF, nor if the clock jumps before `start`."""
        header = self.header
        if header.is_gif or not header.may_jump:
            return not header.is_gif
        step = max(1, round(1 / (header.rate * header.time_base)))
        clock = timing.SteadyClock(step, header.time_base)
        with open_container(self.path) as container:
            for packet in packets_of(container, container.streams[self.stream.index]):
                if packet.dts is None:
                    continue
                if clock.jump_at(packet.dts):
                    return False
                if self.seconds(clock.read(packet.dts)) > start:
                    break
        return True

    def _seek(self, start: float) -> Picture | None:
        """Seek and decode; return the first picture if it is at or before `start`, else None."""
        goal = self.origin + int(start / self.header.time_base)
        with contextlib.suppress(av.error.FFmpegError, OverflowError):
            self.container.seek(goal, stream=self.stream, backward=True)
            self._codec.flush_buffers()
            self._pictures = self._decode()
            first = next(self._pictures, None)
            if first is not None and first.stamp is not None and first.stamp <= goal:
                return first
        return None

    def _open(self) -> None:
        """Open the file, choose the stream and its decoder, and start before the first frame."""
        self.container = open_container(self.path)
        try:
            self.stream = film_stream(
                self.container, repr(self.path.name), lambda: open_container(self.path)
            )
        except BaseException:
            self.container.close()
            raise
        self.stream.thread_type = "AUTO"
        self._codec: Any = _alpha_decoder(self.stream) or self.stream.codec_context
        self._codec.options = self.stream.codec_context.options = decoder_options()
        if self._codec is not self.stream.codec_context:
            self.stream.thread_type = "NONE"  # it must refuse a packet before the other reads it
        self._has_size = bool(self._codec.width)
        self.decoded = self.faults = self.repeats = 0
        # Taken before decoding, which replaces it by the bitstream's values.
        self.colour = colour.colour_of(self.stream.codec_context)
        self.header = StreamHeader(self.container, self.stream, self._read_visible_part())
        self._pictures: Iterator[Picture] = self._decode()

    def _read_visible_part(self) -> matroska.VisiblePart | None:
        """Read which part of the pictures a Matroska file shows; None for other files."""
        if "matroska" not in self.container.format.name:
            return None
        with regular_file(self.path) as file:
            parts = matroska.read_visible_parts(file)
        position = [one.index for one in self.container.streams.video].index(self.stream.index)
        return parts[position] if position < len(parts) else None

    def _decode(self) -> Iterator[Picture]:
        """Yield the pictures from the container's position to its end; damaged ones are skipped."""
        deinterlacer = Deinterlacer(self.header.time_base)
        decoded = self._decode_packets()
        for picture in gif.browser_times(decoded) if self.header.is_gif else decoded:
            for finished in deinterlacer.give(picture):
                self.decoded += 1
                yield finished
        for finished in deinterlacer.flush():
            self.decoded += 1
            yield finished

    def _decode_packets(self) -> Iterator[Picture]:
        """Yield the codec's pictures, not yet deinterlaced."""
        still = self._codec.name in STILLS
        for packet in self._packets():
            if still:
                with contextlib.suppress(ValueError):
                    images.check_header(io.BytesIO(bytes(packet)), self._name)
            try:
                self._check_packet(packet)
                frames = self._codec.decode(packet)
            except av.error.FFmpegError as error:
                self._check_size(self._codec, error)
                self.faults += 1
                continue
            while frames:
                yield self._picture(frames.pop(0), packet.duration or 0)
        # A decoder that runs in threads may report an old fault when it is flushed, and still
        # hold pictures.
        for _ in range(TRIES):
            try:
                frames = self._codec.decode(None)
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self._check_size(self._codec, error)
                self.faults += 1
                continue
            while frames:
                yield self._picture(frames.pop(0), 0)
            return

    def _picture(self, frame: av.VideoFrame, duration: int) -> Picture:
        """Return the picture of a frame; `duration`, in ticks, is used if the frame has none.

        Raises:
            VideoError: if it is larger than the limit.
        """
        self._has_size = True
        limits.check_pixels(frame.width, frame.height, self._name)
        return Picture(frame, Times(frame.pts, getattr(frame, "duration", None) or duration))

    def _check_packet(self, packet: Any) -> None:
        """Let libav's own decoder check a packet if another decoder, without a limit, is in use.

        Raises:
            VideoError: if the picture is larger than the limit.
        """
        own = self.stream.codec_context
        if own is self._codec:
            return
        try:
            own.decode(packet)
        except av.error.FFmpegError as error:
            self._check_size(own, error)

    def _check_size(self, codec: Any, error: av.error.FFmpegError) -> None:
        """Check whether a picture could not be decoded because of its size.

        A picture over the limit must not pass for a damaged one. For such a picture libav's
        decoders report its size, or lose the size they had, and dav1d has an error of its own.

        Raises:
            VideoError: if the picture is larger than the limit.
        """
        limits.check_pixels(codec.width, codec.height, self._name)
        if error.errno == errno.ERANGE or (self._has_size and not codec.width):
            raise VideoError(
                f"{self._name} is over the limit of {limits.current().pixels} px, or has no "
                "size; convert the file, or raise the limit with --limit pixels=NUMBER",
                bad_input=True,
            )

    def _packets(self) -> Iterator[Any]:
        """Yield the stream's packets; what cannot be read is skipped."""
        for packet in packets_of(self.container, self.stream, self._fail):
            if packet.size:
                self.faults += packet.is_corrupt
                yield packet
            elif packet.pts is not None:
                self.repeats += 1

    def _fail(self) -> None:
        self.faults += 1


def _alpha_decoder(stream: Any) -> Any:
    """Return a decoder that gives the alpha plane of VP8 and VP9; libav's own leave it out."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1" or name not in av.codecs_available:
        return None
    return av.CodecContext.create(name, "r")
