"""How much memory and time a file or an answer may cost; checked by headers, before unpacking.

There is one set for the whole process, given at its start. No setting, preset or job document
changes it: these may come from strangers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction

from lib_ofgen.errors import SettingsError, VideoError

__all__ = ["Limits", "change", "check_aspect", "check_pixels", "current", "table"]


def _limit(most: int, unit: str, text: str) -> int:
    """A field of `Limits`, with its default and what the documentation says of it."""
    return field(default=most, metadata={"unit": unit, "text": text})


@dataclass(frozen=True)
class Limits:
    """The largest accepted value of each kind."""

    pixels: int = _limit(35_500_000, "px", "of one frame, picture or flow; 8192x4320 fits")
    pixel_aspect: int = _limit(8, "", "width of a pixel over its height, or height over width")
    silence: int = _limit(21_600, "s", "of missing sound that is filled with silence at one place")
    rows: int = _limit(100_000, "", "rows of a list of prompts")
    answer: int = _limit(128, "MiB", "of one answer of a painter")
    upload: int = _limit(2048, "MiB", "of one video or mask that is sent to the webui")


_current = Limits()


def current() -> Limits:
    """Return the limits of this process."""
    return _current


def change(pairs: Iterable[str]) -> None:
    """Set limits of this process by texts such as `pixels=100000000`; the others stay.

    Raises:
        SettingsError: if a text names no limit, or its value is not a whole number above 0.
    """
    global _current
    known = [one.name for one in fields(Limits)]
    changed: dict[str, int] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name.strip() not in known:
            raise SettingsError(f"there is no limit {name[:40]!r}; there are {', '.join(known)}")
        if not value.strip().isdecimal() or not int(value[:20]):
            raise SettingsError(
                f"limit {name.strip()}={value[:40]!r} is not a whole number above 0; write "
                f"{name.strip()}={getattr(Limits(), name.strip())}"
            )
        changed[name.strip()] = int(value)
    _current = replace(_current, **changed)


def check_pixels(width: int, height: int, name: str) -> None:
    """Check that a picture of this size may be unpacked; `name` is for the message.

    Raises:
        VideoError: if it has more pixels than the limit.
    """
    if width * height > _current.pixels:
        raise VideoError(
            f"{name} is {width}x{height} and over the limit of {_current.pixels} px; make it "
            f"smaller, or raise the limit with --limit pixels={width * height}",
            bad_input=True,
        )


def check_aspect(aspect: Fraction, name: str) -> None:
    """Check that pixels may be `aspect` times as wide as high; `name` is for the message.

    Raises:
        VideoError: if they are wider, or higher, than the limit.
    """
    longer = max(aspect, 1 / aspect)
    if longer > _current.pixel_aspect:
        raise VideoError(
            f"the pixels of {name} are {aspect.numerator}:{aspect.denominator} and over the limit "
            f"of {_current.pixel_aspect}:1; make them square, or raise the limit with --limit "
            f"pixel_aspect={math.ceil(longer)}",
            bad_input=True,
        )


def table() -> str:
    """Return the limits as a Markdown table."""
    rows = ["| limit | most | of what |", "|---|---|---|"]
    for one in fields(Limits):
        most = f"{one.default} {one.metadata['unit']}".strip()
        rows.append(f"| `{one.name}` | {most} | {one.metadata['text']} |")
    return "\n".join(rows)
