"""Dense inverse search (Kroeger et al. 2016) by OpenCV: fast, on any machine, without weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.models.flow import confidence, global_motion
from lib_ofgen.values import Flow, Frame, Image, Size

__all__ = ["METHOD", "DisEstimator", "both_ways"]

METHOD = "dis-medium/5"
"""Name, preset and version; a new version makes old flow unused."""

_LEAST_SIDE = 64
"""px: DIS's coarsest grid needs room for its 8 px patches; smaller pictures are enlarged."""
_LARGEST_SIDE = 16_000
"""px: OpenCV's DIS fails on sides of twice as many."""


_SHARES = (0.75, 0.6, 0.5, 0.4, 0.33, 0.25)
"""Smaller sizes, as shares, at which a picture may still have all its detail."""
_LOST = 0.9
"""Levels, root mean square, that an enlarged picture may lose: compression and rounding."""

Floats = NDArray[np.float32]


class DisEstimator:
    """`FlowEstimator` on OpenCV's DIS, medium preset, with calibrated confidence.

    Where it is unsure, the dominant motion is used.
    """

    def __init__(self, radius: float = 1.0) -> None:
        """`radius` is the error in px up to which a vector counts as right."""
        self._radius = radius
        self._last: tuple[Image, Image, Floats, Floats] | None = None

    @property
    def identity(self) -> str:
        """Name, preset, calibration and radius."""
        return f"{METHOD} radius={self._radius:g}"

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """Yield the flow of each (source, target), in order."""
        for source, target in pairs:
            yield self._judge(source, target, *self._both_ways(source.image, target.image))

    def _judge(self, source: Frame, target: Frame, vectors: Floats, back: Floats) -> Flow:
        """Return the flow with its confidence, completed by the dominant motion."""
        pair = source.image, target.image
        sure = confidence.confidence(pair, vectors, back, radius=self._radius)
        vectors, sure = global_motion.complete_by_global_motion(pair, vectors, sure, self._radius)
        return Flow(
            source.index, target.index, warp.zero_short_vectors(vectors), sure, self._radius
        )

    def _both_ways(self, source: Image, target: Image) -> tuple[Floats, Floats]:
        """Return the flows both ways; those of the last pair in reverse are not computed again."""
        if self._last and self._last[0] is target and self._last[1] is source:
            return self._last[3], self._last[2]
        vectors, back = both_ways(source, target)
        self._last = source, target, vectors, back
        return vectors, back

    def release(self) -> None:
        """Forget the last pair; there is no device to free."""
        self._last = None


def both_ways(source: Image, target: Image) -> tuple[Floats, Floats]:
    """Vectors on the target's grid into the source, and on the source's grid into the target.

    Both (2, H, W) px. The
    search is made at the size at which the pictures have detail: an enlarged picture has no more of
    it, and the errors of the flow would be enlarged, too.
    """
    size = images.size_of(target)
    share = max(_detail_share(images.luma(image)) for image in (source, target))
    there, here = (
        _grey(images.resize(image, images.scale_size(size, share))) for image in (source, target)
    )
    ways = _dis(here, there), _dis(there, here)
    if share < 1:  # an error that is negligible at this size would not be at the full size
        ways = tuple(warp.zero_short_vectors(vectors) for vectors in ways)
    vectors, back = (warp.resize_flow(vectors, size) for vectors in ways)
    return vectors, back


def _detail_share(grey: Floats) -> float:
    """Return to which share of its size a picture can be shrunk without a loss of detail."""
    found, size = 1.0, images.size_of(grey)
    for share in _SHARES:
        small = images.resize(grey, images.scale_size(size, share))
        lost = images.enlarge_smoothly(small, size) - grey
        if np.sqrt(np.square(lost).mean()) > _LOST:
            break
        found = share
    return found


def _grey(image: Image) -> NDArray[np.uint8]:
    """Return the luma of a picture at a size that DIS can search."""
    size = images.size_of(image)
    grow = max(1.0, _LEAST_SIDE / min(size))
    larger = Size(round(size.height * grow), round(size.width * grow))
    if max(larger) > _LARGEST_SIDE:  # a ribbon is stretched across
        larger = Size(*(max(side, _LEAST_SIDE) for side in size))
    return images.luma(images.resize(image, larger)).astype(np.uint8)


def _dis(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> Floats:
    """Estimate where each of `here`'s pixels is in `there`, (2, H, W) px."""
    search = cv2.DISOpticalFlow.create(preset=cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # OpenCV's stub wants the optional output; None asks for a fresh one.
    found = search.calc(here, there, cast("Any", None))
    return np.ascontiguousarray(np.moveaxis(found, -1, 0), dtype=np.float32)
