"""Estimators of optical flow: the table of those that can run here."""

from __future__ import annotations

from collections.abc import Callable

from lib_ofgen.errors import FlowError
from lib_ofgen.flow.dis import DisEstimator
from lib_ofgen.values import FlowEstimator

__all__ = ["ESTIMATORS", "choose"]

ESTIMATORS: dict[str, Callable[[float], FlowEstimator]] = {"dis": DisEstimator}
"""Name to maker, best first; a maker takes the confidence radius in px."""


def choose(name: str, radius: float = 1.0) -> tuple[FlowEstimator, str]:
    """The estimator of that name, and the name; `auto` is the best that can run here.

    Raises:
        FlowError: there is no such estimator.
    """
    chosen = next(iter(ESTIMATORS)) if name == "auto" else name
    if chosen not in ESTIMATORS:
        raise FlowError(f"no flow estimator {name!r}; take one of auto, {', '.join(ESTIMATORS)}")
    return ESTIMATORS[chosen](radius), chosen
