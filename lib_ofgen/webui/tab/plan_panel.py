"""The panel that shows a plan, and lets its key frames be changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.settings.fields import Settings
from lib_ofgen.webui.jobs import job as jobs
from lib_ofgen.webui.jobs import plan as planning
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.form import Form, document, refusal
from lib_ofgen.webui.tab.widgets import element

__all__ = ["PlanPanel"]


class PlanPanel:
    """Laid out where we are in the page; `look` tells what has become of the plan."""

    def __init__(self) -> None:
        """Empty until a plan is asked for."""
        self.told = gr.HTML(elem_id=element("plan_told"))
        self.view = gr.HTML(elem_id=element("plan_view"))
        self.keys = gr.Textbox(
            label="Key frames of the plan", elem_id=element("plan_keys"),
            info="Click into the pictures to add one, drag or use the arrow keys to move one, "
            "Delete to drop it; or write indices here.",
        )  # fmt: skip
        self.take = gr.Button("Use these key frames", elem_id=element("plan_take"))
        self.wanted = gr.State("")
        with gr.Accordion("Flow of a frame", open=False, elem_id=element("flow_of")):
            with gr.Row():
                self.index = gr.Number(
                    label="Frame", value=0, precision=0, elem_id=element("flow_frame")
                )
                self.ask = gr.Button("Show its flow", elem_id=element("flow_show"))
            self.flow = gr.Image(
                label="Colour is direction and strength is speed", interactive=False,
                elem_id=element("flow_picture"),
            )  # fmt: skip

    @property
    def outputs(self) -> list[Any]:
        """What `look` gives."""
        return [self.told, self.view, self.keys]

    def connect(self, form: Form, button: Any, opens: Callable[[], Any], tabs: Any) -> None:
        """Bind to the form and to the button that asks for a plan; `opens` shows the panel."""
        settings = form.settings

        def begin(before: str, *values: Any) -> list[Any]:
            return [*_begun(values, before), opens()]

        def take(before: str, keys: str, *values: Any) -> list[Any]:
            chosen = {"key_frames": "chosen", "key_indices": keys}
            place = len(values) - len(Settings.names())
            changed = [
                *values[:place],
                *(
                    chosen.get(name, old)
                    for name, old in zip(settings, values[place:], strict=True)
                ),
            ]
            return [*_begun(changed, before), *chosen.values()]

        begin_outputs = [self.wanted, self.told]
        button.click(
            begin, inputs=[self.wanted, *form.inputs], outputs=[*begin_outputs, tabs], queue=False,
            show_progress=False, api_name="ofgen_plan",
        )  # fmt: skip
        self.take.click(
            take, inputs=[self.wanted, self.keys, *form.inputs], queue=False, show_progress=False,
            outputs=[*begin_outputs, settings["key_frames"], settings["key_indices"]],
        )  # fmt: skip
        self.ask.click(
            _flow, inputs=[self.index, *form.inputs], outputs=[self.flow, self.told],
            show_progress=False,
        )  # fmt: skip

    def look(self, wanted: str, seen: dict[str, Any]) -> list[Any]:
        """The outputs; `seen` remembers what the page has already."""
        plan = planning.PLANS.get(wanted)
        if plan is None or seen.get("plan") == wanted:
            return [gr.update()] * 3
        if plan.running:
            return [f"<div data-busy>{note(plan.text)}</div>", gr.update(), gr.update()]
        seen["plan"] = wanted
        if plan.message:
            return [note(plan.message, failed=True), gr.update(), gr.update()]
        return ["", plan.html, ", ".join(map(str, plan.keys))]


def _begun(values: Any, before: str) -> tuple[str, str]:
    """The plan's id, instead of one before, and a line; no id where it was refused."""
    try:
        plan = planning.begin(document(*values), before)
    except OfgenError as error:
        return "", refusal(error)
    return plan.id, f"<div data-busy>{note(plan.text)}</div>"


def _flow(index: float, *values: Any) -> tuple[Any, str]:
    """The flow of a frame to the next one as a picture, or a line that says why not."""
    try:
        return jobs.flow_picture(document(*values), int(index)), ""
    except OfgenError as error:
        return None, refusal(error)
