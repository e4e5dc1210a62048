"""Decoded pictures of a video file, in the order of showing, whatever is wrong with the file."""

from __future__ import annotations

import contextlib
import errno
import io
import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.error
import av.filter
import av.video.stream

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import images
from lib_ofgen.system import limits
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import Box, Sound
from lib_ofgen.video import colour, timing
from lib_ofgen.video.demuxing import matroska
from lib_ofgen.video.demuxing.container import decoder_options, open_container, silence, sound_of
from lib_ofgen.video.demuxing.streams import TRIES, film_stream, packets_of
from lib_ofgen.video.interlace import Deinterlacer, Picture, Times

__all__ = ["Decoder"]

NEAR = 4.0
"""Seconds: a time before this is reached by decoding, a later one by seeking."""
MARGIN = 1.0
"""Seconds that seeking stays before its goal, so that no frame there lacks its references."""
STILLS = ("bmp", "mjpeg", "png", "webp")
"""Codecs whose packets are files of pictures, which tell their size."""
SAME, NEARBY = Fraction(1, 1000), 2
"""Seconds: lengths that differ by less are the same; how far before an end packets are read."""
FALLBACK_RATE = Fraction(25)
GIF_SHORTEST, GIF_USUAL = 2, 10
"""Ticks: browsers show a GIF's picture that is to last less than the first for the second."""

NO_STAMPS, JUMPING = 0x80, 0x200
"""Flags of libav's formats: raw streams without any times, and such whose clock may jump."""
ESTIMATED = {"mpeg", "mpegts", "gif"}
"""Formats whose header tells no end; what libav tells of it leaves the last frame out, or is not
what browsers show."""


