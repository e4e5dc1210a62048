"""PDC-Net+ (Truong et al. 2021): flow with a learned confidence, from weights that a user brings.

The network lies in `_pdcnet` and is imported, with torch, at the first estimate.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lib_ofgen.imaging import images, warp
from lib_ofgen.models.flow import confidence
from lib_ofgen.models.flow.device import OnDevice
from lib_ofgen.models.weights import checkpoint_io, registry
from lib_ofgen.values import Flow, Frame, Image, Size

if TYPE_CHECKING:
    from torch import Tensor

    from lib_ofgen.models.flow._pdcnet import Estimate, Features, Filters, PDCNet

__all__ = ["PDCNetEstimator", "network_of"]

_Pair = tuple[Frame, Frame]
_Parts = TypeVar("_Parts", "Features", "Filters")


class PDCNetEstimator:
    """`FlowEstimator` on PDC-Net+; confidence is P_R over its supremum, as far as light allows."""

    def __init__(
        self,
        checkpoint: Path,
        radius: float = 1.0,
        *,
        global_iterations: int = 3,
        local_iterations: int = 7,
        half: bool = False,
        device: str = "",
        batch: int = 0,
        cache_bytes: int = 512 * 2**20,
    ) -> None:
        """A network with the weights of `checkpoint`, which is read at the first estimate.

        `radius` is that of P_R in px. Iterations are those of GOCor's filters; the authors evaluate
        with 3 and 7. `half` runs the convolutions in float16. `device` is torch's name, empty for
        the best there is; `batch` is pairs at a time, 0 for 8 on a device and 1 on a CPU, where
        more is no faster. Features and filters of the frames last used stay within `cache_bytes`.

        Raises:
            WeightsError: if the file is missing, or another than at its first use.
        """
        self._digest = registry.verify(checkpoint, registry.CHECKPOINTS["pdcnet-plus"])
        self._checkpoint, self._radius = checkpoint, radius
        self._iterations = (global_iterations, local_iterations)
        self._half = half
        self._known = _Known(cache_bytes)
        self._on_device = OnDevice(
            self._load, self._together, self._known.clear, device=device, batch=batch
        )

    @property
    def identity(self) -> str:
        """Name, weights, precision, iterations and radius."""
        first, then = self._iterations
        kind = "half" if self._half else "single"
        return f"pdcnet-plus/3 {self._digest[:16]} {kind} {first}/{then} radius={self._radius:g}"

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """Yield the flow of each (source, target), in order.

        Raises:
            WeightsError: if the checkpoint cannot be used.
            FlowError: if the device has no room for a single pair.
        """
        return self._on_device.estimate(pairs)

    def release(self) -> None:
        """Free the device; the next estimate loads the network again."""
        self._on_device.release()

    def _load(self, device: str) -> PDCNet:
        return network_of(self._checkpoint).prepare(half=self._half).to(device)

    def _together(self, network: PDCNet, pairs: list[_Pair]) -> list[Flow]:
        """The flows of pairs of one size, in one batch."""
        size = images.size_of(pairs[0][1].image)
        sources = [images.resize(source.image, size) for source, _ in pairs]
        targets = [target.image for _, target in pairs]
        known = self._features(network, sources + targets)
        filters = self._filters(network, targets, known)
        found = network.estimate(
            _concatenate([known[_key(image)] for image in sources]),
            _concatenate([known[_key(image)] for image in targets]),
            _concatenate([filters[_key(image)] for image in targets]),
            iterations=self._iterations[0],
            size=size,
        )
        vectors, sure = self._arrays(found, size)
        both = zip(pairs, sources, vectors, sure, strict=True)
        return [self._flow(*each) for each in both]

    def _features(self, network: PDCNet, pictures: list[Image]) -> dict[bytes, Features]:
        """Return the features of each picture; compute those that are not cached."""
        import torch

        by_key = {_key(picture): picture for picture in pictures}

        def make(keys: list[bytes]) -> Features:
            stacked = np.stack([by_key[key] for key in keys])
            return network.features(
                torch.from_numpy(stacked).to(network.device).permute(0, 3, 1, 2)
            )

        return self._known.all("features", list(by_key), make, self._on_device.batch)

    def _filters(
        self, network: PDCNet, targets: list[Image], known: dict[bytes, Features]
    ) -> dict[bytes, Filters]:
        """Return the filters of each target; compute those that are not cached."""

        def make(keys: list[bytes]) -> Filters:
            return network.filters(_concatenate([known[key] for key in keys]), self._iterations[1])

        keys = list(dict.fromkeys(_key(target) for target in targets))
        return self._known.all("filters", keys, make, self._on_device.batch)

    def _arrays(self, found: Estimate, size: Size) -> tuple[Any, Any]:
        """Vectors B x 2 x H x W and confidence B x H x W, of an estimate on the device."""
        from lib_ofgen.models.flow._pdcnet import network_size

        # The network's px are those of the picture at the network's size.
        radius = self._radius * math.sqrt(math.prod(network_size(*size)) / math.prod(size))
        supremum = (1 - math.exp(-math.sqrt(2) * radius)) ** 2
        sure = (found.probability_within(radius)[:, 0] / supremum).clamp(0, 1)
        return found.flow.cpu().numpy(), sure.cpu().numpy()

    def _flow(self, pair: _Pair, view: Image, vectors: Any, sure: Any) -> Flow:
        """The pair's flow; `view` is the source at the target's size."""
        source, target = pair
        size = images.size_of(view)
        half = confidence.half(size)
        there, here = (confidence.view(image, half) for image in (view, target.image))
        small = warp.resize_flow(vectors, half), images.resize(sure, half)
        found = confidence.fit_light((there, here), *small)
        _, allowed = confidence.compare((there, here), *small, found)
        vectors = warp.zero_short_vectors(vectors)
        sure = sure * images.enlarge(allowed, size) * warp.inside(vectors, size)
        return Flow(source.index, target.index, vectors, sure, self._radius)


class _Known:
    """Features and filters of the frames last used, on the device, within a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._kept: OrderedDict[tuple[str, bytes], Any] = OrderedDict()

    def all(
        self, kind: str, keys: list[bytes], make: Callable[[list[bytes]], Any], batch: int
    ) -> dict[bytes, Any]:
        """Return the value of each key; compute and cache missing ones, `batch` at a time."""
        found = {key: self._kept[kind, key] for key in keys if (kind, key) in self._kept}
        lacking = [key for key in keys if key not in found]
        for start in range(0, len(lacking), batch):
            some = lacking[start : start + batch]
            together = make(some)
            for index, key in enumerate(some):
                # A slice would keep the whole batch in memory.
                parts = (part[index : index + 1].clone() for part in together)
                found[key] = type(together)(*parts) if len(some) > 1 else together
        for key, each in found.items():
            self._keep((kind, key), each)
        return found

    def _keep(self, key: tuple[str, bytes], each: Any) -> None:
        """Cache a value as the newest one, and drop the oldest until all fit."""
        self._bytes += 0 if key in self._kept else _size(each)
        self._kept[key] = each
        self._kept.move_to_end(key)
        while self._bytes > self._limit and self._kept:
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Empty the cache."""
        self._kept.clear()
        self._bytes = 0


def network_of(checkpoint: Path) -> PDCNet:
    """The network with the checkpoint's weights, on the CPU.

    Raises:
        WeightsError: if the file is damaged, or of another network.
    """
    from lib_ofgen.models.flow._pdcnet import PDCNet

    network, state = PDCNet(), checkpoint_io.load(checkpoint)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    checkpoint_io.fit(state, shapes, checkpoint)
    network.load_state_dict({key: state[key] for key in shapes})
    return network


def _size(parts: tuple[Tensor, ...]) -> int:
    """Bytes."""
    return sum(part.numel() * part.element_size() for part in parts)


def _concatenate(each: list[_Parts]) -> _Parts:
    """Join several batches into one; a single one is returned as it is."""
    import torch

    if len(each) == 1:
        return each[0]
    return type(each[0])(*(torch.cat(parts) for parts in zip(*each, strict=True)))


def _key(picture: Image) -> bytes:
    """Return a key that differs between different pictures."""
    content = hashlib.blake2b(picture.tobytes(), digest_size=16)
    content.update(repr(picture.shape).encode())
    return content.digest()
