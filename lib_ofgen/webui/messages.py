"""Lines of text for the page."""

from __future__ import annotations

import html
import re

from lib_ofgen.pipeline.progress import job_progress

__all__ = ["TITLE", "adapt_message", "escape", "note", "progress_text"]

TITLE = "Optical Flow Animation"
"""Title of the tab and of the script."""

_WORKSPACE = re.compile(r", (?:or|such as) [^;,]*--workspace")
"""Advice to name another workspace; in the webui a job's workspace is always beside its film."""


def progress_text(phase: str, done: int, of: int) -> str:
    """Return what is being done, in words, and how far it is."""
    where = f", frame {done} of {of}" if of else ""
    return f"{job_progress.words(phase)}{where}"


def adapt_message(error: object) -> str:
    """Return the line of an error without options of the command line, which nobody types here.

    Limits are raised by an option of the webui.
    """
    text = _WORKSPACE.sub("", str(error)).replace("--set ", "")
    return text.replace("--limit ", "--ofgen-limit ")


def escape(text: object) -> str:
    """Return any text as HTML; bytes of a path that are not text become question marks."""
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"))


def note(text: object, *, failed: bool = False, warns: bool = False, field: str = "") -> str:
    """Return a line as HTML; empty if the text is empty.

    Args:
        text: Any text; it is escaped.
        failed: Show it as an error.
        warns: Show it as a warning.
        field: Id of the element that it is about; the page's script marks that element.
    """
    if not str(text):
        return ""
    kind, role = ("ofgen-error", "alert") if failed else ("ofgen-note", "status")
    kind = "ofgen-warning" if warns else kind
    about = f" data-about='{field}'" if field else ""
    # Not `p`: the webui's `hints.js` keeps each new `p`, `span`, `button` and `input` until the
    # page is still for a second, and a page that is refreshed every 0.6 s never is.
    return f"<div class='{kind}' role='{role}'{about}>{escape(adapt_message(text))}</div>"
