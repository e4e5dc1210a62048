"""Settings as controls of the page; label, range, choices and help come from `Settings`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.choice import Choice
from lib_ofgen.settings.fields import Settings, choices

__all__ = ["build_control", "element_id", "first_settings", "read_values"]


def element_id(name: str) -> str:
    """Return the id of an element of ours."""
    return f"ofgen_{name}"


def first_settings() -> Settings:
    """Return what the controls show first."""
    return Settings().replace({"seed": -1})


def build_control(name: str, lists: Mapping[str, Sequence[str]]) -> Any:
    """Return the control of one setting.

    Args:
        name: The setting.
        lists: The host's own names, as the choices of some settings.
    """
    choice, value = choices()[name], getattr(first_settings(), name)
    label = f"{choice.label} ({choice.unit})" if choice.unit else choice.label
    common = {"label": label, "info": choice.help, "elem_id": element_id(name)}
    options = choice.options or lists.get(name)
    if options:
        return gr.Dropdown(choices=list(options), value=value, **common)
    if isinstance(value, bool):
        return gr.Checkbox(value=value, **common)
    if isinstance(value, int | float):
        return _build_number(choice, value, common)
    if isinstance(value, tuple):
        return gr.Textbox(value=", ".join(map(str, value)), **common)
    return gr.Textbox(value=value, lines=3 if choice.long else 1, **common)


def _build_number(choice: Choice, value: float, common: dict[str, Any]) -> Any:
    """Return a slider if the range is short enough, otherwise a number field."""
    if choice.low is None or choice.high is None or choice.high - choice.low > 10000:
        return gr.Number(value=value, precision=0 if isinstance(value, int) else None, **common)
    return gr.Slider(
        minimum=choice.low, maximum=choice.high, step=choice.step, value=value, **common
    )


def read_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the controls' values: the seed, and what differs from the defaults.

    Raises:
        SettingsError: if a field is empty or has a bad value.
    """
    changes: dict[str, Any] = {}
    kinds = {item.name: str(item.type) for item in dataclasses.fields(Settings)}
    for name, value in values.items():
        if value is None and kinds[name] != "str":
            raise SettingsError(f"{choices()[name].label} is empty; give a value")
        if kinds[name].startswith("tuple"):
            changes |= Settings.parse({name: str(value)})
        else:
            changes[name] = "" if value is None else value
    return {**Settings().replace(changes).differences(), "seed": changes.get("seed", -1)}
