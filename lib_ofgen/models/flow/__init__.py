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
    """Options of the estimators; each uses those that concern it."""

    radius: float = 1.0
    """px: the largest error of a vector that counts as right."""
    models: Sequence[Path] = ()
    """Folders with weights."""
    global_iterations: int = 3
    local_iterations: int = 7
    """Iterations of PDC-Net+'s global and local filters."""
    half: bool = False
    """Whether networks that can do so run in half precision."""


class EstimatorChoice(NamedTuple):
    """An estimator, and why it was chosen."""

    estimator: FlowEstimator
    name: str
    reason: str


def _pdcnet(wanted: EstimatorOptions) -> FlowEstimator:
    """Make PDC-Net+ with the weights in one of the folders."""
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
    """Make RAFT with the weights in one of the folders."""
    checkpoint = registry.need(registry.CHECKPOINTS["raft-large"], wanted.models)
    from lib_ofgen.models.flow.raft import RaftEstimator

    return RaftEstimator(checkpoint, wanted.radius)


def _dis(wanted: EstimatorOptions) -> FlowEstimator:
    """Make DIS, which needs no weights."""
    return DisEstimator(wanted.radius)


def _count_pdcnet_entries(path: Path) -> int:
    from lib_ofgen.models.flow import pdcnet

    return len(pdcnet.network_of(path).state_dict())


def _count_raft_entries(path: Path) -> int:
    from lib_ofgen.models.flow import raft

    return len(raft.network_of(path).state_dict())


class _Kind(NamedTuple):
    """An estimator of the table."""

    make: Callable[[EstimatorOptions], FlowEstimator]
    libraries: tuple[str, ...] = ()
    checkpoint: str = ""
    """Its weights in `registry.CHECKPOINTS`; empty: it needs none."""
    count_entries: Callable[[Path], int] | None = None
    """Reads a file as its checkpoint, and returns the number of its network's entries."""


ESTIMATORS = {
    "pdcnet": _Kind(_pdcnet, ("torch",), "pdcnet-plus", _count_pdcnet_entries),
    "raft": _Kind(_raft, ("torch", "torchvision"), "raft-large", _count_raft_entries),
    "dis": _Kind(_dis),
}
"""By name, best first; the last one can always run."""


def choose_estimator(name: str, wanted: EstimatorOptions | None = None) -> EstimatorChoice:
    """Return the estimator of that name; `auto` is the best one that can run here.

    Raises:
        FlowError: if there is no such estimator, or a library that it needs is missing.
        WeightsError: if its weights are in none of the folders.
    """
    wanted = wanted or EstimatorOptions()
    if name != "auto":
        if name not in ESTIMATORS:
            raise FlowError(
                f"no flow estimator {name!r}; take one of auto, {', '.join(ESTIMATORS)}"
            )
        lacking = _missing_library(name)
        if lacking:
            raise FlowError(f"flow={name} cannot run: {lacking}, or take flow=dis")
        return EstimatorChoice(ESTIMATORS[name].make(wanted), name, "asked for")
    passed: list[str] = []
    for other in ESTIMATORS:
        without = _why_not(other, wanted)
        if not without:
            reason = "; ".join([*passed, "the best that can run here"])
            return EstimatorChoice(ESTIMATORS[other].make(wanted), other, reason)
        passed.append(f"{other} {without}")
    raise AssertionError("DIS needs nothing")


def _missing_library(name: str) -> str:
    """Say why the first library that the estimator needs cannot be imported; empty if all can."""
    return libraries.missing_library(*ESTIMATORS[name].libraries)


def _why_not(name: str, wanted: EstimatorOptions) -> str:
    """Say what the estimator lacks to run here; empty if nothing."""
    kind = ESTIMATORS[name]
    if kind.checkpoint and not registry.find(registry.CHECKPOINTS[kind.checkpoint], wanted.models):
        return "has no weights here"
    fault = _missing_library(name)
    return f"cannot run: {fault}" if fault else ""


def check_weights(name: str, path: Path) -> int:
    """Check a file as the checkpoint `name`; return the number of its network's entries.

    Raises:
        WeightsError: if the file is damaged, or belongs to another network.
        FlowError: if a library that reads it is missing or broken.
    """
    user = next(one for one, kind in ESTIMATORS.items() if kind.checkpoint == name)
    lacking = _missing_library(user)
    if lacking:
        raise FlowError(lacking)
    count = ESTIMATORS[user].count_entries
    assert count is not None, "an estimator with a checkpoint can read it"
    return count(path)
