"""The button that reads a list anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from modules.ui_components import ToolButton


def create_refresh_button(
    component: Any, reread: Callable[[], Any], found: Callable[[], dict[str, Any]], name: str
) -> gr.Button:
    button = ToolButton("\U0001f504", elem_id=name, tooltip="Refresh")

    def refreshed() -> Any:
        reread()
        return gr.update(**found())

    button.click(refreshed, inputs=[], outputs=[component])
    return button
