"""RAFT (Teed and Deng 2020) by torchvision, for those who may not use PDC-Net+ under its licence.

Its confidence is that of `confidence.py`: the round trip and the pictures. torchvision and torch
are imported at the first estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import images, warp
from lib_ofgen.models.flow import confidence
from lib_ofgen.models.flow.device import OnDevice
from lib_ofgen.models.weights import checkpoint_io, registry
from lib_ofgen.values import Flow, Frame, Image

__all__ = ["RaftEstimator", "network_of"]

_LEAST_SIDE = 128
"""px: the coarsest of the network's four correlation levels needs 2 px at a sixty-fourth."""
_UPDATES = 12
"""Iterations of the recurrent unit, torchvision's own number."""
_Pair = tuple[Frame, Frame]


class RaftEstimator:
    """`FlowEstimator` on torchvision's `raft_large`, with confidence from agreement."""

    def __init__(
        self, checkpoint: Path, radius: float = 1.0, *, device: str = "", batch: int = 0
    ) -> None:
        """A network with the weights of `checkpoint`, which is read at the first estimate.

        `radius` is the error in px up to which a vector counts as right. For `device` and `batch`
        see `OnDevice`.

        Raises:
            WeightsError: if the checkpoint is another file than at its first use.
        """
        self._digest = registry.verify(checkpoint, registry.CHECKPOINTS["raft-large"])
        self._checkpoint, self._radius = checkpoint, radius
        self._on_device = OnDevice(self._load, self._together, device=device, batch=batch)

    @property
    def identity(self) -> str:
        """Name, weights, iterations and radius."""
        return f"raft-large/3 {self._digest[:16]} {_UPDATES} radius={self._radius:g}"

    def estimate(self, pairs: Sequence[_Pair]) -> Iterator[Flow]:
        """Yield the flow of each (source, target), in order.

        Raises:
            WeightsError: if the checkpoint cannot be used.
            FlowError: if the device has no room for a single pair.
        """
        return self._on_device.estimate(pairs)

    def release(self) -> None:
        """Free the device; the next estimate loads the network again."""
        self._on_device.release()

    def _load(self, device: str) -> Any:
        return network_of(self._checkpoint).to(device)

    def _together(self, network: Any, pairs: list[_Pair]) -> list[Flow]:
        """The flows of pairs of one size, both ways in one batch."""
        size = images.size_of(pairs[0][1].image)
        sources = [images.resize(source.image, size) for source, _ in pairs]
        targets = [target.image for _, target in pairs]
        found = _estimate(network, targets + sources, sources + targets)
        both = zip(pairs, sources, found[: len(pairs)], found[len(pairs) :], strict=True)
        return [self._flow(*each) for each in both]

    def _flow(
        self, pair: _Pair, source: Image, vectors: NDArray[np.float32], back: NDArray[np.float32]
    ) -> Flow:
        size = images.size_of(source)
        half = confidence.half(size)
        there, here = (confidence.view(image, half) for image in (source, pair[1].image))
        ways = (warp.resize_flow(each, half) for each in (vectors, back))
        found = confidence.features((there, here), *ways, radius=self._radius / 2)
        sure = confidence.confidence(found)
        vectors = warp.zero_short_vectors(vectors)
        sure = images.enlarge(sure, size) * warp.inside(vectors, size)
        return Flow(pair[0].index, pair[1].index, vectors, sure, self._radius)


def network_of(checkpoint: Path) -> Any:
    """Return the network with the checkpoint's weights, on the CPU.

    Raises:
        WeightsError: if the file is damaged, or of another network.
    """
    from torchvision.models.optical_flow import raft_large

    network, state = raft_large(weights=None), checkpoint_io.load(checkpoint)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    checkpoint_io.fit(state, shapes, checkpoint)
    network.load_state_dict({key: state[key] for key in shapes})
    return network.eval()


def _estimate(network: Any, here: list[Image], there: list[Image]) -> NDArray[np.float32]:
    """(B, 2, H, W) px: where each of `here`'s pixels is in `there`; pictures of one size."""
    import torch

    height, width = images.size_of(here[0])
    tall, wide = (max(_LEAST_SIDE, -(-side // 8) * 8) for side in (height, width))
    top, left = (tall - height) // 2, (wide - width) // 2
    edges = (left, wide - width - left, top, tall - height - top)
    device = next(network.parameters()).device
    with torch.inference_mode():
        pictures = [
            torch.nn.functional.pad(
                torch.from_numpy(np.stack(some)).to(device).permute(0, 3, 1, 2) / 127.5 - 1,
                edges,
                mode="replicate",
            )
            for some in (here, there)
        ]
        found = network(*pictures, num_flow_updates=_UPDATES)[-1]
        return found[:, :, top : top + height, left : left + width].cpu().numpy()
