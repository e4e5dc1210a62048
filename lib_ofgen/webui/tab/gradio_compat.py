"""What gradio 3 and gradio 4 say differently; the webui has the one, Forge the other."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lib_ofgen.webui.access.uploads import handed

__all__ = ["file_field", "scripted"]


def file_field(**options: Any) -> Any:
    """A field for a file; what is bound to it gets a `Handed`, or None where it is empty.

    Gradio's own field copies any file of the server that a client names among the uploads; what
    comes from this one is asked whether it was uploaded before anything reads it.
    """
    field = gr.File(**options)
    field.preprocess = handed
    return field


def scripted(code: str) -> dict[str, str]:
    """The option of an event by which the page runs the JavaScript function first."""
    return {"_js" if gr.__version__.startswith("3.") else "js": code}
