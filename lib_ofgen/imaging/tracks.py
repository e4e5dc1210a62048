"""Correspondences averaged along the tracks of pixels, so that they do not jitter in time.

The flow of each frame is estimated on its own. Two neighbouring frames that show the same point of
the world therefore find it at places, in the painted frame, that differ by a fraction of a pixel,
and at the edges of a source's visible part they take it from different sources: this is over half
of the remaining flicker. Averaging the places, and the weights of the sources, along the point's
track through the neighbouring frames removes most of it. Places are averaged, not pixels: each
contribution still samples its painted frame once.

The mean is computed on a coarse grid. Each place of the frame is then moved by the difference
between that mean and the frame's own coarse place. So the edges between sources stay where they
are. Jitter that is finer than the grid remains, but the jitter of flow is coarser: the errors of
DIS on MPI-Sintel fall to 1/e of their correlation over 10 px and more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.values import Box, Contribution, Draft, Flow, Light, Origin, Scene, Size

__all__ = ["GRID", "Track", "coarse", "follow", "refine", "steady"]

GRID = Light.GRID
"""px of a frame between two points of the coarse grid; the sides of frames are multiples of 8."""

_AGREE = 2.0
"""Points of the grid by which a neighbour's place may lie from the mean so far and still be of the
same point. Measured on two clips: 8 px of the frame are steadier than 2 or 4."""
_TINY = np.float32(1e-6)
_LITTLE = 1 / 256
"""Smaller weights are left out: they are invisible."""

Floats = NDArray[np.float32]


class Track(NamedTuple):
    """Where the points of a frame are in one of its neighbours."""

    frame: int
    """The neighbour."""
    x: Floats
    """(H, W) px."""
    y: Floats
    """(H, W) px."""
    trust: Floats
    """(H, W) 0..1: how much the neighbour counts, beside 1 for the frame itself."""


def coarse(fused: Draft) -> Draft:
    """Return a draft on the coarse grid: each place is the weighted mean of its block.

    It has no holes.
    """
    height, width = fused.holes.shape
    parts = tuple(_coarse(one) for one in fused.contributions)
    return Draft(parts, np.zeros((height // GRID, width // GRID), np.bool_))


def _coarse(one: Contribution) -> Contribution:
    top, left, bottom, right = one.box
    wider = Box(top // GRID * GRID, left // GRID * GRID, -(-bottom // GRID) * GRID,
                -(-right // GRID) * GRID)  # fmt: skip
    vectors, weight = one.over(wider)
    box = Box(*(side // GRID for side in wider))
    little = _shrink(weight, box.size)
    moved = [_shrink(plane * weight, box.size) for plane in vectors]
    places = np.stack(moved) / (np.maximum(little, _TINY) * np.float32(GRID))
    return Contribution(one.origin, box, cast("Floats", places), little)


def _shrink(plane: Floats, size: Size) -> Floats:
    dsize = (size.width, size.height)
    return cast("Floats", cv2.resize(plane, dsize=dsize, interpolation=cv2.INTER_AREA))


def refine(draft: Draft, own: Draft, steadied: Draft) -> Draft:
    """Move `draft`'s places and weights by the difference of `steadied` from `own`.

    `own` is the draft on the coarse grid, `steadied` the same averaged there.
    """
    fine = {one.origin: one for one in draft.contributions}
    rough = {one.origin: one for one in own.contributions}
    parts = (
        _refine_one(one, fine.get(one.origin), rough.get(one.origin))
        for one in steadied.contributions
    )
    return Draft(tuple(parts), draft.holes)


def _refine_one(
    one: Contribution, fine: Contribution | None, own: Contribution | None
) -> Contribution:
    """Return a contribution of the coarse grid on the frame's own grid."""
    box = Box(*(side * GRID for side in one.box))
    weight = images.enlarge(one.weight, box.size)
    vectors = np.stack(
        [images.enlarge(plane * np.float32(GRID), box.size) for plane in one.vectors]
    )
    if fine is None or own is None:
        return Contribution(one.origin, box, vectors, weight)
    places, there = own.over(one.box)
    apart = (one.vectors - places) * (there > _TINY) * np.float32(GRID)
    exact, known = fine.over(box)
    moved = exact + np.stack([images.enlarge(plane, box.size) for plane in apart])
    return Contribution(one.origin, box, np.where(known > 0, moved, vectors), weight)


def follow(target: int, scene: Scene, reach: int, flow: Callable[[int, int], Flow]) -> list[Track]:
    """Follow `target`'s pixels through up to `reach` frames on each side, in its scene.

    `flow` returns that of (source, target) for neighbouring frames. A track is a chain of them; its
    trust is the product of their confidences, and falls linearly to 0 beyond `reach`. The nearest
    neighbours come first.
    """
    tracks = [
        track for way in (1, -1) for track in _follow_one_way(target, scene, reach * way, flow)
    ]
    return sorted(tracks, key=lambda track: abs(track.frame - target))


