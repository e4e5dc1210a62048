"""A script of a webui that keeps what ControlNet gets with each picture of ours.

Goes into an extension of its own beside ControlNet. PROBE_FOLDER gets NNN.npz before a picture is
painted, and NNN-done.npz after it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from modules import processing, scripts

FOLDER = Path(os.environ["PROBE_FOLDER"])
TITLE = "Probe"
NAMES = (
    "module", "model", "weight", "guidance_start", "guidance_end", "threshold_a", "threshold_b",
)  # fmt: skip


def _units(p: Any) -> list[Any]:
    code = sys.modules.get("scripts.external_code")
    if code is None or p.scripts is None:
        return []
    return [unit for unit in code.get_all_units_in_processing(p) if unit.enabled]


def _told(unit: Any) -> dict[str, Any]:
    return {name: getattr(unit, name) for name in NAMES}


def _save(name: str, **arrays: Any) -> None:
    np.savez(FOLDER / f"{name}.part.npz", **arrays)
    (FOLDER / f"{name}.part.npz").rename(FOLDER / f"{name}.npz")


def _watched(paint: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def painted(p: Any) -> Any:
        if type(p).__name__ != "_Processing":
            return paint(p)
        names = [script.title() for script in p.scripts.alwayson_scripts] if p.scripts else []
        number = len(list(FOLDER.glob("*-begun.npz")))
        units = _units(p)
        mask = p.masks[0]
        _save(
            f"{number:03d}-begun",
            init=np.asarray(p.init_images[0]),
            mask=np.asarray(mask) if mask is not None else np.zeros(0),
            told=json.dumps([_told(unit) for unit in units]),
            scripts=json.dumps(names),
            **{f"image{place}": unit.image["image"] for place, unit in enumerate(units)},
        )
        done = paint(p)
        _save(f"{number:03d}-done", image=np.asarray(done.images[0]))
        return done

    return painted


class Probe(scripts.Script):
    """An always-on script with a value of its own, which tells in its log of every picture."""

    def title(self) -> str:
        """Its name in requests."""
        return TITLE

    def show(self, is_img2img: bool) -> Any:
        """Always on, in txt2img and img2img alike."""
        return scripts.AlwaysVisible

    def ui(self, is_img2img: bool) -> list[Any]:
        """A value, to see whose it gets."""
        return [gr.Textbox(value="first", visible=False)]

    def process(self, p: Any, value: str) -> None:
        """Tell of the picture."""
        print(f"probe: {value} on {type(p).__name__}")  # noqa: T201 - the host's log


processing.process_images = _watched(processing.process_images)
