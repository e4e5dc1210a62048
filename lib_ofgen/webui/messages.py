"""Lines of the page that tell something."""

from __future__ import annotations

import html
import re

from lib_ofgen.pipeline.progress import job_progress

__all__ = ["doing", "note", "said", "shown"]

_WORKSPACE = re.compile(r", (?:or|such as) [^;,]*--workspace")
"""Advice to name another workspace; here a job has the one beside its film."""


def doing(stage: str, done: int, of: int) -> str:
    """What is being done, in words, and how far it is."""
    where = f", frame {done} of {of}" if of else ""
    return f"{job_progress.words(stage)}{where}"


def said(error: object) -> str:
    """The line of an error, with no option of our command line in it, for here nobody types one.

    Limits are raised by an option of the webui's own.
    """
    text = _WORKSPACE.sub("", str(error)).replace("--set ", "")
    return text.replace("--limit ", "--ofgen-limit ")


def shown(text: object) -> str:
    """Anybody's text as HTML; bytes of a path that are no text become question marks."""
    return html.escape(str(text).encode("utf-8", "replace").decode("utf-8"))


def note(text: object, *, failed: bool = False, warns: bool = False, field: str = "") -> str:
    """A line as HTML; the text may be anybody's.

    `field` is the id of the element that it is about: the page's script marks that.
    """
    if not str(text):
        return ""
    kind, role = ("ofgen-error", "alert") if failed else ("ofgen-note", "status")
    kind = "ofgen-warning" if warns else kind
    about = f" data-about='{field}'" if field else ""
    # No `p`: the webui's `hints.js` holds each `p`, `span`, `button` and `input` that comes into a
    # page until that is still for a second, and a page that looks every 0.6 s never is.
    return f"<div class='{kind}' role='{role}'{about}>{shown(said(text))}</div>"
