"""The pictures of a job's page: key frames, and what the worst pairs of frames are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, metrics
from lib_ofgen.report import contact_sheet
from lib_ofgen.values import Clip, Image, KeyFrame, Mask, Size

__all__ = ["ERRORS", "KEPT", "MOST_ERROR", "PAINT", "Closeup", "Film", "Glimpse", "Origin", "Thumb",
           "closeups", "glimpse", "thumbs", "worst"]  # fmt: skip

Colour = tuple[int, int, int]

PAINT: Colour = (225, 45, 160)
"""What was painted fresh in a frame itself."""
ERRORS: tuple[Colour, ...] = ((18, 16, 48), (122, 28, 109), (237, 105, 37), (252, 255, 164))
"""From no error to `MOST_ERROR`, evenly."""
MOST_ERROR = 48
"""Grey levels."""

_WIDEST = 360
"""px: the most that a picture has on a side."""
_QUALITY = 80
_UNSEEN = 128
"""Grey of what was not judged."""
_WORST = 6
_OTHERS: Colour = (150, 150, 150)
_SOURCE: Colour = (225, 225, 225)
KEPT = -1
"""In place of a frame: the source's own pixels, which nobody painted."""
_PALETTE: tuple[Colour, ...] = (
    (46, 125, 220), (240, 160, 40), (40, 165, 95), (140, 95, 215),
    (215, 85, 60), (60, 185, 200), (175, 175, 50),
)  # fmt: skip
"""Frames in which pixels were painted, by how many; the next ones share a colour."""


class Thumb(NamedTuple):
    """A key frame, small."""

    frame: int
    seconds: float
    cause: str
    jpeg: bytes


class Origin(NamedTuple):
    """An entry of a legend: what its colour means, and its share 0..1 of the picture."""

    colour: Colour
    frames: tuple[int, ...]
    share: float


@dataclass(frozen=True)
class Glimpse:
    """A finished frame, and what it is made of; the pictures are JPEG files of one size."""

    frame: int
    whole: bool
    """Whether it was painted whole."""
    size: Size
    result: bytes
    holes: bytes
    """The same, under `PAINT` what was painted fresh in it."""
    origins: bytes
    legend: tuple[Origin, ...]
    """Of `origins`, the largest share first."""
    painted: float
    """Share 0..1 that was painted fresh."""


@dataclass(frozen=True)
class Closeup(Glimpse):
    """A frame of a judged pair, with the pair's error."""

    pair: Mapping[str, Any]
    """Its entry in the report."""
    error: bytes


class Film(NamedTuple):
    """Where to get what is shown of a frame, by its index."""

    source: Callable[[int], Image]
    result: Callable[[int], Image]
    repainted: Callable[[int], Mask | None]
    """(H, W): what was painted as a hole in it; None where nothing was."""
    origins: Callable[[int], NDArray[np.int32]]
    """(h, w), smaller: in which frame most of each pixel was painted, or `KEPT`."""


def thumbs(keys: Sequence[KeyFrame], clip: Clip, result: Callable[[int], Image]) -> list[Thumb]:
    """The key frames, or as many as a contact sheet has room for, evenly."""
    chosen = [keys[place] for place in contact_sheet.spread(len(keys))]
    return [
        Thumb(key.index, clip.seconds(key.index), key.cause,
              images.encode_jpeg(contact_sheet.thumb(result(key.index)), _QUALITY))
        for key in chosen
    ]  # fmt: skip


