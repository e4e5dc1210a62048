"""JSON files with a seal, which is checked when they are read.

The seal is the last member of the object, a digest of the file's name and of every byte before it.
A changed byte, a lost end and a renamed file are detected, and any JSON tool can read the file. A
value that is not an object is stored as the member `value`.

Shapes describe the expected values; a file of an earlier version's shape counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, cast

__all__ = [
    "Shape", "any_value", "fraction", "items", "maybe", "number", "open_sealed", "record", "row",
    "seal", "text", "truth", "whole",
]  # fmt: skip

Shape = Callable[[object], bool]
"""Returns whether a JSON value is as expected."""
_SEAL = "seal"
_VALUE = "value"
_END = re.compile(rb',\n "seal": "([0-9a-f]{32})"\n\}\n')


def seal(name: str, value: object) -> bytes:
    """Return the content of the file `name` with the value.

    Lone surrogates (bytes of the command line that are not text) become escapes of JSON.
    """
    plain = isinstance(value, Mapping) and value and not {_SEAL, _VALUE} & {*value}
    held = value if plain else {_VALUE: value}
    text = json.dumps(held, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace")
    body = text.removesuffix(b"\n}")
    return b'%s,\n "%s": "%s"\n}\n' % (body, _SEAL.encode(), _seal(name, body))


def open_sealed(name: str, data: bytes, shape: Shape | None = None) -> Any:
    """Return the value in the content of the file `name`.

    Raises:
        ValueError: if the content or name has changed, or the value has another shape.
    """
    end = _END.search(data, max(0, len(data) - 64))
    if end is None or end.end() != len(data):
        raise ValueError("there is no seal")
    body = data[: end.start()]
    if _seal(name, body) != end[1]:
        raise ValueError("the seal is another's")
    held: dict[str, Any] = json.loads(body + b"\n}")
    value = held[_VALUE] if held.keys() == {_VALUE} else held
    if shape is not None and not shape(value):
        raise ValueError("it has another shape")
    return value


def _seal(name: str, body: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + body).hexdigest()[:32].encode()


def any_value(value: object) -> bool:
    """Any value."""
    return True


def text(value: object) -> bool:
    """A text."""
    return isinstance(value, str)


def truth(value: object) -> bool:
    """True or false."""
    return isinstance(value, bool)


def fraction(value: object) -> bool:
    """A text such as 30000/1001."""
    try:
        return isinstance(value, str) and Fraction(value) is not None
    except (ValueError, ZeroDivisionError):
        return False


def whole(low: int, high: int | None = None) -> Shape:
    """A whole number from `low` to `high`."""
    return lambda value: (
        isinstance(value, int)
        and not isinstance(value, bool)
        and low <= value
        and (high is None or value <= high)
    )


def number(low: float, high: float) -> Shape:
    """A number from `low` to `high`."""
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    )


def maybe(shape: Shape) -> Shape:
    """None, or a value of the shape."""
    return lambda value: value is None or shape(value)


def items(shape: Shape, least: int = 0) -> Shape:
    """A list of at least so many values of the shape."""
    return lambda value: (
        isinstance(value, list)
        and len(cast("list[object]", value)) >= least
        and all(shape(one) for one in cast("list[object]", value))
    )


def row(*shapes: Shape) -> Shape:
    """A list of as many values, each of its shape."""
    return lambda value: (
        isinstance(value, list)
        and len(cast("list[object]", value)) == len(shapes)
        and all(shape(one) for shape, one in zip(shapes, cast("list[object]", value), strict=True))
    )


def record(**members: Shape) -> Shape:
    """An object that has these members at least."""
    return lambda value: (
        isinstance(value, dict)
        and all(
            name in value and shape(cast("dict[str, object]", value)[name])
            for name, shape in members.items()
        )
    )
