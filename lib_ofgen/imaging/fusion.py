"""Fusion of painted frames: which one supplies which pixel, and the holes that are left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import warp
from lib_ofgen.values import Contribution, Draft, Flow, Mask, Origin, Painted, check_shape

__all__ = [
    "Candidate",
    "candidate",
    "draft_of_whole",
    "find_missing",
    "has_no_holes",
    "lendable",
    "limit_to_paint",
    "merge",
    "overlay_paint",
    "without_specks",
]

_FEATHER = 3
"""px over which a source's weight rises from the edge of its visible part."""
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
"""A pixel and its four neighbours."""


@dataclass(frozen=True)
class Candidate:
    """One painted frame as a source of a target frame; made by `candidate`."""

    painted: Painted
    flow: Flow
    share: float
    """0..1: its part of a pixel that all candidates with a share can supply."""
    lent: Mask
    """(H, W): the target's pixels that are sampled only from what was painted there."""
    trusted: Mask
    """(H, W): those of them whose flow is confident enough."""


def candidate(
    painted: Painted, flow: Flow, share: float, *, threshold: float, least: int
) -> Candidate:
    """Make a candidate of `painted` along `flow`, trusted where the confidence reaches `threshold`.

    Confident regions, and gaps in them, of fewer than `least` px are ignored.
    """
    check_shape(flow.confidence, "H W", "confidence")
    flow = replace(flow, vectors=warp.round_vectors(flow.vectors))
    shown = lendable(painted, flow.vectors)
    sure = without_specks(flow.confidence >= threshold, least)
    return Candidate(painted, flow, share, shown, sure & shown)


def find_missing(candidates: Sequence[Candidate], least: int) -> Mask:
    """(H, W): where no candidate is trusted, without specks under `least` px."""
    return without_specks(~np.logical_or.reduce([c.trusted for c in candidates]), least)


def has_no_holes(candidates: Sequence[Candidate], least: int) -> bool:
    """Whether `find_missing` would find nothing, in half the time."""
    lost = ~np.logical_or.reduce([c.trusted for c in candidates])
    return all(size < least for _, size in _regions(lost))


def merge(candidates: Sequence[Candidate], least: int) -> Draft:
    """Merge the candidates, in order of preference, into a draft.

    Each share is the weight of an order of layers: its candidate is on top, the others follow under
    it as given, and each layer shows where those above it are missing. Edges are feathered inward,
    so that no pixel comes from a place where its source is unsure. A hole is filled by the most
    confident candidate that can lend the pixel.
    """
    cover = [_feather(c.trusted) for c in candidates]
    weights = _compute_weights(cover, [c.share for c in candidates])
    _fill_holes(weights, candidates)
    parts = (
        Contribution.of(c.painted.origin, c.flow.vectors, weight)
        for c, weight in zip(candidates, weights, strict=True)
    )
    return Draft.normalise(parts, find_missing(candidates, least))


def draft_of_whole(painted: Painted) -> Draft:
    """Return the draft of a frame that was painted whole."""
    return overlay_paint((), painted, np.ones(painted.mask.shape, np.float32), ~painted.mask)


def overlay_paint(
    under: Sequence[Contribution], painted: Painted, opacity: NDArray[np.float32], holes: Mask
) -> Draft:
    """Lay what was painted in the frame itself over the other contributions.

    `opacity` (H, W) 0..1 is that of the painted layer; `holes` are those before the painting.
    """
    still = np.zeros((2, *opacity.shape), np.float32)
    parts = [replace(part, weight=part.weight * (1 - part.box.crop(opacity))) for part in under]
    own = Contribution.of(painted.origin, still, opacity)
    return Draft(tuple([*parts, own] if own else parts), holes)


def limit_to_paint(fused: Draft, draft: Draft, lend: Callable[[Origin], Painted]) -> Draft:
    """Limit each contribution to what was painted in its origin.

    Where a place has been moved off the painted part, `draft`'s own place and weight are used.
    """
    own = {one.origin: one for one in draft.contributions}
    kept = (_limit(one, own.get(one.origin), lend(one.origin)) for one in fused.contributions)
    return Draft.normalise(kept, fused.holes)


