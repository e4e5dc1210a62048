"""Settings as controls of the page; labels, ranges, choices and help come from `Settings`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.choice import Choice
from lib_ofgen.settings.fields import Settings, choices

__all__ = ["control", "element", "from_values", "initial"]


def element(name: str) -> str:
    """The id of an element of ours."""
    return f"ofgen_{name}"


def initial() -> Settings:
    """What the controls show first."""
    return Settings().replace({"seed": -1})


def control(name: str, lists: Mapping[str, Sequence[str]]) -> Any:
    """The control of one setting; `lists` gives the host's own names for some texts."""
    choice, value = choices()[name], getattr(initial(), name)
    label = f"{choice.label} ({choice.unit})" if choice.unit else choice.label
    common = {"label": label, "info": choice.help, "elem_id": element(name)}
    options = choice.options or lists.get(name)
    if options:
        return gr.Dropdown(choices=list(options), value=value, **common)
    if isinstance(value, bool):
        return gr.Checkbox(value=value, **common)
    if isinstance(value, int | float):
        return _number(choice, value, common)
    if isinstance(value, tuple):
        return gr.Textbox(value=", ".join(map(str, value)), **common)
    return gr.Textbox(value=value, lines=3 if choice.long else 1, **common)


def _number(choice: Choice, value: float, common: dict[str, Any]) -> Any:
    """A slider where the range is short enough to slide over, else a number field."""
    if choice.low is None or choice.high is None or choice.high - choice.low > 10000:
        return gr.Number(value=value, precision=0 if isinstance(value, int) else None, **common)
    return gr.Slider(
        minimum=choice.low, maximum=choice.high, step=choice.step, value=value, **common
    )


def from_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the controls' values stand for, only those that differ from the defaults.

    Raises:
        SettingsError: a field is empty or holds what it must not.
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