class Decoder:
    """The first true video stream of a file, decoded forward, with what its header promises."""

    def __init__(self, path: Path) -> None:
        """Open the file and decode its first frame.

        Raises:
            VideoError: there is none.
        """
        self.path = path
        self._name = f"a picture of {path.name!r}"
        self.faults = 0
        """Reads and packets that failed."""
        self.decoded = self.repeats = 0
        self.whole = True
        """Whether decoding began with the first frame."""
        self._open()
        try:
            first = next(self._running, None)
            if first is None:
                raise VideoError(f"{path.name!r} {self._undecodable()}", bad_input=True)
        except BaseException:
            self.close()
            raise
        # An iterator of one, which forgets it: the first picture's memory is free when it has come.
        self._running = chain(iter([first]), self._running)
        self._seekable = first.stamp is not None
        self.origin = first.stamp or 0
        """The first frame's time in ticks."""

    def _undecodable(self) -> str:
        """Why not one frame came, and the remedy."""
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
        """Give the file back."""
        silence()
        self.container.close()

    @property
    def traits(self) -> list[object]:
        """The stream and what is cut off, where these are not the first one and nothing."""
        place = self._place()
        cut = self.shown[:4] if self.shown is not None and self.shown.cuts else ()
        return [place, cut] if place or cut else []

    @property
    def codec(self) -> Any:
        """The codec context in use."""
        return self._codec

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the stream."""
        return Fraction(self.stream.time_base or Fraction(1, 1000))

    @property
    def rates(self) -> list[Fraction]:
        """The frame rates that the header tells, likeliest first."""
        stream = self.stream
        told = [stream.average_rate, stream.guessed_rate, stream.base_rate]
        if self._flags & NO_STAMPS:  # libav counts raw streams at 25 whatever their header says
            told.insert(0, stream.codec_context.framerate)
        rates = [Fraction(rate) for rate in told if rate and Fraction(1, 1000) < rate <= 1000]
        if self._is_gif:
            most = 1 / (GIF_SHORTEST * self.time_base)
            usual = 1 / (GIF_USUAL * self.time_base)
            rates = [rate if rate <= most else usual for rate in rates]
        return rates

    @property
    def rate(self) -> Fraction:
        """The average frame rate; one that is off by a container's rounding is put right."""
        rate = (self.rates or [FALLBACK_RATE])[0]
        return rate if (1 / (rate * self.time_base)).denominator == 1 else timing.nominal_rate(rate)

    @property
    def promised(self) -> int:
        """Frames that the header counts; 0 where it does not."""
        return self.stream.frames or 0

    @property
    def duration(self) -> Fraction | None:
        """Seconds that the header tells; None where it does not."""
        if self.stream.duration:
            return self.stream.duration * self.time_base
        if self.container.duration:
            return Fraction(self.container.duration, 1_000_000)
        return None

    @property
    def end(self) -> int | None:
        """The tick at which the header ends the stream; None where it does not tell."""
        if self.stream.duration is None or self.container.format.name in ESTIMATED:
            return None
        return (self.stream.start_time or 0) + self.stream.duration

    @property
    def ends(self) -> tuple[int, ...]:
        """The ticks at which the header may mean the stream to end, likeliest first."""
        if self.end is not None:
            return (self.end, self.origin + self.stream.duration, self.stream.duration)
        told = self.container.duration
        if not told or self.container.format.name in ESTIMATED:
            return ()
        return (round(self._container_end / self.time_base),)

    @property
    def _container_end(self) -> Fraction:
        """Seconds on the file's clock at which its header ends the longest stream."""
        start, lasts = self.container.start_time or 0, self.container.duration or 0
        return Fraction(start + lasts, av.time_base)

    def ends_with_others(self) -> bool:
        """Whether the end that the header tells is that of another stream, which is all there.

        Some formats tell one length for all streams: a sound that goes on is no lost picture.
        """
        end, own = self._container_end, self.end
        if own is not None and abs(own * self.time_base - end) > SAME:
            return False
        with open_container(self.path) as other:
            with contextlib.suppress(av.error.FFmpegError):
                other.seek(max(0, int((end - NEARBY) * av.time_base)))
            streams = [one for one in other.streams if one.index != self.stream.index]
            return bool(streams) and any(
                (packet.pts + (packet.duration or 0)) * packet.time_base > end - SAME * 100
                for packet in packets_of(other, streams)
                if packet.pts is not None
            )

    @property
    def ordered(self) -> bool:
        """Whether stamps are of the order of showing; AVI has only that of the packets."""
        return self.container.format.name != "avi"

    @property
    def _is_gif(self) -> bool:
        return str(self.container.format.name) == "gif"

    @property
    def _flags(self) -> int:
        """Libav's flags of the container's format."""
        return int(self.container.format.flags)

    @property
    def sound(self) -> Sound | None:
        """The first sound stream."""
        return sound_of(self.container)

    @property
    def aspect(self) -> Fraction:
        """Width of a pixel over its height, as stored."""
        own = self._codec.sample_aspect_ratio
        if self.shown is not None and self.shown.cuts and self.shown.aspects:
            # Some muxers leave the shown size as it was before cropping: nothing is squeezed.
            usual = Fraction(own) if own and own > 0 else Fraction(1)
            return min(self.shown.aspects, key=lambda one: abs(math.log(one / usual)))
        aspect = getattr(self.stream, "sample_aspect_ratio", None) or own
        return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)

    def visible_box(self, frame: av.VideoFrame) -> Box:
        """The part of a frame that the container shows."""
        shown = self.shown
        if shown is None or not shown.cuts or (shown.width, shown.height) != (
            frame.width, frame.height
        ):  # fmt: skip
            return Box(0, 0, frame.height, frame.width)
        return Box(shown.top, shown.left, frame.height - shown.bottom, frame.width - shown.right)

    def seconds(self, stamp: int) -> Fraction:
        """Time after the first frame."""
        return (stamp - self.origin) * self.time_base

    def pictures(self, start: float) -> Iterator[Picture]:
        """All pictures from one that lies at or before `start` seconds, or from the first."""
        if start > NEAR and self._seekable and self._can_seek(start):
            head = self._sought(start - MARGIN)
            if head is not None:
                self.whole = False
                yield head
                yield from self._running
                return
            self.close()
            self._open()
        yield from self._running

    def _can_seek(self, start: float) -> bool:
        """Whether a time can be sought: not if the clock jumps before `start` seconds."""
        if self._is_gif or not self._flags & JUMPING:
            return not self._is_gif
        step = max(1, round(1 / (self.rate * self.time_base)))
        clock = timing.SteadyClock(step, self.time_base)
        with open_container(self.path) as container:
            for packet in packets_of(container, container.streams[self.stream.index]):
                if packet.dts is None:
                    continue
                if clock.jump_at(packet.dts):
                    return False
                if self.seconds(clock.read(packet.dts)) > start:
                    break
        return True

    def _sought(self, start: float) -> Picture | None:
        """The first picture after seeking, if that lies at or before `start`."""
        goal = self.origin + int(start / self.time_base)
        with contextlib.suppress(av.error.FFmpegError, OverflowError):
            self.container.seek(goal, stream=self.stream, backward=True)
            self._codec.flush_buffers()
            self._running = self._decode()
            head = next(self._running, None)
            if head is not None and head.stamp is not None and head.stamp <= goal:
                return head
        return None

    def _open(self) -> None:
        """Open the file, choose the stream and its decoder, stand before the first frame."""
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
            self.stream.thread_type = "NONE"  # it is to refuse a packet before the other sees it
        self._sized = bool(self._codec.width)
        self.decoded = self.faults = self.repeats = 0
        # Taken before decoding, which replaces it by what the bitstream tells.
        self.colour = colour.colour_of(self.stream.codec_context)
        self.shown = self._shown_part()
        self._running: Iterator[Picture] = self._decode()

    def _shown_part(self) -> matroska.VisiblePart | None:
        """What a Matroska file shows of the stream's pictures; None of other files."""
        if "matroska" not in self.container.format.name:
            return None
        with regular_file(self.path) as file:
            parts = matroska.read_visible_parts(file)
        place = self._place()
        return parts[place] if place < len(parts) else None

    def _place(self) -> int:
        """Which of the video streams is taken, counted from 0."""
        return [one.index for one in self.container.streams.video].index(self.stream.index)

    def _decode(self) -> Iterator[Picture]:
        """Pictures from where the container stands to its end; what is damaged is skipped."""
        deinterlacer = Deinterlacer(self.time_base)
        pictured = _shown_by_browsers(self._pictured()) if self._is_gif else self._pictured()
        for picture in pictured:
            for finished in deinterlacer.give(picture):
                self.decoded += 1
                yield finished
        for finished in deinterlacer.flush():
            self.decoded += 1
            yield finished

    def _pictured(self) -> Iterator[Picture]:
        """Pictures as the codec gives them, interlaced ones as they are."""
        still = self._codec.name in STILLS
        for packet in self._packets():
            if still:
                with contextlib.suppress(ValueError):
                    images.check_header(io.BytesIO(bytes(packet)), self._name)
            try:
                self._guard(packet)
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

    def _picture(self, frame: av.VideoFrame, lasts: int) -> Picture:
        """The picture of a frame; `lasts` is its length in ticks where it does not tell one.

        Raises:
            VideoError: it is larger than the limit.
        """
        self._sized = True
        limits.check_pixels(frame.width, frame.height, self._name)
        return Picture(frame, Times(frame.pts, getattr(frame, "duration", None) or lasts))

    def _guard(self, packet: Any) -> None:
        """Have libav's own decoder look at a packet before another one, which heeds no limit.

        Raises:
            VideoError: the picture is larger than the limit.
        """
        own = self.stream.codec_context
        if own is self._codec:
            return
        try:
            own.decode(packet)
        except av.error.FFmpegError as error:
            self._check_size(own, error)

    def _check_size(self, codec: Any, error: av.error.FFmpegError) -> None:
        """Do nothing if a picture could not be decoded for another reason than its size.

        A picture over the limit must not pass for a damaged one. libav's decoders then tell its
        size, or forget the one they had, and dav1d has an error of its own for it.

        Raises:
            VideoError: the picture is larger than the limit.
        """
        limits.check_pixels(codec.width, codec.height, self._name)
        if error.errno == errno.ERANGE or (self._sized and not codec.width):
            raise VideoError(
                f"{self._name} is over the limit of {limits.current().pixels} px, or tells no "
                "size; convert the file, or raise the limit with --limit pixels=NUMBER",
                bad_input=True,
            )

    def _packets(self) -> Iterator[Any]:
        """The stream's packets; reading goes on behind what cannot be read."""
        for packet in packets_of(self.container, self.stream, self._fail):
            if packet.size:
                self.faults += packet.is_corrupt
                yield packet
            elif packet.pts is not None:  # it repeats the picture before it
                self.repeats += 1

    def _fail(self) -> None:
        self.faults += 1


def _shown_by_browsers(pictures: Iterator[Picture]) -> Iterator[Picture]:
    """A GIF's pictures with the times that browsers give them."""
    stamp = 0
    for picture in pictures:
        told = picture.times.duration
        lasts = told if told >= GIF_SHORTEST else GIF_USUAL
        picture.times = Times(stamp, lasts)
        yield picture
        stamp += lasts


def _alpha_decoder(stream: Any) -> Any:
    """A decoder that gives the alpha plane of VP8 and VP9, which libav's own leave out."""
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1" or name not in av.codecs_available:
        return None
    return av.CodecContext.create(name, "r")
