"""A job: the user's request, the analysis of the source, and where the results are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.report.model import Report
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.values import KeyFrame, PromptRow, Scene

__all__ = ["Job", "JobResult", "SourceAnalysis"]


@dataclass(frozen=True)
class Job:
    """A film to make, with its inputs, outputs and settings."""

    source: Path
    output: Path
    workspace: Path
    settings: Settings
    report: Path | None = None
    """File for a second copy of the report; the first one is in the workspace."""
    frames: Path | None = None
    """Folder for every finished frame as PNG."""
    models: tuple[Path, ...] = ()
    """Folders with the weights of flow estimators and taggers."""
    mask: Path | None = None
    """A video, a folder of pictures or one picture: white where the source is animated."""
    prompts: tuple[PromptRow, ...] = ()
    """Rows that take precedence over the prompts and the seed of the settings."""


@dataclass(frozen=True)
class JobResult:
    """Where the results of a job are."""

    video: Path
    workspace: Path
    report: Path
    page: Path
    """The report for a browser, in one file."""
    sheet: Path
    facts: Report
    """The report's content."""


@dataclass(frozen=True)
class SourceAnalysis:
    """The analysis of the source: what is known before anything is painted."""

    frames: FrameStore
    scenes: tuple[Scene, ...]
    keys: list[KeyFrame]
    layers: SingleLayer
    """The layers of each frame: one, or two if there is a mask."""
