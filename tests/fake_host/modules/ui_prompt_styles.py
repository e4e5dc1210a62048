"""Styles written into the prompts."""

from __future__ import annotations

from typing import Any

import gradio as gr

from modules import shared

styles_materialize_symbol = "\U0001f4cb"


def materialize_styles(prompt: str, negative: str, names: list[str]) -> list[Any]:
    known = shared.prompt_styles
    return [
        known.apply_styles_to_prompt(prompt, names),
        known.apply_negative_styles_to_prompt(negative, names),
        gr.update(value=[]),
    ]
