"""Estimators of optical flow: the table of those that can run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path

from lib_ofgen import weights
from lib_ofgen.errors import FlowError
from lib_ofgen.flow.dis import DisEstimator
from lib_ofgen.values import FlowEstimator

__all__ = ["ESTIMATORS", "choose"]

Maker = Callable[[float, Sequence[Path]], FlowEstimator]


def _pdcnet(radius: float, models: Sequence[Path]) -> FlowEstimator:
    """PDC-Net+ with the weights that lie in one of the folders."""
    if util.find_spec("torch") is None:
        raise FlowError("flow=pdcnet needs PyTorch; install torch, or take flow=dis")
    checkpoint = weights.need(weights.CHECKPOINTS["pdcnet-plus"], models)
    from lib_ofgen.flow.pdcnet import PDCNetEstimator

    return PDCNetEstimator(checkpoint, radius)


def _dis(radius: float, models: Sequence[Path]) -> FlowEstimator:
    """DIS, which needs no weights."""
    return DisEstimator(radius)


ESTIMATORS: dict[str, Maker] = {"pdcnet": _pdcnet, "dis": _dis}
"""Name to maker, best first; a maker takes the confidence radius in px, and folders of weights."""


def choose(
    name: str, radius: float = 1.0, models: Sequence[Path] = ()
) -> tuple[FlowEstimator, str]:
    """The estimator of that name, and the name; `auto` is the best that can run here.

    Raises:
        FlowError: there is no such estimator, or a library that it needs is missing.
        WeightsError: its weights are in none of the folders `models`.
    """
    chosen = _best(models) if name == "auto" else name
    if chosen not in ESTIMATORS:
        raise FlowError(f"no flow estimator {name!r}; take one of auto, {', '.join(ESTIMATORS)}")
    return ESTIMATORS[chosen](radius, models), chosen


def _best(models: Sequence[Path]) -> str:
    """PDC-Net+ where its weights and PyTorch are, else DIS."""
    found = weights.find(weights.CHECKPOINTS["pdcnet-plus"], models)
    return "pdcnet" if found is not None and util.find_spec("torch") is not None else "dis"
