"""A finished film beside its source; the file is made on demand in a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.pipeline.results import side_by_side
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.jobs.store import JobRecord
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.job_view import video_player
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["SideBySidePanel"]

_MAX_KNOWN = 20
"""Newest jobs whose file is shown again at once."""


@dataclass
class _Task:
    """Makes the file of one job; any number of pages may watch it."""

    record: JobRecord
    done: int = 0
    """Frames that are written."""
    length: int = 0
    """Frames of the film; 0 until that is known."""
    path: Path | None = None
    """The file, when it is whole."""
    message: str = ""
    """Why there is no file."""

    @property
    def is_running(self) -> bool:
        """Whether the task has not ended."""
        return self.path is None and not self.message

    def run(self) -> None:
        """Find or write the file; an error becomes the message."""
        try:
            frames = ResultFrames(self.record.workspace)
            self.length, path = len(frames), side_by_side.side_by_side_file(frames)
            if not path.is_file():
                for count in side_by_side.write_side_by_side(frames, self.record.output):
                    self.done = count
            self.path = path
        except OfgenError as error:
            self.message = str(error)
        except BaseException as error:
            self.message = f"{type(error).__name__}: {error}"
            raise

    def html(self) -> str:
        """Return the progress, or the player."""
        if self.is_running:
            line = f"frame {self.done} of {self.length}" if self.done else "reading its frames"
            return f"<div data-busy>{note(line)}</div>"
        name = self.record.source.name
        line = f"{name}: the source on the left, the film on the right"
        return video_player(self.path, line) if self.path else note(self.message, failed=True)


_TASKS: dict[str, _Task] = {}
"""Tasks by the id of the job."""


class SideBySidePanel:
    """A button, and the player that it opens."""

    def __init__(self) -> None:
        """Build it at the current place in the page."""
        self.play = gr.Button("Play beside the source", elem_id=element_id("beside_play"))
        self.film = gr.HTML(elem_id=element_id("beside"))

    @property
    def outputs(self) -> list[Any]:
        """The outputs of `refresh`."""
        return [self.film]

    def connect(self, job_id: Any) -> None:
        """Bind the button; `job_id` holds the id of the job whose film is shown."""
        self.play.click(_start, inputs=[job_id], outputs=[], queue=False, show_progress=False)

    def refresh(self, job_id: str, seen: dict[str, Any]) -> list[Any]:
        """Return the outputs; `seen` remembers what the page shows already."""
        task = _TASKS.get(job_id)
        now = (job_id, task and (task.done, task.is_running, id(task)))
        if seen.get("beside") == now:
            return [gr.update()]
        seen["beside"] = now
        return [task.html() if task else ""]


def _start(job_id: str) -> None:
    """Start the task of the job, unless it runs already."""
    record, known = SERVICE.jobs.store.get(job_id), _TASKS.get(job_id)
    if record is None or (known and known.is_running):
        return
    task = _TASKS[job_id] = _Task(record)
    for old in list(_TASKS)[:-_MAX_KNOWN]:
        _TASKS.pop(old, None)
    threading.Thread(target=task.run, name=f"ofgen-side-by-side-{job_id}", daemon=True).start()
