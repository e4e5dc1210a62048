"""The panel of earlier jobs: open, resume or delete them."""

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
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.jobs.store import JobRecord
from lib_ofgen.webui.messages import adapt_message, escape, note
from lib_ofgen.webui.tab.gradio_compat import js_option
from lib_ofgen.webui.tab.job_view import file_url
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["HistoryPanel"]

_MAX_LISTED = 50
"""Jobs in the list, the newest first."""
_LISTED_SETTINGS = ("prompt", "strength", "checkpoint", "steps")
"""Settings that the list shows if they differ from the defaults."""


class HistoryPanel:
    """A list, and the actions on one of its jobs."""

    def __init__(self) -> None:
        """Build the panel at the current place in the page."""
        self.list = gr.HTML(elem_id=element_id("history"))
        self.choice = gr.Dropdown(label="Job", choices=[], elem_id=element_id("history_choice"))
        self.choice.do_not_save_to_config = True
        with gr.Row():
            self.open = gr.Button("Open", min_width=80, elem_id=element_id("history_open"))
            self.resume = gr.Button("Resume", min_width=80, elem_id=element_id("history_resume"))
            self.delete = gr.Button(
                "Delete job", min_width=80, elem_id=element_id("history_delete")
            )
        self.film_too = gr.Checkbox(
            label="Delete the film too", value=False, elem_id=element_id("history_film")
        )
        self.note = gr.HTML(elem_id=element_id("history_told"))

    @property
    def outputs(self) -> list[Any]:
        """The outputs of `refresh`."""
        return [self.list, self.choice]

    def connect(
        self, show: Callable[[JobRecord], list[Any]], outputs: list[Any], tabs: Any
    ) -> None:
        """Bind the buttons.

        Args:
            show: Gives the values of `outputs` for a job.
            outputs: The outputs of the film's panel.
            tabs: The tabs that hold the film's panel.
        """

        def open_job(chosen: str | None) -> list[Any]:
            record = SERVICE.jobs.store.get(_read_id(chosen))
            if record is None:
                return [note("choose a job"), gr.update(), *(gr.update() for _ in outputs)]
            return ["", gr.update(selected="film"), *show(record)]

        quick = {"queue": False, "show_progress": False}
        self.open.click(
            open_job, inputs=[self.choice], outputs=[self.note, tabs, *outputs], **quick
        )
        self.choice.input(_describe_size, inputs=[self.choice], outputs=[self.note], **quick)
        self.resume.click(_resume, inputs=[self.choice], outputs=[self.note], **quick)
        self.delete.click(
            _delete, inputs=[self.choice, self.film_too], outputs=[self.note],
            **js_option("(job, film) => [confirm('Delete ' + job + '?') ? job : '', film]"),
            **quick,
        )  # fmt: skip

    def refresh(self, seen: dict[str, Any]) -> list[Any]:
        """Return the outputs; `seen` remembers what the page shows already."""
        version = SERVICE.jobs.store.version
        if seen.get("history") == version:
            return [gr.update(), gr.update()]
        seen["history"] = version
        records = SERVICE.jobs.store.all()[::-1][:_MAX_LISTED]
        return [_list_html(records), gr.update(choices=[_name(one) for one in records])]


def _name(record: JobRecord) -> str:
    """Return the job as the list and the choice name it; it ends in the id."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    name = record.source.name.encode("utf-8", "replace").decode("utf-8")
    return f"{when} {name} [{record.id}]"


def _read_id(chosen: str | None) -> str:
    """Return the id in a name of `_name`; empty if there is none."""
    return (chosen or "").rpartition("[")[2].rstrip("]")


def _list_html(records: list[JobRecord]) -> str:
    if not records:
        return note("no film has been made here yet")
    return f"<ul>{''.join(map(_item, records))}</ul>"


def _item(record: JobRecord) -> str:
    settings = record.document["settings"]
    chosen = [f"{name}: {settings[name]}" for name in _LISTED_SETTINGS if settings.get(name)]
    sheet = record.workspace / "keys.png"
    picture = f"<img alt='' loading='lazy' src='{file_url(sheet)}'>" if exists(sheet) else "<i></i>"
    lines = [_name(record).rpartition(" [")[0], record.message or record.summary, ", ".join(chosen)]
    texts = "".join(f"<div>{escape(adapt_message(line)[:200])}</div>" for line in lines if line)
    return f"<li class='{record.state}'>{picture}<div><b>{record.state}</b>{texts}</div></li>"


def _folder_size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    size = 0
    for one in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a running job deletes files
            size += one.stat().st_size if one.is_file() else 0
    return size


def _describe_size(chosen: str | None) -> str:
    record = SERVICE.jobs.store.get(_read_id(chosen))
    if record is None:
        return note("choose a job")
    return note(
        f"Delete frees {_folder_size(record.workspace) / 1e6:.1f} MB; the film stays unless ticked"
    )


def _resume(chosen: str | None) -> str:
    record = SERVICE.jobs.store.get(_read_id(chosen))
    if record is None:
        return note("choose a job")
    try:
        SERVICE.queue.resume(record)
    except OfgenError as error:
        return note(error, failed=True)
    return note("it goes on when its turn comes")


def _delete(chosen: str | None, film_too: bool) -> str:
    """Delete a job's workspace and record; a job that waits never begins."""
    record = SERVICE.jobs.store.get(_read_id(chosen))
    if record is None:
        return note("nothing is deleted; choose a job")
    run = SERVICE.jobs.find(record.id)
    try:
        freed, kept = SERVICE.queue.delete(record, film_too=film_too)
    except (OfgenError, OSError) as error:
        return note(error, failed=True)
    cleanup.delete_unused_uploads(ended=run)
    stays = f"; other jobs need its {' and '.join(kept)}, which stay" if kept else ""
    return note(f"deleted; {freed / 1e6:.1f} MB are free again{stays}")
