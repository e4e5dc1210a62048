"""The controls from which a job document is made: video, words, painter, and what few need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from modules import sd_models, sd_samplers, sd_schedulers, shared, ui, ui_prompt_styles
from modules.call_queue import wrap_queued_call
from modules.ui_common import create_refresh_button
from modules.ui_components import ToolButton

from lib_ofgen.errors import OfgenError, SettingsError
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import Settings, choices
from lib_ofgen.webui.access.uploads import Handed
from lib_ofgen.webui.jobs import job as jobs
from lib_ofgen.webui.jobs.document import Document, parse
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.gradio_compat import file_field
from lib_ofgen.webui.tab.widgets import control, element, from_values

__all__ = ["Form", "checkpoints", "document", "refusal"]

_ACCORDIONS = {
    "Holes": ("hole_strength", "hole_lending", "hole_min", "hole_box"),
    "Mask": ("background",),
}
"""Settings that stand in an accordion of this name; the others, in that of their group."""
_TITLES = {"Prompts": "Prompts per key", "Video": "Output"}
"""Accordions of a group that are called otherwise."""
_RELOADS = {"checkpoint": "list_models", "inpaint_checkpoint": "list_models"}
"""What of the host's `sd_models` reads a list anew."""
_ROWS = "start,stop,prompt,negative_prompt\n0,48,a meadow,\n48,,a river by night,"


class _NoVideoError(SettingsError):
    """There is no video to make a film of."""


class Form:
    """All controls; a method lays out one part of them, where we are in the page."""

    def __init__(self) -> None:
        """Nothing is laid out yet."""
        self.lists = _lists()
        self._made: dict[str, Any] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The controls of all settings, in the order of declaration."""
        return {name: self._made[name] for name in Settings.names()}

    @property
    def inputs(self) -> list[Any]:
        """What `document` takes."""
        extra = [self.upload, self.path, self.styles, self.rows, self.mask_upload, self.mask]
        return [*extra, *self.settings.values()]

    def video(self) -> None:
        """The video, and which part of it is taken."""
        with gr.Row():
            self.upload = file_field(
                label="Source video", file_types=["video"], elem_id=element("upload")
            )
            with gr.Column():
                self.path = gr.Textbox(
                    label="Or a path on the server", placeholder="", elem_id=element("path")
                )
                self._row("start", "end", "every_nth")
        self.source = gr.HTML(elem_id=element("source"))

    def words(self) -> None:
        """What is painted, with the host's counters of tokens."""
        self._row("prompt")
        self._row("negative_prompt")
        self._counter("prompt", ui.update_token_counter)
        self._counter("negative_prompt", ui.update_negative_prompt_token_counter)

    def style_row(self) -> None:
        """The host's styles."""
        names = lambda: {"choices": list(shared.prompt_styles.styles)}  # noqa: E731
        with gr.Row():
            self.styles = gr.Dropdown(
                label="Styles", value=[], multiselect=True, elem_id=element("styles"), **names()
            )
            create_refresh_button(
                self.styles, shared.prompt_styles.reload, names, element("styles_refresh")
            )
            self._write_out = ToolButton(
                value=ui_prompt_styles.styles_materialize_symbol,
                elem_id=element("styles_apply"), tooltip="Write the chosen styles into the prompts",
            )  # fmt: skip

    def painter(self) -> None:
        """Checkpoints, sampling, strength, seed and size."""
        self._row("checkpoint", "inpaint_checkpoint")
        self._row("sampler", "scheduler")
        self._row("steps", "cfg_scale")
        with gr.Row():
            self._put("strength")
            self._put("seed")
            self._random = ToolButton("🎲", elem_id=element("seed_random"), tooltip="Draw a seed")
            self._reuse = ToolButton(
                "♻️", elem_id=element("seed_reuse"), tooltip="The seed of the last film"
            )
        self._row("width", "height", "fit")

    def accordions(self) -> None:
        """The settings that few need, and the lists and files beside them."""
        for title, names in self._groups().items():
            name = element(f"group_{title.lower().replace(' ', '_')}")
            with gr.Accordion(title, open=False, elem_id=name):
                if title == "Mask":
                    self._mask()
                for setting in names:
                    self._put(setting)
                if title == "Prompts per key":
                    self._list()

    def connect(self) -> None:
        """Bind what the controls do by themselves; all of them are laid out."""
        both = [self._made["prompt"], self._made["negative_prompt"]]
        self._write_out.click(
            ui_prompt_styles.materialize_styles,
            inputs=[*both, self.styles], outputs=[*both, self.styles], show_progress=False,
        )  # fmt: skip
        for name, (count, button, counter) in self._counters.items():
            inputs = [self._made[name], self._made["steps"], self.styles]
            how = {"fn": wrap_queued_call(count), "inputs": inputs, "outputs": [counter]}
            button.click(**how, show_progress=False)
            self.styles.change(**how, show_progress=False)
        seed = self._made["seed"]
        self._random.click(lambda: -1, outputs=[seed], queue=False, show_progress=False)
        self._reuse.click(jobs.last_seed, outputs=[seed], queue=False, show_progress=False)
        self._describe()

    def _describe(self) -> None:
        """Tell what the video is as soon as it is named."""
        names = ("start", "end", "max_frames", "every_nth", "width", "height", "fit")
        parts = [self._made[name] for name in names]
        events = [self.upload.change, self.path.submit, self.path.blur]
        events += [part.release if isinstance(part, gr.Slider) else part.change for part in parts]
        for event in events:
            event(
                _described, inputs=self.inputs, outputs=[self.source], queue=False,
                show_progress=False,
            )  # fmt: skip

    def _put(self, name: str) -> None:
        self._made[name] = control(name, self.lists)
        if name in _RELOADS:
            create_refresh_button(
                self._made[name],
                getattr(sd_models, _RELOADS[name]),
                lambda: {"choices": checkpoints()},
                element(f"{name}_refresh"),
            )

    def _row(self, *names: str) -> None:
        with gr.Row():
            for name in names:
                self._put(name)

    def _counter(self, name: str, count: Callable[..., str]) -> None:
        """The counter of a prompt's tokens, and the button that the page's script presses."""
        counter = gr.HTML(
            value="<span>0/75</span>", elem_id=element(f"{name}_counter"), visible=False,
            elem_classes=["token-counter"],
        )  # fmt: skip
        button = gr.Button(visible=False, elem_id=element(f"{name}_count"))
        self._counters = {**getattr(self, "_counters", {}), name: (count, button, counter)}

    def _groups(self) -> dict[str, list[str]]:
        """Titles of accordions to the settings that are not laid out yet."""
        groups: dict[str, list[str]] = {}
        special = {name: title for title, names in _ACCORDIONS.items() for name in names}
        for name, choice in choices().items():
            if name not in self._made:
                title = special.get(name) or _TITLES.get(choice.group, choice.group)
                groups.setdefault(title, []).append(name)
        return groups

    def _mask(self) -> None:
        self.mask_upload = file_field(label="Mask", elem_id=element("mask_upload"))
        self.mask = gr.Textbox(
            label="Or the mask's path on the server", elem_id=element("mask"),
            info="White where the video is to be animated: a video, a folder or a picture.",
        )  # fmt: skip

    def _list(self) -> None:
        self.rows = gr.Textbox(
            label="List of prompts", lines=4, placeholder=_ROWS, elem_id=element("rows"),
            info="CSV; wins over the prompt and the tags for the frames that its rows name.",
        )  # fmt: skip