def worst(pairs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """At most six judged pairs, those first whose error is the largest beside the source's.

    One grey level, squared, is added to the source's, so that noise on a still is not the worst.
    """
    known = [pair for pair in pairs if pair["result"] is not None]
    return sorted(known, key=_ratio, reverse=True)[:_WORST]


def _ratio(pair: Mapping[str, Any]) -> float:
    return float(pair["result"] / (pair["source"] + 1 / 255**2))


def closeups(film: Film, pairs: Sequence[Mapping[str, Any]], whole: set[int]) -> list[Closeup]:
    """The worst of the judged pairs; `whole` are the frames that were painted whole."""
    return [_closeup(film, pair, whole) for pair in worst(pairs)]


def _closeup(film: Film, pair: Mapping[str, Any], whole: set[int]) -> Closeup:
    both = (pair["index"], pair["index"] + 1)
    # a frame that was painted whole has no origins to show
    frame = next((index for index in both if index not in whole), both[0])
    shown = glimpse(film, frame, whole=frame in whole)
    error = images.encode_jpeg(_errors(film, both, shown.size), _QUALITY)
    return Closeup(**vars(shown), pair=pair, error=error)


def glimpse(film: Film, frame: int, *, whole: bool) -> Glimpse:
    """The frame, its fresh paint and its origins; `whole` says whether it was painted whole."""
    picture = film.result(frame)
    size = _fitted(images.size_of(picture))
    shown = images.resize(picture, size)
    fresh = film.repainted(frame)
    if fresh is None:
        fresh = np.full(picture.shape[:2], whole)
    mapped, legend = _origins(film.origins(frame), frame, shown)
    drawn = (shown, _overlaid(shown, fresh), mapped)
    result, holes, origins = (images.encode_jpeg(one, _QUALITY) for one in drawn)
    painted = float(fresh.mean())
    return Glimpse(frame, whole, size, result, holes, origins, legend, painted)


def _fitted(size: Size) -> Size:
    shrunk = min(1.0, _WIDEST / max(size))
    return images.scale_size(size, shrunk)


def _nearest(array: NDArray[Any], size: Size) -> NDArray[Any]:
    """The (h, w[, C]) array at another size, its values as they are."""
    rows = np.arange(size.height) * array.shape[0] // size.height
    columns = np.arange(size.width) * array.shape[1] // size.width
    return array[rows[:, None], columns]


def _overlaid(shown: Image, fresh: Mask) -> Image:
    """The picture with what was painted fresh under a tint, and its outline."""
    inside = _nearest(fresh, images.size_of(shown)).astype(np.uint8)
    tinted = shown.copy()
    here = inside > 0
    tinted[here] = np.rint(0.5 * shown[here] + 0.5 * np.array(PAINT)).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, mode=cv2.RETR_LIST, method=cv2.CHAIN_APPROX_NONE)
    return cast("Image", cv2.drawContours(tinted, outlines, contourIdx=-1, color=PAINT))


def _origins(
    origins: NDArray[np.int32], frame: int, shown: Image
) -> tuple[Image, tuple[Origin, ...]]:
    """The picture in the colours of the frames where its pixels were painted; and the legend."""
    frames, counts = np.unique(origins, return_counts=True)
    ranked = sorted(zip(counts.tolist(), frames.tolist(), strict=True), reverse=True)
    others = [one for one in ranked if one[1] not in (frame, KEPT)]
    groups = [([one], colour) for one, colour in zip(others, _PALETTE, strict=False)]
    groups.append(([one for one in ranked if one[1] == frame], PAINT))
    groups.append(([one for one in ranked if one[1] == KEPT], _SOURCE))
    groups.append((others[len(_PALETTE) :], _OTHERS))
    colours = np.zeros((*origins.shape, 3), np.float32)
    legend = []
    for members, colour in (group for group in groups if group[0]):
        named = tuple(sorted(index for _, index in members))
        colours[np.isin(origins, named)] = colour
        legend.append(Origin(colour, named, sum(count for count, _ in members) / origins.size))
    lit = (0.55 + 0.45 * images.luma(shown) / 255)[..., None]
    large = _nearest(colours, images.size_of(shown)) * lit
    return np.rint(large).astype(np.uint8), tuple(sorted(legend, key=lambda one: -one.share))


def _errors(film: Film, pair: tuple[int, int], size: Size) -> Image:
    """Where a pair differs from what the source's motion makes of it; grey where unseen."""
    here, there = pair
    judgement = metrics.judge_pair(
        (film.source(here), film.source(there)), metrics.farneback, widest=metrics.REPORT_WIDEST
    )
    apart = judgement.apart((film.result(here), film.result(there)))
    strength = np.sqrt((apart**2).mean(axis=-1)) / MOST_ERROR * (len(ERRORS) - 1)
    stops = np.arange(len(ERRORS))
    ramp = np.stack([np.interp(strength, stops, plane) for plane in np.transpose(ERRORS)], axis=-1)
    ramp[~judgement.seen] = _UNSEEN
    return images.resize(np.rint(ramp).astype(np.uint8), size)
