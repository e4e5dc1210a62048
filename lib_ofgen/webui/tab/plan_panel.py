"""The panel that shows a plan, in which the user can change the key frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.settings.fields import Settings
from lib_ofgen.webui.jobs.execution import draw_flow
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.form import Form, error_note, read_document
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["PlanPanel"]


class PlanPanel:
    """A plan, its key frames and the flow of a frame; `refresh` shows how far the plan is."""

    def __init__(self) -> None:
        """Build the panel at the current place in the page; it is empty until a plan is wanted."""
        self.note = gr.HTML(elem_id=element_id("plan_told"))
        self.view = gr.HTML(elem_id=element_id("plan_view"))
        self.keys = gr.Textbox(
            label="Key frames of the plan", elem_id=element_id("plan_keys"),
            info="Click on the pictures to add a key frame. Drag it or use the arrow keys to move "
            "it. Press Delete to remove it. Or write the indices here.",
        )  # fmt: skip
        self.use_keys = gr.Button("Use these key frames", elem_id=element_id("plan_take"))
        self.plan_id = gr.State("")
        with gr.Accordion("Flow of a frame", open=False, elem_id=element_id("flow_of")):
            with gr.Row():
                self.index = gr.Number(
                    label="Frame", value=0, precision=0, elem_id=element_id("flow_frame")
                )
                self.show_flow = gr.Button("Show its flow", elem_id=element_id("flow_show"))
            self.flow = gr.Image(
                label="Colour is direction and strength is speed", interactive=False,
                elem_id=element_id("flow_picture"),
            )  # fmt: skip

    @property
    def outputs(self) -> list[Any]:
        """The outputs of `refresh`."""
        return [self.note, self.view, self.keys]

    def connect(self, form: Form, button: Any, open_panel: Callable[[], Any], tabs: Any) -> None:
        """Bind the panel to the form.

        Args:
            form: Gives the job document.
            button: The button that asks for a plan.
            open_panel: Gives the update of `tabs` that shows the panel.
            tabs: The tabs that hold the panel.
        """
        settings = form.settings

        def start(before: str, *values: Any) -> list[Any]:
            return [*_start(values, before), open_panel()]

        def use_keys(before: str, keys: str, *values: Any) -> list[Any]:
            chosen = {"key_frames": "chosen", "key_indices": keys}
            place = len(values) - len(Settings.names())
            changed = [
                *values[:place],
                *(
                    chosen.get(name, old)
                    for name, old in zip(settings, values[place:], strict=True)
                ),
            ]
            return [*_start(changed, before), *chosen.values()]

        start_outputs = [self.plan_id, self.note]
        button.click(
            start, inputs=[self.plan_id, *form.inputs], outputs=[*start_outputs, tabs], queue=False,
            show_progress=False, api_name="ofgen_plan",
        )  # fmt: skip
        self.use_keys.click(
            use_keys, inputs=[self.plan_id, self.keys, *form.inputs],
            queue=False, show_progress=False,
            outputs=[*start_outputs, settings["key_frames"], settings["key_indices"]],
        )  # fmt: skip
        self.show_flow.click(
            _draw_flow, inputs=[self.index, *form.inputs], outputs=[self.flow, self.note],
            show_progress=False,
        )  # fmt: skip

    def refresh(self, plan_id: str, seen: dict[str, Any]) -> list[Any]:
        """Return the outputs; `seen` remembers what the page shows already."""
        plan = SERVICE.planner.find(plan_id)
        if plan is None or seen.get("plan") == plan_id:
            return [gr.update()] * 3
        if plan.is_running:
            return [f"<div data-busy>{note(plan.text)}</div>", gr.update(), gr.update()]
        seen["plan"] = plan_id
        if plan.message:
            return [note(plan.message, failed=True), gr.update(), gr.update()]
        return ["", plan.html, ", ".join(map(str, plan.keys))]


def _start(values: Any, before: str) -> tuple[str, str]:
    """Start a plan in place of the one before; return its id and a line, no id after an error."""
    try:
        plan = SERVICE.planner.start(read_document(*values), before)
    except OfgenError as error:
        return "", error_note(error)
    return plan.id, f"<div data-busy>{note(plan.text)}</div>"


def _draw_flow(index: float, *values: Any) -> tuple[Any, str]:
    """Return the flow of a frame to the next one as a picture, or a line that says why not."""
    try:
        return draw_flow(read_document(*values), int(index)), ""
    except OfgenError as error:
        return None, error_note(error)
