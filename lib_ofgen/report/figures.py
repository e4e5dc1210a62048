"""The pictures of the report's page: key frames, and the frames with the largest error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, metrics
from lib_ofgen.report import contact_sheet
from lib_ofgen.report.measures import PairError
from lib_ofgen.values import NOT_PAINTED, Clip, Image, KeyFrame, Mask, Size

__all__ = [
    "ERROR_COLOURS",
    "LARGEST_ERROR",
    "PAINT_COLOUR",
    "FilmPictures",
    "FrameView",
    "Origin",
    "PairView",
    "Thumbnail",
    "find_worst_pairs",
    "make_thumbnails",
    "view_frame",
    "view_worst_pairs",
]  # fmt: skip

Colour = tuple[int, int, int]

PAINT_COLOUR: Colour = (225, 45, 160)
"""Colour of pixels that were painted in the frame itself."""
ERROR_COLOURS: tuple[Colour, ...] = ((18, 16, 48), (122, 28, 109), (237, 105, 37), (252, 255, 164))
"""Colours from no error to `LARGEST_ERROR`, evenly spaced."""
LARGEST_ERROR = 48
"""Grey levels 0..255 at the end of the colours; a larger error has the same colour."""

_WIDEST = 360
"""px: longest side of a picture."""
_QUALITY = 80
_NOT_JUDGED = 128
"""Grey level of pixels that were not judged."""
_MAX_PAIRS = 6
_OTHER_FRAMES: Colour = (150, 150, 150)
_SOURCE_PIXELS: Colour = (225, 225, 225)
_PALETTE: tuple[Colour, ...] = (
    (46, 125, 220), (240, 160, 40), (40, 165, 95), (140, 95, 215),
    (215, 85, 60), (60, 185, 200), (175, 175, 50),
)  # fmt: skip
"""Colours of the frames that supply the most pixels; all others share one."""


class Thumbnail(NamedTuple):
    """A small picture of a key frame."""

    frame: int
    seconds: float
    cause: str
    jpeg: bytes


class Origin(NamedTuple):
    """An entry of a legend."""

    colour: Colour
    frames: tuple[int, ...]
    """Frames in which the pixels of this colour were painted; empty: they are the source's own."""
    share: float
    """0..1: share of the picture."""


@dataclass(frozen=True)
class FrameView:
    """A finished frame and what it is made of; the pictures are JPEG files of one size."""

    frame: int
    whole: bool
    """Whether it was painted whole."""
    size: Size
    result: bytes
    holes: bytes
    """The result, with what was painted in this frame tinted in `PAINT_COLOUR`."""
    origins: bytes
    """The result, in the colours of the frames in which its pixels were painted."""
    legend: tuple[Origin, ...]
    """Legend of `origins`, the largest share first."""
    painted: float
    """0..1: share of its pixels that was painted in it."""


@dataclass(frozen=True)
class PairView(FrameView):
    """A frame of a judged pair, with the error of the pair."""

    pair: PairError
    """Its entry in the report."""
    error: bytes
    """JPEG: where the pair differs from the motion of the source."""


class FilmPictures(NamedTuple):
    """Functions that return what is shown of a frame, by its index."""

    source: Callable[[int], Image]
    result: Callable[[int], Image]
    repainted: Callable[[int], Mask | None]
    """(H, W): pixels that were painted as holes; None: there are none."""
    origins: Callable[[int], NDArray[np.int32]]
    """(h, w), smaller: frame in which most of each pixel was painted, or `NOT_PAINTED`."""


def make_thumbnails(
    keys: Sequence[KeyFrame], clip: Clip, result: Callable[[int], Image]
) -> list[Thumbnail]:
    """Return the key frames, or as many as fit on a contact sheet, evenly spaced."""
    chosen = [keys[place] for place in contact_sheet.pick_evenly(len(keys))]
    return [
        Thumbnail(key.index, clip.seconds(key.index), key.cause,
              images.encode_jpeg(contact_sheet.make_thumbnail(result(key.index)), _QUALITY))
        for key in chosen
    ]  # fmt: skip


def find_worst_pairs(pairs: Sequence[PairError]) -> list[PairError]:
    """Return the six pairs whose error is the largest, divided by that of the source.

    One grey level, squared, is added to the error of the source, so that noise on a still picture
    does not count.
    """
    known = [
        (pair.result / (pair.source + 1 / 255**2), pair)
        for pair in pairs
        if pair.result is not None and pair.source is not None
    ]
    known.sort(key=lambda one: one[0], reverse=True)
    return [pair for _, pair in known[:_MAX_PAIRS]]


def view_worst_pairs(
    film: FilmPictures, pairs: Sequence[PairError], whole: set[int]
) -> list[PairView]:
    """Return views of the worst judged pairs; `whole` are the frames painted whole."""
    return [_view_pair(film, pair, whole) for pair in find_worst_pairs(pairs)]


