"""The part of a finished film's panel that repaints frames with another seed."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.pipeline.results import repaint
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.settings import prompt_rows
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.jobs.store import JobRecord
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["RepaintPanel"]


class RepaintPanel:
    """A range of frames and a seed; `show` lists the repaints."""

    def __init__(self) -> None:
        """Build it at the current place in the page."""
        with gr.Accordion("Repaint frames", open=False, elem_id=element_id("repaints")):
            with gr.Row():
                self.first = gr.Number(
                    label="From frame", info="Number as on the slider.", value=None, precision=0,
                    elem_id=element_id("repaint_first"),
                )  # fmt: skip
                self.last = gr.Number(
                    label="To frame", info="The last frame to repaint.", value=None, precision=0,
                    elem_id=element_id("repaint_last"),
                )  # fmt: skip
                self.seed = gr.Textbox(
                    label="Seed", info="-1 draws one, once.", value="-1", max_lines=1,
                    elem_id=element_id("repaint_seed"),
                )  # fmt: skip
            for field in (self.first, self.last, self.seed):
                field.do_not_save_to_config = True
            with gr.Row():
                self.begin = gr.Button("Repaint these frames", elem_id=element_id("repaint"))
                self.undo = gr.Button(
                    "Undo repaint", visible=False, elem_id=element_id("repaint_undo")
                )
            self.note = gr.HTML(elem_id=element_id("repaint_told"))
            self.list = gr.HTML(elem_id=element_id("repaint_list"))

    @property
    def outputs(self) -> list[Any]:
        """The outputs of `show`."""
        return [self.note, self.list, self.undo]

    def connect(self, job_id: Any) -> None:
        """Bind the buttons; `job_id` holds the id of the job whose film is shown."""
        quick = {"outputs": self.outputs, "queue": False, "show_progress": False}
        self.begin.click(_repaint, inputs=[job_id, self.first, self.last, self.seed], **quick)
        self.undo.click(_undo, inputs=[job_id], **quick)

    def show(self, record: JobRecord) -> list[Any]:
        """Return the outputs for a job."""
        return _show(record)


def _show(record: JobRecord, line: str = "") -> list[Any]:
    """Return the outputs for a job, with a line."""
    items = "".join(
        f"<li>{html.escape(f'{repaint.frames_to_repaint(row)}: seed {row.seed}')}</li>"
        for row in prompt_rows.check_rows(record.repaints, "the repaints")
    )
    listed = f"<p>Repaints, of which Undo takes back the last:</p><ol>{items}</ol>"
    return [note(line), listed if items else "", gr.update(visible=bool(items))]


def _repaint(job_id: str, first: int | None, last: int | None, seed: str) -> list[Any]:
    def add_repaint(record: JobRecord) -> tuple[JobRecord, str]:
        facts = ResultFrames(record.workspace).facts
        row = repaint.make_seed_row(facts, first, last, seed)
        return record.add_repaint(row), repaint.describe_change(facts, row)

    return _run_again(job_id, add_repaint)


def _undo(job_id: str) -> list[Any]:
    line = "the last repaint is taken back; frames from before it are not painted again"
    return _run_again(job_id, lambda record: (record.drop_repaint(), line))


def _run_again(job_id: str, change: Callable[[JobRecord], tuple[JobRecord, str]]) -> list[Any]:
    """Enter a changed job once more; return the outputs.

    Args:
        job_id: The job.
        change: Returns the changed record and a line for the page. If the job cannot be entered,
            the line says why and nothing changes.
    """
    record, kept = SERVICE.jobs.store.get(job_id), [gr.update(), gr.update()]
    if record is None:
        return [note("this job was deleted"), *kept]
    try:
        changed, line = change(record)
        SERVICE.queue.resume(changed)
    except OfgenError as error:
        return [note(error, failed=True), *kept]
    return _show(changed, line)
