"""Dense inverse search (Kroeger et al. 2016) by OpenCV: fast, on any machine, without weights."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.models.flow import confidence, global_motion
from lib_ofgen.models.flow.confidence import View
from lib_ofgen.values import Flow, Frame, Image, Light, Size

__all__ = ["DisEstimator", "Search"]

_METHOD = "dis-medium/6"
"""Name, preset and version; a new version makes old flow unused."""

_LEAST_SIDE = 32
"""px: DIS's coarsest grid needs room for its 8 px patches; smaller pictures are enlarged."""
_LARGEST_SIDE = 16_000
"""px: OpenCV's DIS fails on sides of twice as many."""
_STRIDE, _DESCENT = 4, 12
"""px between DIS's patches, and steps of their descent: as right as the preset's 3 and 25, in three
quarters of the time (`tests.benchmarks.accuracy`)."""
_REMEMBERED = 16
"""Pictures of which something is remembered."""

_SHARES = (0.75, 0.6, 0.5, 0.4, 0.33, 0.25)
"""Smaller sizes, as shares, at which a picture may still have all its detail."""
_LOST = 0.9
"""Levels, root mean square, that an enlarged picture may lose: compression and rounding."""

Floats = NDArray[np.float32]


class Fineness(NamedTuple):
    """How fine a search is."""

    shrink: int
    """px of the pictures' detail between two vectors, at the most."""
    least: int
    """px: the grid's shorter side is not made smaller than this."""


_FINE = Fineness(2, 72)
"""At half the size, DIS finds no finer flow; of very small pictures it loses some."""
_COARSE = Fineness(4, 96)
"""Tracks that were found on 64 x 48 px were less steady."""


class Search(NamedTuple):
    """What a search found, on a grid of its own."""

    pair: tuple[View, View]
    """Source and target."""
    vectors: Floats
    """(2, h, w) px of the grid: from the target into the source."""
    back: Floats
    """(2, h, w) px of the grid: from the source into the target."""
    share: float
    """0..1: the size, as a share of the pictures', at which they have all their detail."""
    scale: float
    """px of the grid for each px of the pictures."""


class DisEstimator:
    """`FlowEstimator` on OpenCV's DIS, medium preset, with calibrated confidence.

    Where it is unsure, the dominant motion is used.
    """

    def __init__(self, radius: float = 1.0) -> None:
        """`radius` is the error in px up to which a vector counts as right."""
        self._radius = radius
        self._pictures: OrderedDict[int, _Picture] = OrderedDict()

    @property
    def identity(self) -> str:
        """Name, preset, calibration and radius."""
        return f"{_METHOD} radius={self._radius:g}"

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """Yield the flow of each (source, target), in order."""
        for source, target in pairs:
            yield self._estimate(source, target)

    def _estimate(self, source: Frame, target: Frame) -> Flow:
        """Return the flow with its confidence, completed by the dominant motion."""
        size = images.size_of(target.image)
        found = self.search(source.image, target.image)
        radius = self._radius * found.scale
        judged = confidence.features(found.pair, found.vectors, found.back, radius)
        vectors, sure = global_motion.complete_by_global_motion(
            found.pair, found.vectors, confidence.confidence(judged), radius, judged.light
        )
        # An error that is negligible in a picture is not when the picture is enlarged.
        vectors = warp.zero_short_vectors(
            warp.resize_flow(vectors, size), least=warp.STILL / found.share
        )
        sure = images.enlarge(sure, size) * warp.inside(vectors, size)
        return Flow(source.index, target.index, vectors, sure, self._radius)

    def estimate_coarsely(self, first: Frame, second: Frame, grid: Size) -> Iterator[Flow]:
        """Yield the flow from `first` to `second`, and that back, on a grid of this size.

        Vectors are in px of the grid. The search is fast and coarse, for frames that differ little.
        """
        found = self.search(first.image, second.image, _COARSE)
        there, here = found.pair
        radius, size = self._radius * found.scale, images.size_of(first.image)
        still = warp.STILL / found.share * grid.width / size.width
        for source, target, pair, vectors, back in (
            (first, second, (there, here), found.vectors, found.back),
            (second, first, (here, there), found.back, found.vectors),
        ):
            sure = confidence.confidence(confidence.features(pair, vectors, back, radius))
            moved = warp.zero_short_vectors(warp.resize_flow(vectors, grid), least=still)
            sure = np.clip(images.resize(sure, grid), 0, 1) * warp.inside(moved, grid)
            yield Flow(source.index, target.index, moved, sure, self._radius)

    def search(self, source: Image, target: Image, fineness: Fineness = _FINE) -> Search:
        """Search in both directions, on a grid coarser than the pictures' detail.

        An enlarged picture has no more detail, and errors of its flow would be enlarged, too. What
        is found lies on the grid of pictures that are not enlarged: paint has their detail.
        """
        pictures = self._picture(source), self._picture(target)
        share, size = max(one.share for one in pictures), images.size_of(target)
        found = _search_size(size, share / _shrink(size, share, fineness))
        grid = _search_size(size, 1 / _shrink(size, 1, fineness))
        scale = grid.height / size.height
        step = max(1, round(Light.GRID * scale))
        there, here = (one.grey(found) for one in pictures)
        vectors = warp.resize_flow(_dis(here, there), grid)
        back = warp.resize_flow(_dis(there, here), grid)
        views = pictures[0].view(grid, step), pictures[1].view(grid, step)
        return Search(views, vectors, back, share, scale)

    def _picture(self, image: Image) -> _Picture:
        """Return what is known of one of the pictures that were used last."""
        known = self._pictures.get(id(image))
        if known is None or known.image() is not image:
            known = self._pictures[id(image)] = _Picture(image)
            while len(self._pictures) > _REMEMBERED:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(id(image))
        return known

    def release(self) -> None:
        """Forget the last pictures; there is no device to free."""
        self._pictures.clear()


