"""The tab's jobs on disk, one small JSON file for each: those that wait, run and have ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from lib_ofgen.errors import OfgenError, WorkspaceError
from lib_ofgen.report import wording
from lib_ofgen.report.model import Report
from lib_ofgen.settings import prompt_rows
from lib_ofgen.store.workspace import write_whole
from lib_ofgen.system import sealed_json
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import PromptRow
from lib_ofgen.webui.jobs.state import JobState, JobStatus

__all__ = ["JobRecord", "JobStore", "is_same_path", "uses_path"]

_LOG = logging.getLogger(__name__)

_MAX_BYTES = 1 << 25
"""Largest size of a record; the longest list of prompts needs half of it."""
_LATEST = 32_503_680_000
"""Seconds since the epoch, the year 3000: later times have no date on some systems."""
_ENDED_MEANWHILE = "the webui ended meanwhile; resume goes on from there"


@dataclass
class JobRecord:
    """What is kept of a job."""

    id: str
    document: dict[str, Any]
    """The job document with the film's path; it makes the same film again."""
    created: float = field(default_factory=time.time)
    """Seconds since the epoch; jobs run in this order."""
    status: JobStatus = field(default_factory=JobStatus)
    """Shared with the run of the job."""
    summary: str = ""
    """What lists show of the film; empty until the film is done."""
    seed: int = -1
    """Seed of the last film; -1 before there is one."""
    repaints: list[dict[str, Any]] = field(default_factory=list)
    """Rows that give frames another seed, after those of the document; the last one wins."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is on disk."""
        return {
            "id": self.id, "document": self.document, "made": self.created,
            "state": self.state.value, "message": self.message, "told": self.summary,
            "seed": self.seed, "repaints": self.repaints,
        }  # fmt: skip

    @property
    def state(self) -> JobState:
        """The state of the job."""
        return self.status.state

    @property
    def message(self) -> str:
        """What the page shows of the state."""
        return self.status.message

    @property
    def request(self) -> dict[str, Any]:
        """The job document with the repaints."""
        return {**self.document, "prompts": [*self.document.get("prompts", []), *self.repaints]}

    def add_repaint(self, row: PromptRow) -> JobRecord:
        """Return a copy with one more repaint."""
        return replace(self, repaints=[*self.repaints, *prompt_rows.to_json([row])])

    def drop_repaint(self) -> JobRecord:
        """Return a copy without the last repaint."""
        return replace(self, repaints=self.repaints[:-1])

    def note_result(self, report: Report) -> None:
        """Take seed and summary from the report of the film."""
        clip, error = report.clip, report.warp_error
        self.seed = report.seed
        self.summary = (
            f"{clip.frames} frames of {clip.size}, {len(report.keys)} key frames, "
            f"{report.seconds['total']:.0f} s"
        )
        steadiness = wording.warp_error(error.result, error.source)
        if steadiness.has_number:
            self.summary += f"; warp error {steadiness.line}"

    @property
    def source(self) -> Path:
        """The video."""
        return Path(self.document["input"])

    @property
    def output(self) -> Path:
        """The film."""
        return Path(self.document["output"])

    @property
    def workspace(self) -> Path:
        """The folder of what the job keeps."""
        return self.output.with_name(self.output.name + ".ofgen")

    @property
    def mask(self) -> Path | None:
        """The mask, a file or folder; None if there is none."""
        return Path(self.document["mask"]) if self.document.get("mask") else None


