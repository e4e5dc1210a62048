"""Flow between distant frames, supported by the composed flows between neighbours.

Between distant frames, a direct search finds the wrong place where much has moved or the light has
changed. Between neighbours little changes. Their flows, composed along time, end near the right
place, and a search from there finds it exactly. At each pixel the answer with the higher confidence
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.models.flow import dis
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.values import Flow, Frame

__all__ = ["ChainedFlow"]

_LONGEST = 64
"""Frames: the errors of a longer chain add up to more than a fine search corrects."""
_METHOD = 1
"""Version of the method, for digests."""

Floats = NDArray[np.float32]
_Pair = tuple[Frame, Frame]


class ChainedFlow:
    """Estimates the flow from painted frames."""

    def __init__(self, context: RenderContext, neighbour_flow: NeighbourFlow) -> None:
        """The chains are made of `neighbour_flow`."""
        self._context, self._neighbour_flow = context, neighbour_flow

    @property
    def identity(self) -> str:
        """Identity of all that changes a vector."""
        return f"{self._context.estimator.identity} chained/{_METHOD} {dis.METHOD}"

    def estimate(self, pairs: Sequence[_Pair]) -> Iterator[Flow]:
        """Yield the flow of each (source, target), in order."""
        for pair, direct in zip(pairs, self._context.estimator.estimate(pairs), strict=True):
            yield self._surer(pair, direct) if self._is_unsure(direct) else direct

    def _is_unsure(self, direct: Flow) -> bool:
        """Whether a chain may supply more than a few pixels that the direct flow does not."""
        if not 1 < abs(direct.source - direct.target) <= _LONGEST:
            return False
        rules = self._context.rules
        unsure = int(np.count_nonzero(direct.confidence < rules.confidence))
        return unsure >= max(1, rules.min_hole)

    def _surer(self, pair: _Pair, direct: Flow) -> Flow:
        """Return the direct flow, or what a chain and a fine search find where that is surer."""
        source, target = pair
        ways = self._chain(source, target), self._chain(target, source)
        refined = dis.DisEstimator(direct.radius).refine(source, target, ways)
        better = refined.confidence > direct.confidence
        return replace(
            direct,
            vectors=np.where(better, refined.vectors, direct.vectors),
            confidence=np.where(better, refined.confidence, direct.confidence),
        )

    def _chain(self, source: Frame, target: Frame) -> Floats:
        """Return (2, H, W) px: the flow of neighbours, composed from the target to the source."""
        way = 1 if source.index > target.index else -1
        vectors: Floats | None = None
        for frame in range(target.index + way, source.index + way, way):
            step = self._neighbour_flow(frame, frame - way).vectors
            vectors = step if vectors is None else warp.compose(vectors, step)
        assert vectors is not None, "the frames are not the same"
        return warp.resize_flow(vectors, images.size_of(target.image))
