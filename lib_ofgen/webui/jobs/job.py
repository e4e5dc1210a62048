"""A job that the webui runs or has run in this process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib_ofgen.pipeline import run
from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.settings.fields import Settings
from lib_ofgen.system.safe_text import to_one_line
from lib_ofgen.values import PromptRow
from lib_ofgen.webui.host.environment import public_text
from lib_ofgen.webui.host.progress import HostReporter
from lib_ofgen.webui.jobs.state import JobState, JobStatus
from lib_ofgen.webui.jobs.store import JobRecord

__all__ = ["RESULT_FILES", "ROUTES", "JobInputs", "JobRun"]

RESULT_FILES = ("video", "report", "page", "keys")
"""Files of a finished job: the film, the report as JSON and as HTML, the contact sheet."""
ROUTES = "/ofgen/v1"
"""Start of the paths of our routes."""


@dataclass(frozen=True)
class JobInputs:
    """What a job is asked to make."""

    source: Path
    output: Path
    mask: Path | None
    settings: Settings
    prompts: tuple[PromptRow, ...] = ()


@dataclass
class JobRun:
    """One run of a job, from the time that it is entered; a job that is resumed gets a new run."""

    id: str
    inputs: JobInputs
    status: JobStatus
    reporter: HostReporter
    stop_event: threading.Event
    """Is set when the user asks to stop; the reporter reads it."""
    record: JobRecord | None = None
    """The record with the same status; None for jobs of the script and the host's API."""
    result: run.JobResult | None = None
    checkpoint: Any = None
    """The host's entry of the checkpoint that paints key frames."""
    preview: LivePreview | None = None
    """The finished frames so far, while the job runs."""
    created: float = field(default_factory=time.monotonic)
    """When the job was entered, on the monotonic clock."""

    @property
    def source(self) -> Path:
        """The video."""
        return self.inputs.source

    @property
    def output(self) -> Path:
        """The film."""
        return self.inputs.output

    @property
    def mask(self) -> Path | None:
        """The mask, a file or folder; None if there is none."""
        return self.inputs.mask

    @property
    def workspace(self) -> Path:
        """The folder of what the job keeps."""
        return self.output.with_name(self.output.name + ".ofgen")

    @property
    def state(self) -> JobState:
        """The state of the job."""
        return self.status.state

    @property
    def is_active(self) -> bool:
        """Whether the job has not ended."""
        return self.state.is_active

    def stop(self) -> None:
        """End the job as soon as possible; finished frames are kept."""
        self.stop_event.set()
        stopped = "stopped before it began"
        if self.status.move(JobState.STOPPED, stopped, only_from=JobState.WAITING):
            return
        if self.state is JobState.RUNNING:
            self.reporter.interrupt()

    def finish(self, state: JobState, message: str = "") -> None:
        """Move the job to the state in which it has ended; the record gets the result first."""
        if self.record is not None and self.result is not None:
            self.record.note_result(self.result.facts)
        self.status.move(state, message)

    def facts(self) -> dict[str, Any]:
        """Return what the API tells anybody about the job: file names and addresses of routes."""
        done = self.state is JobState.DONE
        return {
            "id": self.id,
            "state": self.state.value,
            "progress": 1.0 if done else round(self.reporter.fraction, 4),
            "text": public_text(self.status.message or self.reporter.text),
            "input": to_one_line(self.source.name),
            "output": to_one_line(self.output.name),
            **self.addresses(),
        }

    def addresses(self) -> dict[str, str | None]:
        """Return the route of each result file; None for files that do not exist."""
        base = f"{ROUTES}/jobs/{self.id}"
        return {name: f"{base}/{name}" if self.result else None for name in RESULT_FILES}

    def file(self, name: str) -> Path | None:
        """Return the path of one of `RESULT_FILES`; None if the job has not made it."""
        result = self.result
        if result is None:
            return None
        files = {
            "video": result.video, "report": result.report, "page": result.page,
            "keys": result.sheet,
        }  # fmt: skip
        return files[name]
