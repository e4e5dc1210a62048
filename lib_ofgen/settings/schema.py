"""The settings as JSON Schema for programs, and as a table for the docs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from lib_ofgen.settings.choice import TYPE_NAMES, choice_of, describe_range, to_json_value
from lib_ofgen.settings.fields import Settings

__all__ = ["schema", "table"]


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a `settings` object."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Optical Flow Animation settings",
        "type": "object",
        "additionalProperties": False,
        "properties": {item.name: _property(item) for item in dataclasses.fields(Settings)},
    }


def _property(item: dataclasses.Field[Any]) -> dict[str, Any]:
    kinds = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}
    choice = choice_of(item)
    limits: dict[str, Any] = {}
    if choice.low is not None:
        limits["minimum"] = choice.low
    if choice.high is not None:
        limits["maximum"] = choice.high
    shown: dict[str, Any] = {
        "title": choice.label, "description": choice.help, "default": to_json_value(item.default),
    }  # fmt: skip
    if choice.options:
        shown["enum"] = list(choice.options)
    kind = str(item.type)
    if kind.startswith("tuple"):
        return {"type": "array", "items": {"type": "integer", **limits}, **shown}
    return {"type": kinds[kind], **limits, **shown}


def table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| setting | meaning | values | default |", "|---|---|---|---|"]
    for item in dataclasses.fields(Settings):
        choice = choice_of(item)
        ranged = choice.low is not None or choice.high is not None
        values = ", ".join(f"`{option}`" for option in choice.options)
        values = values or (describe_range(choice) if ranged else TYPE_NAMES[str(item.type)])
        default = json.dumps(to_json_value(item.default))
        needs = f" Only with `{choice.needs}`.".replace("|", " or ") if choice.needs else ""
        rows.append(f"| `{item.name}` | {choice.help}{needs} | {values} | `{default}` |")
    return "\n".join(rows) + "\n"
