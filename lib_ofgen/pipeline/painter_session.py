"""The painter during a job: one stage at a time, with stops and prompts taken care of."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from lib_ofgen.errors import PainterError
from lib_ofgen.imaging import images
from lib_ofgen.pipeline.rules import RenderRules
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.system.stopping import raise_if_stopped, report_step
from lib_ofgen.values import Image, Mask, Painter, Repaint, Reporter, Stage

__all__ = ["PainterSession"]


class PainterSession:
    """Paints with the model of a stage.

    It is a context manager. When the context ends, it leaves the painter's stage.
    """

    def __init__(
        self,
        painter: Painter,
        rules: RenderRules,
        prompts: Prompts,
        reporter: Reporter,
        stopwatch: Stopwatch,
    ) -> None:
        """No model is loaded before the first picture."""
        self._painter, self._rules, self._prompts = painter, rules, prompts
        self._reporter, self._stopwatch = reporter, stopwatch
        self._stack = contextlib.ExitStack()
        self._stage: Stage | None = None

    def __enter__(self) -> PainterSession:
        """Return the session."""
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave the painter's stage, so that the painter restores what it found."""
        self._stage = None
        self._stack.__exit__(*error)

    def words(self, stage: Stage, target: int) -> tuple[object, ...]:
        """Return what rules, prompt and painter do to frame `target` in a stage, for digests."""
        rules, words = self._rules, self._prompts.of(target)
        strength = rules.strength if stage == "keys" else rules.hole_strength
        prompts = (words.prompt, words.negative_prompt)
        return (self._painter.identity, *prompts, strength, words.seed_or(rules.seed))

    def make_repaint(
        self,
        stage: Stage,
        target: int,
        image: Image,
        mask: Mask | None,
        original: Image,
        anchor: Image | None = None,
    ) -> Repaint:
        """Return what the painter gets for a picture; without a mask, all of it is painted."""
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

    def paint(self, stage: Stage, repaints: Sequence[Repaint]) -> list[Image]:
        """Paint with the model of `stage`; return the pictures in the same order.

        Raises:
            PainterError: if the painter returns another number of pictures, or another size.
            Stopped: the user asked to stop.
        """
        if not repaints:
            return []
        self.raise_if_stopped()
        with self._stopwatch("paint"):
            if self._stage != stage:
                self._stack.close()
                self._stack.enter_context(self._painter.stage(stage))
                self._stage = stage
            pictures = self._painter.paint(repaints)
        _check_pictures(repaints, pictures)
        return pictures

    def report(self, phase: str, done: int, of: int) -> None:
        """Report that `done` of `of` units of a phase are finished.

        Raises:
            Stopped: if the user asked to stop.
        """
        report_step(self._reporter, phase, done, of)

    def raise_if_stopped(self) -> None:
        """Ask whether to go on.

        Raises:
            Stopped: if the user asked to stop.
        """
        raise_if_stopped(self._reporter)


def _check_pictures(repaints: Sequence[Repaint], pictures: Sequence[Image]) -> None:
    """Check what any painter returned; only some painters check it themselves."""
    if len(pictures) != len(repaints):
        raise PainterError(
            f"the painter returned {len(pictures)} pictures and {len(repaints)} were asked for; "
            "use another painter"
        )
    for repaint, picture in zip(repaints, pictures, strict=True):
        if picture.shape != repaint.image.shape:
            given, asked = images.size_of(picture), images.size_of(repaint.image)
            raise PainterError(
                f"the painter returned frame {repaint.target} as {given} and not as {asked}; "
                "use another painter"
            )
