"""The panel of a finished film: play it, compare its frames, send a frame elsewhere."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr
from modules import sd_models
from modules.infotext_utils import ParamBinding, register_paste_params_button
from PIL import Image as Pictures

from lib_ofgen.errors import OfgenError
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.settings import presets
from lib_ofgen.store.workspace import write_whole
from lib_ofgen.system.files import exists
from lib_ofgen.webui.host.environment import allowed_paths
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.jobs.store import JobRecord
from lib_ofgen.webui.messages import escape, note
from lib_ofgen.webui.tab.job_view import file_url, link, video_player
from lib_ofgen.webui.tab.preset_choice import make_preset
from lib_ofgen.webui.tab.repaint_panel import RepaintPanel
from lib_ofgen.webui.tab.side_by_side_panel import SideBySidePanel
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["ResultPanel"]

_TARGETS = ("img2img", "inpaint")


class ResultPanel:
    """Empty until `show` fills it."""

    def __init__(self) -> None:
        """Build the panel at the current place in the page."""
        self.film = gr.HTML(elem_id=element_id("film"))
        with gr.Column(visible=False, elem_id=element_id("frames")) as self.frames:
            self.side_by_side = SideBySidePanel()
            self.index = gr.Slider(
                minimum=0, maximum=1, step=1, value=0, label="Frame of the film",
                elem_id=element_id("frame"),
            )  # fmt: skip
            self.index.do_not_save_to_config = True
            self.compare = gr.HTML(elem_id=element_id("compare"))
            self.image = gr.Image(visible=False, type="pil", elem_id=element_id("frame_image"))
            self.text = gr.Textbox(visible=False, elem_id=element_id("frame_text"))
            with gr.Row():
                self._send = {
                    name: gr.Button(f"Send frame to {name}", elem_id=element_id(f"send_{name}"))
                    for name in _TARGETS
                }
                self.export = gr.Button("Export preset", elem_id=element_id("export"))
            self.exported = gr.HTML(elem_id=element_id("exported"))
            self.repaint = RepaintPanel()
        self.job_id = gr.State("")

    @property
    def outputs(self) -> list[Any]:
        """The outputs of `show`."""
        return [self.film, self.frames, self.index, self.compare, self.image, self.text,
                self.exported, self.job_id, *self.repaint.outputs]  # fmt: skip

    def connect(self) -> None:
        """Bind the controls of the panel."""
        self.side_by_side.connect(self.job_id)
        self.index.release(
            _show_frame, inputs=[self.job_id, self.index], queue=False, show_progress=False,
            outputs=[self.compare, self.image, self.text],
        )  # fmt: skip
        self.export.click(
            _export_preset, inputs=[self.job_id], outputs=[self.exported], queue=False,
            show_progress=False,
        )  # fmt: skip
        self.repaint.connect(self.job_id)
        for name, button in self._send.items():
            register_paste_params_button(
                ParamBinding(
                    paste_button=button, tabname=name, source_image_component=self.image,
                    source_text_component=self.text,
                )
            )  # fmt: skip

    def show(self, record: JobRecord | None) -> list[Any]:
        """Return the outputs for a job; without a job they stay as they are."""
        if record is None:
            return [gr.update() for _ in self.outputs]
        film = _film_html(record)
        try:
            frames = ResultFrames(record.workspace)
            index = min(len(frames) - 1, record.repaints[-1]["start"]) if record.repaints else 0
            first = _compare(frames, index)
        except OfgenError as error:
            hidden = gr.update(visible=False)
            kept = [gr.update() for _ in self.repaint.outputs]
            return [film + note(error), hidden, gr.update(), "", None, "", "", record.id, *kept]
        slider = gr.update(maximum=len(frames) - 1, value=index)
        repaints = self.repaint.show(record)
        return [film, gr.update(visible=True), slider, *first, "", record.id, *repaints]


def _film_html(record: JobRecord) -> str:
    """Return player, numbers, links and the sheet of key frames."""
    if not exists(record.output):
        return note(f"{record.source.name}: {record.message or record.state}")
    folder = record.workspace
    links = [link(record.output, "Save the film", save=True)]
    links += [
        link(folder / name, text)
        for name, text in (("report.html", "Report"), ("report.json", "Report as data"),
                           ("prompts.csv", "Prompts"), ("keys.png", "Key frames as PNG"))
        if exists(folder / name)
    ]  # fmt: skip
    sheet = folder / "keys.png"
    pictures = (
        f"<details><summary>Key frames</summary><img alt='key frames' loading='lazy' "
        f"src='{file_url(sheet)}'></details>"
        if exists(sheet)
        else ""
    )
    where = f"<p class='ofgen-path'>{escape(record.output)}</p>"
    player = video_player(record.output, f"{record.source.name}: {record.summary}")
    return f"{player}<p class='ofgen-links'>{' '.join(links)}</p>{where}{pictures}"


def _compare(frames: ResultFrames, index: int) -> tuple[str, Any, str]:
    """Return the comparison, the film's frame at full size, and its infotext."""
    text, name = frames.text(index), frames.facts.settings["checkpoint"]
    found = sd_models.get_closet_checkpoint_match(name) if name else None
    if found and found.shorthash:
        text += f", Model hash: {found.shorthash}"  # the host finds the checkpoint by it
    return frames.comparison_html(index), Pictures.fromarray(frames.result(index)), text


def _show_frame(job_id: str, index: float) -> tuple[Any, Any, str]:
    record = SERVICE.jobs.store.get(job_id)
    if record is None:
        return note("this job was deleted"), None, ""
    try:
        frames = ResultFrames(record.workspace)
        return _compare(frames, min(len(frames) - 1, max(0, int(index))))
    except OfgenError as error:
        return note(error, failed=True), None, ""


def _export_preset(job_id: str) -> str:
    """Write the preset of the job's settings, and return a link to it."""
    record = SERVICE.jobs.store.get(job_id)
    if record is None:
        return note("this job was deleted")
    try:
        name = re.sub(r"[^\w-]+", " ", record.source.stem).strip()[:60] or "film"
        preset = make_preset(name, record.document["settings"], clip=False)
        path = allowed_paths().output / "presets" / f"{record.id}.json"
        write_whole(path, presets.dump(preset).encode("utf-8", "backslashreplace"))
    except OfgenError as error:
        return note(error, failed=True)
    return f"<p>{link(path, f'Save the preset {preset.name}', save=True)}</p>"
