"""What can go wrong, as one tree.

OfgenError
├── SettingsError      a setting, preset or job document that cannot be accepted
├── VideoError         an input or output video that cannot be read or written
├── FlowError          a flow estimator that cannot run here
├── PainterError       a painter that cannot be reached, or refuses
├── LibraryError       a library that is missing, broken or too old
├── TaggerError        a tagger that cannot run here
├── WeightsError       a checkpoint that is missing, damaged or of another network
├── WorkspaceError     a run's folder that cannot be used
└── Stopped            the user asked to stop; what was finished is kept

Each message is one line: what, which value, the remedy.
"""

from __future__ import annotations

__all__ = [
    "FlowError",
    "LibraryError",
    "OfgenError",
    "PainterError",
    "SettingsError",
    "Stopped",
    "TaggerError",
    "VideoError",
    "WeightsError",
    "WorkspaceError",
]


class OfgenError(Exception):
    """Base of every error that a user is meant to read; `exit_status` is the command line's."""

    exit_status = 1


class SettingsError(OfgenError):
    """A setting, preset or job document that cannot be accepted."""

    exit_status = 2


class VideoError(OfgenError):
    """An input video that cannot be read, or an output that cannot be written.

    `bad_input` says that the fault is the input's, which is bad usage rather than a failed run.
    """

    def __init__(self, message: str, *, bad_input: bool = False) -> None:
        """Keep the message; `bad_input` picks exit status 2 over 1."""
        super().__init__(message)
        self.exit_status = 2 if bad_input else 1


class FlowError(OfgenError):
    """A flow estimator that cannot run here."""


class PainterError(OfgenError):
    """A painter that cannot be reached, or refuses what it is asked."""


class LibraryError(OfgenError):
    """A library that is missing, broken or too old."""


class TaggerError(OfgenError):
    """A tagger that cannot run here."""


class WeightsError(OfgenError):
    """A checkpoint that is missing, damaged or of another network."""


class WorkspaceError(OfgenError):
    """A run's folder that cannot be used."""


class Stopped(OfgenError):  # noqa: N818 - it is a wish, not a fault
    """The user asked to stop; what was finished is kept."""

    exit_status = 130

    def __init__(
        self,
        message: str = "stopped; what is finished is kept, the same command goes on from there",
    ) -> None:
        """Keep the message, which by default is that of a job that paints."""
        super().__init__(message)
