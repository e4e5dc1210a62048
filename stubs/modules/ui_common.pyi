from collections.abc import Callable
from typing import Any

from gradio import Component
from modules.ui_components import ToolButton

def create_refresh_button(
    refresh_component: Component | list[Component],
    refresh_method: Callable[[], object],
    refreshed_args: dict[str, Any] | Callable[[], dict[str, Any]],
    elem_id: str,
) -> ToolButton: ...