def document(
    upload: Handed | None, path: str, styles: Sequence[str], rows: str,
    mask_upload: Handed | None, mask: str, *values: Any,
) -> Document:  # fmt: skip
    """The job document of what the controls hold.

    Raises:
        SettingsError: a control holds what it must not.
    """
    if not _place(upload, path):
        raise _NoVideoError("Drop a video first, or give a path")
    settings = from_values(dict(zip(Settings.names(), values, strict=True)))
    known, chosen = shared.prompt_styles, list(styles or ())
    if chosen:
        settings["prompt"] = known.apply_styles_to_prompt(settings.get("prompt", ""), chosen)
        settings["negative_prompt"] = known.apply_negative_styles_to_prompt(
            settings.get("negative_prompt", ""), chosen
        )
    given: dict[str, Any] = {"input": _place(upload, path), "settings": settings}
    if place := _place(mask_upload, mask):
        given["mask"] = place
    if rows and rows.strip():
        parsed = prompt_rows.parse_rows(rows.encode(), ".csv", "the list of prompts")
        given["prompts"] = prompt_rows.to_json(parsed)
    return parse(given)


def refusal(error: OfgenError) -> str:
    """What `document` or what follows from it refuses, as a line; it marks a video that lacks."""
    field = element("path") if isinstance(error, _NoVideoError) else ""
    return note(error, failed=True, field=field)


def _place(upload: Handed | None, path: str | None) -> str:
    """The path that was typed, else that of what was uploaded.

    Raises:
        SettingsError: what is said to be uploaded was not.
    """
    return (path or "").strip().strip('"') or (str(upload.path) if upload else "")


def _described(*values: Any) -> str:
    """What the video is and what comes of it, as a line; nothing before one is named."""
    try:
        asked = document(*values)
        return note(jobs.described(asked))
    except OfgenError as error:
        named = values[0] or (values[1] or "").strip()
        return note(error, failed=True) if named else ""


def checkpoints() -> list[str]:
    """Titles of the host's checkpoints, and none for its own choice."""
    return ["", *(info.title for info in sd_models.checkpoints_list.values())]


def _lists() -> dict[str, list[str]]:
    """The host's own names for some settings."""
    return {
        "checkpoint": checkpoints(),
        "inpaint_checkpoint": checkpoints(),
        "sampler": ["", *(sampler.name for sampler in sd_samplers.all_samplers)],
        "scheduler": ["", *(scheduler.label for scheduler in sd_schedulers.schedulers)],
        "tagger": jobs.tagger_names(),
    }
