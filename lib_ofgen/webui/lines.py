"""Lines of the page that tell something."""

from __future__ import annotations

import html

__all__ = ["doing", "note"]

_DOING = {
    "decode": "reading the video",
    "analyse": "looking for cuts",
    "keys": "choosing key frames",
    "tag": "reading key frames",
    "paint": "painting",
    "measure": "measuring",
}


def doing(stage: str, done: int, of: int) -> str:
    """What is being done, in words, and how far it is."""
    where = f", frame {done} of {of}" if of else ""
    return f"{_DOING.get(stage, stage)}{where}"


def note(text: object, *, failed: bool = False, warns: bool = False) -> str:
    """A line as HTML; the text may be anybody's."""
    if not str(text):
        return ""
    kind, role = ("ofgen-error", "alert") if failed else ("ofgen-note", "status")
    kind = "ofgen-warning" if warns else kind
    return f"<p class='{kind}' role='{role}'>{html.escape(str(text))}</p>"
