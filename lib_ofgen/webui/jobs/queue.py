"""The tab's jobs, one after the other; those that wait survive the webui's end."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from lib_ofgen.errors import OfgenError, SettingsError
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import DEFAULTS_VERSION
from lib_ofgen.store import workspace
from lib_ofgen.store.workspace import digest
from lib_ofgen.webui.jobs import job as jobs
from lib_ofgen.webui.jobs import partial_film
from lib_ofgen.webui.jobs import plan as planning
from lib_ofgen.webui.jobs.document import Document, parse
from lib_ofgen.webui.jobs.job import HostJob
from lib_ofgen.webui.jobs.store import Record, needs, same_place, shelf
from lib_ofgen.webui.messages import said

__all__ = ["RUNNER", "Deleted", "Runner"]

_LOG = logging.getLogger(__name__)


class Deleted(NamedTuple):
    """What came of deleting a job."""

    freed: int
    """Bytes."""
    kept: tuple[str, ...]
    """What of it stays, for others need it: `frames`, `film`."""


@dataclass
class Runner:
    """Runs what waits on the shelf, in a thread that ends when nothing does."""

    current: HostJob | None = None
    """The job that runs."""
    last: str = ""
    """The id of the job that ended last; empty: none has since the webui began."""
    _thread: threading.Thread | None = None

    def add(self, document: Document) -> HostJob:
        """Enter the document's job at the end of the queue.

        A film has one entry: where there is one already, that goes on, with what is painted anew.

        Raises:
            OfgenError: it asks for what is not there or not allowed, or its film is being made.
        """
        with jobs.ENTERING:
            held = [one.output for one in self.waiting()]
            job = jobs.prepared(document, {}, named=_entry, taken=held)
            record, old = Record(job.id, _document(job, document)), shelf().get(job.id)
            if old and digest(old.document) == digest(record.document):
                record.repaints, record.told = old.repaints, old.told
                job.prompts = prompt_rows.check_rows(record.asked["prompts"], "the job's prompts")
            _enter(job, record)
        self._go(job.id)
        return job

    def resume(self, record: Record) -> None:
        """Enter a job that has ended once more; it goes on from where it was.

        Raises:
            OfgenError: it is under way or was deleted, or its document asks for what is not there
                any more; the job stays as it was.
        """
        with jobs.ENTERING:
            known = shelf().get(record.id)
            if known is None:
                raise SettingsError("this job was deleted")
            if known.state in ("waiting", "running"):
                raise SettingsError("it is under way")
            job = jobs.prepared(parse(record.asked), {}, named=lambda output: record.id)
            _enter(job, replace(record, state="waiting", message=""))
        self._go(record.id)

    def go_on(self) -> None:
        """Run also what waited when the webui ended."""
        shelf().left.clear()
        self._go("")

    def delete(self, record: Record, *, film_too: bool) -> Deleted:
        """Delete a job's entry and workspace, and its film too if that is wished.

        One that waits never begins. What another entry or a job under way needs stays.

        Raises:
            OfgenError: it runs, or the disk does not let go of its files; the entry stays.
        """
        with jobs.ENTERING:
            if record.state == "running":
                raise SettingsError("it runs; stop it first")
            others = [one for one in shelf().all() if one.id != record.id]
            others += [one for one in jobs.JOBS.values() if one.under_way and one.id != record.id]
            deleted = _deleted(record, others, film_too=film_too)
            jobs.JOBS.pop(record.id, None)
            shelf().forget(record)
        partial_film.forget(record.id)
        return deleted

    def waiting(self) -> list[Record]:
        """Those that wait, in their order."""
        return [one for one in shelf().all() if one.state == "waiting"]

    def _go(self, fresh: str) -> None:
        left = shelf().left
        left[:] = [one for one in left if one.id != fresh]
        with jobs.ENTERING:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="ofgen-queue", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while record := self._next():
            try:
                self._one(record)
            except Exception:
                _LOG.exception("the job %s has failed", record.id)
            finally:
                self.last, self.current = record.id, None

    def _next(self) -> Record | None:
        with jobs.ENTERING:
            held = {one.id for one in shelf().left}
            ready = [one for one in self.waiting() if one.id not in held]
            if not ready:
                self._thread = None  # under the lock: who comes now starts another
                return None
            ready[0].state = "running"  # from now on nobody deletes it or enters it again
            return ready[0]

    def _one(self, record: Record) -> None:
        """Run one; what becomes of it is written down, whatever it is."""
        job = jobs.JOBS.get(record.id)
        try:
            job = job or jobs.prepared(parse(record.asked), {}, named=lambda output: record.id)
            if job.state == "stopped":
                return
            self.current = job
            job.state = record.state = "running"
            shelf().save(record)
            fresh = _begun(job)
            jobs.animated(job, jobs.recipe_of(job.settings), jobs.queue_lock)
            if job.outcome and fresh:
                planning.pace().learn(job.outcome.facts.timing(), job.checkpoint.title)
        except OfgenError as error:
            record.state, record.message = "failed", said(error)
        finally:
            _noted(record, job)
            partial_film.forget(record.id)
            shelf().save(record)


RUNNER = Runner()


def _entry(output: Path) -> str:
    """The id of the entry that the film has; empty where it has none.

    Raises:
        SettingsError: its job has just made it, and is about to say so.
    """
    known = shelf().of(output)
    if known and known.state == "running":
        raise SettingsError(f"{output.name!r} is being made; wait for it")
    return known.id if known else ""


def _enter(job: HostJob, record: Record) -> None:
    """Have the job wait, under its record; nothing is entered if that cannot be kept."""
    job.state = "waiting"
    try:
        shelf().save(record)
    except OfgenError:
        jobs.JOBS.pop(job.id, None)
        raise


def _deleted(record: Record, others: Sequence[Record | HostJob], *, film_too: bool) -> Deleted:
    """Delete a record's files, but for those that others need."""
    freed, kept = 0, []
    if any(same_place(one.output, record.output) or needs(one, record.workspace) for one in others):
        kept.append("frames")
    elif record.workspace.is_dir():
        freed += workspace.delete_workspace(record.workspace)
    if film_too and any(needs(one, record.output) for one in others):
        kept.append("film")
    elif film_too and record.output.is_file():
        freed += record.output.stat().st_size
        record.output.unlink()
    return Deleted(freed, tuple(kept))


