"""What is known of a frame once it is drafted, and once it is finished."""

from __future__ import annotations

from dataclasses import dataclass

from lib_ofgen.values.painting import Stage

__all__ = ["DraftRecord", "FrameRecord"]


@dataclass(frozen=True)
class DraftRecord:
    """What is known of a drafted frame."""

    draft: str
    """Digest of all that the frame is made of."""
    painted: str
    """Digest of what was painted fresh in it; empty where nothing was."""
    whole: bool
    """Whether it was painted whole."""
    coverage: float
    """Share 0..1 of its pixels that painted frames could supply."""
    share: float
    """Share 0..1 of its pixels that were painted fresh."""
    stage: Stage
    """The stage of painting that it belongs to."""


@dataclass(frozen=True)
class FrameRecord:
    """What is known of a finished frame."""

    frame: str
    """Digest of the picture."""
    sources: list[int]
    """Frames in which its pixels were painted; empty where it was painted whole."""