def is_same_path(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which need not exist."""
    return os.path.realpath(one) == os.path.realpath(other)


def uses_path(job: Any, place: Path) -> bool:
    """Whether a record or run reads or writes the file `place`, or a file in the folder `place`."""
    real = Path(os.path.realpath(place))
    used = [job.output, job.source, *([job.mask] if job.mask else [])]
    return any(Path(os.path.realpath(one)).is_relative_to(real) for one in used)


class JobStore:
    """A folder of records. Files that are no records stay there and are ignored."""

    def __init__(self, folder: Path) -> None:
        """Read the records; a job that ran when the webui ended is stopped now."""
        self._folder, self._lock = folder, threading.RLock()
        self._records: dict[str, JobRecord] = {}
        self.version = 0
        """Increases at every change."""
        paths: list[Path] = []
        with contextlib.suppress(OSError):
            paths = sorted(folder.glob("*.json"))
        for path in paths:
            record = _read(path)
            if record is not None:
                self._attach(record)
            else:
                _LOG.warning("'%s' is not a readable job; it is ignored", path)
        self._held = {one.id for one in self.all() if one.state is JobState.WAITING}
        for record in self.all():
            record.status.move(JobState.STOPPED, _ENDED_MEANWHILE, only_from=JobState.RUNNING)

    def all(self) -> list[JobRecord]:
        """Return the records, the oldest first."""
        with self._lock:
            return sorted(self._records.values(), key=lambda one: one.created)

    def get(self, job_id: str) -> JobRecord | None:
        """Return the record of that id; None if there is none."""
        return self._records.get(job_id)

    def find_by_output(self, output: Path) -> JobRecord | None:
        """Return the newest record of that film; None if there is none."""
        found = [one for one in self.all() if is_same_path(one.output, output)]
        return found[-1] if found else None

    @property
    def held(self) -> frozenset[str]:
        """Ids of the jobs that waited when the webui ended; they wait for "Go on"."""
        with self._lock:
            return frozenset(self._held)

    def release(self, *job_ids: str) -> None:
        """Let these jobs of `held` run, or all of them if no id is given."""
        with self._lock:
            self._held -= set(job_ids) or self._held.copy()

    def put(self, record: JobRecord) -> None:
        """Write the record, in place of the one with its id; from now on its moves are written.

        Raises:
            WorkspaceError: if the record cannot be written; then the store is unchanged.
        """
        with self._lock:
            self._write(record)
            self._attach(record)
            self._note_change(record)

    def remove(self, record: JobRecord) -> None:
        """Delete the record; its film and its workspace stay."""
        with self._lock:
            self._records.pop(record.id, None)
            self._held.discard(record.id)
            self.version += 1
            (self._folder / f"{record.id}.json").unlink(missing_ok=True)

    def _attach(self, record: JobRecord) -> None:
        self._records[record.id] = record
        record.status.on_move = lambda: self._follow(record)

    def _follow(self, record: JobRecord) -> None:
        """Write a record whose status has moved.

        An end that cannot be written is only logged: the film is there all the same, and the next
        start of the webui finds the job stopped.

        Raises:
            WorkspaceError: if the record of an active job cannot be written.
        """
        with self._lock:
            if self._records.get(record.id) is not record:
                return
            self._note_change(record)
            try:
                self._write(record)
            except WorkspaceError as error:
                if record.state.is_active:
                    raise
                _LOG.warning("%s", error)

    def _note_change(self, record: JobRecord) -> None:
        self.version += 1
        if record.state is not JobState.WAITING:
            self._held.discard(record.id)

    def _write(self, record: JobRecord) -> None:
        data = json.dumps(record.to_json(), indent=1, ensure_ascii=False)
        path = self._folder / f"{record.id}.json"
        write_whole(path, data.encode("utf-8", "backslashreplace"))


def _read(path: Path) -> JobRecord | None:
    """Return the record in the file; None if the file is anything else."""
    try:
        with regular_file(path) as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            return None
        record = _from_json(json.loads(data.decode("utf-8"), parse_constant=_refuse_constant))
        if record.id != path.stem:
            return None
        repaints = prompt_rows.check_rows(record.repaints, "the repaints")
        prompt_rows.check_rows(record.request["prompts"], "the prompts")
    except (OSError, ValueError, TypeError, RecursionError, OfgenError):
        return None
    return record if all(row.only_seed for row in repaints) else None


def _from_json(given: object) -> JobRecord:
    """Return the record of a JSON value; what older versions did not write has its default.

    Raises:
        ValueError: if the value is not a record.
    """
    if not isinstance(given, dict):
        raise ValueError("not an object")
    whole = {**JobRecord("", {}).to_json(), **given}  # no id and no input: both are needed
    if whole.keys() != _MEMBERS.keys() or not _HAS_SHAPE(whole):
        raise ValueError("not a record")
    return JobRecord(
        id=whole["id"],
        document=whole["document"],
        created=whole["made"],
        status=JobStatus(JobState(whole["state"]), whole["message"]),
        summary=whole["told"],
        seed=whole["seed"],
        repaints=whole["repaints"],
    )


def _refuse_constant(text: str) -> NoReturn:
    """Refuse NaN and Infinity: they are not JSON, though Python reads them."""
    raise ValueError(text)


def _is_path(value: object) -> bool:
    """Whether the value is a path that the system can take."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return Path(value).name not in ("", "..")


def _is_document(value: object) -> bool:
    """Whether the value is a job document that a record may hold."""
    has_parts = sealed_json.record(input=_is_path, output=_is_path, settings=sealed_json.record())
    return has_parts(value) and isinstance(value, dict) and _is_path(value.get("mask", "none"))


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.-]{1,100}", value) is not None


_MEMBERS: dict[str, sealed_json.Shape] = {
    "id": _is_id,
    "document": _is_document,
    "made": sealed_json.number(0, _LATEST),
    "state": lambda value: value in tuple(JobState),
    "message": sealed_json.text,
    "told": sealed_json.text,
    "seed": sealed_json.whole(-1, 2**32 - 1),
    "repaints": sealed_json.items(sealed_json.any_value),
}
_HAS_SHAPE = sealed_json.record(**_MEMBERS)
