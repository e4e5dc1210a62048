"""The tab's jobs on disk, a small JSON file each: those that wait, run, and have ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from lib_ofgen.errors import OfgenError
from lib_ofgen.settings import prompt_rows
from lib_ofgen.store.workspace import write_whole
from lib_ofgen.system import sealed_json
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import PromptRow

__all__ = ["Record", "Shelf", "needs", "same_place", "shelf"]

_LOG = logging.getLogger(__name__)

_LARGEST = 1 << 25
"""Bytes of a record; a list of as many prompts as may be has half of it."""
_LATEST = 32_503_680_000
"""Seconds since the epoch, the year 3000: later times have no date on some systems."""


@dataclass
class Record:
    """What is remembered of a job."""

    id: str
    document: dict[str, Any]
    """The job document, with a place for the film; it makes the same film again."""
    made: float = field(default_factory=time.time)
    """Seconds since the epoch; jobs run in this order."""
    state: str = "waiting"
    """waiting, running, done, stopped or failed."""
    message: str = ""
    told: str = ""
    """What of it a list tells, once it is known."""
    seed: int = -1
    repaints: list[dict[str, Any]] = field(default_factory=list)
    """Rows that give frames another seed, beside those of the document; the last one wins."""

    @property
    def asked(self) -> dict[str, Any]:
        """The job document with the repaints."""
        return {**self.document, "prompts": [*self.document.get("prompts", []), *self.repaints]}

    def repainted(self, row: PromptRow) -> Record:
        """The same with one repaint more."""
        return replace(self, repaints=[*self.repaints, *prompt_rows.to_json([row])])

    def undone(self) -> Record:
        """The same without the last repaint."""
        return replace(self, repaints=self.repaints[:-1])

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
        """What the job keeps."""
        return self.output.with_name(self.output.name + ".ofgen")

    @property
    def mask(self) -> Path | None:
        """The mask, a file or folder; None where there is none."""
        return Path(self.document["mask"]) if self.document.get("mask") else None


def same_place(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which need not be there."""
    return os.path.realpath(one) == os.path.realpath(other)


def needs(job: Any, place: Path) -> bool:
    """Whether a record or a job reads or writes the file `place`, or one in the folder `place`."""
    real = Path(os.path.realpath(place))
    used = [job.output, job.source, *([job.mask] if job.mask else [])]
    return any(Path(os.path.realpath(one)).is_relative_to(real) for one in used)


class Shelf:
    """A folder of records; what is no record stays there, and is left out."""

    def __init__(self, folder: Path) -> None:
        """Read what there is; what ran when the webui ended is stopped."""
        self._folder, self._lock = folder, threading.RLock()
        self._records: dict[str, Record] = {}
        self.version = 0
        """Goes up at every change."""
        paths: list[Path] = []
        with contextlib.suppress(OSError):
            paths = sorted(folder.glob("*.json"))
        for path in paths:
            record = _read(path)
            if record is not None:
                self._records[record.id] = record
            else:
                _LOG.warning("'%s' is no job that could be read; it is left out", path)
        self.left = [one for one in self.all() if one.state == "waiting"]
        """Those that waited when the webui ended, and wait for a word."""
        for record in self.all():
            if record.state == "running":
                record.state = "stopped"
                record.message = "the webui ended meanwhile; resume goes on from there"
                try:
                    self.save(record)
                except OfgenError as error:  # a webui starts, whatever the disk says
                    _LOG.warning("%s", error)

    def all(self) -> list[Record]:
        """The records, the oldest first."""
        with self._lock:
            return sorted(self._records.values(), key=lambda one: one.made)

    def get(self, name: str) -> Record | None:
        """The record of that id."""
        return self._records.get(name)

    def of(self, output: Path) -> Record | None:
        """The newest record whose film is that one."""
        films = [one for one in self.all() if same_place(one.output, output)]
        return films[-1] if films else None

    def save(self, record: Record) -> None:
        """Keep the record as it is now.

        Raises:
            WorkspaceError: it cannot be written.
        """
        with self._lock:
            data = json.dumps(dataclasses.asdict(record), indent=1, ensure_ascii=False)
            path = self._folder / f"{record.id}.json"
            write_whole(path, data.encode("utf-8", "backslashreplace"))
            self._records[record.id] = record
            self.version += 1
            if record.state != "waiting":
                self._begun(record)

    def forget(self, record: Record) -> None:
        """Drop the record; its film and workspace are not touched."""
        with self._lock:
            self._records.pop(record.id, None)
            self.version += 1
            self._begun(record)
            (self._folder / f"{record.id}.json").unlink(missing_ok=True)

    def _begun(self, record: Record) -> None:
        """It waits for no word any more."""
        self.left[:] = [one for one in self.left if one.id != record.id]


def _read(path: Path) -> Record | None:
    """The record that the file holds; None where it holds none, whatever else it is."""
    try:
        with regular_file(path) as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            return None
        record = Record(**json.loads(data.decode("utf-8"), parse_constant=_no_number))
        if record.id != path.stem or not _SHAPE(vars(record)):
            return None
        repaints = prompt_rows.check_rows(record.repaints, "the repaints")
        prompt_rows.check_rows(record.asked["prompts"], "the prompts")
    except (OSError, ValueError, TypeError, RecursionError, OfgenError):
        return None
    return record if all(row.only_seed for row in repaints) else None


def _no_number(text: str) -> NoReturn:
    """JSON has no NaN and no Infinity, though Python reads them."""
    raise ValueError(text)


def _place(value: object) -> bool:
    """Whether the value is a path as the system takes it."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return Path(value).name not in ("", "..")


def _document(value: object) -> bool:
    """Whether the value is a job document that a record may hold."""
    asked = sealed_json.record(input=_place, output=_place, settings=sealed_json.record())
    return asked(value) and isinstance(value, dict) and _place(value.get("mask", "none"))


def _name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[\w.-]{1,100}", value) is not None


_SHAPE = sealed_json.record(
    id=_name,
    document=_document,
    made=sealed_json.number(0, _LATEST),
    state=lambda value: value in ("waiting", "running", "done", "stopped", "failed"),
    message=sealed_json.text,
    told=sealed_json.text,
    seed=sealed_json.whole(-1, 2**32 - 1),
    repaints=sealed_json.items(sealed_json.any_value),
)


_SHELVES: dict[Path, Shelf] = {}


def shelf() -> Shelf:
    """The shelf of this webui; "Reload UI" leaves it be."""
    from modules import paths_internal  # here, so that records can be read without a host

    folder = Path(paths_internal.data_path) / "ofgen-jobs"
    if folder not in _SHELVES:
        _SHELVES[folder] = Shelf(folder)
    return _SHELVES[folder]
