"""Measures of a result's steadiness, sharpness and colour.

Warp error as in Lai et al. 2018 (Learning Blind Video Temporal Consistency, section 4): flow is
estimated on the source video, by another estimator (the judge) than that of the result.
Flickering after Huang et al. 2024 (VBench, section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.system import libraries
from lib_ofgen.values import Image, Mask, Scene, Size, check_shape

__all__ = [
    "REPORT_WIDEST",
    "Judge",
    "Judgement",
    "colour_difference",
    "farneback",
    "find_occlusions",
    "flickering",
    "judge_pair",
    "load_tvl1",
    "pairs",
    "sharpness",
    "straddles",
    "tvl1",
]

_AROUND = 8.0
"""px: sigma of the surroundings whose mean and contrast are evened out for a judge."""
_NOISE = np.float32(4.0)
"""Levels of contrast that are not amplified: grain and compression."""
REPORT_WIDEST = 320
"""px: a job's own report judges pictures of at most this width, so that it costs little."""

_STILL = 0.5
"""px at the size of the judgement: what moves less is static."""
_AREA = 8.0
"""px: sigma of the Gaussian that takes detail out of a picture and leaves the colour of areas."""

Judge = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""From two (H, W) lumas 0..255, the (2, H, W) px by which the first's pixels have moved."""


def load_tvl1() -> Callable[..., NDArray[np.float32]]:
    """Import TV-L1 from scikit-image, which only the extra `evaluate` installs.

    Raises:
        LibraryError: if scikit-image is missing or broken.
    """
    with libraries.explain_imports():
        from skimage.registration import optical_flow_tvl1

    return optical_flow_tvl1


def tvl1(here: NDArray[np.float32], there: NDArray[np.float32]) -> NDArray[np.float32]:
    """TV-L1 flow (Zach et al. 2007) by scikit-image, at its defaults, on luma 0..1.

    Raises:
        LibraryError: if `load_tvl1` raises it.
    """
    rows, columns = load_tvl1()(here / 255, there / 255)
    return np.stack([columns, rows]).astype(np.float32)


def farneback(here: NDArray[np.float32], there: NDArray[np.float32]) -> NDArray[np.float32]:
    """Polynomial expansion flow (Farneback 2003) by OpenCV."""
    found = cv2.calcOpticalFlowFarneback(
        np.clip(here, 0, 255).astype(np.uint8),
        np.clip(there, 0, 255).astype(np.uint8),
        flow=cast("Any", None),  # the stub wants the optional output; None asks for a fresh one
        pyr_scale=0.5,
        levels=4,
        winsize=15,
        iterations=2,
        poly_n=5,
        poly_sigma=1.1,
        flags=0,
    )
    return np.ascontiguousarray(np.moveaxis(found, -1, 0), dtype=np.float32)


def pairs(scenes: Sequence[Scene], most: int = 24) -> list[int]:
    """Choose at most `most` neighbouring pairs, evenly, none across a cut; return first frames."""
    whole = [index for scene in scenes for index in range(scene.start, scene.stop - 1)]
    chosen = np.linspace(0, len(whole) - 1, min(most, len(whole))).round().astype(int)
    return [whole[place] for place in sorted(set(chosen.tolist()))]


@dataclass(frozen=True)
class Judgement:
    """The motion between a pair of the source's frames, and where it is reliable."""

    forward: NDArray[np.float32]
    """(2, h, w) px: the flow from the first to the second."""
    seen: Mask
    """(h, w): without occlusions, by the forward-backward check, and without motion boundaries."""
    widest: int
    """px: wider pictures are shrunk to this width first."""

    def error(self, pair: tuple[Image, Image], within: Mask | None = None) -> float:
        """Mean squared difference (images 0..1) between the first and the warped second picture.

        Only over the pixels seen and, where it is given, of the (H, W) mask. nan for no pixel.
        """
        where = self.seen
        if within is not None:
            where = where & (images.resize(within.astype(np.uint8), images.size_of(where)) > 0)
        apart = self.apart(pair)[where]
        return float((apart**2).mean()) / 255**2 if len(apart) else float("nan")

    def apart(self, pair: tuple[Image, Image]) -> NDArray[np.float32]:
        """(h, w, 3) grey levels: the warped second picture minus the first, everywhere."""
        first, second = (_shrink(image, self.widest).astype(np.float32) for image in pair)
        return warp.warp_backward(second, self.forward, smooth=False) - first


