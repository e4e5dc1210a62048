"""The panel of a finished film: play it, compare its frames, hand it on."""

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
from lib_ofgen.webui.jobs.job import places
from lib_ofgen.webui.jobs.store import Record, shelf
from lib_ofgen.webui.messages import note, shown
from lib_ofgen.webui.tab.job_view import link, url, video
from lib_ofgen.webui.tab.preset_choice import kept
from lib_ofgen.webui.tab.repaint_panel import RepaintPanel
from lib_ofgen.webui.tab.side_by_side_panel import BesidePanel
from lib_ofgen.webui.tab.widgets import element

__all__ = ["ResultPanel"]

_TARGETS = ("img2img", "inpaint")


class ResultPanel:
    """Empty until `show` fills it."""

    def __init__(self) -> None:
        """Lay the panel out where we are in the page."""
        self.film = gr.HTML(elem_id=element("film"))
        with gr.Column(visible=False, elem_id=element("frames")) as self.frames:
            self.beside = BesidePanel()
            self.index = gr.Slider(
                minimum=0, maximum=1, step=1, value=0, label="Frame of the film",
                elem_id=element("frame"),
            )  # fmt: skip
            self.index.do_not_save_to_config = True
            self.compare = gr.HTML(elem_id=element("compare"))
            self.image = gr.Image(visible=False, type="pil", elem_id=element("frame_image"))
            self.text = gr.Textbox(visible=False, elem_id=element("frame_text"))
            with gr.Row():
                self._send = {
                    name: gr.Button(f"Send frame to {name}", elem_id=element(f"send_{name}"))
                    for name in _TARGETS
                }
                self.export = gr.Button("Export preset", elem_id=element("export"))
            self.exported = gr.HTML(elem_id=element("exported"))
            self.repaint = RepaintPanel()
        self.shown = gr.State("")

    @property
    def outputs(self) -> list[Any]:
        """What `show` gives."""
        return [self.film, self.frames, self.index, self.compare, self.image, self.text,
                self.exported, self.shown, *self.repaint.outputs]  # fmt: skip

    def connect(self) -> None:
        """Bind what the panel does by itself."""
        self.beside.connect(self.shown)
        self.index.release(
            _frame, inputs=[self.shown, self.index], queue=False, show_progress=False,
            outputs=[self.compare, self.image, self.text],
        )  # fmt: skip
        self.export.click(
            _exported, inputs=[self.shown], outputs=[self.exported], queue=False,
            show_progress=False,
        )  # fmt: skip
        self.repaint.connect(self.shown)
        for name, button in self._send.items():
            register_paste_params_button(
                ParamBinding(
                    paste_button=button, tabname=name, source_image_component=self.image,
                    source_text_component=self.text,
                )
            )  # fmt: skip

    def show(self, record: Record | None) -> list[Any]:
        """The outputs for a job; as they are where there is none."""
        if record is None:
            return [gr.update() for _ in self.outputs]
        film = _film(record)
        try:
            reel = ResultFrames(record.workspace)
            index = min(len(reel) - 1, record.repaints[-1]["start"]) if record.repaints else 0
            first = _pictures(reel, index)
        except OfgenError as error:
            hidden = gr.update(visible=False)
            kept = [gr.update() for _ in self.repaint.outputs]
            return [film + note(error), hidden, gr.update(), "", None, "", "", record.id, *kept]
        slider = gr.update(maximum=len(reel) - 1, value=index)
        repaints = self.repaint.show(record)
        return [film, gr.update(visible=True), slider, *first, "", record.id, *repaints]


def _film(record: Record) -> str:
    """Player, numbers, links and the sheet of key frames."""
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
        f"src='{url(sheet)}'></details>"
        if exists(sheet)
        else ""
    )
    where = f"<p class='ofgen-path'>{shown(record.output)}</p>"
    player = video(record.output, f"{record.source.name}: {record.told}")
    return f"{player}<p class='ofgen-links'>{' '.join(links)}</p>{where}{pictures}"


def _pictures(reel: ResultFrames, index: int) -> tuple[str, Any, str]:
    """The comparison, the film's frame at its full size, and its infotext."""
    text, name = reel.text(index), reel.facts.settings["checkpoint"]
    found = sd_models.get_closet_checkpoint_match(name) if name else None
    if found and found.shorthash:
        text += f", Model hash: {found.shorthash}"  # by which the host finds it
    return reel.comparison_html(index), Pictures.fromarray(reel.result(index)), text


def _frame(shown: str, index: float) -> tuple[Any, Any, str]:
    record = shelf().get(shown)
    if record is None:
        return note("this job was deleted"), None, ""
    try:
        reel = ResultFrames(record.workspace)
        return _pictures(reel, min(len(reel) - 1, max(0, int(index))))
    except OfgenError as error:
        return note(error, failed=True), None, ""


def _exported(shown: str) -> str:
    """A link to the preset of the job's settings."""
    record = shelf().get(shown)
    if record is None:
        return note("this job was deleted")
    try:
        name = re.sub(r"[^\w-]+", " ", record.source.stem).strip()[:60] or "film"
        preset = kept(name, record.document["settings"], clip=False)
        path = places().output / "presets" / f"{record.id}.json"
        write_whole(path, presets.dump(preset).encode("utf-8", "backslashreplace"))
    except OfgenError as error:
        return note(error, failed=True)
    return f"<p>{link(path, f'Save the preset {preset.name}', save=True)}</p>"
