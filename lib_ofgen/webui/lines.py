"""Lines of the page that tell something."""

from __future__ import annotations

import html

from lib_ofgen import pace

__all__ = ["doing", "note"]


def doing(stage: str, done: int, of: int) -> str:
    """What is being done, in words, and how far it is."""
    where = f", frame {done} of {of}" if of else ""
    return f"{pace.words(stage)}{where}"


def note(text: object, *, failed: bool = False, warns: bool = False) -> str:
    """A line as HTML; the text may be anybody's."""
    if not str(text):
        return ""
    kind, role = ("ofgen-error", "alert") if failed else ("ofgen-note", "status")
    kind = "ofgen-warning" if warns else kind
    return f"<p class='{kind}' role='{role}'>{html.escape(str(text))}</p>"
