"""Small video files that the tests make for themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values import Clip, Image, Size

SIZE = Size(40, 96)
BITS = 10
RATE = 48000


def numbered(index: int, size: Size = SIZE) -> Image:
    """A picture that carries its number as stripes, in a form that survives lossy codecs."""
    image = np.full((*size, 3), 64, np.uint8)
    edges = np.linspace(0, size.width, BITS + 1).astype(int)
    for bit in range(BITS):
        image[:, edges[bit] : edges[bit + 1]] = 224 if index >> bit & 1 else 32
    return image


def number(image: Image) -> int:
    """The number that a picture of `numbered` carries."""
    edges = np.linspace(0, image.shape[1], BITS + 1).astype(int)
    means = [image[:, a + 2 : b - 2].mean() for a, b in pairwise(edges)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 128)


def walking(length: int) -> list[Image]:
    """A still picture over which something moves faster than the flow can follow, then leaves."""
    rng = np.random.default_rng(5)
    back, front = _texture(rng, (64, 128), 3), 255 - _texture(rng, (24, 24), 1.5)
    pictures = []
    for place in range(length):
        picture = back.copy()
        left = 12 * place - 24
        start, stop = max(0, left), min(128, left + 24)
        if start < stop:
            picture[20:44, start:stop] = front[:, start - left : stop - left]
        pictures.append(picture.astype(np.uint8))
    return pictures


def _texture(rng: np.random.Generator, size: tuple[int, int], width: float) -> NDArray[np.float32]:
    noise = cv2.GaussianBlur(rng.normal(size=(*size, 3)).astype(np.float32), (0, 0), width)
    return np.clip(128 + 45 * noise / noise.std(), 0, 255)


def make_video(
    path: Path,
    pictures: Sequence[NDArray[Any]] | int = 10,
    *,
    rate: Fraction = Fraction(25),
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    form: str = "yuv420p",
    given: str = "rgb24",
    options: dict[str, str] | None = None,
    prepare: Callable[[Any], None] = lambda codec: None,
    sound: str = "",
    click: float = 1.0,
    sound_start: float = 0.0,
) -> Path:
    """A video at `path`; `times` in `time_base` if the rate is not constant."""
    images = [numbered(i) for i in range(pictures)] if isinstance(pictures, int) else pictures
    base = time_base or 1 / rate
    with av.open(str(path), mode="w") as output:
        stream: Any = output.add_stream(codec, rate=rate)
        context = stream.codec_context
        context.height, context.width = images[0].shape[:2]
        context.pix_fmt = form
        context.time_base = base
        context.options = {"crf": "12", **(options or {})} if codec == "libx264" else options or {}
        prepare(context)
        track: Any = output.add_stream(sound, rate=RATE) if sound else None
        if track is not None:
            track.codec_context.layout = "stereo"
        for place, image in enumerate(images):
            frame: Any = av.VideoFrame.from_ndarray(image, format=given)
            if frame.format.name != form:
                frame = frame.reformat(format=form)
            frame.pts, frame.time_base = (times[place] if times else place), base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if track is not None:
            _add_sound(output, track, float(len(images) / rate), click, sound_start)
    return path


def _add_sound(output: Any, track: Any, seconds: float, click: float, start: float) -> None:
    """Silence with a short tone at `click` seconds; the stream begins at `start`."""
    samples = np.zeros((2, round((seconds - start) * RATE)), np.float32)
    at = round((click - start) * RATE)
    samples[:, at : at + 960] = np.sin(np.arange(960) * 0.2).astype(np.float32) * 0.9
    wanted = track.codec_context.format.name
    resampler = av.AudioResampler(format=wanted, layout="stereo", rate=RATE)
    for begin in range(0, samples.shape[1], 960):
        piece = np.ascontiguousarray(samples[:, begin : begin + 960])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = begin + round(start * RATE)
        for ready in resampler.resample(frame):
            output.mux(track.encode(ready))
    output.mux(track.encode(None))


def heard(path: Path) -> tuple[str, float, float]:
    """Codec of a file's sound, its length in seconds, and when its tone begins."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        codec = stream.codec_context
        pieces, begins = [], []
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        for frame in container.decode(stream):
            begins.append(float(frame.pts * frame.time_base))
            frame.pts = None
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
    wave = np.abs(np.concatenate(pieces))
    tone = int(np.argmax(wave > 0.3)) / RATE if (wave > 0.3).any() else float("nan")
    name = codec.name.removesuffix("float")
    return name, len(wave) / RATE, begins[0] + tone


def plain_clip(
    length: int, *, rate: Fraction = Fraction(25), size: Size = SIZE, start: Fraction = Fraction(0)
) -> Clip:
    """A clip of constant rate."""
    base = Fraction(1, rate.numerator)
    ticks = tuple(place * rate.denominator for place in range(length))
    return Clip(size, rate, base, ticks, length * rate.denominator, start, None)


def beeps(path: Path, level: float = 0.05) -> list[float]:
    """When the tones of a file begin, in seconds on its own clock; 0.3 s of silence part them."""
    found: list[float] = []
    last = -1.0
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            time, frame.pts = float(frame.pts * frame.time_base), None
            for piece in resampler.resample(frame):
                wave = np.abs(piece.to_ndarray()[0])
                for loud in time + np.flatnonzero(wave > level) / RATE:
                    found += [float(loud)] if loud - last > 0.3 else []
                    last = loud
                time += len(wave) / RATE
    return found
