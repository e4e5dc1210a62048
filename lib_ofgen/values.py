"""What travels between stages, and the ports of the engine.

Images are `(H, W, 3)` uint8 sRGB, masks `(H, W)`, everything numpy. What lives on a device stays
inside its estimator or painter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Box",
    "Cause",
    "Clip",
    "Contribution",
    "ControlUnit",
    "Flow",
    "FlowEstimator",
    "Frame",
    "FrameSink",
    "Fused",
    "Image",
    "Jump",
    "KeyFrame",
    "Mask",
    "Painted",
    "Painter",
    "PromptRow",
    "Repaint",
    "Reporter",
    "Scene",
    "Size",
    "Sound",
    "Stage",
    "Step",
    "Tagger",
    "Tags",
    "Words",
    "check",
]

Image = NDArray[np.uint8]
"""(H, W, 3) sRGB, 0..255."""

Mask = NDArray[np.bool_]
"""(H, W), true inside."""

Cause = Literal[
    "first", "cut", "change", "coverage", "gap", "pyramid", "interval", "chosen", "every", "last"
]
"""Why a frame is a key frame; `last` closes a scene so that every frame has a key on both sides."""

Stage = Literal["keys", "holes"]
"""The two stages of painting; each may use a checkpoint of its own."""


class Frame(NamedTuple):
    """One frame of the clip, at the working size."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """Counted from 0 over the frames taken from the source."""
    image: Image


class Size(NamedTuple):
    """Height and width in px, in this order, and never a bare pair."""

    height: int
    width: int

    def __str__(self) -> str:
        """The order people write: width x height."""
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """A region of a frame: `top <= y < bottom`, `left <= x < right`."""

    top: int
    left: int
    bottom: int
    right: int

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """The region of an (H, W[, C]) array, as a view."""
        return array[self.top : self.bottom, self.left : self.right]

    @property
    def size(self) -> Size:
        """Height and width."""
        return Size(self.bottom - self.top, self.right - self.left)

    def shared(self, other: Box) -> Box:
        """The region that lies in both; of no height or width where there is none."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, left, max(top, bottom), max(left, right))

    def moved(self, within: Box) -> Box:
        """The region counted from the top left pixel of `within`."""
        top, left = within.top, within.left
        return Box(self.top - top, self.left - left, self.bottom - top, self.right - left)


@dataclass(frozen=True)
class Sound:
    """The source's first sound stream."""

    codec: str
    rate: int
    """Samples per second."""
    channels: int


class Jump(NamedTuple):
    """A place where the source's clock jumps, as it does where recordings were joined."""

    time: Fraction
    """Seconds into the clip at which the picture after the jump is shown."""
    before: Fraction
    """Seconds on the source's clock at which the picture before it ends."""
    after: Fraction
    """Seconds on the source's clock at which the picture after it begins."""


@dataclass(frozen=True)
class Clip:
    """The frames taken from a source: their size and their time."""

    size: Size
    """Working size, a multiple of 8 both ways."""
    rate: Fraction
    """Average frames per second, after sampling; exact where the source is."""
    time_base: Fraction
    """Seconds per tick."""
    ticks: tuple[int, ...]
    """When each frame begins, counted from the first one."""
    end: int
    """The tick at which the last frame ends."""
    start: Fraction
    """Seconds into the source at which the first frame lies; sound is cut there."""
    sound: Sound | None
    jumps: tuple[Jump, ...] = ()
    """Where the source's clock jumps inside the clip; the clip's own clock does not."""
    damaged: int = 0
    """Frames that the source's header promises and its data no longer holds."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.ticks)

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame's start to the last one's end."""
        return self.end * self.time_base

    def seconds(self, index: int) -> float:
        """When frame `index` begins, in seconds."""
        return float(self.ticks[index] * self.time_base)


class Scene(NamedTuple):
    """Frames `start` to `stop - 1`, between two cuts."""

    start: int
    stop: int


