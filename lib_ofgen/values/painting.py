"""What painters and taggers receive and return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values.arrays import Image, Mask

__all__ = [
    "MODULE_DEFAULT",
    "ControlUnit",
    "Layer",
    "Origin",
    "Painted",
    "PromptRow",
    "Repaint",
    "Stage",
    "Tags",
    "Words",
]

MODULE_DEFAULT = -1.0
"""As a threshold of a control unit: the module's own default, in ControlNet's own convention."""

Stage = Literal["keys", "holes"]
"""The two stages of painting; each may use a checkpoint of its own."""


Layer = Literal["subject", "background"]
"""The layers of a frame that a mask divides; a frame without a mask is all subject."""


class Origin(NamedTuple):
    """Where a pixel was painted: in which frame, and in which layer of it."""

    frame: int
    layer: Layer = "subject"


@dataclass(frozen=True)
class Painted:
    """What was painted in one layer of a frame, without what was warped into it.

    Only this supplies other frames, so that no pixel is ever warped twice.
    """

    index: int
    """The frame."""
    image: Image
    """Black where `mask` is false."""
    mask: Mask
    layer: Layer = "subject"

    @property
    def origin(self) -> Origin:
        """The frame and the layer."""
        return Origin(self.index, self.layer)


@dataclass(frozen=True)
class Repaint:
    """One picture that the painter is to paint."""

    target: int
    """Index of the frame."""
    image: Image
    """Picture from which painting starts."""
    mask: NDArray[np.uint8] | None
    """(H, W): 255 is painted, 0 is context; None: the whole picture is painted."""
    original: Image
    """The same region of the source's frame."""
    prompt: str
    negative_prompt: str
    strength: float
    """0..1: how far the result may differ from `image` (denoising strength)."""
    seed: int
    anchor: Image | None = None
    """The same region of the scene's first painted key frame; None: it is that, or not needed."""


@dataclass(frozen=True)
class ControlUnit:
    """A unit of ControlNet, which guides the painter by a picture."""

    module: str
    """Name of the preprocessor."""
    model: str = ""
    """Name of the model; empty: the module needs none."""
    weight: float = 1.0
    """0..2."""
    start: float = 0.0
    """0..1: share of the steps after which the unit begins."""
    end: float = 1.0
    """0..1: share of the steps after which the unit ends."""
    threshold_a: float = MODULE_DEFAULT
    """First parameter of the module."""
    threshold_b: float = MODULE_DEFAULT
    """Second parameter of the module."""
    source: Literal["frame", "anchor"] = "frame"
    """The picture: `Repaint.original` or `Repaint.anchor`."""
    stages: tuple[Stage, ...] = ("keys", "holes")
    """Stages of painting in which the unit acts."""


class Words(NamedTuple):
    """The prompts of a frame, and its seed."""

    prompt: str
    negative_prompt: str
    seed: int | None = None
    """None: the job's."""

    def seed_or(self, job: int) -> int:
        """Return the frame's own seed, or that of the job if it has none."""
        return job if self.seed is None else self.seed


class PromptRow(NamedTuple):
    """The prompts and the seed of the frames `start` to `stop - 1`."""

    start: int
    stop: int | None
    """None: up to the next row, or to the end; to the end for a row with only a seed."""
    prompt: str
    """Empty: that of the settings."""
    negative_prompt: str
    """Empty: that of the settings."""
    seed: int | None = None
    """None: the job's."""

    @property
    def only_seed(self) -> bool:
        """Whether the row has only a seed; such a row may overlap others."""
        return self.seed is not None and not (self.prompt or self.negative_prompt)

    def holds(self, index: int) -> bool:
        """Whether the row has frame `index`."""
        return self.start <= index and (self.stop is None or index < self.stop)


@dataclass(frozen=True)
class Tags:
    """Tags of a picture by kind: tag to confidence 0..1, the most confident first."""

    ratings: dict[str, float]
    characters: dict[str, float]
    general: dict[str, float]
