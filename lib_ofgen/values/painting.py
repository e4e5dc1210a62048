"""What goes to a painter and a tagger, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.values.arrays import Image, Mask

__all__ = [
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
    """What was painted fresh in one layer of a frame, without anything that was warped there.

    Only this is lent to other frames, so no pixel is ever warped twice.
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
    """One picture for the painter to make."""

    target: int
    """Index of the frame."""
    image: Image
    """What painting starts from."""
    mask: NDArray[np.uint8] | None
    """(H, W): 255 is painted, 0 is context; none: the whole picture."""
    original: Image
    """The source's pixels of the same region."""
    prompt: str
    negative_prompt: str
    strength: float
    """0..1: how far from `image` the result may go (denoising strength)."""
    seed: int
    anchor: Image | None = None
    """The same region of the scene's first key frame as painted; none: it is that, or unwanted."""


@dataclass(frozen=True)
class ControlUnit:
    """What steers a painter beside the prompt: a picture, as a module and a model see it."""

    module: str
    """What is made of the picture (a preprocessor)."""
    model: str = ""
    """What steers by it; empty: the module needs none."""
    weight: float = 1.0
    """0..2."""
    start: float = 0.0
    """0..1: share of the steps after which it begins."""
    end: float = 1.0
    """0..1: share of the steps after which it ends."""
    threshold_a: float = -1.0
    """The module's first number; -1: its own default."""
    threshold_b: float = -1.0
    """The module's second number; -1: its own default."""
    source: Literal["frame", "anchor"] = "frame"
    """Which picture: `Repaint.original`, or `Repaint.anchor`."""
    stages: tuple[Stage, ...] = ("keys", "holes")
    """In which stages of painting it steers."""


class Words(NamedTuple):
    """What a frame is painted by."""

    prompt: str
    negative_prompt: str
    seed: int | None = None
    """None: the job's."""

    def seed_or(self, job: int) -> int:
        """Their own seed; without one, that of the job."""
        return job if self.seed is None else self.seed


class PromptRow(NamedTuple):
    """What the frames `start` to `stop - 1` are painted by."""

    start: int
    stop: int | None
    """None: up to the next row, or to the end; of a row with a seed alone, to the end."""
    prompt: str
    """Empty: what the settings say."""
    negative_prompt: str
    """Empty: what the settings say."""
    seed: int | None = None
    """None: the job's."""

    @property
    def only_seed(self) -> bool:
        """Whether it leaves the prompts as they are; such a row may lie over others."""
        return self.seed is not None and not (self.prompt or self.negative_prompt)

    def holds(self, index: int) -> bool:
        """Whether frame `index` lies between its start and its stop."""
        return self.start <= index and (self.stop is None or index < self.stop)


@dataclass(frozen=True)
class Tags:
    """What a tagger sees in one picture: tag to confidence 0..1, surest first, a kind each."""

    ratings: dict[str, float]
    characters: dict[str, float]
    general: dict[str, float]
