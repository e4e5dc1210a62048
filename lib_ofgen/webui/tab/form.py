"""The form of a job: video, prompts, painter, and accordions with the other settings."""

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
from lib_ofgen.webui.access.uploads import UploadedFile
from lib_ofgen.webui.host.environment import tagger_names
from lib_ofgen.webui.jobs.document import JobDocument, parse
from lib_ofgen.webui.jobs.execution import describe_video
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.gradio_compat import file_field
from lib_ofgen.webui.tab.widgets import build_control, element_id, read_values

__all__ = ["Form", "checkpoint_titles", "error_note", "read_document"]

_ACCORDIONS = {"Holes": ("hole_strength", "hole_lending"), "Mask": ("background",)}
"""Accordions of settings that do not stand in the accordion of their group."""
_TITLES = {"Prompts": "Prompts per key", "Video": "Output"}
"""Titles of accordions that differ from the name of their group."""
_ADVANCED = "Advanced"
"""Accordion of the settings that are declared as advanced; the last one."""
_RELOADS = {"checkpoint": "list_models", "inpaint_checkpoint": "list_models"}
"""Functions of the host's `sd_models` that read the list of a setting again."""
_ROWS = "start,stop,prompt,negative_prompt\n0,48,a meadow,\n48,,a river by night,"


class _NoVideoError(SettingsError):
    """The form names no video."""


class Form:
    """All controls; each method builds one part of them at the current place in the page."""

    def __init__(self) -> None:
        """Begin without controls."""
        self.lists = _host_lists()
        self._controls: dict[str, Any] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """The controls of all settings, in the order of declaration."""
        return {name: self._controls[name] for name in Settings.names()}

    @property
    def inputs(self) -> list[Any]:
        """What `read_document` takes."""
        extra = [self.upload, self.path, self.styles, self.rows, self.mask_upload, self.mask]
        return [*extra, *self.settings.values()]

    def build_video(self) -> None:
        """Build the fields of the video and of the part that is used."""
        with gr.Row():
            self.upload = file_field(
                label="Source video", file_types=["video"], elem_id=element_id("upload")
            )
            with gr.Column():
                self.path = gr.Textbox(
                    label="Or a path on the server", placeholder="", elem_id=element_id("path")
                )
                self._add_row("start", "end", "every_nth")
        self.source = gr.HTML(elem_id=element_id("source"))

    def build_prompts(self) -> None:
        """Build the prompts with the host's token counters."""
        self._add_row("prompt")
        self._add_row("negative_prompt")
        self._add_counter("prompt", ui.update_token_counter)
        self._add_counter("negative_prompt", ui.update_negative_prompt_token_counter)

    def build_styles(self) -> None:
        """Build the choice of the host's styles."""
        names = lambda: {"choices": list(shared.prompt_styles.styles)}  # noqa: E731
        with gr.Row():
            self.styles = gr.Dropdown(
                label="Styles", value=[], multiselect=True, elem_id=element_id("styles"), **names()
            )
            create_refresh_button(
                self.styles, shared.prompt_styles.reload, names, element_id("styles_refresh")
            )
            self._apply_styles = ToolButton(
                value=ui_prompt_styles.styles_materialize_symbol,
                elem_id=element_id("styles_apply"),
                tooltip="Write the chosen styles into the prompts",
            )  # fmt: skip

    def build_painter(self) -> None:
        """Build checkpoints, sampling, strength, seed and size."""
        self._add_row("checkpoint", "inpaint_checkpoint")
        self._add_row("sampler", "scheduler")
        self._add_row("steps", "cfg_scale")
        with gr.Row():
            self._add("strength")
            self._add("seed")
            self._draw_seed = ToolButton(
                "🎲", elem_id=element_id("seed_random"), tooltip="Draw a seed"
            )
            self._reuse_seed = ToolButton(
                "♻️", elem_id=element_id("seed_reuse"), tooltip="The seed of the last film"
            )
        self._add_row("width", "height", "fit")

    def build_accordions(self) -> None:
        """Build the accordions of the other settings."""
        for title, names in self._groups().items():
            name = element_id(f"group_{title.lower().replace(' ', '_')}")
            with gr.Accordion(title, open=False, elem_id=name):
                if title == "Mask":
                    self._build_mask()
                for setting in names:
                    self._add(setting)
                if title == "Prompts per key":
                    self._build_prompt_list()

    def connect(self) -> None:
        """Bind the controls; all of them are built."""
        both = [self._controls["prompt"], self._controls["negative_prompt"]]
        self._apply_styles.click(
            ui_prompt_styles.materialize_styles,
            inputs=[*both, self.styles], outputs=[*both, self.styles], show_progress=False,
        )  # fmt: skip
        for name, (count, button, counter) in self._counters.items():
            inputs = [self._controls[name], self._controls["steps"], self.styles]
            event = {"fn": wrap_queued_call(count), "inputs": inputs, "outputs": [counter]}
            button.click(**event, show_progress=False)
            self.styles.change(**event, show_progress=False)
        seed = self._controls["seed"]
        self._draw_seed.click(lambda: -1, outputs=[seed], queue=False, show_progress=False)
        self._reuse_seed.click(
            SERVICE.jobs.last_seed, outputs=[seed], queue=False, show_progress=False
        )
        self._connect_description()

    def _connect_description(self) -> None:
        """Describe the video as soon as it is named."""
        names = ("start", "end", "max_frames", "every_nth", "width", "height", "fit")
        parts = [self._controls[name] for name in names]
        events = [self.upload.change, self.path.submit, self.path.blur]
        events += [part.release if isinstance(part, gr.Slider) else part.change for part in parts]
        for event in events:
            event(
                _describe, inputs=self.inputs, outputs=[self.source], queue=False,
                show_progress=False,
            )  # fmt: skip

    def _add(self, name: str) -> None:
        self._controls[name] = build_control(name, self.lists)
        if name in _RELOADS:
            create_refresh_button(
                self._controls[name],
                getattr(sd_models, _RELOADS[name]),
                lambda: {"choices": checkpoint_titles()},
                element_id(f"{name}_refresh"),
            )

    def _add_row(self, *names: str) -> None:
        with gr.Row():
            for name in names:
                self._add(name)

    def _add_counter(self, name: str, count: Callable[..., str]) -> None:
        """Add the token counter of a prompt, and the button that the page's script presses."""
        counter = gr.HTML(
            value="<span>0/75</span>", elem_id=element_id(f"{name}_counter"), visible=False,
            elem_classes=["token-counter"],
        )  # fmt: skip
        button = gr.Button(visible=False, elem_id=element_id(f"{name}_count"))
        self._counters = {**getattr(self, "_counters", {}), name: (count, button, counter)}

    def _groups(self) -> dict[str, list[str]]:
        """Return the titles of the accordions with the settings that are not built yet."""
        groups: dict[str, list[str]] = {}
        advanced: list[str] = []
        special = {name: title for title, names in _ACCORDIONS.items() for name in names}
        for name, choice in choices().items():
            if name in self._controls:
                continue
            if choice.advanced:
                advanced.append(name)
                continue
            title = special.get(name) or _TITLES.get(choice.group, choice.group)
            groups.setdefault(title, []).append(name)
        return {**groups, _ADVANCED: advanced}

    def _build_mask(self) -> None:
        self.mask_upload = file_field(label="Mask", elem_id=element_id("mask_upload"))
        self.mask = gr.Textbox(
            label="Or the mask's path on the server", elem_id=element_id("mask"),
            info="White where the video is animated: a video, a folder or a picture.",
        )  # fmt: skip

    def _build_prompt_list(self) -> None:
        self.rows = gr.Textbox(
            label="List of prompts", lines=4, placeholder=_ROWS, elem_id=element_id("rows"),
            info="CSV. For the frames of its rows it replaces the prompt and the tags.",
        )  # fmt: skip


