"""The panel of earlier jobs: look at them again, go on with them, delete them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.system.files import exists
from lib_ofgen.webui.jobs import cleanup
from lib_ofgen.webui.jobs.job import JOBS
from lib_ofgen.webui.jobs.queue import RUNNER
from lib_ofgen.webui.jobs.store import Record, shelf
from lib_ofgen.webui.messages import note, said, shown
from lib_ofgen.webui.tab.gradio_compat import scripted
from lib_ofgen.webui.tab.job_view import url
from lib_ofgen.webui.tab.widgets import element

__all__ = ["HistoryPanel"]

_SHOWN = 50
"""Jobs in the list, the newest first."""
_TOLD = ("prompt", "strength", "checkpoint", "steps")
"""Settings that the list tells where they differ from the defaults."""


class HistoryPanel:
    """A list, and what can be done with one of it."""

    def __init__(self) -> None:
        """Lay the panel out where we are in the page."""
        self.list = gr.HTML(elem_id=element("history"))
        self.choice = gr.Dropdown(label="Job", choices=[], elem_id=element("history_choice"))
        self.choice.do_not_save_to_config = True
        with gr.Row():
            self.open = gr.Button("Open", min_width=80, elem_id=element("history_open"))
            self.resume = gr.Button("Resume", min_width=80, elem_id=element("history_resume"))
            self.delete = gr.Button("Delete job", min_width=80, elem_id=element("history_delete"))
        self.film_too = gr.Checkbox(
            label="Delete the film too", value=False, elem_id=element("history_film")
        )
        self.told = gr.HTML(elem_id=element("history_told"))

    @property
    def outputs(self) -> list[Any]:
        """What `look` gives."""
        return [self.list, self.choice]

    def connect(self, show: Callable[[Record], list[Any]], shown: list[Any], tabs: Any) -> None:
        """Bind the buttons; `show` gives the outputs `shown` of a job, on the film's panel."""

        def opened(chosen: str | None) -> list[Any]:
            record = shelf().get(_id(chosen))
            if record is None:
                return [note("choose a job"), gr.update(), *(gr.update() for _ in shown)]
            return ["", gr.update(selected="film"), *show(record)]

        quick = {"queue": False, "show_progress": False}
        self.open.click(opened, inputs=[self.choice], outputs=[self.told, tabs, *shown], **quick)
        self.choice.input(_size, inputs=[self.choice], outputs=[self.told], **quick)
        self.resume.click(_resumed, inputs=[self.choice], outputs=[self.told], **quick)
        self.delete.click(
            _deleted, inputs=[self.choice, self.film_too], outputs=[self.told],
            **scripted("(job, film) => [confirm('Delete ' + job + '?') ? job : '', film]"), **quick,
        )  # fmt: skip

    def look(self, seen: dict[str, Any]) -> list[Any]:
        """The outputs; `seen` remembers what the page has already."""
        version = shelf().version
        if seen.get("history") == version:
            return [gr.update(), gr.update()]
        seen["history"] = version
        records = shelf().all()[::-1][:_SHOWN]
        return [_list(records), gr.update(choices=[_name(one) for one in records])]


def _name(record: Record) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.made))
    name = record.source.name.encode("utf-8", "replace").decode("utf-8")
    return f"{when} {name} [{record.id}]"


def _id(chosen: str | None) -> str:
    return (chosen or "").rpartition("[")[2].rstrip("]")


def _list(records: list[Record]) -> str:
    if not records:
        return note("no film has been made here yet")
    return f"<ul>{''.join(map(_item, records))}</ul>"


def _item(record: Record) -> str:
    settings = record.document["settings"]
    told = [f"{name}: {settings[name]}" for name in _TOLD if settings.get(name)]
    sheet = record.workspace / "keys.png"
    picture = f"<img alt='' loading='lazy' src='{url(sheet)}'>" if exists(sheet) else "<i></i>"
    lines = [_name(record).rpartition(" [")[0], record.message or record.told, ", ".join(told)]
    texts = "".join(f"<div>{shown(said(line)[:200])}</div>" for line in lines if line)
    return f"<li class='{record.state}'>{picture}<div><b>{record.state}</b>{texts}</div></li>"


def _taken(folder: Path) -> int:
    """Bytes of the files in a folder."""
    taken = 0
    for one in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a job that runs deletes some
            taken += one.stat().st_size if one.is_file() else 0
    return taken


def _size(chosen: str | None) -> str:
    record = shelf().get(_id(chosen))
    if record is None:
        return note("choose a job")
    return note(
        f"Delete frees {_taken(record.workspace) / 1e6:.1f} MB; the film stays unless ticked"
    )


def _resumed(chosen: str | None) -> str:
    record = shelf().get(_id(chosen))
    if record is None:
        return note("choose a job")
    try:
        RUNNER.resume(record)
    except OfgenError as error:
        return note(error, failed=True)
    return note("it goes on when its turn comes")


def _deleted(chosen: str | None, film_too: bool) -> str:
    """Delete a job's workspace and record; a job that waits never begins."""
    record = shelf().get(_id(chosen))
    if record is None:
        return note("nothing is deleted; choose a job")
    job = JOBS.get(record.id)
    try:
        freed, kept = RUNNER.delete(record, film_too=film_too)
    except (OfgenError, OSError) as error:
        return note(error, failed=True)
    cleanup.clear(ended=job)
    stays = f"; other jobs need its {' and '.join(kept)}, which stay" if kept else ""
    return note(f"deleted; {freed / 1e6:.1f} MB are free again{stays}")
