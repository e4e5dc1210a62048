"""What the webui has of us: the script in txt2img and img2img, the tab, and the API's routes."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import script_callbacks, scripts, ui_common

from lib_ofgen.settings import presets
from lib_ofgen.webui.access import request_guard
from lib_ofgen.webui.jobs import api, cleanup, job, script
from lib_ofgen.webui.tab import page, send_to_tab

__all__ = ["OpticalFlowAnimation", "register"]


def _names() -> dict[str, list[str]]:
    return {"choices": ["", *presets.list_presets(job.presets_here())]}


class OpticalFlowAnimation(scripts.Script):
    """Makes a film of the video that the job document names."""

    def title(self) -> str:
        """The name by which the API knows the script."""
        return job.TITLE

    def show(self, is_img2img: bool) -> bool:
        """In txt2img and img2img alike."""
        return True

    def ui(self, is_img2img: bool) -> list[Any]:
        """One value, the job document: the API replaces as many arguments as this returns."""
        where = "img2img" if is_img2img else "txt2img"
        with gr.Row():
            chosen = gr.Dropdown(
                label="Preset", value="", elem_id=f"ofgen_{where}_preset", **_names()
            )
            ui_common.create_refresh_button(
                chosen, lambda: None, _names, f"ofgen_{where}_preset_refresh"
            )
        document = gr.Textbox(
            label="Job document",
            value="",
            lines=4,
            placeholder='{"input": "/path/to/video.mp4", "settings": {}}',
            elem_id=f"ofgen_{where}_job",
        )
        chosen.change(job.with_preset, inputs=[document, chosen], outputs=[document])
        self.infotext_fields = [(document, job.TITLE)]
        return [document]

    def run(self, p: Any, document: object) -> Any:
        """The host's result: the key frames, and where the film is."""
        return script.run_script(p, document)


def register() -> None:
    """Have the host call us."""
    script_callbacks.on_after_component(send_to_tab.laid_out)
    script_callbacks.on_ui_tabs(page.tabs)
    script_callbacks.on_app_started(job.apply_limits)
    script_callbacks.on_app_started(request_guard.watch_uploads)
    script_callbacks.on_app_started(cleanup.clear)
    script_callbacks.on_app_started(api.add_routes)
