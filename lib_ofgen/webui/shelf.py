"""The tab's jobs on disk, a small JSON file each: those that wait, run, and have ended."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modules import paths_internal

from lib_ofgen import prompt_list
from lib_ofgen.values import PromptRow
from lib_ofgen.workspace import write_whole

__all__ = ["Record", "Shelf", "shelf"]


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
        return replace(self, repaints=[*self.repaints, *prompt_list.to_json([row])])

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


class Shelf:
    """A folder of records; what cannot be read is left out."""

    def __init__(self, folder: Path) -> None:
        """Read what there is; what ran when the webui ended is stopped."""
        self._folder, self._lock = folder, threading.RLock()
        self._records: dict[str, Record] = {}
        self.version = 0
        """Goes up at every change."""
        for path in sorted(folder.glob("*.json")):
            record = _read(path)
            if record is not None:
                self._records[record.id] = record
        self.left = [one for one in self.all() if one.state == "waiting"]
        """Those that waited when the webui ended, and wait for a word."""
        for record in self.all():
            if record.state == "running":
                record.state = "stopped"
                record.message = "the webui ended meanwhile; resume goes on from there"
                self.save(record)

    def all(self) -> list[Record]:
        """The records, the oldest first."""
        with self._lock:
            return sorted(self._records.values(), key=lambda one: one.made)

    def get(self, name: str) -> Record | None:
        """The record of that id."""
        return self._records.get(name)

    def save(self, record: Record) -> None:
        """Keep the record as it is now.

        Raises:
            WorkspaceError: it cannot be written.
        """
        with self._lock:
            self._records[record.id] = record
            self.version += 1
            if record.state != "waiting":
                self._begun(record)
            data = json.dumps(dataclasses.asdict(record), indent=1, ensure_ascii=False)
            path = self._folder / f"{record.id}.json"
            write_whole(path, data.encode("utf-8", "backslashreplace"))

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
    try:
        record = Record(**json.loads(path.read_text("utf-8")))
        return record if record.id == path.stem and record.output and record.source else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


_SHELVES: dict[Path, Shelf] = {}


def shelf() -> Shelf:
    """The shelf of this webui; "Reload UI" leaves it be."""
    folder = Path(paths_internal.data_path) / "ofgen-jobs"
    if folder not in _SHELVES:
        _SHELVES[folder] = Shelf(folder)
    return _SHELVES[folder]
