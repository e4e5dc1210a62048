"""A video as a stream of frames at the working size, with exact times (PyAV).

The file is decoded once, forward, and a bounded number of frames is held in memory.
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
from lib_ofgen.video.framing import working_size
from lib_ofgen.video.interlace import Picture, Times
from lib_ofgen.video.orientation import orient, read_display_matrix

__all__ = ["Source", "open_video", "working_size"]


_ALL = Sampling()


def open_video(
    path: Path,
    sampling: Sampling = _ALL,
    *,
    alpha: bool = False,
) -> Source:
    """Open the frames of `path` that `sampling` takes: start <= t < end, every nth of them.

    With `alpha` the pictures are (H, W, 4): RGB over black, and the opacity of each pixel,
    0 to 255.

    Raises:
        VideoError: if nothing can be read, or the range holds no frame.
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
        """Decode the first frame of the range, and compute what is known before the others."""
        self._decoder = decoder
        self._sampling, self._alpha = sampling, alpha
        self._nth = max(1, sampling.every_nth)
        self._clip: Clip | None = None
        self._stamps: list[int | None] = []  # of every source frame in the range
        self._early_jumps: list[timing.ClockJump] = []  # jumps of the clock before the range
        self._start_tick = 0  # the first frame of the range on the clock without jumps
        self._next_times: Times | None = None  # of the frame after the range, if there is one
        self._last_times: Times | None = None  # of the last frame in the range
        self._matrices: dict[int, NDArray[np.int32] | None] = {}  # by rotation in degrees
        self._pictures = self._select()
        self._first = next(self._pictures, None)
        if self._first is None:
            raise VideoError(self._explain_empty_range(), bad_input=True)
        self.path = decoder.path
        self.display_size = self._display_size(self._first)
        """Size of the source's pictures as they are displayed: upright, in square pixels."""
        self.size = working_size(self.display_size, sampling.width, sampling.height, sampling.fit)
        """Working size."""
        limits.check_pixels(self.size.width, self.size.height, f"the film of {self.path.name!r}")
        self.rate = decoder.header.rate / self._nth
        """Average frames per second after sampling, by the header."""
        self.expected = self._estimate()
        """Estimated number of frames."""
        self.sound: Sound | None = decoder.sound

    @property
    def traits(self) -> list[object]:
        """The stream's position and its crop; empty for the first stream without a crop."""
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
        """Close the file; `clip` stays known."""
        self._decoder.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; a source is read once."""
        if self._first is None:
            raise RuntimeError(f"the frames of {self.path.name!r} have been read; open it again")
        image, self._first = self._image(self._first), None
        yield Frame(0, image)
        for index, picture in enumerate(self._pictures, start=1):
            yield Frame(index, self._image(picture))
        self._clip = self._make_clip()

    def measure(self) -> Clip:
        """Read all frames without converting them to images, and return the clip."""
        if self._first is None:
            raise RuntimeError(f"the frames of {self.path.name!r} have been read; open it again")
        self._first = None
        for picture in self._pictures:
            picture.free()
        self._clip = self._make_clip()
        return self._clip

    @property
    def clip(self) -> Clip:
        """Size and times of the frames; known after the last one has been read."""
        if self._clip is None:
            raise RuntimeError("a clip is known after its last frame has been read")
        return self._clip

    def _select(self) -> Iterator[Picture]:
        """Yield the pictures that become frames; note the times of all in the range."""
        start, end = self._sampling.start, self._sampling.end
        most, nth = self._sampling.max_frames, self._nth
        decoder, header = self._decoder, self._decoder.header
        rounding = min(float(header.time_base) / 2, 0.0005)
        step = max(1, round(1 / (header.rate * header.time_base)))
        stamp, count = decoder.origin - step, 0
        clock = timing.SteadyClock(step, header.time_base)
        for picture in decoder.pictures(start):
            stamp = stamp + step if picture.stamp is None else picture.stamp
            jump, steady = clock.jump_at(stamp), clock.read(stamp)
            if jump and not self._stamps:
                self._early_jumps.append(jump)
            time = float(decoder.seconds(steady)) + rounding
            if time < start:
                continue
            if not self._stamps:
                self._start_tick = steady
            due = len(self._stamps) % nth == 0
            if (end and time >= end) or (due and most and count == most):
                self._next_times = picture.times
                return
            self._stamps.append(picture.stamp)
            self._last_times = picture.times
            if due:
                count += 1
                yield picture

    def _display_size(self, picture: Picture) -> Size:
        """Return the size of a picture as it is displayed: upright, in square pixels."""
        height, width = self._decoder.visible_box(picture.frame).size
        name = repr(self.path.name)
        limits.check_aspect(self._decoder.pixel_aspect, name)
        wide = max(1, round(width * self._decoder.pixel_aspect))
        limits.check_pixels(wide, height, f"the picture of {name} in square pixels")
        if self._is_rotated(picture):
            return Size(wide, height)
        return Size(height, wide)

    def _is_rotated(self, picture: Picture) -> bool:
        """Whether display swaps height and width."""
        matrix = self._matrix(picture)
        return matrix is not None and abs(int(matrix[1])) > abs(int(matrix[0]))

    def _matrix(self, picture: Picture) -> NDArray[np.int32] | None:
        """Return the picture's display matrix; it is read from one frame of each rotation only.

        Reading it makes a frame refer to itself: its memory is then free only after a collection.
        """
        rotation = picture.frame.rotation
        if rotation not in self._matrices:
            self._matrices[rotation] = read_display_matrix(picture.frame)
        return self._matrices[rotation]

    def _image(self, picture: Picture) -> Image:
        """Convert the picture to sRGB at the working size."""
        codec = colour.colour_of(self._decoder.codec)
        settled = colour.settle_colour(picture.frame, self._decoder.colour, codec)
        array = colour.to_rgb(picture.frame, settled)
        if self._alpha:
            array = np.dstack([colour.to_srgb(array, settled), colour.alpha_of(picture.frame)])
        array = self._decoder.visible_box(picture.frame).crop(array)
        aspect = float(self._decoder.pixel_aspect)
        matrix = self._matrix(picture)
        if matrix is not None:
            array = orient(array, matrix)
            aspect = 1 / aspect if self._is_rotated(picture) else aspect
        picture.free()
        # Tone mapping comes last: at the working size it costs least.
        return colour.to_srgb(
            framing.fit_picture(array, aspect, self.size, self._sampling.fit), settled
        )

    def _estimate(self) -> int:
        """Estimate the number of frames by the header."""
        start, end = self._sampling.start, self._sampling.end
        most, nth = self._sampling.max_frames, self._nth
        header = self._decoder.header
        duration = header.duration or Fraction(1) / header.rate
        # A container may count frames that it does not show, and may round its length up.
        counts = [header.frame_count, math.ceil(round(float(duration * header.rate), 3))]
        count = min(filter(None, counts))
        if start or end:
            before, until = (
                math.ceil(round(time * float(header.rate), 3))
                for time in (start, min(end or math.inf, float(duration)))
            )
            count = until - before
        frames = max(1, math.ceil(count / nth))
        return min(frames, most) if most else frames

    def _make_clip(self) -> Clip:
        """Return the clip, from the times that were noted while reading."""
        decoder, header = self._decoder, self._decoder.header
        nth, most = self._nth, self._sampling.max_frames
        source = self._source_clock()
        missing = self._count_missing(source)
        line = source.on_grid([*header.rates, header.rate])
        rate = header.rate
        if not missing:
            rate = len(line.ticks) / (line.end * line.time_base)
        sampled = line.every(nth, most)
        begin = decoder.origin if self._stamps[0] is None else self._stamps[0]
        return Clip(
            size=self.size,
            rate=rate / nth,
            time_base=sampled.time_base,
            ticks=sampled.ticks,
            end=sampled.end,
            start=begin * header.time_base,
            sound=self.sound,
            jumps=self._jumps_of(line),
            damaged=missing,
        )

    def _jumps_of(self, line: timing.FrameClock) -> tuple[Jump, ...]:
        """Return the jumps of the source's clock; `line` are the times of its frames."""
        base = self._decoder.header.time_base
        found = [
            Jump((jump.steady - self._start_tick) * base, jump.before * base, jump.after * base)
            for jump in self._early_jumps
        ]
        clock = timing.SteadyClock(self._usual_step(), base)
        for tick, stamp in zip(line.ticks, self._stamps, strict=False):
            jump = None if stamp is None else clock.jump_at(stamp)
            if jump:
                found.append(Jump(tick * line.time_base, jump.before * base, jump.after * base))
            if stamp is not None:
                clock.read(stamp)
        return tuple(found)

    def _usual_step(self) -> int:
        """Return the usual distance of the source's frames in the range, in ticks."""
        header = self._decoder.header
        return timing.typical_step(self._stamps, round(1 / (header.rate * header.time_base)))

    def _source_clock(self) -> timing.FrameClock:
        """Return the times of the source's frames in the range, rising, from 0."""
        header, last, following = self._decoder.header, self._last_times, self._next_times
        assert last is not None
        step = self._usual_step()
        stamps = [*self._stamps, *([] if following is None else [following.stamp])]
        if not header.has_display_order:
            stamps = timing.in_order(stamps)
        times = timing.mend(stamps, step, header.time_base)
        if following is None:
            times.append(times[-1] + (last.duration or step))
            times = self._correct_end(times)
        return timing.FrameClock(
            header.time_base, tuple(time - times[0] for time in times[:-1]), times[-1] - times[0]
        )

    def _correct_end(self, times: list[int]) -> list[int]:
        """Correct the end, which is the last of the times, by the header's end."""
        header, last = self._decoder.header, self._last_times
        end = header.end
        if end is None or last is None or self._decoder.faults:
            return times
        step = times[-1] - times[-2]
        # A copied part of a file may keep a last frame that is shown late, without those before.
        if times[-2] >= end and len(times) > 2 and end - step > times[-3]:
            return [*times[:-2], end - step, end]
        # Some versions of libav report a wrong length of a packet. The header is right, but it may
        # be rounded to milliseconds.
        usual = 1 / (header.rate * header.time_base)
        wrong = abs(end - times[-1]) > usual / 4 and end < times[-2] + usual * 3 / 2
        if times[-2] < end and (wrong or not last.duration):
            return [*times[:-1], end]
        return times

    def _count_missing(self, source: timing.FrameClock) -> int:
        """Count the frames that the header promises and the data does not hold; 0 if unknown."""
        decoder, header = self._decoder, self._decoder.header
        step = 1 / (header.rate * header.time_base)
        tail = self._tail(source, float(step))
        if not decoder.faults and not tail:
            return 0
        complete = self._next_times is None and decoder.from_first and not self._sampling.end
        if complete and header.frame_count:
            return max(0, header.frame_count - decoder.repeats - decoder.decoded)
        due = round((source.end + tail) / step)
        return max(0, due - decoder.repeats - len(source.ticks))

    def _tail(self, source: timing.FrameClock, step: float) -> float:
        """Return by how many ticks the pictures end before the header's end.

        0 if that is less than a frame and a half, or if only another stream ends later.
        """
        stamps = [stamp for stamp in self._stamps if stamp is not None]
        if self._next_times is not None or not stamps or not self._decoder.possible_ends:
            return 0
        last_end = max(stamps[-1], stamps[0]) + source.end - source.ticks[-1]
        limit: float | Fraction = math.inf
        if self._sampling.end:
            limit = self._sampling.end / self._decoder.header.time_base + self._decoder.origin
        late = [float(min(end, limit)) - last_end for end in self._decoder.possible_ends]
        if late[0] <= 0 or min(map(abs, late)) < 1.5 * step or self._decoder.ends_with_others():
            return 0
        return late[0]

    def _explain_empty_range(self) -> str:
        """Say in one line why the range is empty, with the remedy."""
        start, end = self._sampling.start, self._sampling.end
        duration = self._decoder.header.duration
        upto = f" to {end:g} s" if end else ""
        length = f"it lasts {float(duration):.2f} s" if duration else "it ends before"
        return (
            f"{self._decoder.path.name!r} has no frame from {start:g} s{upto}: {length};"
            " choose an earlier start or a longer range"
        )