def _view_pair(film: FilmPictures, pair: PairError, whole: set[int]) -> PairView:
    both = (pair.index, pair.index + 1)
    # A frame that was painted whole has no origins to show.
    frame = next((index for index in both if index not in whole), both[0])
    shown = view_frame(film, frame, whole=frame in whole)
    error = images.encode_jpeg(_draw_errors(film, both, shown.size), _QUALITY)
    return PairView(**vars(shown), pair=pair, error=error)


def view_frame(film: FilmPictures, frame: int, *, whole: bool) -> FrameView:
    """Return a view of a finished frame; `whole` says whether it was painted whole."""
    picture = film.result(frame)
    size = _fit_size(images.size_of(picture))
    shown = images.resize(picture, size)
    fresh = film.repainted(frame)
    if fresh is None:
        fresh = np.full(picture.shape[:2], whole)
    mapped, legend = _draw_origins(film.origins(frame), frame, shown)
    drawn = (shown, _tint_fresh(shown, fresh), mapped)
    result, holes, origins = (images.encode_jpeg(one, _QUALITY) for one in drawn)
    painted = float(fresh.mean())
    return FrameView(frame, whole, size, result, holes, origins, legend, painted)


def _fit_size(size: Size) -> Size:
    shrunk = min(1.0, _WIDEST / max(size))
    return images.scale_size(size, shrunk)


def _resize_nearest(array: NDArray[Any], size: Size) -> NDArray[Any]:
    """Return the (h, w[, C]) array at another size, by nearest neighbour."""
    rows = np.arange(size.height) * array.shape[0] // size.height
    columns = np.arange(size.width) * array.shape[1] // size.width
    return array[rows[:, None], columns]


def _tint_fresh(shown: Image, fresh: Mask) -> Image:
    """Return the picture with the fresh pixels tinted and outlined."""
    inside = _resize_nearest(fresh, images.size_of(shown)).astype(np.uint8)
    tinted = shown.copy()
    here = inside > 0
    tinted[here] = np.rint(0.5 * shown[here] + 0.5 * np.array(PAINT_COLOUR)).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, mode=cv2.RETR_LIST, method=cv2.CHAIN_APPROX_NONE)
    return cast("Image", cv2.drawContours(tinted, outlines, contourIdx=-1, color=PAINT_COLOUR))


def _draw_origins(
    origins: NDArray[np.int32], frame: int, shown: Image
) -> tuple[Image, tuple[Origin, ...]]:
    """Return the picture in the colours of its origins, and the legend."""
    frames, counts = np.unique(origins, return_counts=True)
    ranked = sorted(zip(counts.tolist(), frames.tolist(), strict=True), reverse=True)
    others = [one for one in ranked if one[1] not in (frame, NOT_PAINTED)]
    groups = [([one], colour) for one, colour in zip(others, _PALETTE, strict=False)]
    groups.append(([one for one in ranked if one[1] == frame], PAINT_COLOUR))
    groups.append(([one for one in ranked if one[1] == NOT_PAINTED], _SOURCE_PIXELS))
    groups.append((others[len(_PALETTE) :], _OTHER_FRAMES))
    colours = np.zeros((*origins.shape, 3), np.float32)
    legend = []
    for members, colour in (group for group in groups if group[0]):
        indices = sorted(index for _, index in members)
        colours[np.isin(origins, indices)] = colour
        named = tuple(index for index in indices if index != NOT_PAINTED)
        legend.append(Origin(colour, named, sum(count for count, _ in members) / origins.size))
    lit = (0.55 + 0.45 * images.luma(shown) / 255)[..., None]
    large = _resize_nearest(colours, images.size_of(shown)) * lit
    return np.rint(large).astype(np.uint8), tuple(sorted(legend, key=lambda one: -one.share))


def _draw_errors(film: FilmPictures, pair: tuple[int, int], size: Size) -> Image:
    """Return where a pair differs once the source's motion is removed; grey: not judged."""
    here, there = pair
    judgement = metrics.judge_pair(
        (film.source(here), film.source(there)), metrics.farneback, widest=metrics.REPORT_WIDEST
    )
    apart = judgement.apart((film.result(here), film.result(there)))
    strength = np.sqrt((apart**2).mean(axis=-1)) / LARGEST_ERROR * (len(ERROR_COLOURS) - 1)
    stops = np.arange(len(ERROR_COLOURS))
    ramp = np.stack(
        [np.interp(strength, stops, plane) for plane in np.transpose(ERROR_COLOURS)], axis=-1
    )
    ramp[~judgement.seen] = _NOT_JUDGED
    return images.resize(np.rint(ramp).astype(np.uint8), size)