class KeyFrame(NamedTuple):
    """A frame that is painted whole, and why."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]
    distance: float
    """What the choice measured (edge distance 0..255), or 0 where it measures nothing."""
    cause: Cause


@dataclass(frozen=True)
class Flow:
    """Where each pixel of `target` is found in `source`.

    Convention, the only one here: the target's pixel (x, y) shows what the source has at
    (x + vectors[0, y, x], y + vectors[1, y, x]). Pixel centres are whole numbers
    (`align_corners=True`). A flow is estimated in this direction, never negated from the other.
    """

    source: int
    target: int
    vectors: NDArray[np.float32]
    """(2, H, W) px: x, then y."""
    confidence: NDArray[np.float32]
    """(H, W) 0..1: P(error <= radius); 0 where the vector leaves the source."""
    radius: float
    """px."""


@dataclass(frozen=True)
class Step:
    """How one frame is made: from which painted frames, in order of preference.

    `shares[i]` is what source i contributes to a pixel that every source with a share shows. A
    source with share 0 supplies only what the others lack. No sources: painted whole.
    """

    target: int
    sources: tuple[int, ...]
    shares: tuple[float, ...]
    fresh: bool = False
    """Whether the subject of a masked frame is painted anew, whatever the sources could supply."""
    beside: tuple[int, ...] = ()
    """Key frames left and right of it on one canvas where it is painted whole; see `canvas`."""


@dataclass(frozen=True)
class Painted:
    """What was painted fresh in one frame, and nothing that was warped there.

    This alone is lent to other frames, so that no pixel is ever warped twice.
    """

    index: int
    image: Image
    """Black where `mask` is false."""
    mask: Mask


@dataclass(frozen=True)
class Contribution:
    """What one painted frame supplies to a frame: each pixel is sampled there once."""

    origin: int
    """The frame in which it was painted; of a masked frame's background, `~frame`."""
    box: Box
    """The region of the target outside of which it supplies nothing."""
    vectors: NDArray[np.float32]
    """(2, h, w) px, over the box: where each pixel is found in `origin`; see `Flow`."""
    weight: NDArray[np.float32]
    """(h, w) 0..1, over the box."""

    @classmethod
    def of(
        cls, origin: int, vectors: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> Contribution | None:
        """That of (2, H, W) vectors and an (H, W) weight over a whole frame, or None for no weight.

        The box has a rim of weight 0, unless the frame ends there: what is looked up beyond its
        edge is nothing.
        """
        size = Size(*check(weight, "H W", "weight"))
        rows = np.flatnonzero((weight > 0).any(axis=1))
        if not len(rows):
            return None
        columns = np.flatnonzero((weight > 0).any(axis=0))
        box = Box(
            max(0, int(rows[0]) - 1), max(0, int(columns[0]) - 1),
            min(size.height, int(rows[-1]) + 2), min(size.width, int(columns[-1]) + 2),
        )  # fmt: skip
        inside = np.stack([box.of(plane) for plane in vectors])
        return cls(origin, box, inside, np.ascontiguousarray(box.of(weight)))

    def within(self, box: Box) -> Contribution | None:
        """The part that lies in `box`; None where nothing does."""
        shared = box.shared(self.box)
        if not all(shared.size):
            return None
        part = shared.moved(self.box)
        inside = np.stack([part.of(plane) for plane in self.vectors])
        return replace(self, box=shared, vectors=inside, weight=part.of(self.weight))

    def over(self, box: Box) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors (2, h, w) px and weight (h, w) over another box; 0 where this one ends."""
        both = np.concatenate([self.vectors, self.weight[None]])
        laid = np.zeros((3, *box.size), np.float32)
        shared = box.shared(self.box)
        for plane, other in zip(laid, both, strict=True):
            shared.moved(box).of(plane)[...] = shared.moved(self.box).of(other)
        return laid[:2], laid[2]


@dataclass(frozen=True)
class Fused:
    """How a frame is made of painted pixels."""

    contributions: tuple[Contribution, ...]
    """Their weights sum to 1 at each pixel; in a hole stands the best guess there is."""
    holes: Mask
    """Where no painted frame can be trusted to supply the pixel."""

    @classmethod
    def normalised(cls, parts: Iterable[Contribution | None], holes: Mask) -> Fused:
        """Of contributions whose weights are made to sum to 1; each pixel needs one."""
        kept = [part for part in parts if part]
        total = np.zeros(holes.shape, np.float32)
        for part in kept:
            part.box.of(total)[...] += part.weight
        return cls(
            tuple(replace(part, weight=part.weight / part.box.of(total)) for part in kept), holes
        )

    def origins(self) -> NDArray[np.int32]:
        """(H, W): the frame in which most of each pixel was painted; -1 for none."""
        most = np.zeros(self.holes.shape, np.float32)
        found = np.full(self.holes.shape, -1, np.int32)
        for one in self.contributions:
            more = one.weight > one.box.of(most)
            one.box.of(found)[more] = one.origin
            one.box.of(most)[more] = one.weight[more]
        return found


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


class FlowEstimator(Protocol):
    """Gives the flow of pairs of frames."""

    @property
    def identity(self) -> str:
        """Everything about the estimator that changes a vector or a confidence."""
        ...

    def estimate(self, pairs: Sequence[tuple[Frame, Frame]]) -> Iterator[Flow]:
        """The flow of each (source, target), in order; batches and caches inside."""
        ...

    def release(self) -> None:
        """Take everything off the device; the next estimate puts it back."""
        ...


class Painter(Protocol):
    """Paints pictures in a style."""

    @property
    def identity(self) -> str:
        """Everything about the painter that changes a pixel, beside what a `Repaint` says."""
        ...

    def stage(self, kind: Stage) -> AbstractContextManager[None]:
        """Have the model of that stage loaded inside; restore on leaving, errors included."""
        ...

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        """The pictures, in the order and of the size of the jobs; batches inside."""
        ...


class Tagger(Protocol):
    """Names what a picture shows."""

    @property
    def identity(self) -> str:
        """Everything about the tagger that changes a tag or its confidence."""
        ...

    def tag(self, images: Sequence[Image]) -> list[Tags]:
        """What each picture shows, in order; batches inside."""
        ...

    def release(self) -> None:
        """Take everything off the device; the next picture puts it back."""
        ...


class FrameSink(Protocol):
    """Takes the finished frames, in order."""

    def write(self, frame: Frame) -> None:
        """Append one frame."""
        ...


class Reporter(Protocol):
    """Hears how far the job is, and is asked whether to go on."""

    def step(self, stage: str, done: int, of: int, preview: Image | None = None) -> None:
        """`done` of `of` units of `stage` are finished."""
        ...

    def stopped(self) -> bool:
        """Whether the user asked to stop."""
        ...


def check(array: NDArray[Any], shape: str, name: str) -> tuple[int, ...]:
    """The sizes bound by `shape`, such as "3 H W" or "H W 3"; repeated letters must agree.

    Raises:
        ValueError: the array has another shape; the message gives both.
    """
    wanted = shape.split()
    bound: dict[str, int] = {}
    fits = len(wanted) == array.ndim
    for token, size in zip(wanted, array.shape, strict=False):
        fits = fits and (int(token) if token.isdigit() else bound.setdefault(token, size)) == size
    if not fits:
        raise ValueError(f"{name} has shape {array.shape}, wanted ({shape})")
    return tuple(bound.values())
