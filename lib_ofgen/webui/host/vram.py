"""The device is shared: while flow runs, the checkpoint makes room where memory is short."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from modules import devices, sd_models

from lib_ofgen.imaging.images import size_of
from lib_ofgen.values import Flow, FlowEstimator, Frame, Size

__all__ = ["SharingEstimator"]

_LOG = logging.getLogger(__name__)
_NEED = 3200
"""Bytes per pixel of a pair that a network's flow takes at its peak, measured and rounded up."""
_WEIGHTS = 256 << 20
"""Bytes beside these."""


class SharingEstimator:
    """Another estimator, whose work the host's checkpoint leaves the device for if it must.

    Moved only inside our turn at the host, through its own functions, and moved back before the
    turn ends: whoever paints next finds the checkpoint where it was.
    """

    def __init__(
        self, estimator: FlowEstimator, turn: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        """`turn` is our turn at the host, which nobody else uses inside."""
        self._estimator, self._turn, self._told = estimator, turn, False

    @property
    def identity(self) -> str:
        """The other's: where it runs changes no pixel."""
        return self._estimator.identity

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """The flow of each (source, target), in order."""
        if not pairs or not _short(size_of(pairs[0][1].image)):
            yield from self._estimator.estimate(pairs)
            return
        if not self._told:
            self._told = True
            _LOG.warning("the device is short of memory: the checkpoint leaves it while flow runs")
        with self._turn(), _checkpoint_aside():
            try:
                flows = list(self._estimator.estimate(pairs))
            finally:
                self._estimator.release()
        yield from flows

    def release(self) -> None:
        """Take everything of the estimator off the device."""
        self._estimator.release()
        devices.torch_gc()


def _short(size: Size) -> bool:
    """Whether checkpoint and flow do not fit beside each other.

    With --lowvram and --medvram the user has said so; else the device is asked.
    """
    if getattr(_loaded(), "lowvram", False):
        return True
    if devices.get_optimal_device().type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(devices.get_optimal_device())
    reserve = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return free + reserve < _NEED * size.height * size.width + _WEIGHTS


@contextmanager
def _checkpoint_aside() -> Iterator[None]:
    """Inside, the host's checkpoint is off the device."""
    model = _loaded()
    if model is None:
        yield
        return
    sd_models.send_model_to_cpu(model)
    try:
        yield
    finally:
        devices.torch_gc()
        sd_models.send_model_to_device(model)


def _loaded() -> Any:
    """The checkpoint that the host has in memory, or None; asking loads none."""
    return sd_models.model_data.sd_model