def _noted(record: Record, job: HostJob | None) -> None:
    """Write into the record what has become of the job."""
    if job is None or job.under_way:
        record.state = record.state if record.state == "failed" else "stopped"
        if job is not None:  # else its film could not be asked for again
            job.state, job.message = record.state, record.message
        return
    record.state, record.message = job.state, job.message
    if job.outcome:
        facts = job.outcome.facts
        record.seed = facts.seed
        record.told = (
            f"{facts.clip.frames} frames of {facts.clip.size}, "
            f"{len(facts.keys)} key frames, {facts.seconds['total']:.0f} s"
        )


def _begun(job: HostJob) -> bool:
    """Give the job the frames of its plan; whether it finds nothing painted.

    Links, not copies: artifacts are replaced, never written to. The lock is each folder's own.
    """
    folder, plan = job.folder, planning.folder_of(job.source, job.settings, job.mask)
    if folder.exists():
        return not any((folder / "frames").glob("*.qoi"))
    if plan.is_dir():
        partial = folder.with_name(f".{folder.name}.partial")
        with contextlib.suppress(OSError):  # a disk without links: the frames are read once more
            shutil.rmtree(partial, ignore_errors=True)
            ignored = shutil.ignore_patterns("lock", ".*")
            shutil.copytree(plan, partial, copy_function=os.link, ignore=ignored)
            partial.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _document(job: HostJob, asked: Document) -> dict[str, object]:
    """A document that repeats the job: presets may change, and its place is settled."""
    return {
        "input": str(job.source),
        "settings": job.settings.differences() | {"seed": job.settings.seed},
        "output": str(job.output),
        "defaults": DEFAULTS_VERSION,
        **({"mask": str(job.mask)} if job.mask else {}),
        **({"prompts": prompt_rows.to_json(asked.prompts)} if asked.prompts else {}),
    }
