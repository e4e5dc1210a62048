"""Light that changes: what is painted keeps the light of its own frame.

Held against every frame painted whole with the same seed, whose light is the source's. Compared is
what is left after a blur of 8 px: the strokes of the two differ, the light must not.
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
Light = Callable[[int, NDArray[np.float32]], NDArray[np.float32]]


def _rise(index: int, start: int, stop: int) -> float:
    return min(1.0, max(0.0, (index - start) / (stop - start)))


def _left(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return (np.arange(picture.shape[1]) < picture.shape[1] // 2)[:, None].astype(np.float32)


LIGHTS: dict[str, Light] = {
    "fade in": lambda i, f: f * _rise(i, 0, 16),
    "fade out": lambda i, f: f * (1 - _rise(i, 6, LENGTH - 1)),
    "through white": lambda i, f: f + (255 - f) * max(0.0, 1 - abs(i - 12) / 8),
    "dissolve": lambda i, f: f + (f[:, ::-1] - f) * _rise(i, 4, 18),
    "flash": lambda i, f: np.full_like(f, 250) if i == 10 else f,
    "strobe": lambda i, f: f * (0.25 if i % 2 else 1),
    "strobe of four": lambda i, f: f * (0.25 if i % 4 == 2 else 1),
    "lamp": lambda i, f: f * (0.5 if i < 11 else 1),
    "red": lambda i, f: f * np.array([1, *2 * [1 - 0.6 * _rise(i, 6, 14)]], np.float32),
    "half a flash": lambda i, f: f + 80 * _left(f) * (i == 10),
    "gamma": lambda i, f: 255 * (f / 255) ** np.float32(1 + 0.6 * _rise(i, 0, LENGTH - 1)),
}


@cache
def _still() -> list[Image]:
    with open_video(DEMO, Sampling(width=128)) as source:
        return [frame.image for _, frame in zip(range(LENGTH), source, strict=False)]


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


CASES = [
    *((light, "guided") for light in LIGHTS),
    *((light, "independent") for light in ("fade in", "strobe", "half a flash")),
]


@pytest.mark.parametrize(("light", "agreement"), CASES)
def test_a_frame_is_painted_in_its_own_light(tmp_path: Path, light: str, agreement: str) -> None:
    lit = [LIGHTS[light](i, picture.astype(np.float32)) for i, picture in enumerate(_still())]
    pictures = [np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in lit]
    clip = make_video(tmp_path / "clip.mkv", pictures)
    whole = film(clip, tmp_path, "key_frames=every")
    off = apart(film(clip, tmp_path, f"key_agreement={agreement}"), whole)
    assert off.mean() < 3
    assert off.max() < 8


def test_a_clip_that_fades_in_comes_to_its_full_light(data: Path, tmp_path: Path) -> None:
    clip = data / "trials" / "f_fade.mp4"
    whole = film(clip, tmp_path, "width=128", "key_frames=every")
    shown = film(clip, tmp_path, "width=128")
    levels = np.array([[a.mean() for a in frames] for frames in (shown, whole)])
    off = np.abs(levels[0] - levels[1])
    assert off[30:].mean() < 3
    assert off.max() < 5
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
    assert (flow.confidence >= 0.4).mean() < 0.1
