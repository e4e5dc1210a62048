"""Estimators of optical flow: the table of those that can run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lib_ofgen.errors import FlowError
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.models.weights import registry
from lib_ofgen.system import libraries
from lib_ofgen.values import FlowEstimator

__all__ = ["ESTIMATORS", "EstimatorChoice", "EstimatorOptions", "check_weights", "choose_estimator"]


@dataclass(frozen=True)
class EstimatorOptions:
    """What an estimator is to be like; each takes of it what concerns it."""

    radius: float = 1.0
    """px: the error up to which a vector counts as right."""
    models: Sequence[Path] = ()
    """Folders with weights."""
    global_iterations: int = 3
    local_iterations: int = 7
    """Of PDC-Net+'s filters."""
    half: bool = False
    """Half precision, where a network can."""


class EstimatorChoice(NamedTuple):
    """An estimator, and why it was taken."""

    estimator: FlowEstimator
    name: str
    reason: str


def _pdcnet(wanted: EstimatorOptions) -> FlowEstimator:
    """PDC-Net+ with the weights that lie in one of the folders."""
    checkpoint = registry.need(registry.CHECKPOINTS["pdcnet-plus"], wanted.models)
    from lib_ofgen.models.flow.pdcnet import PDCNetEstimator

    return PDCNetEstimator(
        checkpoint,
        wanted.radius,
        global_iterations=wanted.global_iterations,
        local_iterations=wanted.local_iterations,
        half=wanted.half,
    )


def _raft(wanted: EstimatorOptions) -> FlowEstimator:
    """RAFT with the weights that lie in one of the folders."""
    checkpoint = registry.need(registry.CHECKPOINTS["raft-large"], wanted.models)
    from lib_ofgen.models.flow.raft import RaftEstimator

    return RaftEstimator(checkpoint, wanted.radius)


def _dis(wanted: EstimatorOptions) -> FlowEstimator:
    """DIS, which needs no weights."""
    return DisEstimator(wanted.radius)


class _Kind(NamedTuple):
    """An estimator of the table."""

    make: Callable[[EstimatorOptions], FlowEstimator]
    libraries: tuple[str, ...] = ()
    checkpoint: str = ""


ESTIMATORS = {
    "pdcnet": _Kind(_pdcnet, ("torch",), "pdcnet-plus"),
    "raft": _Kind(_raft, ("torch", "torchvision"), "raft-large"),
    "dis": _Kind(_dis),
}
"""By name, best first; the last can always run."""


def choose_estimator(name: str, wanted: EstimatorOptions | None = None) -> EstimatorChoice:
    """The estimator of that name; `auto` is the best that can run here.

    Raises:
        FlowError: there is no such estimator, or a library that it needs is missing.
        WeightsError: its weights are in none of the folders.
    """
    wanted = wanted or EstimatorOptions()
    if name != "auto":
        if name not in ESTIMATORS:
            raise FlowError(
                f"no flow estimator {name!r}; take one of auto, {', '.join(ESTIMATORS)}"
            )
        lacking = _lacking(name)
        if lacking:
            raise FlowError(f"flow={name} cannot run: {lacking}, or take flow=dis")
        return EstimatorChoice(ESTIMATORS[name].make(wanted), name, "asked for")
    passed: list[str] = []
    for other in ESTIMATORS:
        without = _without(other, wanted)
        if not without:
            reason = "; ".join([*passed, "the best that can run here"])
            return EstimatorChoice(ESTIMATORS[other].make(wanted), other, reason)
        passed.append(f"{other} {without}")
    raise AssertionError("DIS needs nothing")


def _lacking(name: str) -> str:
    """Why the first library that the estimator needs cannot be imported; empty if all can."""
    return libraries.missing_library(*ESTIMATORS[name].libraries)


def _without(name: str, wanted: EstimatorOptions) -> str:
    """What the estimator lacks to run here; empty for nothing."""
    kind = ESTIMATORS[name]
    if kind.checkpoint and not registry.find(registry.CHECKPOINTS[kind.checkpoint], wanted.models):
        return "has no weights here"
    fault = _lacking(name)
    return f"cannot run: {fault}" if fault else ""


def check_weights(name: str, path: Path) -> int:
    """How many entries of the checkpoint `name` the file gives its network: all, or an error.

    Raises:
        WeightsError: it is damaged, or of another network.
        FlowError: if a library that reads it is missing or broken.
    """
    lacking = next(_lacking(one) for one, kind in ESTIMATORS.items() if kind.checkpoint == name)
    if lacking:
        raise FlowError(lacking)
    if name == "raft-large":
        from lib_ofgen.models.flow.raft import network_of
    else:
        from lib_ofgen.models.flow.pdcnet import network_of
    return len(network_of(path).state_dict())
