"""Seconds that a job spends in each of its phases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from time import perf_counter

__all__ = ["Stopwatch"]

_PHASES = ("decode", "analyse", "flow", "paint", "fuse", "encode", "measure")
_RENDERING = ("flow", "paint", "fuse")


class Stopwatch:
    """Adds up the seconds of each phase."""

    def __init__(self) -> None:
        """Start with zero seconds in every phase."""
        self.seconds: dict[str, float] = dict.fromkeys(_PHASES, 0.0)
        self._running: set[str] = set()

    @property
    def rendering(self) -> float:
        """Seconds in which frames were rendered: flow, paint and fusion."""
        return sum(self.seconds[phase] for phase in _RENDERING)

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time that is spent inside to `phase`; a phase inside itself counts once."""
        if phase in self._running:
            yield
            return
        self._running.add(phase)
        begun = perf_counter()
        try:
            yield
        finally:
            self._running.discard(phase)
            self.seconds[phase] += perf_counter() - begun
