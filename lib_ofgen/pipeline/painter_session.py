"""The painter at work: one stage at a time, one job at a time, under the eye of the reporter."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lib_ofgen.pipeline.context import Rules, Stopwatch
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.system.stopping import raise_if_stopped, report_step
from lib_ofgen.values import Image, Mask, Painter, Repaint, Reporter, Stage

__all__ = ["PainterSession"]


class PainterSession:
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

    def __enter__(self) -> PainterSession:
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
        self.raise_if_stopped()
        with self._watch("paint"):
            if self._stage != stage:
                self._stack.close()
                self._stack.enter_context(self._painter.stage(stage))
                self._stage = stage
            return self._painter.paint(jobs)

    def report(self, stage: str, done: int, of: int) -> None:
        """Report a stage, and end in `Stopped` when the user asks."""
        report_step(self._reporter, stage, done, of)

    def raise_if_stopped(self) -> None:
        """Ask whether to go on.

        Raises:
            Stopped: the user wants to stop.
        """
        raise_if_stopped(self._reporter)
