"""What a user asks for, what is found before painting, what renders it, and where the results are.

The types that the modules of the pipeline share.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.pipeline.rendering.postprocess import FramePass, SecondPass
from lib_ofgen.pipeline.rendering.propagation import Propagator
from lib_ofgen.pipeline.rendering.stabilise import Stabiliser
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.values import KeyFrame, PromptRow, Scene

__all__ = ["Job", "JobResult", "Renderers", "SourceAnalysis"]


@dataclass(frozen=True)
class Job:
    """What is to be made, and where."""

    source: Path
    output: Path
    workspace: Path
    settings: Settings
    report: Path | None = None
    """A second copy of the report; one is always in the workspace."""
    frames: Path | None = None
    """A folder that gets every finished frame as PNG."""
    models: tuple[Path, ...] = ()
    """Folders in which the weights of flow estimators and taggers are looked for."""
    mask: Path | None = None
    """A video, folder of pictures or picture, white where the source is to be animated."""
    prompts: tuple[PromptRow, ...] = ()
    """A list that wins over what the settings say."""


@dataclass(frozen=True)
class JobResult:
    """Where everything is."""

    video: Path
    workspace: Path
    report: Path
    page: Path
    """The report for reading in a browser; it needs nothing but itself."""
    sheet: Path
    facts: dict[str, Any]
    """The report's content."""


@dataclass(frozen=True)
class SourceAnalysis:
    """What is known before anything is painted."""

    spool: FrameStore
    scenes: tuple[Scene, ...]
    keys: list[KeyFrame]
    division: SingleLayer
    """What the mask, if there is one, makes of the frames."""


class Renderers(NamedTuple):
    """What makes the frames of a job."""

    maker: Propagator
    finisher: Stabiliser
    second: SecondPass | None
    stages: tuple[FramePass, ...]
    """The finisher and what comes after it, in order."""

    @property
    def last(self) -> FramePass:
        """What gives the pictures of the film."""
        return self.stages[-1]
