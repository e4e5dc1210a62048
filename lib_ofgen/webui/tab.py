"""The tab: a video and a look go in; a plan, progress and the film come out."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.webui import job as jobs
from lib_ofgen.webui.controls import element
from lib_ofgen.webui.form import Form, document
from lib_ofgen.webui.lines import note
from lib_ofgen.webui.preset_controls import Bar
from lib_ofgen.webui.tab_plan import PlanPanel

__all__ = ["tabs"]

_POLL = 0.5
"""Seconds between two looks at the job."""


def tabs() -> list[tuple[Any, str, str]]:
    """What the host's `on_ui_tabs` wants."""
    return [(_page(), jobs.TITLE, "ofgen")]


def _page() -> Any:
    form = Form()
    with gr.Blocks(analytics_enabled=False) as page:
        bar = Bar()
        with gr.Row(elem_id=element("toprow")):
            with gr.Column(scale=6):
                form.video()
                form.words()
            with gr.Column(scale=1, min_width=280, elem_id=element("actions")):
                generate = gr.Button("Generate", variant="primary", elem_id=element("generate"))
                plan = gr.Button("Plan", elem_id=element("plan"))
                stop = gr.Button("Stop", elem_id=element("stop"))
                progress = gr.HTML(elem_id=element("progress"))
                form.style_row()
        with gr.Row():
            with gr.Column(elem_id=element("settings")):
                form.painter()
                form.accordions()
            with gr.Column(elem_id=element("results")), gr.Tabs(elem_id=element("tabs")) as shelf:
                with gr.Tab("Plan", id="plan"):
                    planned = PlanPanel()
                with gr.Tab("Film", id="film"):
                    shown = _results()
        bar.connect(form.settings, form.lists)
        form.connect()
        planned.connect(form, plan, lambda: gr.Tabs.update(selected="plan"), shelf)
        running = gr.State("")
        generate.click(
            _generate, inputs=form.inputs, outputs=[running, progress, *shown],
            api_name="ofgen_generate",
        )  # fmt: skip
        stop.click(_stop, inputs=[running], outputs=[progress], queue=False)
        _watch(planned)
    return page


def _watch(planned: PlanPanel) -> None:
    """The button that the page's script presses, as often as there is something to see."""
    look = gr.Button("Look", visible=False, elem_id=element("look"))
    beat = gr.HTML(visible=False, elem_id=element("beat"))
    seen = gr.State({})

    def looked(seen: dict[str, Any], wanted: str) -> list[Any]:
        seen = {**seen, "beat": seen.get("beat", 0) + 1}
        return [f"<i data-beat='{seen['beat']}'></i>", *planned.look(wanted, seen), seen]

    look.click(
        looked, inputs=[seen, planned.wanted], outputs=[beat, *planned.outputs, seen],
        queue=False, show_progress=False,
    )  # fmt: skip


def _results() -> list[Any]:
    return [
        gr.Image(label="Newest frame", elem_id=element("preview"), interactive=False),
        gr.Video(label="Film", elem_id=element("film"), interactive=False),
        gr.Image(label="Key frames of the film", elem_id=element("sheet"), interactive=False),
        gr.File(label="Report", elem_id=element("report"), interactive=False),
    ]


def _generate(*values: Any) -> Iterator[tuple[Any, ...]]:
    """Run a job and tell how far it is until it ends."""
    try:
        job = jobs.prepared(document(*values), {})
    except OfgenError as error:
        yield "", note(error, failed=True), None, None, None, None
        return
    work = (job, jobs.recipe_of(job.settings), jobs.queue_lock)
    thread = threading.Thread(target=jobs.animated, args=work, name=job.id, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL)
        yield job.id, _bar(job), job.reporter.preview, None, None, None
    outcome = job.outcome
    if outcome is None:
        yield "", note(job.message, failed=job.state == "failed"), None, None, None, None
        return
    frames, seconds = outcome.facts["clip"]["frames"], outcome.facts["seconds"]["total"]
    done = f"{frames} frames in {seconds:.0f} s: {outcome.video}"
    yield "", note(done), None, str(outcome.video), str(outcome.sheet), str(outcome.report)


def _stop(running: str) -> str:
    job = jobs.JOBS.get(running)
    if job is None or job.state != "running":
        return note("nothing is running")
    job.stop()
    return note("stopping")


def _bar(job: jobs.HostJob) -> str:
    share = 100 * job.reporter.fraction
    left = job.reporter.left()
    eta = f", {left:.0f} s left" if left is not None else ""
    return (
        f"<div class='ofgen-bar'><div style='width:{share:.1f}%'></div></div>"
        f"<p>{html.escape(job.reporter.text)} ({share:.0f} %{eta})</p>"
    )
