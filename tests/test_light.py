"""Light that changes: paint takes on the light of the frame that it is moved into.

Held against every frame painted whole with the same seed, whose light is the source's. Compared is
what is left after a blur of 8 px: the strokes of the two differ, the light must not. What cannot be
lit is not trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from lib_ofgen.cli.commands import main
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.values import Frame, Image, Sampling
from lib_ofgen.video.reader import open_video
from support.videos import make_video

DEMO = Path(__file__).parents[1] / "lib_ofgen" / "cli" / "demo" / "bbb_4s_640x360.mp4"
LENGTH = 24
Floats = NDArray[np.float32]
Light = Callable[[int, Floats], Floats]


def _rise(index: int, start: int, stop: int) -> float:
    return min(1.0, max(0.0, (index - start) / (stop - start)))


def _left(picture: Floats) -> Floats:
    return (np.arange(picture.shape[1]) < picture.shape[1] // 2)[:, None].astype(np.float32)


def _whiter(picture: Floats, share: float) -> Floats:
    return picture + (255 - picture) * np.float32(share)


def _hard(picture: Floats) -> Floats:
    """Nothing but black and white."""
    return np.where(picture.mean(axis=2, keepdims=True) > 128, 255, np.zeros_like(picture))


def _ramp(start: float, length: int) -> Floats:
    """Shade on the left, sun on the right: a factor of each column, from 0.4 to 1."""
    return np.clip(0.4 + 0.6 * (np.arange(length) - start) / 128, 0.4, 1)[:, None].astype(
        np.float32
    )


def _panned(index: int, wide: Floats) -> Floats:
    return wide[20:92, 3 * index : 3 * index + 128]


LIGHTS: dict[str, Light] = {
    "fade in": lambda i, f: f * _rise(i, 0, 16),
    "fade out": lambda i, f: f * (1 - _rise(i, 6, LENGTH - 1)),
    "fade from white": lambda i, f: _whiter(f, 1 - _rise(i, 0, 16)),
    "fade to white": lambda i, f: _whiter(f, _rise(i, 6, LENGTH - 1)),
    "through white": lambda i, f: _whiter(f, max(0.0, 1 - abs(i - 12) / 8)),
    "cross-fade": lambda i, f: f + (f[:, ::-1] - f) * _rise(i, 4, 18),
    "flash": lambda i, f: np.full_like(f, 250) if i == 10 else f,
    "pale flash": lambda i, f: _whiter(f, 0.7) if i in (10, 11) else f,
    "half a flash": lambda i, f: f + 80 * _left(f) * (i == 10),
    "strobe": lambda i, f: f * (0.25 if i % 2 else 1),
    "strobe of four": lambda i, f: f * (0.25 if i % 4 == 2 else 1),
    "black by turns": lambda i, f: f * (i % 2),
    "white by turns": lambda i, f: _whiter(f, i % 2),
    "negative by turns": lambda i, f: 255 - f if i % 2 else f,
    "black and white": lambda i, f: np.full_like(f, 255 * (i % 2)),
    "black and white pictures": lambda i, f: _hard(255 - f if i % 2 else f),
    "lamp": lambda i, f: f * (0.5 if i < 11 else 1),
    "red": lambda i, f: f * np.array([1, *2 * [1 - 0.6 * _rise(i, 6, 14)]], np.float32),
    "gamma": lambda i, f: 255 * (f / 255) ** np.float32(1 + 0.6 * _rise(i, 0, LENGTH - 1)),
}
PANS: dict[str, Light] = {
    "pan into sun": lambda i, wide: _panned(i, wide * _ramp(40, wide.shape[1])),
    "pan under a fixed shade": lambda i, wide: _panned(i, wide) * _ramp(0, 128),
    "pan exposed less and less": lambda i, wide: _panned(i, wide) * (1 - 0.5 * _rise(i, 4, 20)),
}


@cache
def _still(width: int = 128) -> list[Image]:
    with open_video(DEMO, Sampling(width=width)) as source:
        return [frame.image for _, frame in zip(range(LENGTH), source, strict=False)]


def _lit(name: str) -> list[Image]:
    """The pictures of a clip whose light changes."""
    if name in PANS:
        wide = _still(208)[0].astype(np.float32)
        found = [PANS[name](i, wide) for i in range(LENGTH)]
    else:
        found = [LIGHTS[name](i, f.astype(np.float32)) for i, f in enumerate(_still())]
    return [np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in found]


def film(clip: Path, folder: Path, *changes: str) -> list[Image]:
    """The frames of the film that the brush makes of a clip."""
    output = folder / f"{'-'.join(changes) or 'film'}.mkv"
    pairs = [part for change in ("flow=dis", *changes) for part in ("--set", change)]
    workspace = str(output.with_suffix(""))
    call = ["animate", str(clip), "-o", str(output), "--workspace", workspace, "--quiet", *pairs]
    assert main(call) == 0
    with open_video(output) as shown:
        return [frame.image for frame in shown]


def apart(one: list[Image], other: list[Image]) -> NDArray[np.float64]:
    """Mean difference of light of each frame, in levels."""
    pairs = zip(one, other, strict=True)
    return np.array([np.abs(_blurred(a) - _blurred(b)).mean() for a, b in pairs])


def _blurred(image: Image) -> NDArray[np.float32]:
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigmaX=8)


# Levels, the mean and the worst frame: a fifth above what was measured, with the default agreement.
# In a still light the same shot is off by 1.7 and 3.0, and the pan by 3.1 and 4.4: its strokes stay
# on the screen where every frame is painted. Without light most kinds are off by 10 to 60.
BOUNDS = {
    "fade in": (2.5, 4.5),
    "fade out": (1.5, 2.6),
    "fade from white": (2.7, 4.6),
    "fade to white": (2.1, 4.6),
    "through white": (2.6, 6.5),
    "cross-fade": (2.2, 3.5),
    "flash": (1.6, 3.1),
    "pale flash": (1.7, 3.3),
    "half a flash": (2.1, 4.3),
    "strobe": (1.8, 3.6),
    "strobe of four": (0.9, 2.2),
    "black by turns": (1.9, 5.9),
    "white by turns": (1.1, 3.5),
    "negative by turns": (2.6, 4.7),
    "black and white": (0.5, 0.5),
    "black and white pictures": (5.9, 12.1),  # even their source is off by 8 and 11
    "lamp": (1.9, 3.8),
    "red": (3.0, 4.9),
    "gamma": (2.5, 4.2),
    "pan into sun": (2.8, 3.8),
    "pan under a fixed shade": (3.0, 4.1),
    "pan exposed less and less": (3.2, 5.3),
}
CASES = [
    *((light, "guided") for light in (*LIGHTS, *PANS)),
    *((light, "independent") for light in ("fade in", "cross-fade", "strobe", "half a flash")),
    ("pan under a fixed shade", "independent"),
]


@pytest.mark.parametrize(("light", "agreement"), CASES)
def test_a_frame_is_painted_in_its_own_light(tmp_path: Path, light: str, agreement: str) -> None:
    clip = make_video(tmp_path / "clip.mkv", _lit(light))
    whole = film(clip, tmp_path, "key_frames=every")
    off = apart(film(clip, tmp_path, f"key_agreement={agreement}"), whole)
    mean, worst = BOUNDS[light]
    assert off.mean() < mean
    assert off.max() < worst


def test_a_clip_that_fades_in_comes_to_its_full_light(data: Path, tmp_path: Path) -> None:
    clip = data / "trials" / "f_fade.mp4"
    whole = film(clip, tmp_path, "width=192", "max_frames=60", "key_frames=every")
    shown = film(clip, tmp_path, "width=192", "max_frames=60")
    levels = np.array([[a.mean() for a in frames] for frames in (shown, whole)])
    off = np.abs(levels[0] - levels[1])
    assert off[30:].mean() < 0.8
    assert off.max() < 2.4
    assert apart(shown, whole).mean() < 3


def test_grain_and_a_gentle_drift_are_not_another_light(rng: np.random.Generator) -> None:
    one = _still()[0].astype(np.float32)
    noisy = [np.clip(one * k + rng.normal(0, 14, one.shape), 0, 255) for k in (1.0, 1.02)]
    source, target = (picture.astype(np.uint8) for picture in noisy)
    (flow,) = DisEstimator().estimate([(Frame(0, source), Frame(1, target))])
    assert (flow.confidence >= 0.4).mean() > 0.9


@pytest.mark.parametrize("levels", [(12, 12, 12), (40, 0, 0), (0, 0, -30)])
def test_paint_is_taken_into_another_light(levels: tuple[int, int, int]) -> None:
    source = _still()[0] // 2 + np.uint8(40)
    target = np.clip(source.astype(int) + levels, 0, 255).astype(np.uint8)
    (flow,) = DisEstimator().estimate([(Frame(0, source), Frame(1, target))])
    assert (flow.confidence >= 0.4).mean() > 0.95


BLACK, WHITE = np.zeros((72, 128, 3), np.uint8), np.full((72, 128, 3), 255, np.uint8)
UNLIT = {
    "out of black": (BLACK, _still()[0]),
    "into white": (_still()[0], WHITE),
    "out of white": (WHITE, _still()[0]),
    "black to white": (BLACK, WHITE),
    "four times as bright": (_still()[0] // 4, _still()[0]),
    "out of a blur": (cv2.GaussianBlur(_still()[0], (0, 0), sigmaX=8), _still()[0]),
}


@pytest.mark.parametrize("pair", UNLIT.values(), ids=list(UNLIT))
def test_what_cannot_be_lit_is_not_trusted(pair: tuple[Image, Image]) -> None:
    (flow,) = DisEstimator().estimate([(Frame(0, pair[0]), Frame(1, pair[1]))])
    assert (flow.confidence >= 0.4).mean() < 0.02
