"""The painter at work: one stage at a time, one job at a time, under the eye of the reporter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from lib_ofgen.errors import Stopped
from lib_ofgen.prompts import Prompts
from lib_ofgen.values import Image, Mask, Painter, Repaint, Reporter, Stage

__all__ = ["Easel", "Rules", "Stopwatch"]

_STAGES = ("decode", "analyse", "flow", "paint", "fuse", "encode", "measure")
"""What a job's time is divided into."""


class Stopwatch:
    """Seconds spent by stage."""

    def __init__(self) -> None:
        """All at zero."""
        self.seconds: dict[str, float] = dict.fromkeys(_STAGES, 0.0)

    @property
    def making(self) -> float:
        """Seconds in which frames were made."""
        return sum(self.seconds[stage] for stage in ("flow", "paint", "fuse"))

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to `stage`."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += perf_counter() - begun


@dataclass(frozen=True)
class Rules:
    """How frames are made; the pipeline reads these from the settings."""

    confidence: float
    """0..1: pixels whose flow is less sure are not taken."""
    least: int
    """px: smaller holes are not painted, smaller patches not used."""
    box: int
    """px: least side of what the painter gets."""
    reach: int
    """Frames on each side over which correspondences are averaged along their tracks."""
    strength: float
    hole_strength: float
    seed: int
    """Of frames to which no row gives another."""
    second: float
    """Strength 0..1 of the second pass; 0: none."""
    tolerance: float
    """Levels of 255 from which the second pass repaints."""
    deflicker: float
    """0..1: how far colours are brought to their mean along tracks."""
    batch: int
    """Frames whose paint is asked for at once; a stop loses no more."""
    anchored: tuple[Stage, ...] = ()
    """Stages whose pictures are painted with an eye on the scene's first key frame."""


class Easel:
    """Paints with the model of the stage that is asked for; a context manager that leaves it."""

    def __init__(
        self,
        painter: Painter,
        rules: Rules,
        prompts: Prompts,
        reporter: Reporter,
        watch: Stopwatch,
    ) -> None:
        """Nothing is loaded before the first picture."""
        self._painter, self._rules, self._reporter, self._watch = painter, rules, reporter, watch
        self._prompts = prompts
        self._stack = contextlib.ExitStack()
        self._stage: Stage | None = None

    def __enter__(self) -> Easel:
        """Itself."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave the painter's stage, so that it restores what it found, and knows why."""
        self._stage = None
        self._stack.__exit__(*error)

    def words(self, stage: Stage, target: int) -> tuple[object, ...]:
        """All that rules, words and painter do to frame `target` in that stage; for digests."""
        rules, words = self._rules, self._prompts.of(target)
        strength = rules.strength if stage == "keys" else rules.hole_strength
        said = (words.prompt, words.negative_prompt)
        return (self._painter.identity, *said, strength, words.seed_or(rules.seed))

    def job(
        self,
        stage: Stage,
        target: int,
        image: Image,
        mask: Mask | None,
        original: Image,
        anchor: Image | None = None,
    ) -> Repaint:
        """A picture to paint: whole where there is no mask, else what the mask is true for."""
        rules, words = self._rules, self._prompts.of(target)
        return Repaint(
            target,
            np.ascontiguousarray(image),
            None if mask is None else mask.astype(np.uint8) * np.uint8(255),
            np.ascontiguousarray(original),
            words.prompt,
            words.negative_prompt,
            rules.strength if stage == "keys" else rules.hole_strength,
            words.seed_or(rules.seed),
            None if anchor is None else np.ascontiguousarray(anchor),
        )

    def paint(self, stage: Stage, jobs: Sequence[Repaint]) -> list[Image]:
        """The pictures, with the model of `stage` loaded.

        Raises:
            Stopped: the user asked to stop.
        """
        if not jobs:
            return []
        self.go_on()
        with self._watch("paint"):
            if self._stage != stage:
                self._stack.close()
                self._stack.enter_context(self._painter.stage(stage))
                self._stage = stage
            return self._painter.paint(jobs)

    def tell(self, stage: str, done: int, of: int) -> None:
        """Report a stage, and end in `Stopped` when the user asks."""
        self._reporter.step(stage, done, of)
        self.go_on()

    def go_on(self) -> None:
        """Nothing, unless the user asked to stop.

        Raises:
            Stopped: the user did.
        """
        if self._reporter.stopped():
            raise Stopped
