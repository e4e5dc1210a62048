"""The tab's jobs, one after the other; jobs that wait survive the end of the webui."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from lib_ofgen.errors import OfgenError, SettingsError
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import DEFAULTS_VERSION
from lib_ofgen.store import workspace
from lib_ofgen.store.workspace import digest
from lib_ofgen.webui.host.environment import queue_lock
from lib_ofgen.webui.jobs import partial_film, plan
from lib_ofgen.webui.jobs.document import JobDocument, parse
from lib_ofgen.webui.jobs.execution import execute, make_painter_options
from lib_ofgen.webui.jobs.job import JobRun
from lib_ofgen.webui.jobs.registry import Entry, JobRegistry
from lib_ofgen.webui.jobs.state import JobState
from lib_ofgen.webui.jobs.store import JobRecord, is_same_path, uses_path
from lib_ofgen.webui.messages import adapt_message

__all__ = ["Deletion", "JobQueue"]

_LOG = logging.getLogger(__name__)


class Deletion(NamedTuple):
    """The result of the deletion of a job."""

    freed: int
    """Bytes."""
    kept: tuple[str, ...]
    """What was not deleted because other jobs need it: `frames`, `film`."""


class JobQueue:
    """Runs the jobs that wait, in a thread that ends when no job waits."""

    def __init__(self, jobs: JobRegistry) -> None:
        """Begin idle; the thread starts with the first job."""
        self._jobs = jobs
        self._thread: threading.Thread | None = None
        self.current: JobRun | None = None
        """The run of the job that runs."""
        self.last = ""
        """The id of the job that ended last; empty before one has ended."""

    def add(self, document: JobDocument) -> JobRun:
        """Enter the document's job at the end of the queue.

        A film has one record: if the film has a record already, that job goes on, with its
        repaints if the document is the same.

        Raises:
            OfgenError: if the document asks for what does not exist or is not allowed, or if a job
                makes the film at this moment.
        """
        jobs = self._jobs
        with jobs.lock:
            taken = [one.output for one in self.list_waiting()]
            run = jobs.prepare(document, {}, jobs.entry_of_film, taken=taken)
            record = JobRecord(run.id, _final_document(run, document), status=run.status)
            old = jobs.store.get(run.id)
            if old and digest(old.document) == digest(record.document):
                record.repaints, record.summary = old.repaints, old.summary
                rows = prompt_rows.check_rows(record.request["prompts"], "the job's prompts")
                run.inputs = replace(run.inputs, prompts=rows)
            self._enter(run, record)
        return run

    def resume(self, record: JobRecord) -> None:
        """Enter a job that has ended once more; it goes on from where it was.

        Raises:
            OfgenError: if the job is active or was deleted, or if its document asks for what does
                not exist any more; the job stays as it was.
        """
        jobs = self._jobs
        with jobs.lock:
            known = jobs.store.get(record.id)
            if known is None:
                raise SettingsError("this job was deleted")
            if not known.state.can_resume:
                raise SettingsError("it is under way")
            status = known.status.restart()
            run = jobs.prepare(parse(record.request), {}, lambda _: Entry(known.id, status))
            self._enter(run, replace(record, status=status))

    def go_on(self) -> None:
        """Run also the jobs that waited when the webui ended."""
        self._jobs.store.release()
        self._start()

    def delete(self, record: JobRecord, *, film_too: bool) -> Deletion:
        """Delete a job's record and workspace; a job that waits never begins.

        Args:
            record: The record of the job.
            film_too: Delete the film too. Files that another record or an active job needs stay.

        Raises:
            OfgenError: if the job runs or was deleted, or if its files cannot be deleted; then the
                record stays.
        """
        jobs = self._jobs
        with jobs.lock:
            known = jobs.store.get(record.id)
            if known is None:
                raise SettingsError("this job was deleted")
            if not known.state.can_delete:
                raise SettingsError("it runs; stop it first")
            others = [one for one in (*jobs.store.all(), *_active(jobs)) if one.id != known.id]
            deletion = _delete_files(known, others, film_too=film_too)
            jobs.remove(known)
        partial_film.delete(known.id)
        return deletion

    def list_waiting(self) -> list[JobRecord]:
        """Return the jobs that wait, in their order."""
        return [one for one in self._jobs.store.all() if one.state is JobState.WAITING]

    def _enter(self, run: JobRun, record: JobRecord) -> None:
        """Keep the record of a job that waits, and see to it that the queue runs.

        Raises:
            WorkspaceError: if the record cannot be written; then nothing is entered.
        """
        run.record = record
        try:
            self._jobs.store.put(record)
        except OfgenError:
            self._jobs.drop(run)
            raise
        self._jobs.store.release(record.id)
        self._start()

    def _start(self) -> None:
        with self._jobs.lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="ofgen-queue", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while record := self._take_next():
            try:
                self._run(record)
            except Exception:
                _LOG.exception("the job %s has failed", record.id)
            finally:
                partial_film.delete(record.id)
                self.last, self.current = record.id, None

    def _take_next(self) -> JobRecord | None:
        """Move the oldest job that may run to `running`, and return it; None if there is none."""
        jobs = self._jobs
        with jobs.lock:
            for record in self.list_waiting():
                if record.id not in jobs.store.held and self._take(record):
                    return record
            self._thread = None  # inside the lock: whoever enters a job now starts another thread
            return None

    def _take(self, record: JobRecord) -> bool:
        """Move the job to `running` if it still waits; return whether it runs now.

        From now on nobody deletes it or enters it again. It fails if its record cannot be written.
        """
        try:
            return record.status.move(JobState.RUNNING, only_from=JobState.WAITING)
        except OfgenError as error:
            record.status.move(JobState.FAILED, adapt_message(error))
            self.last = record.id
            return False

    def _run(self, record: JobRecord) -> None:
        """Run a job that was taken; it has ended afterwards."""
        try:
            self.current = run = self._run_of(record)
            is_fresh = _take_frames_of_plan(run)
            execute(run, make_painter_options(run.inputs.settings), queue_lock)
            if run.result and is_fresh:
                plan.paint_speed().learn(run.result.facts.timing(), run.checkpoint.title)
        except OfgenError as error:
            failure = adapt_message(error)
            if not record.status.move(JobState.FAILED, failure, only_from=JobState.RUNNING):
                _LOG.warning("%s", error)  # the job had ended before
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            record.status.move(JobState.FAILED, failure, only_from=JobState.RUNNING)
            raise

    def _run_of(self, record: JobRecord) -> JobRun:
        """Return the run of the record; a job of an earlier process gets one now.

        Raises:
            OfgenError: if its document asks for what does not exist any more.
        """
        run = self._jobs.find(record.id)
        if run is None or run.status is not record.status:
            entry = Entry(record.id, record.status)
            run = self._jobs.prepare(parse(record.request), {}, lambda _: entry)
            run.record = record
        return run


def _active(jobs: JobRegistry) -> list[JobRun]:
    return [one for one in jobs.runs() if one.is_active]


def _delete_files(
    record: JobRecord, others: Sequence[JobRecord | JobRun], *, film_too: bool
) -> Deletion:
    """Delete a record's files, except those that the others need."""
    freed, kept = 0, []
    shared = any(
        is_same_path(one.output, record.output) or uses_path(one, record.workspace)
        for one in others
    )
    if shared:
        kept.append("frames")
    elif record.workspace.is_dir():
        freed += workspace.delete_workspace(record.workspace)
    if film_too and any(uses_path(one, record.output) for one in others):
        kept.append("film")
    elif film_too and record.output.is_file():
        freed += record.output.stat().st_size
        record.output.unlink()
    return Deletion(freed, tuple(kept))


