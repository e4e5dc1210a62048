"""The records of drafted and of finished frames."""

from __future__ import annotations

from dataclasses import dataclass

from lib_ofgen.values.painting import Stage

__all__ = ["DraftRecord", "FrameRecord"]


@dataclass(frozen=True)
class DraftRecord:
    """The record of a drafted frame."""

    draft: str
    """Digest of everything that the frame depends on."""
    painted: str
    """Digest of what was painted in it; empty: nothing was."""
    whole: bool
    """Whether it was painted whole."""
    coverage: float
    """Share 0..1 of its pixels that painted frames could supply."""
    share: float
    """Share 0..1 of its pixels that were painted in it."""
    stage: Stage
    """The stage in which it was painted."""
    colour: float | None = None
    """Levels by which the paint of a key that was painted whole differs from what earlier keys
    supply, on the mean over what they supply; None: nothing was compared."""


@dataclass(frozen=True)
class FrameRecord:
    """The record of a finished frame."""

    frame: str
    """Digest of the picture."""
    sources: list[int]
    """Frames in which its pixels were painted; empty: it was painted whole."""
