"""All jobs of this webui: the runs since its start, and the records on disk."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lib_ofgen.errors import SettingsError
from lib_ofgen.video.writer import check_output
from lib_ofgen.webui.host import environment
from lib_ofgen.webui.host.painter import WebuiPainter
from lib_ofgen.webui.host.progress import HostReporter
from lib_ofgen.webui.jobs.document import (
    JobDocument,
    find_input,
    find_mask,
    find_output,
    read_settings,
)
from lib_ofgen.webui.jobs.execution import make_painter_options
from lib_ofgen.webui.jobs.job import JobInputs, JobRun
from lib_ofgen.webui.jobs.state import JobState, JobStatus
from lib_ofgen.webui.jobs.store import JobRecord, JobStore, is_same_path

__all__ = ["Entry", "JobRegistry"]

_MAX_ENDED = 50
"""Ended runs of which the API still tells."""


class Entry(NamedTuple):
    """The id and the status that a job is to have."""

    id: str
    status: JobStatus


class JobRegistry:
    """The runs by id, their records, and the lock of whoever enters, changes or deletes a job."""

    def __init__(self) -> None:
        """Begin without a run; the records are read when they are needed first."""
        self.lock = threading.RLock()
        """Held while a job is entered, resumed or deleted: no two active jobs make one film."""
        self._runs: dict[str, JobRun] = {}
        self._store: JobStore | None = None

    @property
    def store(self) -> JobStore:
        """The records on disk."""
        with self.lock:
            if self._store is None:
                self._store = JobStore(environment.data_folder() / "ofgen-jobs")
            return self._store

    def runs(self) -> list[JobRun]:
        """Return the runs since the webui started, in the order in which they were entered."""
        return list(self._runs.values())

    def find(self, job_id: str) -> JobRun | None:
        """Return the newest run of that id; None if there is none."""
        return self._runs.get(job_id)

    def prepare(
        self,
        document: JobDocument,
        host_fields: Mapping[str, Any],
        choose_entry: Callable[[Path], Entry] | None = None,
        *,
        taken: Collection[Path] = (),
    ) -> JobRun:
        """Check a document and register its job.

        Args:
            document: What is asked for.
            host_fields: Settings that the host's own fields give.
            choose_entry: Gives id and status of the job by the path of its film. None: the job
                runs at once inside a request of the host, under a new id.
            taken: Films that are not to be made if the seed is drawn.

        Raises:
            SettingsError: if the document asks for what does not exist or is not allowed, or if an
                active job makes the same film.
            VideoError: if the output cannot be written, or the upload is not a video.
            WorkspaceError: if the upload cannot be kept.
        """
        paths = environment.allowed_paths()
        settings = read_settings(document, host_fields, environment.preset_store())
        WebuiPainter(make_painter_options(settings))  # refuses names that the host does not know
        if document.output:
            check_output(paths.resolve(document.output, "output"))
            paths.resolve(f"{document.output}.ofgen", "the output's workspace")
        source, mask = find_input(document, paths), find_mask(document, paths)
        paths.output.mkdir(parents=True, exist_ok=True)
        with self.lock:
            busy = {one.output for one in self.runs() if one.is_active}
            output = find_output(document, source, settings, paths, {*busy, *taken})
            if any(is_same_path(output, other) for other in busy):
                raise SettingsError(
                    f"a job that waits or runs makes {output.name!r} already; wait for it, stop "
                    "it, or change a setting"
                )
            inside = choose_entry is None
            entry = choose_entry(output) if choose_entry else _new_entry(JobState.RUNNING)
            inputs = JobInputs(source, output, mask, settings, document.prompts)
            return self._register(entry, inputs, inside=inside)

    def _register(self, entry: Entry, inputs: JobInputs, *, inside: bool) -> JobRun:
        """Make the run; the oldest ended runs are forgotten."""
        stop_event = threading.Event()
        reporter = HostReporter(entry.id, stop_event.is_set, inside=inside)
        for old in [one.id for one in self.runs() if not one.is_active][:-_MAX_ENDED]:
            self._runs.pop(old, None)
        self._runs[entry.id] = JobRun(entry.id, inputs, entry.status, reporter, stop_event)
        return self._runs[entry.id]

    def entry_of_film(self, output: Path) -> Entry:
        """Return id and status of the next run that makes the film; a film has one record.

        Raises:
            SettingsError: if a job that runs makes the film.
        """
        known = self.store.find_by_output(output)
        if known is None:
            return _new_entry(JobState.WAITING)
        if known.state is JobState.RUNNING:
            raise SettingsError(f"{output.name!r} is being made; wait for it")
        waits = known.state is JobState.WAITING  # since before the webui started
        return Entry(known.id, known.status if waits else known.status.restart())

    def remove(self, record: JobRecord) -> None:
        """Forget the job; if it waits, it never begins."""
        with self.lock:
            self._runs.pop(record.id, None)
            self.store.remove(record)
            deleted = "deleted before it began"
            record.status.move(JobState.STOPPED, deleted, only_from=JobState.WAITING)

    def drop(self, run: JobRun) -> None:
        """Forget a run that could not be entered."""
        self._runs.pop(run.id, None)

    def last_seed(self) -> int:
        """Return the seed of the film that was finished last; -1 if there is none."""
        seeds = [one.result.facts.seed for one in self.runs() if one.result]
        return int(seeds[-1]) if seeds else -1


def _new_entry(state: JobState) -> Entry:
    return Entry(f"ofgen-{uuid.uuid4().hex[:8]}", JobStatus(state))
