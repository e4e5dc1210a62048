"""The elements of a page as HTML: numbers, tables, legends, pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape

from lib_ofgen.values import Size

__all__ = [
    "count_of",
    "css_colour",
    "exact",
    "image",
    "legend",
    "number",
    "percentage",
    "section",
    "table",
    "tiles",
]


def exact(value: float, text: str) -> str:
    """Return a text that stands for a number; the element's `value` has all digits of it."""
    return f'<data value="{value!r}">{text}</data>'


def number(value: float | None, form: str) -> str:
    """Return a number in the format `form`; the element's `value` has all digits."""
    return "none" if value is None else exact(value, form.format(value))


def percentage(value: float | None) -> str:
    """Return a share 0..1 in per cent; the element's `value` has all digits."""
    return "none" if value is None else exact(value, f"{100 * value:.1f}&nbsp;%")


def count_of(count: int, name: str) -> str:
    """Return the number with the name, which gets an s unless there is one."""
    return f"{count} {name}{'s' * (count != 1)}"


def section(title: str, text: str, body: str) -> str:
    """Return a section with a line that explains it; all three are HTML."""
    return f'<section>\n<h2>{title}</h2>\n<p class="soft">{text}</p>\n{body}\n</section>'


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return large numbers; each entry has its name, number and remark as HTML."""
    cells = "\n".join(
        f'<div class="card"><dt>{name}</dt><dd class="value">{value}</dd><dd>{more}</dd></div>'
        for name, value, more in entries
    )
    return f'<dl class="numbers">\n{cells}\n</dl>'


def table(rows: Mapping[str, object]) -> str:
    """Return a table of names and values of any kind, in two columns."""
    lines = (
        f"<tr><th>{escape(name)}</th><td><code>{escape(_as_text(value))}</code></td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(lines)}</table>"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def legend(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return a legend; each entry has the classes of its colour and swatch, and its text."""
    lines = "".join(
        f'<li><i class="swatch {shape} {colour}"></i>{text}</li>' for colour, shape, text in entries
    )
    return f'<ul class="legend">{lines}</ul>'


def image(jpeg: bytes, text: str, size: Size | None = None) -> str:
    """Return a JPEG file as a picture inside the page; `text` is its alternative text."""
    sized = f' width="{size.width}" height="{size.height}"' if size else ""
    inside = base64.b64encode(jpeg).decode()
    return f'<img alt="{escape(text)}"{sized} src="data:image/jpeg;base64,{inside}">'


def css_colour(colour: tuple[int, int, int]) -> str:
    """Return a colour in the notation of CSS."""
    return f"rgb({colour[0]} {colour[1]} {colour[2]})"
