"""Differences between gradio 3, which the webui has, and gradio 4, which Forge has."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lib_ofgen.webui.access.uploads import read_upload

__all__ = ["file_field", "js_option"]


def file_field(**options: Any) -> Any:
    """Return a field for a file; its functions get an `UploadedFile`, or None if it is empty.

    Gradio's own field copies any file of the server that a client names into its uploads. This one
    copies nothing; an `UploadedFile` checks that the file was uploaded before anything reads it.
    """
    field = gr.File(**options)
    field.preprocess = read_upload
    return field


def js_option(code: str) -> dict[str, str]:
    """Return the option of an event by which the page runs the JavaScript function first."""
    return {"_js" if gr.__version__.startswith("3.") else "js": code}
