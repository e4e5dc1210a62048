"""Buttons that send a picture to another tab; the page binds them when all of it is laid out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParamBinding:
    """A button, and what it sends where."""

    paste_button: Any
    tabname: str
    source_image_component: Any
    source_text_component: Any = None


BINDINGS: list[ParamBinding] = []
register_paste_params_button = BINDINGS.append
