"""The part of a finished film's panel that has frames of it painted with another seed."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.pipeline.results import repaint
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.settings import prompt_rows
from lib_ofgen.webui.jobs.queue import RUNNER
from lib_ofgen.webui.jobs.store import Record, shelf
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.widgets import element

__all__ = ["RepaintPanel"]


class RepaintPanel:
    """A range of frames and a seed; `show` tells what has been repainted."""

    def __init__(self) -> None:
        """Lay it out where we are in the page."""
        with gr.Accordion("Repaint frames", open=False, elem_id=element("repaints")):
            with gr.Row():
                self.first = gr.Number(
                    label="From frame", info="As the slider counts them.", value=None, precision=0,
                    elem_id=element("repaint_first"),
                )  # fmt: skip
                self.last = gr.Number(
                    label="To frame", info="The last that is repainted.", value=None, precision=0,
                    elem_id=element("repaint_last"),
                )  # fmt: skip
                self.seed = gr.Textbox(
                    label="Seed", info="-1 draws one, once.", value="-1", max_lines=1,
                    elem_id=element("repaint_seed"),
                )  # fmt: skip
            for field in (self.first, self.last, self.seed):
                field.do_not_save_to_config = True
            with gr.Row():
                self.begin = gr.Button("Repaint these frames", elem_id=element("repaint"))
                self.undo = gr.Button(
                    "Undo repaint", visible=False, elem_id=element("repaint_undo")
                )
            self.told = gr.HTML(elem_id=element("repaint_told"))
            self.list = gr.HTML(elem_id=element("repaint_list"))

    @property
    def outputs(self) -> list[Any]:
        """What `show` gives."""
        return [self.told, self.list, self.undo]

    def connect(self, shown: Any) -> None:
        """Bind the buttons; `shown` holds the id of the job whose film is seen."""
        quick = {"outputs": self.outputs, "queue": False, "show_progress": False}
        self.begin.click(_begun, inputs=[shown, self.first, self.last, self.seed], **quick)
        self.undo.click(_undone, inputs=[shown], **quick)

    def show(self, record: Record) -> list[Any]:
        """The outputs for a job."""
        return _shown(record)


def _shown(record: Record, told: str = "") -> list[Any]:
    items = "".join(
        f"<li>{html.escape(f'{repaint.frames_to_repaint(row)}: seed {row.seed}')}</li>"
        for row in prompt_rows.check_rows(record.repaints, "the repaints")
    )
    listed = f"<p>Repaints, the last of which Undo takes back:</p><ol>{items}</ol>"
    return [note(told), listed if items else "", gr.update(visible=bool(items))]


def _begun(shown: str, first: int | None, last: int | None, seed: str) -> list[Any]:
    def repainted(record: Record) -> tuple[Record, str]:
        facts = ResultFrames(record.workspace).facts
        row = repaint.make_seed_row(facts, first, last, seed)
        return record.repainted(row), repaint.describe_change(facts, row)

    return _again(shown, repainted)


def _undone(shown: str) -> list[Any]:
    told = "the last repaint is taken back; what was there before it is not painted again"
    return _again(shown, lambda record: (record.undone(), told))


def _again(shown: str, change: Callable[[Record], tuple[Record, str]]) -> list[Any]:
    """Enter the job once more, changed; gives the outputs with the line that `change` has for it.

    Where it cannot be, a line says why, and all else stays.
    """
    record, kept = shelf().get(shown), [gr.update(), gr.update()]
    if record is None:
        return [note("this job was deleted"), *kept]
    try:
        changed, told = change(record)
        RUNNER.resume(changed)
    except OfgenError as error:
        return [note(error, failed=True), *kept]
    return _shown(changed, told)
