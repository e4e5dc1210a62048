"""The tab: a video, a prompt and the main settings in; progress and the film out."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr
from modules import sd_models, sd_samplers, sd_schedulers

from lib_ofgen.errors import OfgenError
from lib_ofgen.settings import Settings, choices
from lib_ofgen.webui import job as jobs
from lib_ofgen.webui.controls import control, element, from_values
from lib_ofgen.webui.document import Document, parse
from lib_ofgen.webui.preset_controls import Bar

__all__ = ["tabs"]

_FIRST = (
    ("prompt",),
    ("negative_prompt",),
    ("checkpoint", "inpaint_checkpoint"),
    ("sampler", "scheduler"),
    ("steps", "cfg_scale"),
    ("strength", "seed"),
    ("width", "height"),
)
"""Shown at once, a row each; the other settings stand in accordions, a group each."""
_POLL = 0.5
"""Seconds between two looks at the job."""


def tabs() -> list[tuple[Any, str, str]]:
    """What the host's `on_ui_tabs` wants."""
    return [(_page(), jobs.TITLE, "ofgen")]


def _page() -> Any:
    lists = {
        "checkpoint": ["", *(info.title for info in sd_models.checkpoints_list.values())],
        "inpaint_checkpoint": ["", *(info.title for info in sd_models.checkpoints_list.values())],
        "sampler": ["", *(sampler.name for sampler in sd_samplers.all_samplers)],
        "tagger": jobs.tagger_names(),
        "scheduler": ["", *(scheduler.label for scheduler in sd_schedulers.schedulers)],
    }
    with gr.Blocks(analytics_enabled=False) as page, gr.Row():
        with gr.Column():
            upload = gr.File(label="Source video", file_types=["video"], elem_id=element("upload"))
            path = gr.Textbox(
                label="Or a path on the server", placeholder="", elem_id=element("path")
            )
            bar = Bar()
            shown = _controls(lists)
            bar.connect(shown, lists)
        with gr.Column():
            with gr.Row():
                generate = gr.Button("Generate", variant="primary", elem_id=element("generate"))
                stop = gr.Button("Stop", elem_id=element("stop"))
            progress = gr.HTML(elem_id=element("progress"))
            preview = gr.Image(label="Newest frame", elem_id=element("preview"), interactive=False)
            film = gr.Video(label="Film", elem_id=element("film"), interactive=False)
            sheet = gr.Image(label="Key frames", elem_id=element("sheet"), interactive=False)
            files = gr.File(label="Report", elem_id=element("report"), interactive=False)
            with gr.Accordion("Flow", open=False, elem_id=element("flow_of")):
                with gr.Row():
                    index = gr.Number(
                        label="Frame", value=0, precision=0, elem_id=element("flow_frame")
                    )
                    ask = gr.Button("Show its flow", elem_id=element("flow_show"))
                flow = gr.Image(
                    label="Colour: direction; strength: speed",
                    elem_id=element("flow_picture"),
                    interactive=False,
                )
        running = gr.State("")
        outputs = [running, progress, preview, film, sheet, files]
        inputs = [upload, path, *shown.values()]
        generate.click(_generate, inputs=inputs, outputs=outputs, api_name="ofgen_generate")
        ask.click(_flow, inputs=[index, *inputs], outputs=[flow, progress])
        stop.click(_stop, inputs=[running], outputs=[progress], queue=False)
    return page


def _controls(lists: dict[str, list[str]]) -> dict[str, Any]:
    """All settings' controls, in the order of declaration."""
    made: dict[str, Any] = {}
    for names in _FIRST:
        with gr.Row():
            made |= {name: control(name, lists) for name in names}
    groups = dict.fromkeys(choice.group for choice in choices().values())
    for group in groups:
        names = [n for n, choice in choices().items() if choice.group == group and n not in made]
        with gr.Accordion(
            group, open=False, elem_id=element(f"group_{group.lower().replace(' ', '_')}")
        ):
            made |= {name: control(name, lists) for name in names}
    return {name: made[name] for name in Settings.names()}


def _document(upload: Any, path: str, values: tuple[Any, ...]) -> Document:
    """The job document of what the controls hold."""
    settings = from_values(dict(zip(Settings.names(), values, strict=True)))
    source = path.strip().strip('"') or (upload.name if upload is not None else "")
    return parse({"input": source, "settings": settings})


def _flow(index: float, upload: Any, path: str, *values: Any) -> tuple[Any, str]:
    """The flow of a frame to the next one as a picture, or a line that says why not."""
    try:
        return jobs.flow_picture(_document(upload, path, values), int(index)), ""
    except OfgenError as error:
        return None, _line(str(error), failed=True)


def _generate(upload: Any, path: str, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Run a job and tell how far it is until it ends."""
    try:
        job = jobs.prepared(_document(upload, path, values), {})
    except OfgenError as error:
        yield "", _line(str(error), failed=True), None, None, None, None
        return
    work = (job, jobs.recipe_of(job.settings), jobs.queue_lock)
    thread = threading.Thread(target=jobs.animated, args=work, name=job.id, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL)
        yield job.id, _bar(job), job.reporter.preview, None, None, None
    outcome = job.outcome
    if outcome is None:
        yield "", _line(job.message, failed=job.state == "failed"), None, None, None, None
        return
    frames, seconds = outcome.facts["clip"]["frames"], outcome.facts["seconds"]["total"]
    done = f"{frames} frames in {seconds:.0f} s: {outcome.video}"
    yield "", _line(done), None, str(outcome.video), str(outcome.sheet), str(outcome.report)


def _stop(running: str) -> str:
    job = jobs.JOBS.get(running)
    if job is None or job.state != "running":
        return _line("nothing is running")
    job.stop()
    return _line("stopping")


def _bar(job: jobs.HostJob) -> str:
    share = 100 * job.reporter.fraction
    left = job.reporter.left()
    eta = f", {left:.0f} s left" if left is not None else ""
    return (
        f"<div class='ofgen-bar'><div style='width:{share:.1f}%'></div></div>"
        f"<p>{html.escape(job.reporter.text)} ({share:.0f} %{eta})</p>"
    )


def _line(text: str, *, failed: bool = False) -> str:
    kind = "ofgen-error" if failed else "ofgen-note"
    return f"<p class='{kind}'>{html.escape(text)}</p>"