class _Picture:
    """What was computed of a picture, as long as the picture is in use."""

    def __init__(self, image: Image) -> None:
        """Nothing is computed before it is needed."""
        self.image = weakref.ref(image)
        self._greys: dict[Size, NDArray[np.uint8]] = {}
        self._views: dict[tuple[Size, int], View] = {}

    @cached_property
    def share(self) -> float:
        """To which share of its size the picture can be shrunk without a loss of detail."""
        return _detail_share(images.luma(self._image()))

    def grey(self, size: Size) -> NDArray[np.uint8]:
        """Return the picture's luma, as it is searched at this size."""
        if size not in self._greys:
            small = images.resize(self._image(), size)
            self._greys[size] = images.luma(small).astype(np.uint8)
        return self._greys[size]

    def view(self, size: Size, step: int) -> View:
        """Return the view with which flows of this size are judged; see `confidence.view`."""
        if (size, step) not in self._views:
            self._views[size, step] = confidence.view(self._image(), size, step)
        return self._views[size, step]

    def _image(self) -> Image:
        image = self.image()
        assert image is not None, "the caller holds the picture"
        return image


def _shrink(size: Size, share: float, fineness: Fineness) -> float:
    """Return how many px of the detail lie between two vectors; `share` is that of the detail."""
    return max(1.0, min(fineness.shrink, min(size) * share / fineness.least))


def _search_size(size: Size, share: float) -> Size:
    """Return `share` of a size, or the size nearest to it that DIS can search."""
    scale = max(share, _LEAST_SIDE / min(size))
    wanted = Size(*(max(_LEAST_SIDE, round(side * scale)) for side in size))
    if max(wanted) > _LARGEST_SIDE:  # a ribbon is stretched across
        wanted = Size(*(min(_LARGEST_SIDE, max(side, _LEAST_SIDE)) for side in size))
    return wanted


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


def _dis(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> Floats:
    """Estimate where each of `here`'s pixels is in `there`, (2, H, W) px."""
    search = cv2.DISOpticalFlow.create(preset=cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    search.setPatchStride(_STRIDE)
    search.setGradientDescentIterations(_DESCENT)
    # OpenCV's stub wants the optional output; None asks for a fresh one.
    found = search.calc(here, there, cast("Any", None))
    return np.ascontiguousarray(np.moveaxis(found, -1, 0), dtype=np.float32)
