"""The source's sound for the clip's time range, copied packet by packet or encoded anew.

An error of the sound never stops the film: unreadable parts are replaced by silence.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import VideoError
from lib_ofgen.system import limits
from lib_ofgen.values import Clip
from lib_ofgen.video.demuxing.container import open_container, sound_codec
from lib_ofgen.video.demuxing.streams import packets_of, sound_stream
from lib_ofgen.video.formats import Kind
from lib_ofgen.video.timing import JoinedClock

__all__ = ["Soundtrack", "open_soundtrack"]

_LOG = logging.getLogger(__name__)

MARGIN = 1
"""Seconds before the range at which reading starts."""
BIT_RATES = {"aac": 192_000, "libopus": 128_000}
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
FULL_RATE = 48000
GAP = Fraction(1, 20)
"""Seconds of missing or doubled sound from which on it is corrected; less is rounding."""
LONG_SILENCE = 10
"""Seconds of silence from which on its packets are repeated instead of encoded one by one."""
SETTLED = 2
"""Seconds of silence after which an encoder returns the same packet each time."""

PRIMING, ROUNDING = Fraction(7, 1000), Fraction(1, 1000)
"""Seconds that a copied packet may begin early."""

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ENOENT}
"""Errors of writing that are not the sound's fault."""


class _Form(NamedTuple):
    """Format of samples, as a resampler needs it."""

    samples: str
    layout: str
    channels: int
    rate: int


class _Heard(NamedTuple):
    """Samples of the source, resampled."""

    samples: NDArray[Any]
    """(channels, N) float32."""
    time: Fraction
    """Seconds into the clip at which they begin."""
    exact: bool
    """Whether they begin a joined recording, so that their time is not rounded."""


class _Piece(NamedTuple):
    """Samples to encode, or silence."""

    samples: NDArray[Any] | None
    """(channels, N) float32; None: silence."""
    length: int
    """N."""


def open_soundtrack(
    path: Path, output: Any, clip: Clip, kind: Kind, copied_codecs: frozenset[str] | None
) -> Soundtrack | None:
    """Add the sound of the clip's range of `path` to `output`; None if there is no sound.

    `copied_codecs` names the codecs that may be copied (None: all). A sound is copied if its
    format does not change and the container accepts its header; any other decodable sound is
    encoded as `kind` says.

    Raises:
        VideoError: if more silence is needed at one place than the limit allows.
    """
    forms, silence = _scan_forms(path, clip)
    if not forms:
        return None
    source = _Source(path, clip)
    track = _copy_track(source.stream, output, kind, copied_codecs) if len(forms) == 1 else None
    if track is not None:
        rolls = kind.container in ("mp4", "mov")
        return Soundtrack(source, output, _copy(source, track, rolls=rolls))
    if silence > limits.current().silence:
        source.close()
        raise VideoError(
            f"the sound of {path.name!r} is silent for {float(silence):.0f} s and over the limit "
            f"of {limits.current().silence} s; raise it with --limit silence={math.ceil(silence)}, "
            "or leave the sound out with --set keep_sound=false",
            bad_input=True,
        )
    encoder = _Encoder(output, kind.sound_codec, forms)
    return Soundtrack(source, output, encoder.packets(_fill_gaps(source, encoder)))