def judge_pair(
    source: tuple[Image, Image], judge: Judge, *, widest: int = 480, even_out: bool = True
) -> Judgement:
    """Estimate the motion between a pair of the source's frames.

    With `even_out`, the judge sees them with their local mean and contrast evened out. A change of
    light would otherwise look like motion to it: on the car clip, whose camera stands still, TV-L1
    claims up to 13 px. Its error on MPI-Sintel's alley_1 is the same either way (0.30 px), and on
    cave_2 it is smaller (2.36 px, else 3.43).
    """
    here, there = (images.luma(_shrink(image, widest)) for image in source)
    if even_out:
        here, there = _even_out(here), _even_out(there)
    forward, back = judge(here, there), judge(there, here)
    return Judgement(forward, ~find_occlusions(forward, back), widest)


def flickering(pair: tuple[Image, Image], judgement: Judgement) -> float:
    """Mean absolute difference of two neighbouring pictures, in grey levels, where nothing moves.

    VBench takes the mean absolute difference of neighbouring frames over all pixels, of videos of
    still scenes; its score is (255 - difference) / 255. A film has motion, so here only static
    pixels count, over the three channels: those whose flow in the source is reliable (`seen`) and
    shorter than 0.5 px. Nothing is warped. Noise of the source counts too, so the source's own
    value belongs beside that of a result.

    Args:
        pair: two (H, W, 3) neighbouring frames of a result, or of the source.
        judgement: of the same frames of the source.

    Returns:
        0..255 at the size of the judgement; nan if no pixel is static.
    """
    length = np.hypot(judgement.forward[0], judgement.forward[1])
    static = judgement.seen & (length < _STILL)
    first, second = (_shrink(image, judgement.widest).astype(np.float32) for image in pair)
    return float(np.abs(second - first)[static].mean()) if static.any() else float("nan")


def colour_difference(image: Image, other: Image) -> float:
    """Mean absolute difference of two (H, W, 3) pictures without their detail, in levels 0..255.

    Both are blurred first by a Gaussian of sigma 8 px, so strokes and grain do not count.
    """
    apart = image.astype(np.float32) - other  # blurred once: a Gaussian is linear
    return float(np.abs(cv2.GaussianBlur(apart, ksize=(0, 0), sigmaX=_AREA)).mean())


def _even_out(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) about 0..255: local contrast normalisation (Jarrett et al. 2009, section 2)."""
    apart = luma - cv2.GaussianBlur(luma, ksize=(0, 0), sigmaX=_AROUND)
    square = cv2.GaussianBlur(np.square(apart), ksize=(0, 0), sigmaX=_AROUND)
    even = apart / np.sqrt(square + _NOISE**2)
    return cast("NDArray[np.float32]", 128 + 51 * even)


def straddles(index: int, keys: Collection[int]) -> bool:
    """Whether the pair of frames `index` and the next has a key frame in it.

    There most pixels change their source, so a jump would be visible in these pairs.
    """
    return index in keys or index + 1 in keys


def find_occlusions(forward: NDArray[np.float32], back: NDArray[np.float32]) -> Mask:
    """(H, W): where a flow is unreliable, by the thresholds of Lai et al.'s evaluation.

    |w + f|^2 > 0.01 (|w|^2 + |f|^2) + 0.5 with w the way back, warped; or a motion boundary,
    |grad u|^2 + |grad v|^2 > 0.01 |f|^2 + 0.002. Also what leaves the picture. (2, H, W) px both.
    """
    size = Size(*check_shape(forward, "2 H W", "forward"))
    home = warp.warp_backward(np.ascontiguousarray(np.moveaxis(back, 0, -1)), forward, smooth=False)
    home = np.moveaxis(home, -1, 0)
    length = (forward**2).sum(axis=0)
    trip = ((home + forward) ** 2).sum(axis=0)
    lost = trip > 0.01 * ((home**2).sum(axis=0) + length) + 0.5
    slopes = [slope for plane in forward for slope in np.gradient(plane)]
    boundary = sum(slope**2 for slope in slopes) > 0.01 * length + 0.002
    return lost | boundary | ~warp.inside(forward, size)


def sharpness(image: Image) -> float:
    """Variance of the 3x3 Laplacian (4 neighbours) of luma, in squared grey levels."""
    return float(cv2.Laplacian(images.luma(image), ddepth=cv2.CV_32F, ksize=1).var())


def _shrink(image: Image, widest: int) -> Image:
    """Shrink a picture to at most `widest` px of width."""
    size = images.size_of(image)
    if size.width <= widest:
        return image
    return images.resize(image, images.scale_size(size, widest / size.width))