def _follow_one_way(
    target: int, scene: Scene, reach: int, flow: Callable[[int, int], Flow]
) -> Iterator[Track]:
    """Yield the tracks in one direction of time, the nearest first; `reach` < 0: backwards."""
    way = 1 if reach > 0 else -1
    track: Track | None = None
    sure = np.float32(1)
    for distance in range(1, abs(reach) + 1):
        frame = target + way * distance
        if not scene.start <= frame < scene.stop:
            return
        step = flow(frame, frame - way)
        if track is None:
            x, y, sure = *warp.sample_grid(step.vectors), step.confidence
        else:
            field = np.dstack([*step.vectors, step.confidence])
            ahead = warp.look_up(field, track.x, track.y)
            x, y, sure = track.x + ahead[..., 0], track.y + ahead[..., 1], sure * ahead[..., 2]
        near = np.float32(1 - distance / (abs(reach) + 1))
        track = Track(frame, x, y, sure * near)
        yield track


def steady(target: Draft, neighbours: Sequence[tuple[Track, Draft]]) -> Draft:
    """Average a draft's places and weights with those of its neighbours' drafts.

    The mean is weighted by the tracks' trust and, for the places, by the contribution's own weight
    there. A neighbour whose place is far from the mean so far follows another point, and is left
    out. The holes stay.
    """
    size = target.holes.shape
    sums: dict[Origin, _Mean] = {}
    total = np.ones(size, np.float32)
    for one in target.contributions:
        sums.setdefault(one.origin, _Mean(size)).add(one.box, one.vectors, one.weight)
    for track, other in neighbours:
        total += track.trust
        for one in other.contributions:
            found = _move(one, track)
            if found is not None:
                sums.setdefault(one.origin, _Mean(size)).add(*found)
    means = (mean.contribution(origin, total) for origin, mean in sums.items())
    return Draft.normalise(means, target.holes)


class _Mean:
    """Running weighted mean of one origin's places."""

    def __init__(self, size: tuple[int, ...]) -> None:
        self._moved = np.zeros((2, *size), np.float32)
        self._weight = np.zeros(size, np.float32)

    def add(self, box: Box, vectors: Floats, weight: Floats) -> None:
        """Add (2, h, w) px vectors over the box, where they agree with the mean so far."""
        so_far, known = self._part(box)
        apart = np.abs(so_far / np.maximum(known, _TINY) - vectors).sum(axis=0)
        weight = np.where((apart > _AGREE) & (known > _LITTLE), np.float32(0), weight)
        so_far += weight * vectors
        known += weight

    def _part(self, box: Box) -> tuple[Floats, Floats]:
        inside = np.s_[box.top : box.bottom, box.left : box.right]
        return self._moved[(slice(None), *inside)], self._weight[inside]

    def contribution(self, origin: Origin, total: Floats) -> Contribution | None:
        """Return the mean, its weight divided by `total`; None if it would be invisible."""
        weight = self._weight / total
        if weight.max() < _LITTLE:
            return None
        places = cast("Floats", self._moved / np.maximum(self._weight, _TINY))
        return Contribution.of(origin, places, weight)


def _move(one: Contribution, track: Track) -> tuple[Box, Floats, Floats] | None:
    """Move a neighbour's contribution to the frame: box, (2, h, w) vectors, (h, w) weight."""
    box = _find_reached_box(one.box, track)
    if box is None:
        return None
    x, y = box.crop(track.x), box.crop(track.y)
    # Premultiplied, so that a place of weight 0 has no influence on the others.
    field = np.dstack([*(one.vectors * one.weight), one.weight])
    found = warp.look_up(field, x - np.float32(one.box.left), y - np.float32(one.box.top))
    weight = found[..., 2]
    moved = found[..., :2] / np.maximum(weight, _TINY)[..., None]
    # A vector lies between places: from here to the neighbour, and from there to the origin.
    columns = np.arange(box.left, box.right, dtype=np.float32)
    rows = np.arange(box.top, box.bottom, dtype=np.float32)[:, None]
    vectors = np.stack([x + moved[..., 0] - columns, y + moved[..., 1] - rows])
    return box, cast("Floats", vectors), box.crop(track.trust) * weight


def _find_reached_box(box: Box, track: Track) -> Box | None:
    """Return the smallest box around the pixels whose track enters `box`, or None."""
    enters = (track.y > box.top - 1) & (track.y < box.bottom)
    rows = np.flatnonzero(enters.any(axis=1))
    if not len(rows):
        return None
    enters &= (track.x > box.left - 1) & (track.x < box.right)
    rows, columns = (np.flatnonzero(enters.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