def read_document(
    upload: UploadedFile | None, path: str, styles: Sequence[str], rows: str,
    mask_upload: UploadedFile | None, mask: str, *values: Any,
) -> JobDocument:  # fmt: skip
    """Return the job document of the controls' values, which come in the order of `Form.inputs`.

    Raises:
        SettingsError: if a control has a bad value, or there is no video.
    """
    if not _choose_path(upload, path):
        raise _NoVideoError("Drop a video first, or give a path")
    settings = read_values(dict(zip(Settings.names(), values, strict=True)))
    known, chosen = shared.prompt_styles, list(styles or ())
    if chosen:
        settings["prompt"] = known.apply_styles_to_prompt(settings.get("prompt", ""), chosen)
        settings["negative_prompt"] = known.apply_negative_styles_to_prompt(
            settings.get("negative_prompt", ""), chosen
        )
    document: dict[str, Any] = {"input": _choose_path(upload, path), "settings": settings}
    if mask_path := _choose_path(mask_upload, mask):
        document["mask"] = mask_path
    if rows and rows.strip():
        parsed = prompt_rows.parse_rows(rows.encode(), ".csv", "the list of prompts")
        document["prompts"] = prompt_rows.to_json(parsed)
    return parse(document)


def error_note(error: OfgenError) -> str:
    """Return an error about the form as a line; a missing video marks its field."""
    field = element_id("path") if isinstance(error, _NoVideoError) else ""
    return note(error, failed=True, field=field)


def _choose_path(upload: UploadedFile | None, path: str | None) -> str:
    """Return the typed path, otherwise the path of the upload.

    Raises:
        SettingsError: if the file was not uploaded.
    """
    return (path or "").strip().strip('"') or (str(upload.path) if upload else "")


def _describe(*values: Any) -> str:
    """Return a line about the video and what is used of it; empty if none is named."""
    try:
        return note(describe_video(read_document(*values)))
    except OfgenError as error:
        is_named = values[0] or (values[1] or "").strip()
        return note(error, failed=True) if is_named else ""


def checkpoint_titles() -> list[str]:
    """Return the titles of the host's checkpoints; the first one is empty: the host's choice."""
    return ["", *(info.title for info in sd_models.checkpoints_list.values())]


def _host_lists() -> dict[str, list[str]]:
    """Return the host's own names for some settings."""
    return {
        "checkpoint": checkpoint_titles(),
        "inpaint_checkpoint": checkpoint_titles(),
        "sampler": ["", *(sampler.name for sampler in sd_samplers.all_samplers)],
        "scheduler": ["", *(scheduler.label for scheduler in sd_schedulers.schedulers)],
        "tagger": tagger_names(),
    }