class Soundtrack:
    """Sound packets of one source, written up to the time of the pictures."""

    def __init__(self, source: _Source, output: Any, packets: Iterator[Any]) -> None:
        """`packets` gives time in seconds and packet; `source` is closed with the track."""
        self._source, self._output = source, output
        self._packets = _until_damaged(packets)
        self._head: tuple[Fraction, Any] | None = None

    def give(self, until: Fraction) -> None:
        """Write every packet that begins at or before `until` seconds.

        Raises:
            FFmpegError: if the disk is full or cannot be written.
        """
        while True:
            self._head = self._head or next(self._packets, None)
            if self._head is None or self._head[0] > until:
                return
            try:
                self._output.mux(self._head[1])
            except (av.error.FFmpegError, ValueError) as error:
                # A packet that does not fit the container ends the sound; a full disk ends the job.
                if getattr(error, "errno", None) in DISK:
                    raise
                self._packets = iter(())
            self._head = None

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class _Source:
    """A file's sound stream, read from a little before the clip's range."""

    def __init__(self, path: Path, clip: Clip) -> None:
        self._container = open_container(path)
        self.stream: Any = sound_stream(self._container)
        self.clock = JoinedClock(clip.start, clip.jumps)
        self.duration = clip.duration
        if self.stream is not None and not clip.jumps:  # seeking is impossible if the clock jumps
            self._seek(clip.start - MARGIN)

    def _seek(self, goal: Fraction) -> None:
        """Seek to `goal` seconds on the source's clock, if that is after the stream's start."""
        base = self.stream.time_base
        if goal > (self.stream.start_time or 0) * base:
            with contextlib.suppress(av.error.FFmpegError):
                self._container.seek(int(goal / base), stream=self.stream)

    def packets(self) -> Iterator[Any]:
        """Yield the stream's packets that are not empty."""
        return (packet for packet in packets_of(self._container, self.stream) if packet.size)

    def frames(self) -> Iterator[tuple[Any, Fraction]]:
        """Yield the decoded frames with their time in the clip, in seconds, up to its end."""
        for packet in self.packets():
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                continue
            for frame in frames:
                begin = Fraction(frame.pts or 0) * Fraction(frame.time_base or 1)
                time = self.clock.read(begin)
                if time >= self.duration:
                    return
                if frame.samples:
                    yield frame, time

    def close(self) -> None:
        self._container.close()


def _scan_forms(path: Path, clip: Clip) -> tuple[list[_Form], Fraction]:
    """Find the formats of the sound in the clip's range, in order, and its longest gap in seconds.

    There is no format if nothing can be decoded. The sound is decoded once for this, at several
    hundred times its own speed: the header does not show later changes.
    """
    source = _Source(path, clip)
    try:
        if source.stream is None:
            return [], Fraction(0)
        forms: dict[_Form, None] = {}
        longest = heard = Fraction(0)
        for frame, time in source.frames():
            forms[_form_of(frame)] = None
            longest = max(longest, time - heard)
            heard = max(heard, time + Fraction(frame.samples, frame.sample_rate))
    finally:
        source.close()
    if not forms:
        _LOG.warning("the sound of %r cannot be read in this range: the film has none", path.name)
    return list(forms), longest


def _form_of(frame: Any) -> _Form:
    layout = frame.layout
    return _Form(frame.format.name, layout.name, len(layout.channels), frame.sample_rate)


def _copy_track(stream: Any, output: Any, kind: Kind, copied_codecs: frozenset[str] | None) -> Any:
    """Add a stream for a copy to the output; None if the container cannot hold this sound."""
    if copied_codecs is not None and sound_codec(stream) not in copied_codecs:
        return None
    try:
        with av.open(io.BytesIO(), mode="w", format=kind.container) as trial:
            _add_copy(trial, stream)
            trial.start_encoding()
        return _add_copy(output, stream)
    except (av.error.FFmpegError, ValueError):
        return None


def _add_copy(output: Any, stream: Any) -> Any:
    """Add a stream with the header of `stream` to the output."""
    if hasattr(output, "add_stream_from_template"):
        return output.add_stream_from_template(stream)
    return output.add_stream(template=stream)  # PyAV before 14


def _until_damaged(packets: Iterator[Any]) -> Iterator[Any]:
    """Yield the packets before the first error."""
    with contextlib.suppress(av.error.FFmpegError, ValueError):
        yield from packets


def _copy(source: _Source, track: Any, *, rolls: bool) -> Iterator[tuple[Fraction, Any]]:
    """Yield time and packet of those in the range, set to the output's clock.

    `rolls`: the container can hold a packet before the start that is decoded but not played.
    """
    base = Fraction(source.stream.time_base)
    total, last = round(source.duration / base), None
    # Packets before the start are left out if they would delay the pictures; but players expect
    # the priming of Opus there.
    primed = rolls or sound_codec(source.stream) == "opus"
    early = round((PRIMING if primed else ROUNDING) / base)
    for packet in source.packets():
        if packet.pts is None:
            continue
        begin, length = round(source.clock.read(packet.pts * base) / base), packet.duration or 0
        if begin + 2 * length <= 0 if rolls else begin < -early:
            continue
        if begin >= total:
            return
        begin = begin if primed else max(0, begin)
        if last is not None and begin <= last:
            continue
        last = packet.pts = packet.dts = begin
        if length:
            packet.duration = min(length, total - begin)
        packet.stream = track
        yield begin * base, packet


