"""From txt2img and img2img to our tab: what the picture that is shown there was painted by."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
from modules import infotext_utils, sd_samplers, shared
from modules.ui_components import ToolButton

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.fields import Settings, choices
from lib_ofgen.settings.infotext import LABELS
from lib_ofgen.webui.host import checkpoints as lookup
from lib_ofgen.webui.jobs.job import TITLE
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.form import Form, checkpoints
from lib_ofgen.webui.tab.gradio_compat import scripted
from lib_ofgen.webui.tab.widgets import element

__all__ = ["connect", "laid_out"]

_TABS = ("txt2img", "img2img")
_FIELDS = {
    "prompt": "Prompt",
    "negative_prompt": "Negative prompt",
    **{name: label for name, label in LABELS.items() if name != "size"},
    "checkpoint": "Model hash",
}
"""Our settings, and the host's names for them in infotext."""

_BUTTONS: dict[str, Any] = {}
_SHOWN: dict[str, Any] = {}
"""By the tab: our button, and what the host knows of the pictures that are shown."""


def laid_out(component: Any, **how: Any) -> None:
    """Put our button beside the host's own; for the host's `on_after_component`."""
    name = how.get("elem_id") or ""
    for tab in _TABS:
        if name == f"{tab}_send_to_extras":
            _BUTTONS.pop(tab, None)
            if {tab, TITLE}.isdisjoint(shared.opts.hidden_tabs):
                _BUTTONS[tab] = ToolButton(
                    "🎞️", elem_id=element(f"from_{tab}"),
                    tooltip="Send generation parameters to the Optical Flow Animation tab.",
                )  # fmt: skip
        elif name == f"generation_info_{tab}":
            _SHOWN[tab] = component


def connect(form: Form, told: Any) -> None:
    """Bind the buttons to the form; `told` is a line of the page."""
    outputs = [form.settings[name] for name in _FIELDS]
    for tab, button in _BUTTONS.items():
        sent = button.click(
            _taken, inputs=[_SHOWN[tab], told], outputs=[*outputs, form.styles, told], queue=False,
            show_progress=False,
            **scripted("(shown) => [shown, String(selected_gallery_index())]"),
        )  # fmt: skip
        sent.then(None, **scripted("() => { window.dispatchEvent(new Event('ofgen-open')); }"))


def _taken(shown: str, index: str) -> list[Any]:
    """What the form shows then, and a line that tells of it."""
    text = _infotext(shown, int(index))
    if not text:
        told = note("there is no picture to take anything from; generate one first", warns=True)
        return [*(gr.update() for _ in _FIELDS), gr.update(), told]
    params = infotext_utils.parse_generation_parameters(text)
    settings, lines = _settings(params)
    updates = [
        gr.update(value=settings[name]) if name in settings else gr.update() for name in _FIELDS
    ]
    if "checkpoint" in settings:
        place = list(_FIELDS).index("checkpoint")
        updates[place] = gr.update(value=settings["checkpoint"], choices=checkpoints())
    told = _told(settings) + "".join(note(line, warns=True) for line in lines)
    return [*updates, gr.update(value=params.get("Styles array", [])), told]


def _told(settings: dict[str, Any]) -> str:
    """Which ones were taken; each is a text of its own, for it has a translation."""
    names = ", ".join(f"<span>{choices()[name].label}</span>" for name in settings)
    return f"<p class='ofgen-note' role='status'><span>From the picture:</span> {names}</p>"


def _infotext(shown: str, index: int) -> str:
    """That of the picture chosen in the gallery, else of the first."""
    try:
        texts = json.loads(shown or "{}").get("infotexts", [])
    except (ValueError, RecursionError, AttributeError):  # the host writes other texts there too
        return ""
    return texts[index] if 0 <= index < len(texts) else "".join(texts[:1])


def _settings(params: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Our settings by the host's parameters, and lines about those that cannot be taken."""
    params = dict(params)
    if "Sampler" in params:  # older ones hold the scheduler's name too
        params["Sampler"], params["Schedule type"] = sd_samplers.get_sampler_and_scheduler(
            params["Sampler"], params.get("Schedule type")
        )
    if "Hires upscale" in params:  # it is of the second pass
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
            value = lookup.checkpoint(value).title if name == "checkpoint" else value
            parsed = Settings().replace(Settings.parse({name: value}))
            settings[name] = getattr(parsed, name)
        except SettingsError as error:
            lines.append(str(error))
    return settings, lines
