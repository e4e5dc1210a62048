"""Warped candidates become one picture, and the holes that none of them can fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen import warp
from lib_ofgen.values import Flow, Fused, Image, Mask, Painted, check

__all__ = ["Candidate", "candidate", "merge", "missing", "without_specks"]

_FEATHER = 3
"""px over which a source's weight rises from the edge of what it shows."""


@dataclass(frozen=True)
class Candidate:
    """One painted frame, and how the target sees it; made by `candidate`."""

    painted: Painted
    flow: Flow
    share: float
    """0..1: part of a pixel that all candidates with a share show."""
    lent: Mask
    """(H, W): the target's pixels that draw on nothing but what was painted fresh there."""
    trusted: Mask
    """(H, W): those of them whose flow is sure enough."""


def candidate(
    painted: Painted, flow: Flow, share: float, *, threshold: float, least: int
) -> Candidate:
    """What `painted` has to offer along `flow`, where the confidence reaches `threshold`.

    Confident regions, and gaps in them, of fewer than `least` px are ignored.
    """
    check(flow.confidence, "H W", "confidence")
    lent = _lent(painted, flow)
    sure = without_specks(flow.confidence >= threshold, least)
    return Candidate(painted, flow, share, lent, sure & lent)


def missing(candidates: Sequence[Candidate], least: int) -> Mask:
    """(H, W): what none of the candidates can be trusted with, less specks under `least` px."""
    return without_specks(~np.logical_or.reduce([c.trusted for c in candidates]), least)


def merge(candidates: Sequence[Candidate], least: int) -> Fused:
    """The picture that the candidates, in order of preference, make together.

    Each share is the weight of the order that puts its candidate first and lays the others, as
    given, under it; inside one such order a layer shows what those above it lack. Edges are
    feathered inward, so that no pixel comes from where its source is unsure. In a hole stands the
    most confident of those that lend the pixel.
    """
    weights = _weights([_feathered(c.trusted) for c in candidates], [c.share for c in candidates])
    _guess(weights, candidates)
    weights /= weights.sum(axis=0)
    origins = np.array([c.painted.index for c in candidates], dtype=np.int32)[:, None, None]
    return Fused(
        _mixed(candidates, weights),
        missing(candidates, least),
        np.broadcast_to(origins, weights.shape),
        weights,
    )


def without_specks(mask: Mask, least: int) -> Mask:
    """The mask without regions and without gaps of fewer than `least` px (8-connected)."""
    for inside in (True, False):
        part = (mask == inside).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(part, connectivity=8)
        small = stats[:, cv2.CC_STAT_AREA] < least
        small[0] = False
        if count > 1 and small.any():
            mask = mask ^ small[labels]
    return mask


def _lent(painted: Painted, flow: Flow) -> Mask:
    """(H, W): where all that a warped pixel draws on was painted fresh in `painted`."""
    if painted.mask.all():
        return np.ones(painted.mask.shape, np.bool_)
    side = 2 * warp.KERNEL_RADIUS + 1
    inner = cv2.erode(painted.mask.astype(np.uint8), kernel=np.ones((side, side), np.uint8))
    moved = warp.backward(inner.astype(np.float32), flow.vectors, smooth=False)
    return moved > 0.999  # bilinear: all four neighbours may be taken


def _feathered(mask: Mask) -> NDArray[np.float32]:
    """(H, W) 0..1: rises over `_FEATHER` px from the mask's edge inward; never quite 0 inside."""
    if mask.all():
        return np.ones(mask.shape, np.float32)
    reach = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, maskSize=3)
    return np.minimum(reach / np.float32(_FEATHER + 1), np.float32(1)).astype(np.float32)


def _weights(cover: Sequence[NDArray[np.float32]], shares: Sequence[float]) -> NDArray[np.float32]:
    """(K, H, W): the mean over orders, weighted by their shares, of laying layer over layer."""
    total = np.zeros((len(cover), *cover[0].shape), np.float32)
    for first, share in enumerate(shares):
        if share <= 0:
            continue
        uncovered = np.full(cover[0].shape, share, np.float32)
        for k in (first, *(k for k in range(len(cover)) if k != first)):
            laid = uncovered * cover[k]
            total[k] += laid
            uncovered -= laid
    return total


def _guess(weights: NDArray[np.float32], candidates: Sequence[Candidate]) -> None:
    """Give each pixel that nobody is trusted with to the surest that lends it, in place."""
    holes = ~np.logical_or.reduce([c.trusted for c in candidates])
    if holes.any():
        score = np.stack([(c.flow.confidence[holes] + 1) * c.lent[holes] for c in candidates])
        best = np.argmax(score, axis=0)
        weights[:, holes] = np.eye(len(candidates), dtype=np.float32)[:, best]


def _mixed(candidates: Sequence[Candidate], weights: NDArray[np.float32]) -> Image:
    """The weighted mean of the warped candidates; each is sampled only where it has weight."""
    total = np.zeros((*weights.shape[1:], 3), np.float32)
    for one, weight in zip(candidates, weights, strict=True):
        where = weight > 0
        if where.all():
            moved = warp.backward(one.painted.image, one.flow.vectors)
            total += moved * weight[..., None]
        elif where.any():
            moved = warp.backward_at(one.painted.image, one.flow.vectors, where)
            total[where] += moved * weight[where][:, None]
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)