def _fill_gaps(source: _Source, encoder: _Encoder) -> Iterator[_Piece]:
    """Yield the range's sound from its start; gaps are filled with silence."""
    rate = encoder.rate
    total, sent = round(source.duration * rate), 0
    for heard in _resample(source, encoder):
        begin = round(heard.time * rate)
        wobble = 0 if heard.exact or not sent else GAP * rate
        if begin - sent > wobble:
            yield _Piece(None, min(begin, total) - sent)
            sent = min(begin, total)
        skipped = sent - begin if sent - begin > wobble else 0
        samples = heard.samples[:, skipped : skipped + total - sent]
        if samples.shape[1]:
            yield _Piece(np.ascontiguousarray(samples), samples.shape[1])
            sent += samples.shape[1]
        if sent >= total:
            return


def _resample(source: _Source, encoder: _Encoder) -> Iterator[_Heard]:
    """Yield the source's sound at the encoder's rate and layout.

    A new resampler is made when its input changes, and where recordings were joined.
    """
    resampler: Any = None
    known: object = None
    for frame, time in source.frames():
        now = (_form_of(frame), source.clock.joins)
        exact = now != known
        if exact:
            known = now
            resampler = av.AudioResampler(format="fltp", layout=encoder.layout, rate=encoder.rate)
        frame.pts = None
        for piece in resampler.resample(frame):
            yield _Heard(piece.to_ndarray(), time, exact)
            time += Fraction(piece.samples, encoder.rate)
            exact = False


class _Encoder:
    """The output's stream of encoded sound."""

    def __init__(self, output: Any, codec: str, forms: list[_Form]) -> None:
        """Add the stream; `forms` are the formats of the source's sound."""
        rate = max(form.rate for form in forms)
        self.rate = FULL_RATE if codec == "libopus" or rate not in AAC_RATES else rate
        self.layout = "mono" if all(form.channels == 1 for form in forms) else "stereo"
        self._track = output.add_stream(codec, rate=self.rate)
        context = self._track.codec_context
        context.layout = self.layout
        context.bit_rate = BIT_RATES[codec]
        context.time_base = Fraction(1, self.rate)
        self._given = 0
        """Samples that were given to the encoder."""
        self._repeated = 0
        """Samples of silence that were written without it."""

    def packets(self, pieces: Iterator[_Piece]) -> Iterator[tuple[Fraction, Any]]:
        """Yield time in seconds and packet of consecutive pieces."""
        for piece in pieces:
            if piece.samples is not None:
                yield from self._encode(piece.samples)
            else:
                yield from self._silence(piece.length)
        yield from self._encode_frame(None)

    def _encode(self, samples: NDArray[Any]) -> Iterator[tuple[Fraction, Any]]:
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self.layout)
        frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
        frame.pts = self._given
        self._given += samples.shape[1]
        yield from self._encode_frame(frame)

    def _encode_frame(self, frame: av.AudioFrame | None) -> Iterator[tuple[Fraction, Any]]:
        """Encode a frame, or flush the encoder with None; yield time and packet."""
        for packet in self._track.encode(frame):
            packet.pts = packet.dts = (packet.pts or 0) + self._repeated
            yield Fraction(packet.pts, self.rate), packet

    def _silence(self, length: int) -> Iterator[tuple[Fraction, Any]]:
        """Encode so many samples of silence, by the second; a long one repeats its packets."""
        second = np.zeros((1 if self.layout == "mono" else 2, self.rate), np.float32)
        size = self._track.codec_context.frame_size
        if length > LONG_SILENCE * self.rate and size:
            last: Any = None
            for _ in range(SETTLED):
                for time, last in self._encode(second):
                    yield time, last
            copies = (length - 2 * SETTLED * self.rate) // size
            yield from self._copies(bytes(last), last.pts, size, copies)
            length -= SETTLED * self.rate + copies * size
            self._repeated += copies * size
        for begin in range(0, length, self.rate):
            yield from self._encode(second[:, : length - begin])

    def _copies(self, data: bytes, pts: int, size: int, count: int) -> Iterator[Any]:
        """Yield packets of the same silence, `size` samples each, after the one at `pts`."""
        for place in range(1, count + 1):
            packet: Any = av.Packet(data)
            packet.pts = packet.dts = pts + place * size
            packet.duration, packet.time_base = size, Fraction(1, self.rate)
            packet.stream, packet.is_keyframe = self._track, True
            yield Fraction(packet.pts, self.rate), packet
