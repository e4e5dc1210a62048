"""Sending the parameters of a picture in txt2img or img2img to our tab."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
from modules import infotext_utils, sd_samplers, shared
from modules.ui_components import ToolButton

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.fields import Settings, choices
from lib_ofgen.settings.infotext import LABELS
from lib_ofgen.webui.host.checkpoints import find_checkpoint
from lib_ofgen.webui.messages import TITLE, note
from lib_ofgen.webui.tab.form import Form, checkpoint_titles
from lib_ofgen.webui.tab.gradio_compat import js_option
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["add_button", "connect"]

_TABS = ("txt2img", "img2img")
_FIELDS = {
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    **{name: label for name, label in LABELS.items() if name != "size"},
    "checkpoint": "Model hash",
}
"""Our settings to the host's names of them in infotext."""

_BUTTONS: dict[str, Any] = {}
_PICTURE_INFO: dict[str, Any] = {}
"""For each tab: our button, and the host's component with the infotexts of the shown pictures."""


def add_button(component: Any, **options: Any) -> None:
    """Add our button beside the host's own; for the host's `on_after_component`."""
    name = options.get("elem_id") or ""
    for tab in _TABS:
        if name == f"{tab}_send_to_extras":
            _BUTTONS.pop(tab, None)
            if {tab, TITLE}.isdisjoint(shared.opts.hidden_tabs):
                _BUTTONS[tab] = ToolButton(
                    "🎞️", elem_id=element_id(f"from_{tab}"),
                    tooltip="Send generation parameters to the Optical Flow Animation tab.",
                )  # fmt: skip
        elif name == f"generation_info_{tab}":
            _PICTURE_INFO[tab] = component


def connect(form: Form, line: Any) -> None:
    """Bind the buttons.

    Args:
        form: Gets the parameters.
        line: The element that shows what was sent.
    """
    outputs = [form.settings[name] for name in _FIELDS]
    for tab, button in _BUTTONS.items():
        sent = button.click(
            _take_parameters, inputs=[_PICTURE_INFO[tab], line],
            outputs=[*outputs, form.styles, line], queue=False,
            show_progress=False,
            **js_option("(info) => [info, String(selected_gallery_index())]"),
        )  # fmt: skip
        sent.then(None, **js_option("() => { window.dispatchEvent(new Event('ofgen-open')); }"))


def _take_parameters(info: str, index: str) -> list[Any]:
    """Return updates of the form, and a line that says what was sent."""
    text = _find_infotext(info, int(index))
    if not text:
        line = note("there is no picture; generate one first", warns=True)
        return [*(gr.update() for _ in _FIELDS), gr.update(), line]
    params = infotext_utils.parse_generation_parameters(text)
    settings, lines = _read_settings(params)
    updates = [
        gr.update(value=settings[name]) if name in settings else gr.update() for name in _FIELDS
    ]
    if "checkpoint" in settings:
        place = list(_FIELDS).index("checkpoint")
        updates[place] = gr.update(value=settings["checkpoint"], choices=checkpoint_titles())
    line = _list_labels(settings) + "".join(note(line, warns=True) for line in lines)
    return [*updates, gr.update(value=params.get("Styles array", [])), line]


def _list_labels(settings: dict[str, Any]) -> str:
    """Return the labels of the settings; each is an element, because it is translated alone."""
    names = ", ".join(f"<span>{choices()[name].label}</span>" for name in settings)
    return f"<p class='ofgen-note' role='status'><span>From the picture:</span> {names}</p>"


def _find_infotext(info: str, index: int) -> str:
    """Return the infotext of the chosen picture, otherwise of the first; empty if there is none."""
    try:
        texts = json.loads(info or "{}").get("infotexts", [])
    except (ValueError, RecursionError, AttributeError):  # the host writes other texts there too
        return ""
    return texts[index] if 0 <= index < len(texts) else "".join(texts[:1])


def _read_settings(params: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return settings for the host's parameters, and lines about those that are not valid here."""
    params = dict(params)
    if "Sampler" in params:  # in older versions it contains the scheduler's name
        params["Sampler"], params["Schedule type"] = sd_samplers.get_sampler_and_scheduler(
            params["Sampler"], params.get("Schedule type")
        )
    if "Hires upscale" in params:  # it belongs to the second pass
        params.pop("Denoising strength", None)
    if not shared.opts.send_seed:
        params.pop("Seed", None)
    settings: dict[str, Any] = {}
    lines: list[str] = []
    for name, label in _FIELDS.items():
        if label not in params:
            continue
        try:
            value = str(params[label])
            value = find_checkpoint(value).title if name == "checkpoint" else value
            parsed = Settings().replace(Settings.parse({name: value}))
            settings[name] = getattr(parsed, name)
        except SettingsError as error:
            lines.append(str(error))
    return settings, lines
