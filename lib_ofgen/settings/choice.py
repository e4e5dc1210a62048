"""What is declared of a setting, and the checks of its values."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from dataclasses import dataclass, field
from typing import Any, cast

from lib_ofgen.errors import SettingsError

__all__ = [
    "TYPE_NAMES",
    "Choice",
    "check_value",
    "choice_of",
    "declare",
    "describe_range",
    "read_text",
    "shorten",
    "to_json_value",
]  # fmt: skip

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80


def shorten(value: object) -> str:
    """Return the value for an error message: on one line, and short however large it is."""
    return _BRIEF.repr(value)


@dataclass(frozen=True)
class Choice:
    """What is declared of a setting beside its name, type and default."""

    label: str
    help: str
    group: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    options: tuple[str, ...] = ()
    needs: str = ""
    """The setting on which this one depends, as `name=value[|value]`; empty: none."""
    advanced: bool = False
    """Whether few users need the setting; the tab shows it under "Advanced"."""
    long: bool = False
    """Whether a text may have several lines."""


def declare(default: object, label: str, help: str, group: str, **more: Any) -> Any:
    """Return a dataclass field with its `Choice`; the annotation gives its type."""
    return field(default=default, metadata={"choice": Choice(label, help, group, **more)})


def choice_of(item: dataclasses.Field[Any]) -> Choice:
    """Return what was declared of a field of `Settings`."""
    return cast("Choice", item.metadata["choice"])


def to_json_value(value: object) -> object:
    """Return the value as JSON."""
    return list(cast("tuple[int, ...]", value)) if isinstance(value, tuple) else value


TYPE_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "tuple[int, ...]": "a list of whole numbers",
}
"""Names of the types in messages."""


def read_text(name: str, kind: str, text: str) -> object:
    """Return the value that a text says, in the type named by `kind`.

    Raises:
        SettingsError: if the text has no such value.
    """
    try:
        if kind == "bool":
            return {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()]
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
        if kind.startswith("tuple"):
            return tuple(int(part) for part in text.strip("[]() ").split(",") if part.strip())
    except (ValueError, KeyError) as error:
        raise SettingsError(f"{name}={shorten(text)} is not {TYPE_NAMES[kind]}") from error
    return text


def check_value(item: dataclasses.Field[Any], value: object) -> object:
    """Return the value in the type of the field.

    Raises:
        SettingsError: if it is not allowed; the message names what is.
    """
    choice, kind = choice_of(item), str(item.type)
    typed = _convert(kind, value)
    if typed is None:
        raise SettingsError(f"{item.name}={shorten(value)} is not {TYPE_NAMES[kind]}")
    if choice.options and typed not in choice.options:
        raise SettingsError(f"{item.name}={shorten(value)} is none of {', '.join(choice.options)}")
    numbers = cast("tuple[object, ...]", typed) if _is_list(typed) else (typed,)
    if not all(_in_range(choice, number) for number in numbers):
        raise SettingsError(f"{item.name}={shorten(value)} is outside {describe_range(choice)}")
    if item.name in ("width", "height", "hole_box") and cast("int", typed) % 8:
        raise SettingsError(f"{item.name}={shorten(value)} is not a multiple of 8")
    return typed


def _convert(kind: str, value: object) -> object | None:
    """Return the value in the type named by `kind`, or None if it has another type."""
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "str":
        return value if isinstance(value, str) else None
    if kind.startswith("tuple"):
        return _whole_numbers(value) if _is_list(value) else None
    return _number(kind, value)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _whole_numbers(value: object) -> tuple[int, ...] | None:
    """Return the numbers of a list, sorted and each once, or None if one is not whole."""
    numbers = [_number("int", part) for part in cast("list[object]", value)]
    whole = {number for number in numbers if isinstance(number, int)}
    return None if None in numbers else tuple(sorted(whole))


def _number(kind: str, value: object) -> float | int | None:
    """Return the number as `kind` (float or int), or None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not abs(value) < 2**63:  # also refuses nan and infinity
        return None
    if kind == "float":
        return float(value)
    return int(value) if value == int(value) else None


def _in_range(choice: Choice, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low = -math.inf if choice.low is None else choice.low
    high = math.inf if choice.high is None else choice.high
    return low <= value <= high


def describe_range(choice: Choice) -> str:
    """Return the range and the unit for users."""
    low = "" if choice.low is None else f"{choice.low:.10g}"
    high = "" if choice.high is None else f"{choice.high:.10g}"
    unit = f" {choice.unit}" if choice.unit else ""
    return f"{low}..{high}{unit}" if high else f"{low} and up{unit}"
