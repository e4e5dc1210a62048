"""The source's sound for the clip's time range, copied packet by packet or encoded anew."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.container
import av.error
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.media.container import sound_codec, sound_stream

__all__ = ["Soundtrack"]

MARGIN = 1
"""Seconds before the range from where sound is read."""
BIT_RATES = {"aac": 192_000, "libopus": 128_000}
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
FULL_RATE = 48000
GAP = Fraction(1, 20)
"""Seconds of missing sound that are filled with silence; less is the clock's wobble."""

PRIMING, ROUNDING = Fraction(7, 1000), Fraction(1, 1000)
"""Seconds that a copied packet may begin early."""


class Soundtrack:
    """Sound packets of one source, given to the output as far as the pictures have come.

    Damage ends the sound where it is met; it never raises.
    """

    def __init__(
        self,
        source: av.container.InputContainer,
        output: Any,
        *,
        start: Fraction,
        duration: Fraction,
        kept: frozenset[str] | None,
        codec: str,
        rolls: bool,
    ) -> None:
        """Add a stream to `output` for `duration` seconds from `start` on the source's clock.

        `kept` names the codecs that are copied (None: all), `codec` what others become. `rolls`:
        the container can hold a packet before the start that is decoded and not heard.
        The source has a sound stream; it is closed with the track.
        """
        self._input = source
        self._output = output
        self._start, self._duration, self._rolls = start, duration, rolls
        self._stream = sound_stream(source)
        self._seek()
        self._track = self._copied_track(kept)
        packets = self._copied() if self._track is not None else self._encoded(codec)
        self._packets = self._until_damaged(packets)
        self._head: tuple[Fraction, Any] | None = None

    def give(self, until: Fraction) -> None:
        """Hand the output every packet that begins at or before `until` seconds."""
        while True:
            self._head = self._head or next(self._packets, None)
            if self._head is None or self._head[0] > until:
                return
            try:
                self._output.mux(self._head[1])
            except av.error.FFmpegError as error:
                # A packet that does not fit the container ends the sound; a full disk, the job.
                if not isinstance(error, ValueError) and error.errno != errno.EINVAL:
                    raise
                self._packets = iter(())
            self._head = None

    def close(self) -> None:
        """Give the source back."""
        self._input.close()

    def _seek(self) -> None:
        """Stand a little before the range, if that is worth a seek."""
        base = self._stream.time_base
        begin = (self._stream.start_time or 0) * base
        if self._start - MARGIN > begin:
            with contextlib.suppress(av.error.FFmpegError):
                self._input.seek(int((self._start - MARGIN) / base), stream=self._stream)

    def _copied_track(self, kept: frozenset[str] | None) -> Any:
        """The output's stream for a copy; None where the container cannot hold the codec."""
        if kept is not None and sound_codec(self._stream) not in kept:
            return None
        try:
            if hasattr(self._output, "add_stream_from_template"):
                return self._output.add_stream_from_template(self._stream)
            return self._output.add_stream(template=self._stream)  # PyAV before 14
        except (av.error.FFmpegError, ValueError):
            return None

    @staticmethod
    def _until_damaged(packets: Iterator[Any]) -> Iterator[Any]:
        """The packets up to the first that cannot be had."""
        with contextlib.suppress(av.error.FFmpegError):
            yield from packets

    def _copied(self) -> Iterator[tuple[Fraction, Any]]:
        """Time and packet of those that sound in the range, set to the output's clock."""
        base = Fraction(self._stream.time_base)
        shift, total, last = round(self._start / base), round(self._duration / base), None
        # Where a packet before the start would push the pictures back, none is kept; but Opus
        # has its priming there, where players look for it.
        primed = self._rolls or sound_codec(self._stream) == "opus"
        early = round((PRIMING if primed else ROUNDING) / base)
        for packet in self._input.demux(self._stream):
            if packet.pts is None or not packet.size:
                continue
            begin, length = packet.pts - shift, packet.duration or 0
            if begin + 2 * length <= 0 if self._rolls else begin < -early:
                continue
            if begin >= total:
                return
            begin = begin if primed else max(0, begin)
            if last is not None and begin <= last:
                continue
            last = packet.pts = packet.dts = begin
            if length:
                packet.duration = min(length, total - begin)
            packet.stream = self._track
            yield begin * base, packet

    def _encoded(self, codec: str) -> Iterator[tuple[Fraction, Any]]:
        """Time and packet of the range's sound in another codec."""
        source = self._stream.codec_context
        rate = source.sample_rate
        if codec == "libopus" or rate not in AAC_RATES:
            rate = FULL_RATE
        layout = "mono" if source.channels == 1 else "stereo"
        track = self._output.add_stream(codec, rate=rate)
        track.codec_context.layout = layout
        track.codec_context.bit_rate = BIT_RATES[codec]
        track.codec_context.time_base = Fraction(1, rate)
        return self._encoding(track, rate, layout)

    def _encoding(self, track: Any, rate: int, layout: str) -> Iterator[tuple[Fraction, Any]]:
        for samples, place in self._cut(rate, layout):
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), place
            for packet in track.encode(frame):
                yield Fraction(packet.pts or 0, rate), packet
        for packet in track.encode(None):
            yield Fraction(packet.pts or 0, rate), packet

    def _cut(self, rate: int, layout: str) -> Iterator[tuple[NDArray[Any], int]]:
        """(channels, N) pieces of the range's sound and their first sample's place, gapless."""
        total, sent = round(self._duration * rate), 0
        for samples, begin in self._decoded(rate, layout):
            if begin - sent > GAP * rate or (not sent and begin > 0):
                samples = np.pad(samples, ((0, 0), (begin - sent, 0)))
                begin = sent
            samples = samples[:, max(0, -begin) :] if not sent else samples
            samples = samples[:, : total - sent]
            if samples.shape[1]:
                yield np.ascontiguousarray(samples), sent
                sent += samples.shape[1]
            if sent >= total:
                return

    def _decoded(self, rate: int, layout: str) -> Iterator[tuple[NDArray[Any], int]]:
        """(channels, N) float pieces at `rate` and the sample at which each begins."""
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        for packet in self._input.demux(self._stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                begin = Fraction(frame.pts or 0) * Fraction(frame.time_base or 1) - self._start
                frame.pts = None
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray(), round(begin * rate)
                    begin += Fraction(piece.samples, rate)
