"""Infotext: the lines on a picture's generation that a webui writes into it, reads and pastes."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LABELS", "format_infotext", "label_values"]

LABELS = {
    "steps": "Steps",
    "sampler": "Sampler",
    "scheduler": "Schedule type",
    "cfg_scale": "CFG scale",
    "seed": "Seed",
    "size": "Size",
    "checkpoint": "Model",
    "strength": "Denoising strength",
}
"""The webui's labels, by our names of the settings, in the order of infotext. `size` is no setting:
it is the picture's width and height, as "640x360"."""


def label_values(values: Mapping[str, object]) -> dict[str, object]:
    """Return those of the values, by our names, that have a label in infotext, by their labels."""
    return {label: values[name] for name, label in LABELS.items() if name in values}


def format_infotext(prompt: str, negative_prompt: str, values: Mapping[str, object]) -> str:
    """Return the infotext with these prompts and with the values, by label, that are not empty."""
    lines = [prompt]
    if negative_prompt:
        lines.append(f"Negative prompt: {negative_prompt}")
    lines.append(", ".join(f"{label}: {value}" for label, value in values.items() if value != ""))
    return "\n".join(lines)
