"""A small button beside a control."""

from __future__ import annotations

from typing import Any

import gradio as gr


def ToolButton(*args: Any, tooltip: str = "", **options: Any) -> gr.Button:  # noqa: N802
    """A button of one sign; the webui has a class of this name."""
    return gr.Button(*args, elem_classes=["tool"], **options)
