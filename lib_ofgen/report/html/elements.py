"""The pieces of a page as HTML: numbers, tables, legends, pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape

from lib_ofgen.values import Size

__all__ = ["count_words", "data", "image", "legend", "rgb", "section", "share", "table", "tiles"]


def data(value: float | None, form: str) -> str:
    """A number of the report, shown in the given form; its `value` has all digits."""
    return "none" if value is None else f'<data value="{value!r}">{form.format(value)}</data>'


def share(value: float | None) -> str:
    """A share 0..1, shown in per cent."""
    return "none" if value is None else f'<data value="{value!r}">{100 * value:.1f}&nbsp;%</data>'


def count_words(count: int, name: str) -> str:
    """So many of them, in words."""
    return f"{count} {name}{'s' * (count != 1)}"


def section(title: str, text: str, body: str) -> str:
    """A section with a line that says how to read it; all three are HTML."""
    return f'<section>\n<h2>{title}</h2>\n<p class="soft">{text}</p>\n{body}\n</section>'


def tiles(entries: Iterable[tuple[str, str, str]]) -> str:
    """Name, number and what stands beside it, each as HTML, in large."""
    cells = "\n".join(
        f'<div class="card"><dt>{name}</dt><dd class="value">{value}</dd><dd>{more}</dd></div>'
        for name, value, more in entries
    )
    return f'<dl class="numbers">\n{cells}\n</dl>'


def table(rows: Mapping[str, object]) -> str:
    """Names and values of any kind, two columns."""
    lines = (
        f"<tr><th>{escape(name)}</th><td><code>{escape(_plain(value))}</code></td></tr>"
        for name, value in rows.items()
    )
    return f"<table>{''.join(lines)}</table>"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def legend(entries: Iterable[tuple[str, str, str]]) -> str:
    """Colour's class, swatch's class and text of each entry."""
    lines = "".join(
        f'<li><i class="swatch {shape} {colour}"></i>{text}</li>' for colour, shape, text in entries
    )
    return f'<ul class="legend">{lines}</ul>'


def image(jpeg: bytes, text: str, size: Size | None = None) -> str:
    """A JPEG file inside the page; `text` is for who cannot see it."""
    sized = f' width="{size.width}" height="{size.height}"' if size else ""
    inside = base64.b64encode(jpeg).decode()
    return f'<img alt="{escape(text)}"{sized} src="data:image/jpeg;base64,{inside}">'


def rgb(colour: tuple[int, int, int]) -> str:
    """A colour, as CSS has it."""
    return f"rgb({colour[0]} {colour[1]} {colour[2]})"
