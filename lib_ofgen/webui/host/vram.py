"""Sharing of the device: the checkpoint leaves it while flow runs, if memory is short."""

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
"""Bytes per pixel that a network's flow of one pair needs at its peak, measured, rounded up."""
_WEIGHTS = 256 << 20
"""Bytes of the network itself."""


class SharingEstimator:
    """An estimator that has the host's checkpoint leave the device if memory is short.

    The host's own functions move the checkpoint, only inside our turn at the host, and move it back
    before the turn ends: whoever paints next finds the checkpoint where it was.
    """

    def __init__(
        self, estimator: FlowEstimator, turn: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        """Wrap an estimator.

        Args:
            estimator: Computes the flow.
            turn: Gives our turn at the host; nobody else uses the host inside.
        """
        self._estimator, self._turn, self._has_warned = estimator, turn, False

    @property
    def identity(self) -> str:
        """The identity of the wrapped estimator; where it runs changes no pixel."""
        return self._estimator.identity

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """Yield the flow of each (source, target), in order."""
        if not pairs or not _is_memory_short(size_of(pairs[0][1].image)):
            yield from self._estimator.estimate(pairs)
            return
        if not self._has_warned:
            self._has_warned = True
            _LOG.warning("the device is short of memory: the checkpoint leaves it while flow runs")
        with self._turn(), _move_checkpoint_away():
            try:
                flows = list(self._estimator.estimate(pairs))
            finally:
                self._estimator.release()
        yield from flows

    def release(self) -> None:
        """Remove the estimator from the device."""
        self._estimator.release()
        devices.torch_gc()


def _is_memory_short(size: Size) -> bool:
    """Whether checkpoint and flow do not fit on the device together.

    With --lowvram and --medvram they do not; otherwise the free memory decides.
    """
    if getattr(_loaded_checkpoint(), "lowvram", False):
        return True
    if devices.get_optimal_device().type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(devices.get_optimal_device())
    reserve = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return free + reserve < _NEED * size.height * size.width + _WEIGHTS


@contextmanager
def _move_checkpoint_away() -> Iterator[None]:
    """Inside, the host's checkpoint is not on the device."""
    model = _loaded_checkpoint()
    if model is None:
        yield
        return
    sd_models.send_model_to_cpu(model)
    try:
        yield
    finally:
        devices.torch_gc()
        sd_models.send_model_to_device(model)


def _loaded_checkpoint() -> Any:
    """Return the checkpoint that the host has in memory, or None; never load one."""
    return sd_models.model_data.sd_model
