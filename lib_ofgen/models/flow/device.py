"""What estimators with a network share: the device, and batches that fit on it."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any

from lib_ofgen.errors import FlowError
from lib_ofgen.imaging import images
from lib_ofgen.values import Flow, Frame

__all__ = ["OnDevice", "best_device"]

_LOG = logging.getLogger(__name__)
_Pair = tuple[Frame, Frame]
_AT_ONCE = 8
"""Pairs at a time on a device; on a CPU, more than one is not faster."""


class OnDevice:
    """Loads a network at the first estimate, and runs it on as many pairs at a time as fit."""

    def __init__(
        self,
        load: Callable[[str], Any],
        run: Callable[[Any, list[_Pair]], list[Flow]],
        forget: Callable[[], None] = lambda: None,
        *,
        device: str = "",
        batch: int = 0,
    ) -> None:
        """`load` puts the network on a device; `run` gives the flows of pairs of one size.

        `forget` drops what is kept between batches. `device` is torch's name, empty for the best
        there is; `batch` is pairs at a time, 0 for what suits the device.
        """
        self._load, self._run, self._forget = load, run, forget
        self._device, self._batch = device, batch
        self._network: Any = None

    @property
    def batch(self) -> int:
        """Pairs at a time."""
        return self._batch

    def network(self) -> Any:
        """Return the network; load it first if necessary."""
        if self._network is None:
            device = self._device or best_device()
            self._batch = self._batch or (1 if device == "cpu" else _AT_ONCE)
            self._network = self._load(device)
        return self._network

    def estimate(self, pairs: Sequence[_Pair]) -> Iterator[Flow]:
        """Yield the flow of each (source, target), in order.

        Raises:
            WeightsError: if the checkpoint cannot be used.
            FlowError: if the device has no room for a single pair.
        """
        network = self.network()
        at = 0
        while at < len(pairs):
            ahead = pairs[at : at + self._batch]
            done = self._try_run(network, list(takewhile(_like(ahead[0]), ahead)))
            yield from done
            at += len(done)

    def release(self) -> None:
        """Free the device; the next estimate loads the network again."""
        self._network = None
        self._forget()
        gc.collect()
        _free_device_memory()
        _free_host_memory()

    def _try_run(self, network: Any, pairs: list[_Pair]) -> list[Flow]:
        """Return the flows of the pairs; an empty list if they do not fit together."""
        try:
            return self._run(network, pairs)
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        # Outside the handler, the failed attempt's tensors are freed with its traceback.
        self._forget()
        _free_device_memory()
        where = self._device or best_device()
        if len(pairs) == 1:
            size = images.size_of(pairs[0][1].image)
            raise FlowError(
                f"{where} has no room for the flow of one pair of {size} px:"
                " choose a smaller size, or flow=dis"
            )
        self._batch = len(pairs) // 2
        _LOG.warning("%s is short of memory: flow now runs %d pairs at a time", where, self._batch)
        return []


def best_device() -> str:
    """Return torch's name of the fastest device here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _like(pair: _Pair) -> Callable[[_Pair], bool]:
    """Whether two pairs have targets of one size, so that both fit into a batch."""
    return lambda other: other[1].image.shape == pair[1].image.shape


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the device is out of memory: each kind of device has its own message."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in said for words in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _free_device_memory() -> None:
    """Free the memory that torch holds in reserve."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _free_host_memory() -> None:
    """Free the memory that the C library holds in reserve; otherwise it never does."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have none
        if trim is not None:
            trim(0)
