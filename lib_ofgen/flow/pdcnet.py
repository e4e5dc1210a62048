"""PDC-Net+ (Truong et al. 2021): flow with a learned confidence, from weights that a user brings.

The network lies in `_pdcnet` and is imported, with torch, at the first estimate.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import logging
import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lib_ofgen import images, warp, weights
from lib_ofgen.errors import FlowError
from lib_ofgen.values import Flow, Frame, Image, Size

if TYPE_CHECKING:
    from torch import Tensor

    from lib_ofgen.flow._pdcnet import Estimate, Features, Filters, PDCNet

__all__ = ["PDCNetEstimator"]

_LOG = logging.getLogger(__name__)
_Pair = tuple[Frame, Frame]
_Parts = TypeVar("_Parts", "Features", "Filters")


class PDCNetEstimator:
    """`FlowEstimator` on PDC-Net+; confidence is P_R, divided by its supremum."""

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
            WeightsError: the file is missing, or another than at its first use.
        """
        self._digest = weights.verify(checkpoint, weights.CHECKPOINTS["pdcnet-plus"])
        self._checkpoint, self._radius = checkpoint, radius
        self._iterations = (global_iterations, local_iterations)
        self._half, self._device, self._batch = half, device, batch
        self._known = _Known(cache_bytes)
        self._network: PDCNet | None = None

    @property
    def identity(self) -> str:
        """Name, weights, precision, iterations and radius."""
        first, then = self._iterations
        kind = "half" if self._half else "single"
        return f"pdcnet-plus/1 {self._digest[:16]} {kind} {first}/{then} radius={self._radius:g}"

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """The flow of each (source, target), in order.

        Raises:
            WeightsError: the checkpoint cannot be used.
            FlowError: the device has no room for a single pair.
        """
        network = self._loaded()
        at = 0
        while at < len(pairs):
            ahead = pairs[at : at + self._batch]
            done = self._tried(network, list(takewhile(_like(ahead[0]), ahead)))
            yield from done
            at += len(done)

    def release(self) -> None:
        """Take everything off the device; the next estimate loads the network anew."""
        self._network = None
        self._known.clear()
        gc.collect()
        _free_device_memory()
        _free_host_memory()

    def _loaded(self) -> PDCNet:
        if self._network is None:
            from lib_ofgen.flow._pdcnet import PDCNet

            network, state = PDCNet(), weights.load(self._checkpoint)
            shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
            weights.fit(state, shapes, self._checkpoint)
            network.load_state_dict({key: state[key] for key in shapes})
            device = self._device or _best_device()
            self._batch = self._batch or (1 if device == "cpu" else 8)
            self._network = network.prepare(half=self._half).to(device)
        return self._network

    def _tried(self, network: PDCNet, pairs: list[_Pair]) -> list[Flow]:
        """The flows of the pairs, or of none if there was no room for so many at a time."""
        try:
            return self._together(network, pairs)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        # Out here the failed attempt's tensors are gone with its traceback.
        self._known.clear()
        _free_device_memory()
        if len(pairs) == 1:
            size = images.size_of(pairs[0][1].image)
            raise FlowError(
                f"{network.device} has no room for the flow of one pair of {size} px:"
                " choose a smaller size, or flow=dis"
            )
        self._batch = len(pairs) // 2
        _LOG.warning("%s is short of memory: flow now runs %d pairs at a time",
                     network.device, self._batch)  # fmt: skip
        return []

    def _together(self, network: PDCNet, pairs: list[_Pair]) -> list[Flow]:
        """The flows of pairs of one size, in one batch."""
        size = images.size_of(pairs[0][1].image)
        sources = [images.resize(source.image, size) for source, _ in pairs]
        targets = [target.image for _, target in pairs]
        known = self._features(network, sources + targets)
        filters = self._filters(network, targets, known)
        found = network.estimate(
            _joined([known[_key(image)] for image in sources]),
            _joined([known[_key(image)] for image in targets]),
            _joined([filters[_key(image)] for image in targets]),
            iterations=self._iterations[0],
            size=size,
        )
        vectors, sure = self._arrays(found, size)
        return [self._flow(*each) for each in zip(pairs, vectors, sure, strict=True)]

    def _features(self, network: PDCNet, pictures: list[Image]) -> dict[bytes, Features]:
        """Features of each picture, made where they are not known."""
        import torch

        by_key = {_key(picture): picture for picture in pictures}

        def make(keys: list[bytes]) -> Features:
            stacked = np.stack([by_key[key] for key in keys])
            return network.features(
                torch.from_numpy(stacked).to(network.device).permute(0, 3, 1, 2)
            )

        return self._known.all("features", list(by_key), make, self._batch)

    def _filters(
        self, network: PDCNet, targets: list[Image], known: dict[bytes, Features]
    ) -> dict[bytes, Filters]:
        """Filters of each target, made where they are not known."""

        def make(keys: list[bytes]) -> Filters:
            return network.filters(_joined([known[key] for key in keys]), self._iterations[1])

        keys = list(dict.fromkeys(_key(target) for target in targets))
        return self._known.all("filters", keys, make, self._batch)

    def _arrays(self, found: Estimate, size: Size) -> tuple[Any, Any]:
        """Vectors B x 2 x H x W and confidence B x H x W, of an estimate on the device."""
        from lib_ofgen.flow._pdcnet import working_size

        # The network's px are those of the picture at its working size.
        radius = self._radius * math.sqrt(math.prod(working_size(*size)) / math.prod(size))
        supremum = (1 - math.exp(-math.sqrt(2) * radius)) ** 2
        sure = (found.probability_within(radius)[:, 0] / supremum).clamp(0, 1)
        return found.flow.cpu().numpy(), sure.cpu().numpy()

    def _flow(self, pair: _Pair, vectors: Any, sure: Any) -> Flow:
        source, target = pair
        seen = warp.inside(vectors, images.size_of(target.image))
        sure = np.where(seen, sure, np.float32(0))
        return Flow(source.index, target.index, warp.still(vectors), sure, self._radius)


