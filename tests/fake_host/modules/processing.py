"""Pictures by the embedded brush, at the pace of a sampler."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from PIL import Image as Pictures

from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.values import Repaint
from modules import shared

STEP = 0.02
"""Seconds that a step of the sampler takes."""


class StableDiffusionProcessingImg2Img:
    """What is asked for; `init` makes of the picture and its mask what sampling starts from."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)
        self.scripts: Any = None
        self.script_args: list[Any] = []
        self.image_mask: Any = None

    def init(self, prompts: list[str], seeds: list[int]) -> None:
        (picture,) = self.init_images
        self.init_latent = [np.asarray(picture.convert("RGB"))]
        self.mask = None if self.image_mask is None else [np.asarray(self.image_mask.convert("L"))]

    def close(self) -> None:
        self.init_latent = self.mask = None


class Processed:
    """What came of it."""

    def __init__(
        self, p: Any, images: list[Any], seed: int = -1, info: str = "", infotexts: Any = None
    ) -> None:
        self.images, self.seed, self.info, self.infotexts = images, seed, info, infotexts


def process_images(p: StableDiffusionProcessingImg2Img) -> Processed:
    """A picture for each seed; an interrupt breaks off the sampling."""
    p.init([p.prompt] * p.batch_size, p.seed)
    for _ in range(round(p.steps * p.denoising_strength)):
        if shared.state.interrupted or shared.state.skipped:
            break
        time.sleep(STEP)
    masks = p.mask or [None] * p.batch_size
    jobs = [
        Repaint(0, image, mask, image, p.prompt, p.negative_prompt, p.denoising_strength, seed)
        for image, mask, seed in zip(p.init_latent, masks, p.seed, strict=True)
    ]
    return Processed(p, [Pictures.fromarray(one) for one in BrushPainter().paint(jobs)])


def create_infotext(p: Any, prompts: list[str], seeds: list[int], subseeds: list[int]) -> str:
    return f"{prompts[0]}\nSteps: {p.steps}, Seed: {seeds[0]}"
