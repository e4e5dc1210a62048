"""The tab's jobs, one after the other; those that wait survive the webui's end."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from dataclasses import dataclass, field

from lib_ofgen import prompt_list
from lib_ofgen.errors import OfgenError
from lib_ofgen.settings import DEFAULTS_VERSION
from lib_ofgen.webui import job as jobs
from lib_ofgen.webui import planning
from lib_ofgen.webui.document import Document, parse
from lib_ofgen.webui.job import HostJob
from lib_ofgen.webui.shelf import Record, shelf

__all__ = ["RUNNER", "Runner"]

_LOG = logging.getLogger(__name__)


@dataclass
class Runner:
    """Runs what waits on the shelf, in a thread that ends when nothing does."""

    current: HostJob | None = None
    """The job that runs."""
    last: str = ""
    """The id of the job that ended last; empty: none has since the webui began."""
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, document: Document) -> HostJob:
        """Enter the document's job at the end of the queue.

        Raises:
            OfgenError: it asks for what is not there or not allowed.
        """
        job = jobs.prepared(document, {})
        job.state = "waiting"
        shelf().save(Record(job.id, _document(job, document)))
        self._go(job.id)
        return job

    def resume(self, record: Record) -> None:
        """Enter a job that has ended once more; it goes on from where it was.

        Raises:
            OfgenError: its document asks for what is not there any more.
        """
        jobs.prepared(parse(record.document), {}, name=record.id).state = "waiting"
        record.state, record.message = "waiting", ""
        shelf().save(record)
        self._go(record.id)

    def go_on(self) -> None:
        """Run also what waited when the webui ended."""
        shelf().left.clear()
        self._go("")

    def cancel(self, record: Record) -> None:
        """Let one that waits never begin."""
        jobs.JOBS.pop(record.id, None)
        record.state, record.message = "stopped", "stopped before it began"
        shelf().save(record)

    def waiting(self) -> list[Record]:
        """Those that wait, in their order."""
        return [one for one in shelf().all() if one.state == "waiting"]

    def _go(self, fresh: str) -> None:
        left = shelf().left
        left[:] = [one for one in left if one.id != fresh]
        with self._lock:
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
        with self._lock:
            held = {one.id for one in shelf().left}
            ready = [one for one in self.waiting() if one.id not in held]
            if not ready:
                self._thread = None  # under the lock: who comes now starts another
                return None
            return ready[0]

    def _one(self, record: Record) -> None:
        """Run one; what becomes of it is written down, whatever it is."""
        job = jobs.JOBS.get(record.id)
        try:
            job = job or jobs.prepared(parse(record.document), {}, name=record.id)
            if job.state == "stopped":
                return
            self.current = job
            job.state = record.state = "running"
            shelf().save(record)
            fresh = _begun(job)
            jobs.animated(job, jobs.recipe_of(job.settings), jobs.queue_lock)
            if job.outcome and fresh:
                planning.pace().learn(job.outcome.facts, job.checkpoint.title)
        except OfgenError as error:
            record.state, record.message = "failed", str(error)
        finally:
            _noted(record, job)
            shelf().save(record)


RUNNER = Runner()


def _noted(record: Record, job: HostJob | None) -> None:
    """Write into the record what has become of the job."""
    if job is None or job.under_way:
        record.state = record.state if record.state == "failed" else "stopped"
        return
    record.state, record.message = job.state, job.message
    if job.outcome:
        facts = job.outcome.facts
        clip, seconds = facts["clip"], facts["seconds"]["total"]
        record.seed = int(facts["seed"])
        record.told = (
            f"{clip['frames']} frames of {clip['width']}x{clip['height']}, "
            f"{len(facts['keys'])} key frames, {seconds:.0f} s"
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
        **({"prompts": prompt_list.to_json(asked.prompts)} if asked.prompts else {}),
    }
