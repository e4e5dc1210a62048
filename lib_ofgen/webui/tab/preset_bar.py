"""The tab's presets: choose, save, delete, and hand on as a file or as link text."""

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
from lib_ofgen.webui.access.uploads import Handed
from lib_ofgen.webui.jobs.job import places, presets_here
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.gradio_compat import file_field
from lib_ofgen.webui.tab.preset_choice import chosen, kept
from lib_ofgen.webui.tab.widgets import element, from_values, initial

__all__ = ["Bar"]

_LARGEST = 1 << 20
"""Bytes that are read of a file."""


class Bar:
    """The row of the presets; `connect` binds it to the controls, which may be made later."""

    def __init__(self) -> None:
        """Lay the row out where we are in the page."""
        with gr.Row():
            self.choice = gr.Dropdown(
                label="Preset", value="", elem_id=element("preset"), **_names()
            )
            create_refresh_button(self.choice, lambda: None, _names, element("preset_refresh"))
        with gr.Accordion("Keep and share", open=False, elem_id=element("preset_keep")):
            with gr.Row():
                self.name = gr.Textbox(label="Name", elem_id=element("preset_name"))
                self.clip = gr.Checkbox(
                    label="With start, end and chosen key frames", elem_id=element("preset_clip")
                )
                self.replace = gr.Checkbox(label="Replace", elem_id=element("preset_replace"))
            with gr.Row():
                self.save = gr.Button("Save", elem_id=element("preset_save"))
                self.delete = gr.Button("Delete", elem_id=element("preset_delete"))
                self.share = gr.Button("Share", elem_id=element("preset_share"))
                self.take = gr.Button("Apply", elem_id=element("preset_take"))
            self.text = gr.Textbox(
                label="Link text", show_copy_button=True, elem_id=element("preset_text"),
                info="Share writes it. Apply reads it, or an infotext, or a preset's JSON.",
            )  # fmt: skip
            self.file = file_field(
                label="Preset, or a film's key frames as PNG", elem_id=element("preset_file")
            )
        self.told = gr.HTML(elem_id=element("preset_told"))
        self._before = gr.State({})

    def connect(self, controls: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> None:
        """Bind the buttons to all settings' controls; `lists` are the host's own names."""
        shown = list(controls.values())
        applied = [self._before, self.told, self.name, *shown]

        def choose(name: str, before: dict[str, Any], *values: Any) -> list[Any]:
            try:
                preset = presets.get_preset(name, presets_here()) if name else Preset("", {})
            except OfgenError as error:
                return _unmoved(before, error)
            return _applied(preset, before, values, lists)

        def take(
            text: str, file: Handed | None, clip: bool, before: Any, *values: Any
        ) -> list[Any]:
            try:
                preset = presets.take(_content(text, file), clip=clip)
            except OfgenError as error:
                return _unmoved(before, error)
            return _applied(preset, before, values, lists)

        # On input, not on change: what Save and Delete choose applies nothing.
        self.choice.input(
            choose, inputs=[self.choice, self._before, *shown], outputs=applied, queue=False
        )
        self.take.click(
            take, inputs=[self.text, self.file, self.clip, self._before, *shown],
            outputs=applied, queue=False,
        )  # fmt: skip
        given = [self.name, self.clip]
        self.save.click(
            _save, inputs=[*given, self.replace, *shown], outputs=[self.told, self.choice],
            queue=False,
        )  # fmt: skip
        self.share.click(
            _share, inputs=[*given, *shown], outputs=[self.told, self.text, self.file], queue=False
        )
        self.delete.click(
            _delete, inputs=[self.choice], outputs=[self.told, self.choice], queue=False
        )


def _names() -> dict[str, list[str]]:
    return {"choices": ["", *presets.list_presets(presets_here())]}


def _applied(
    preset: Preset, before: Any, values: Sequence[Any], lists: Mapping[str, Sequence[str]]
) -> list[Any]:
    """The outputs when a preset is put on the controls."""
    now = dict(zip(Settings.names(), values, strict=True))
    changes, notes = chosen(preset, now, before or {}, initial(), lists)
    told = note("; ".join(notes) or preset.description)
    updates = [
        gr.update(value=changes[name]) if name in changes else gr.update()
        for name in Settings.names()
    ]
    return [preset.settings, told, preset.name, *updates]


def _unmoved(before: Any, error: OfgenError) -> list[Any]:
    return [before, note(error, failed=True), gr.update(), *(gr.update() for _ in Settings.names())]


def _content(text: str, file: Handed | None) -> str | bytes:
    """What was handed in, the text before the file.

    Raises:
        SettingsError: there is neither, or the file was not uploaded or cannot be read.
    """
    if text and text.strip():
        return text
    if file is None:
        raise SettingsError("nothing is given; paste a link text or an infotext, or drop a file")
    try:
        with file.path.open("rb") as opened:
            return opened.read(_LARGEST + 1)
    except OSError as error:
        raise SettingsError("the file is not there any more; drop it once more") from error


def _preset(name: str, clip: bool, values: Sequence[Any]) -> Preset:
    settings = from_values(dict(zip(Settings.names(), values, strict=True)))
    return kept(name or "", settings, clip=clip)


def _save(name: str, clip: bool, replace: bool, *values: Any) -> tuple[str, Any]:
    try:
        preset = _preset(name, clip, values)
        presets_here().save(preset, replace=replace)
    except OfgenError as error:
        return note(error, failed=True), gr.update()
    return note(f"{preset.name} is kept"), gr.update(value=preset.name, **_names())


def _share(name: str, clip: bool, *values: Any) -> tuple[str, Any, Any]:
    try:
        preset = _preset(name, clip, values)
        letters = re.sub(r"[^\w-]+", "-", preset.name).strip("-")
        path = places().output / "presets" / f"{letters or 'preset'}.json"
        write_whole(path, presets.dump(preset).encode("utf-8", "backslashreplace"))
    except OfgenError as error:
        return note(error, failed=True), gr.update(), None
    return "", presets.to_link(preset), str(path)


def _delete(name: str) -> tuple[str, Any]:
    try:
        presets_here().delete(name or "")
    except OfgenError as error:
        return note(error, failed=True), gr.update()
    return note(f"{name} is deleted"), gr.update(value="", **_names())
