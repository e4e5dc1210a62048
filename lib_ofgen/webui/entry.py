"""What we register at the webui: the script in txt2img and img2img, the tab, the API's routes."""

from __future__ import annotations

from typing import Any

import gradio as gr
from modules import script_callbacks, scripts, ui_common

from lib_ofgen.settings import presets
from lib_ofgen.webui.access import request_guard
from lib_ofgen.webui.host import environment
from lib_ofgen.webui.jobs import api, cleanup, script
from lib_ofgen.webui.jobs.document import set_preset
from lib_ofgen.webui.messages import TITLE
from lib_ofgen.webui.tab import page, send_to_tab

__all__ = ["OpticalFlowAnimation", "register"]


def _preset_names() -> dict[str, list[str]]:
    return {"choices": ["", *presets.list_presets(environment.preset_store())]}


class OpticalFlowAnimation(scripts.Script):
    """Make a film of the video that the job document names."""

    def title(self) -> str:
        """Return the name by which the API knows the script."""
        return TITLE

    def show(self, is_img2img: bool) -> bool:
        """Return that the script is in txt2img and img2img."""
        return True

    def ui(self, is_img2img: bool) -> list[Any]:
        """Return one value, the job document: the API fills as many arguments as this returns."""
        where = "img2img" if is_img2img else "txt2img"
        with gr.Row():
            preset = gr.Dropdown(
                label="Preset", value="", elem_id=f"ofgen_{where}_preset", **_preset_names()
            )
            ui_common.create_refresh_button(
                preset, lambda: None, _preset_names, f"ofgen_{where}_preset_refresh"
            )
        document = gr.Textbox(
            label="Job document",
            value="",
            lines=4,
            placeholder='{"input": "/path/to/video.mp4", "settings": {}}',
            elem_id=f"ofgen_{where}_job",
        )
        preset.change(set_preset, inputs=[document, preset], outputs=[document])
        self.infotext_fields = [(document, TITLE)]
        return [document]

    def run(self, p: Any, document: object) -> Any:
        """Return the host's result: the key frames, and where the film is."""
        return script.run_script(p, document)


def register() -> None:
    """Register our callbacks at the host."""
    script_callbacks.on_after_component(send_to_tab.add_button)
    script_callbacks.on_ui_tabs(page.build_tabs)
    script_callbacks.on_app_started(environment.apply_limits)
    script_callbacks.on_app_started(request_guard.watch_uploads)
    script_callbacks.on_app_started(cleanup.delete_unused_uploads)
    script_callbacks.on_app_started(api.add_routes)
