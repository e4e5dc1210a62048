"""What gradio 3 and gradio 4 say differently; the webui has the one, Forge the other."""

from __future__ import annotations

import gradio as gr

__all__ = ["scripted"]


def scripted(code: str) -> dict[str, str]:
    """The option of an event by which the page runs the JavaScript function first."""
    return {"_js" if gr.__version__.startswith("3.") else "js": code}