def _take_frames_of_plan(run: JobRun) -> bool:
    """Give the job the frames of its plan; return whether none of its frames are finished.

    Links, not copies: artifacts are replaced, never written to. Each folder keeps its own lock.
    """
    folder, planned = run.workspace, plan.folder_of(run.source, run.inputs.settings, run.mask)
    if folder.exists():
        return not any((folder / "frames").glob("*.qoi"))
    if planned.is_dir():
        partial = folder.with_name(f".{folder.name}.partial")
        with contextlib.suppress(OSError):  # a disk without links: the video is read again
            shutil.rmtree(partial, ignore_errors=True)
            ignored = shutil.ignore_patterns("lock", ".*")
            shutil.copytree(planned, partial, copy_function=os.link, ignore=ignored)
            partial.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _final_document(run: JobRun, document: JobDocument) -> dict[str, object]:
    """Return a document that repeats the job: without its preset, with the path of its film."""
    settings = run.inputs.settings
    return {
        "input": str(run.source),
        "settings": settings.differences() | {"seed": settings.seed},
        "output": str(run.output),
        "defaults": DEFAULTS_VERSION,
        **({"mask": str(run.mask)} if run.mask else {}),
        **({"prompts": prompt_rows.to_json(document.prompts)} if document.prompts else {}),
    }
