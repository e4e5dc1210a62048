"""A video as a stream of frames at the working size, with exact times (PyAV).

Decoding runs once, forward, and holds a bounded number of frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import VideoError
from lib_ofgen.system import limits
from lib_ofgen.values import Clip, Frame, Image, Jump, Sampling, Size, Sound
from lib_ofgen.video import colour, framing, timing
from lib_ofgen.video.decoding import Decoder
from lib_ofgen.video.display_matrix import display_matrix
from lib_ofgen.video.framing import working_size
from lib_ofgen.video.interlace import Picture, Times

__all__ = ["Source", "open_video", "working_size"]


_ALL = Sampling()


def open_video(
    path: Path,
    sampling: Sampling = _ALL,
    *,
    alpha: bool = False,
) -> Source:
    """Open the frames of `path` that `sampling` takes: start <= t < end, every nth of them.

    With `alpha` the pictures are (H, W, 4): RGB over black, and the opacity of each pixel.

    Raises:
        VideoError: nothing can be read, or the range holds no frame.
    """
    decoder = Decoder(Path(path))
    try:
        return Source(decoder, sampling, alpha=alpha)
    except BaseException:
        decoder.close()
        raise


class Source:
    """The frames of a video file, in order, once; `clip` is known after the last.

    A context manager: leaving it closes the file.
    """

    def __init__(self, decoder: Decoder, sampling: Sampling, *, alpha: bool) -> None:
        """Find the first frame of the range, and by it what is known beforehand."""
        self._decoder = decoder
        self._sampling, self._alpha = sampling, alpha
        self._nth = max(1, sampling.every_nth)
        self._clip: Clip | None = None
        self._stamps: list[int | None] = []  # of every source frame in the range
        self._before: list[timing.SeenJump] = []  # jumps of the clock before the range
        self._begun = 0  # the first frame of the range on the clock without jumps
        self._after: Times | None = None  # of the frame that ended the range
        self._last: Times | None = None
        self._matrices: dict[int, NDArray[np.int32] | None] = {}  # by rotation in degrees
        self._kept = self._keep()
        self._first = next(self._kept, None)
        if self._first is None:
            raise VideoError(self._nothing_there(), bad_input=True)
        self.path = decoder.path
        self.shown = self._shown(self._first)
        """Size of the source's pictures in square pixels, the way up that they are shown."""
        self.size = working_size(self.shown, sampling.width, sampling.height, sampling.fit)
        """Working size."""
        limits.check_pixels(self.size.width, self.size.height, f"the film of {self.path.name!r}")
        self.rate = decoder.rate / self._nth
        """Average frames per second after sampling, as the header tells it."""
        self.expected = self._estimate()
        """Best guess of the number of frames to come."""
        self.sound: Sound | None = decoder.sound

    @property
    def traits(self) -> list[object]:
        """What of the file's pictures is taken, if that is not all of its first stream."""
        return self._decoder.traits

    def __enter__(self) -> Source:
        """The source itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; what `clip` says stays."""
        self._decoder.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames; a source is read once."""
        if self._first is None:
            raise RuntimeError(f"the frames of {self.path.name!r} have been read; open it again")
        image, self._first = self._image(self._first), None
        yield Frame(0, image)
        for index, picture in enumerate(self._kept, start=1):
            yield Frame(index, self._image(picture))
        self._clip = self._finished()

    def measure(self) -> Clip:
        """The clip, by reading through the frames and making no pictures of them."""
        if self._first is None:
            raise RuntimeError(f"the frames of {self.path.name!r} have been read; open it again")
        self._first = None
        for picture in self._kept:
            picture.free()
        self._clip = self._finished()
        return self._clip

    @property
    def clip(self) -> Clip:
        """Size and time of the frames that came; known after the last one."""
        if self._clip is None:
            raise RuntimeError("a clip is known after its last frame has been read")
        return self._clip

    def _keep(self) -> Iterator[Picture]:
        """The pictures that become frames; notes the time of those between them."""
        start, end = self._sampling.start, self._sampling.end
        most, nth = self._sampling.max_frames, self._nth
        decoder = self._decoder
        rounding = min(float(decoder.time_base) / 2, 0.0005)
        step = max(1, round(1 / (decoder.rate * decoder.time_base)))
        stamp, kept = decoder.origin - step, 0
        clock = timing.SteadyClock(step, decoder.time_base)
        for picture in decoder.pictures(start):
            stamp = stamp + step if picture.stamp is None else picture.stamp
            jump, steady = clock.jump_at(stamp), clock.read(stamp)
            if jump and not self._stamps:
                self._before.append(jump)
            time = float(decoder.seconds(steady)) + rounding
            if time < start:
                continue
            if not self._stamps:
                self._begun = steady
            due = len(self._stamps) % nth == 0
            if (end and time >= end) or (due and most and kept == most):
                self._after = picture.times
                return
            self._stamps.append(picture.stamp)
            self._last = picture.times
            if due:
                kept += 1
                yield picture

    def _shown(self, picture: Picture) -> Size:
        """The size of a picture in square pixels, the way up that it is shown."""
        height, width = self._decoder.visible_box(picture.frame).size
        name = repr(self.path.name)
        limits.check_aspect(self._decoder.aspect, name)
        wide = max(1, round(width * self._decoder.aspect))
        limits.check_pixels(wide, height, f"the picture of {name} in square pixels")
        if self._turned(picture):
            return Size(wide, height)
        return Size(height, wide)

    def _turned(self, picture: Picture) -> bool:
        """Whether height and width change places."""
        matrix = self._matrix(picture)
        return matrix is not None and abs(int(matrix[1])) > abs(int(matrix[0]))

    def _matrix(self, picture: Picture) -> NDArray[np.int32] | None:
        """The picture's display matrix; asked of the first frame of each rotation only.

        A frame that was asked holds itself, and so its memory, until the collector looks for it.
        """
        rotation = picture.frame.rotation
        if rotation not in self._matrices:
            self._matrices[rotation] = display_matrix(picture.frame)
        return self._matrices[rotation]

    def _image(self, picture: Picture) -> Image:
        """The picture at the working size, as sRGB."""
        codec = colour.colour_of(self._decoder.codec)
        told = colour.settle_colour(picture.frame, self._decoder.colour, codec)
        array = colour.to_rgb(picture.frame, told)
        if self._alpha:
            array = np.dstack([colour.to_srgb(array, told), colour.alpha_of(picture.frame)])
        array = self._decoder.visible_box(picture.frame).crop(array)
        aspect = float(self._decoder.aspect)
        matrix = self._matrix(picture)
        if matrix is not None:
            array = framing.orient(array, matrix)
            aspect = 1 / aspect if self._turned(picture) else aspect
        picture.free()
        # Tone mapping comes last: at the working size it costs least.
        return colour.to_srgb(
            framing.fit_picture(array, aspect, self.size, self._sampling.fit), told
        )

    def _estimate(self) -> int:
        """How many frames will come, by the header."""
        start, end = self._sampling.start, self._sampling.end
        most, nth = self._sampling.max_frames, self._nth
        decoder = self._decoder
        lasts = decoder.duration or Fraction(1) / decoder.rate
        # A container may count frames that it does not show, and round its length up.
        counts = [decoder.promised, math.ceil(round(float(lasts * decoder.rate), 3))]
        count = min(filter(None, counts))
        if start or end:
            before, until = (
                math.ceil(round(time * float(decoder.rate), 3))
                for time in (start, min(end or math.inf, float(lasts)))
            )
            count = until - before
        frames = max(1, math.ceil(count / nth))
        return min(frames, most) if most else frames

    def _finished(self) -> Clip:
        """The clip, from what was noted while reading."""
        decoder, nth, most = self._decoder, self._nth, self._sampling.max_frames
        source = self._timeline()
        missing = self._missing(source)
        line = source.on_grid([*decoder.rates, decoder.rate])
        rate = decoder.rate
        if not missing:
            rate = len(line.ticks) / (line.end * line.time_base)
        kept = line.every(nth, most)
        begin = decoder.origin if self._stamps[0] is None else self._stamps[0]
        return Clip(
            size=self.size,
            rate=rate / nth,
            time_base=kept.time_base,
            ticks=kept.ticks,
            end=kept.end,
            start=begin * decoder.time_base,
            sound=self.sound,
            jumps=self._jumps_of(line),
            damaged=missing,
        )

    def _jumps_of(self, line: timing.FrameClock) -> tuple[Jump, ...]:
        """The jumps of the source's clock, `line` being when the source's frames are shown."""
        base = self._decoder.time_base
        found = [
            Jump((jump.steady - self._begun) * base, jump.before * base, jump.after * base)
            for jump in self._before
        ]
        clock = timing.SteadyClock(self._step(), base)
        for tick, stamp in zip(line.ticks, self._stamps, strict=False):
            jump = None if stamp is None else clock.jump_at(stamp)
            if jump:
                found.append(Jump(tick * line.time_base, jump.before * base, jump.after * base))
            if stamp is not None:
                clock.read(stamp)
        return tuple(found)

    def _step(self) -> int:
        """The usual distance of the source's frames in the range, in ticks."""
        decoder = self._decoder
        told = round(1 / (decoder.rate * decoder.time_base))
        return timing.typical_step(self._stamps, told)

    def _timeline(self) -> timing.FrameClock:
        """The times of the source's frames in the range, rising, from 0."""
        decoder, last, after = self._decoder, self._last, self._after
        assert last is not None
        step = self._step()
        ended = [] if after is None else [after.stamp]
        stamps = [*self._stamps, *ended]
        if not decoder.ordered:
            stamps = timing.in_order(stamps)
        times = timing.mend(stamps, step, decoder.time_base)
        if after is None:
            times.append(times[-1] + (last.duration or step))
            times = self._closed(times)
        return timing.FrameClock(
            decoder.time_base, tuple(time - times[0] for time in times[:-1]), times[-1] - times[0]
        )

    def _closed(self, times: list[int]) -> list[int]:
        """The times, the last of them the end, squared with what the header says of the end."""
        told, last = self._decoder.end, self._last
        if told is None or last is None or self._decoder.faults:
            return times
        step = times[-1] - times[-2]
        # Copying a part of a file keeps a last frame that is shown late, its forerunners gone.
        if times[-2] >= told and len(times) > 2 and told - step > times[-3]:
            return [*times[:-2], told - step, told]
        # Some versions of libav misreport the length of a packet. The header knows better, but
        # may itself be rounded to milliseconds.
        usual = 1 / (self._decoder.rate * self._decoder.time_base)
        wrong = abs(told - times[-1]) > usual / 4 and told < times[-2] + usual * 3 / 2
        if times[-2] < told and (wrong or not last.duration):
            return [*times[:-1], told]
        return times

    def _missing(self, source: timing.FrameClock) -> int:
        """Frames that the header promises and the data does not hold; 0 where nothing tells."""
        decoder = self._decoder
        step = 1 / (decoder.rate * decoder.time_base)
        tail = self._tail(source, float(step))
        if not decoder.faults and not tail:
            return 0
        if self._after is None and decoder.whole and decoder.promised and not self._sampling.end:
            return max(0, decoder.promised - decoder.repeats - decoder.decoded)
        due = round((source.end + tail) / step)
        return max(0, due - decoder.repeats - len(source.ticks))

    def _tail(self, source: timing.FrameClock, step: float) -> float:
        """Ticks by which the pictures end before the header says; 0 up to a frame and a half.

        Headers count their end from the first picture, from the stream's start or from zero.
        """
        stamps = [stamp for stamp in self._stamps if stamp is not None]
        if self._after is not None or not stamps or not self._decoder.ends:
            return 0
        ended = max(stamps[-1], stamps[0]) + source.end - source.ticks[-1]
        end = self._sampling.end
        asked = end / self._decoder.time_base + self._decoder.origin if end else math.inf
        late = [float(min(told, asked)) - ended for told in self._decoder.ends]
        if late[0] <= 0 or min(map(abs, late)) < 1.5 * step or self._decoder.ends_with_others():
            return 0
        return late[0]

    def _nothing_there(self) -> str:
        """Why the range is empty, in a line."""
        start, end = self._sampling.start, self._sampling.end
        lasts = self._decoder.duration
        upto = f" to {end:g} s" if end else ""
        length = f"it lasts {float(lasts):.2f} s" if lasts else "it ends before"
        return (
            f"{self._decoder.path.name!r} has no frame from {start:g} s{upto}: {length};"
            " choose an earlier start or a longer range"
        )
