"""The tab's presets: choose, save, delete, and share as a file or as link text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from modules.ui_common import create_refresh_button

from lib_ofgen.errors import OfgenError, SettingsError
from lib_ofgen.settings import presets
from lib_ofgen.settings.fields import Settings
from lib_ofgen.settings.presets import Preset
from lib_ofgen.store.workspace import write_whole
from lib_ofgen.webui.access.uploads import UploadedFile
from lib_ofgen.webui.host.environment import allowed_paths, preset_store
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.gradio_compat import file_field
from lib_ofgen.webui.tab.preset_choice import apply_preset, make_preset
from lib_ofgen.webui.tab.widgets import element_id, first_settings, read_values

__all__ = ["PresetBar"]

_MAX_BYTES = 1 << 20
"""Bytes that are read of a file."""


class PresetBar:
    """The row of presets; `connect` binds it to the controls, which may be built later."""

    def __init__(self) -> None:
        """Build the row at the current place in the page."""
        with gr.Row():
            self.choice = gr.Dropdown(
                label="Preset", value="", elem_id=element_id("preset"), **_preset_names()
            )
            create_refresh_button(
                self.choice, lambda: None, _preset_names, element_id("preset_refresh")
            )
        with gr.Accordion("Keep and share", open=False, elem_id=element_id("preset_keep")):
            with gr.Row():
                self.name = gr.Textbox(label="Name", elem_id=element_id("preset_name"))
                self.clip = gr.Checkbox(
                    label="With start, end and chosen key frames", elem_id=element_id("preset_clip")
                )
                self.replace = gr.Checkbox(label="Replace", elem_id=element_id("preset_replace"))
            with gr.Row():
                self.save = gr.Button("Save", elem_id=element_id("preset_save"))
                self.delete = gr.Button("Delete", elem_id=element_id("preset_delete"))
                self.share = gr.Button("Share", elem_id=element_id("preset_share"))
                self.apply = gr.Button("Apply", elem_id=element_id("preset_take"))
            self.text = gr.Textbox(
                label="Link text", show_copy_button=True, elem_id=element_id("preset_text"),
                info="Share writes a link. Apply reads a link, an infotext or a preset's JSON.",
            )  # fmt: skip
            self.file = file_field(
                label="Preset, or a film's key frames as PNG", elem_id=element_id("preset_file")
            )
        self.note = gr.HTML(elem_id=element_id("preset_told"))
        self._before = gr.State({})

    def connect(self, controls: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> None:
        """Bind the buttons.

        Args:
            controls: The controls of all settings, by the setting.
            lists: The host's own names for some settings.
        """
        values = list(controls.values())
        outputs = [self._before, self.note, self.name, *values]

        def choose(name: str, before: dict[str, Any], *values: Any) -> list[Any]:
            try:
                preset = presets.get_preset(name, preset_store()) if name else Preset("", {})
            except OfgenError as error:
                return _show_error(before, error)
            return _show_preset(preset, before, values, lists)

        def apply(
            text: str, file: UploadedFile | None, clip: bool, before: Any, *values: Any
        ) -> list[Any]:
            try:
                preset = presets.take(_read_content(text, file), clip=clip)
            except OfgenError as error:
                return _show_error(before, error)
            return _show_preset(preset, before, values, lists)

        # On input, not on change: Save and Delete change the choice, but apply nothing.
        self.choice.input(
            choose, inputs=[self.choice, self._before, *values], outputs=outputs, queue=False
        )
        self.apply.click(
            apply, inputs=[self.text, self.file, self.clip, self._before, *values],
            outputs=outputs, queue=False,
        )  # fmt: skip
        named = [self.name, self.clip]
        self.save.click(
            _save, inputs=[*named, self.replace, *values], outputs=[self.note, self.choice],
            queue=False,
        )  # fmt: skip
        self.share.click(
            _share, inputs=[*named, *values], outputs=[self.note, self.text, self.file], queue=False
        )
        self.delete.click(
            _delete, inputs=[self.choice], outputs=[self.note, self.choice], queue=False
        )


def _preset_names() -> dict[str, list[str]]:
    return {"choices": ["", *presets.list_presets(preset_store())]}


def _show_preset(
    preset: Preset, before: Any, values: Sequence[Any], lists: Mapping[str, Sequence[str]]
) -> list[Any]:
    """Return the outputs that put a preset on the controls."""
    now = dict(zip(Settings.names(), values, strict=True))
    changes, notes = apply_preset(preset, now, before or {}, first_settings(), lists)
    line = note("; ".join(notes) or preset.description)
    updates = [
        gr.update(value=changes[name]) if name in changes else gr.update()
        for name in Settings.names()
    ]
    return [preset.settings, line, preset.name, *updates]


def _show_error(before: Any, error: OfgenError) -> list[Any]:
    """Return the outputs that show an error and change nothing else."""
    return [before, note(error, failed=True), gr.update(), *(gr.update() for _ in Settings.names())]


def _read_content(text: str, file: UploadedFile | None) -> str | bytes:
    """Return the text, or the file's content if there is no text.

    Raises:
        SettingsError: if there is neither, or if the file was not uploaded or cannot be read.
    """
    if text and text.strip():
        return text
    if file is None:
        raise SettingsError("there is no preset; paste a link or an infotext, or drop a file")
    try:
        with file.path.open("rb") as opened:
            return opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError("the file does not exist any more; drop it again") from error


def _read_preset(name: str, clip: bool, values: Sequence[Any]) -> Preset:
    settings = read_values(dict(zip(Settings.names(), values, strict=True)))
    return make_preset(name or "", settings, clip=clip)


def _save(name: str, clip: bool, replace: bool, *values: Any) -> tuple[str, Any]:
    try:
        preset = _read_preset(name, clip, values)
        preset_store().save(preset, replace=replace)
    except OfgenError as error:
        return note(error, failed=True), gr.update()
    return note(f"{preset.name} is saved"), gr.update(value=preset.name, **_preset_names())


def _share(name: str, clip: bool, *values: Any) -> tuple[str, Any, Any]:
    try:
        preset = _read_preset(name, clip, values)
        letters = re.sub(r"[^\w-]+", "-", preset.name).strip("-")
        path = allowed_paths().output / "presets" / f"{letters or 'preset'}.json"
        write_whole(path, presets.dump(preset).encode("utf-8", "backslashreplace"))
    except OfgenError as error:
        return note(error, failed=True), gr.update(), None
    return "", presets.to_link(preset), str(path)


def _delete(name: str) -> tuple[str, Any]:
    try:
        preset_store().delete(name or "")
    except OfgenError as error:
        return note(error, failed=True), gr.update()
    return note(f"{name} is deleted"), gr.update(value="", **_preset_names())