class _Known:
    """Features and filters of the frames last used, on the device, within a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._kept: OrderedDict[tuple[str, bytes], Any] = OrderedDict()

    def all(
        self, kind: str, keys: list[bytes], make: Callable[[list[bytes]], Any], batch: int
    ) -> dict[bytes, Any]:
        """What is kept under each key; what is not is made, `batch` at a time, and then kept."""
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
        """Put it last in the queue, and drop the first ones until all fit."""
        self._bytes += 0 if key in self._kept else _size(each)
        self._kept[key] = each
        self._kept.move_to_end(key)
        while self._bytes > self._limit and self._kept:
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._bytes = 0


def _like(pair: _Pair) -> Callable[[_Pair], bool]:
    """Whether a pair's target has the size of this one's, so that both fit into a batch."""
    return lambda other: other[1].image.shape == pair[1].image.shape


def _size(parts: tuple[Tensor, ...]) -> int:
    """Bytes."""
    return sum(part.numel() * part.element_size() for part in parts)


def _joined(each: list[_Parts]) -> _Parts:
    """One batch of several; a single one as it is."""
    import torch

    if len(each) == 1:
        return each[0]
    return type(each[0])(*(torch.cat(parts) for parts in zip(*each, strict=True)))


def _key(picture: Image) -> bytes:
    """What tells a picture from every other."""
    content = hashlib.blake2b(picture.tobytes(), digest_size=16)
    content.update(repr(picture.shape).encode())
    return content.digest()


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the device refused memory: each kind says so in its own words."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in said for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _free_host_memory() -> None:
    """Give back what the C library holds in reserve, which it otherwise keeps for good."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none
        if trim is not None:
            trim(0)


def _free_device_memory() -> None:
    """Give back what torch holds in reserve."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