def _limit(one: Contribution, own: Contribution | None, painted: Painted) -> Contribution:
    """Limit one contribution to what was painted in its origin."""
    inside = lendable(painted, one.vectors, (one.box.top, one.box.left))
    if inside.all():
        return one
    vectors, weight = own.over(one.box) if own else (one.vectors, np.zeros_like(one.weight))
    return replace(
        one,
        vectors=np.where(inside, one.vectors, vectors),
        weight=np.where(inside, one.weight, weight),
    )


def without_specks(mask: Mask, least: int) -> Mask:
    """Remove regions, and then gaps, that enclose fewer than `least` px from a mask."""
    for inside in (True, False):
        if not mask.any():
            break  # else all of it would be one gap
        small = [outline for outline, size in _regions(mask == inside) if size < least]
        if small:
            drawn = mask.astype(np.uint8)
            mask = cv2.drawContours(
                drawn, small, contourIdx=-1, color=int(not inside), thickness=cv2.FILLED
            ).astype(np.bool_)
    return mask


def _regions(mask: Mask) -> list[tuple[NDArray[np.int32], float]]:
    """Return outline and size, in px, of each 8-connected region, including what it encloses.

    This takes a ninth of the time of labelling every pixel.
    """
    outlines, kin = cv2.findContours(
        mask.view(np.uint8), mode=cv2.RETR_CCOMP, method=cv2.CHAIN_APPROX_NONE
    )
    parents = kin[0, :, 3].tolist() if len(outlines) else []
    return [
        # Pick's theorem: the pixels in a polygon are its area, half of its rim, and one.
        (cast("NDArray[np.int32]", outline), cv2.contourArea(outline) + len(outline) / 2 + 1)
        for outline, parent in zip(outlines, parents, strict=True)
        if parent < 0
    ]


def lendable(
    painted: Painted, vectors: NDArray[np.float32], corner: tuple[int, int] = (0, 0)
) -> Mask:
    """(h, w): where a warped pixel is sampled only from what was painted in `painted`.

    `vectors` (2, h, w) px lie on the region of the target whose top left pixel is `corner`.
    """
    if painted.mask.all():
        return np.ones(vectors.shape[1:], np.bool_)
    side = 2 * warp.KERNEL_RADIUS + 1
    inner = cv2.erode(painted.mask.view(np.uint8), kernel=np.ones((side, side), np.uint8))
    moved = warp.warp_backward(inner * np.uint8(255), vectors, corner=corner, smooth=False)
    return moved == 255  # bilinear: all four neighbours may be taken


def _feather(mask: Mask) -> NDArray[np.float32]:
    """(H, W) 0..1: rises over `_FEATHER` px from the mask's edge inward; never quite 0 inside."""
    inner = mask.astype(np.uint8)
    depth = inner.copy()
    for _ in range(_FEATHER):
        inner = cv2.erode(inner, kernel=_CROSS)
        depth += inner
    return depth * np.float32(1 / (_FEATHER + 1))


def _compute_weights(
    cover: Sequence[NDArray[np.float32]], shares: Sequence[float]
) -> NDArray[np.float32]:
    """(K, H, W): weights of the layers, averaged over the orders by their shares."""
    flat = [layer.ravel() for layer in cover]
    total = np.zeros((len(cover), flat[0].size), np.float32)
    for first, share in enumerate(shares):
        if share <= 0:
            continue
        total[first] += np.float32(share) * flat[first]
        open_places = np.flatnonzero(flat[first] < 1)
        uncovered = np.float32(share) * (1 - flat[first][open_places])
        for k in (k for k in range(len(cover)) if k != first):
            laid = uncovered * flat[k][open_places]
            total[k][open_places] += laid
            uncovered -= laid
    return total.reshape(len(cover), *cover[0].shape)


def _fill_holes(weights: NDArray[np.float32], candidates: Sequence[Candidate]) -> None:
    """Give each pixel without a trusted candidate to the most confident that lends it, in place."""
    lost = np.flatnonzero(~np.logical_or.reduce([c.trusted for c in candidates]))
    if len(lost):
        score = np.stack(
            [(c.flow.confidence.ravel()[lost] + 1) * c.lent.ravel()[lost] for c in candidates]
        )
        best = np.argmax(score, axis=0)
        weights.reshape(len(candidates), -1)[:, lost] = best == np.arange(len(candidates))[:, None]
