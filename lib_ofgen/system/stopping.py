"""Checks whether the user wants to stop."""

from __future__ import annotations

from lib_ofgen.errors import Stopped
from lib_ofgen.values import Image, Reporter

__all__ = ["raise_if_stopped", "report_step"]


def raise_if_stopped(reporter: Reporter, *message: str) -> None:
    """Ask the reporter whether the user wants to stop.

    Raises:
        Stopped: if the user wants to stop; with `message`, if one is given.
    """
    if reporter.should_stop():
        raise Stopped(*message)


def report_step(
    reporter: Reporter, phase: str, done: int, of: int, preview: Image | None = None
) -> None:
    """Report that `done` of `of` units of `phase` are finished, then ask whether to stop.

    Raises:
        Stopped: if the user wants to stop.
    """
    reporter.step(phase, done, of, preview)
    raise_if_stopped(reporter)
