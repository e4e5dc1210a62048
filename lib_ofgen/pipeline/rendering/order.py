"""In which order the frames of a job are rendered, and by what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.frame_pass import FramePass, run_passes
from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.pipeline.rendering.postprocess import Deflicker, SecondPass
from lib_ofgen.pipeline.rendering.propagation import DraftProgress, Propagator
from lib_ofgen.pipeline.rendering.stabilise import Stabiliser
from lib_ofgen.pipeline.rules import RenderRules
from lib_ofgen.planning import schedule
from lib_ofgen.values import KeyFrame, Scene, Step

__all__ = ["RenderOrder", "Renderers", "make_renderers", "plan_order", "render_frames"]


@dataclass(frozen=True)
class RenderOrder:
    """The steps of a job, in the order of drafting."""

    key_steps: Sequence[Step]
    gaps: Sequence[Sequence[Sequence[Step]]]
    """The frames between key frames: gaps of levels of steps."""

    @property
    def whole(self) -> list[Step]:
        """Key frames that are painted whole, from nothing but the source."""
        return [step for step in self.key_steps if not step.sources and not step.fresh]

    @property
    def beside(self) -> list[Step]:
        """Key frames that are painted whole, on a canvas beside others."""
        return [step for step in self.key_steps if step.beside]

    @property
    def fresh(self) -> list[Step]:
        """Key frames whose subject is painted and which take nothing from other frames."""
        return [step for step in self.key_steps if step.fresh and not step.sources]

    @property
    def moved(self) -> list[Step]:
        """Key frames that are moved there from earlier ones and completed."""
        return [step for step in self.key_steps if step.sources and not step.beside]

    @property
    def whole_count(self) -> int:
        """Number of frames that are painted whole (with a mask: in all layers that are painted)."""
        return sum(step.fresh or bool(step.beside) or not step.sources for step in self.key_steps)


class Renderers(NamedTuple):
    """The objects that render the frames of a job."""

    propagator: Propagator
    stabiliser: Stabiliser
    second: SecondPass | None
    passes: tuple[FramePass, ...]
    """The stabiliser and what follows it, in order."""

    @property
    def last(self) -> FramePass:
        """The pass that gives the pictures of the film."""
        return self.passes[-1]


def plan_order(
    keys: Sequence[KeyFrame], scenes: Sequence[Scene], layers: SingleLayer, rules: RenderRules
) -> RenderOrder:
    """Return the steps of a job with these key frames."""
    moved = rules.guided or layers.moves_background
    canvas = rules.canvas and not layers.divided
    match = rules.match_keys and not layers.divided
    steps = schedule.group_keys(keys, scenes, guided=moved, canvas=canvas, match=match)
    gaps = schedule.group_between(keys, scenes, guided=moved, lend=rules.lend_holes)
    return RenderOrder(layers.mark_fresh(steps, guided=rules.guided), list(gaps))


def make_renderers(context: RenderContext, keys: Sequence[KeyFrame]) -> Renderers:
    """Return what drafts and stabilises frames, and the further passes of the rules."""
    flow = NeighbourFlow(context)
    propagator = Propagator(context, schedule.anchors(keys, context.scenes))
    stabiliser = Stabiliser(context, propagator, flow)
    passes: list[FramePass] = [stabiliser]
    second = None
    if context.rules.second_pass:
        second = SecondPass(context, stabiliser)
        passes.append(second)
    if context.rules.deflicker:
        passes.append(Deflicker(context, passes[-1], flow))
    return Renderers(propagator, stabiliser, second, tuple(passes))


def render_frames(renderers: Renderers, order: RenderOrder) -> Iterator[int | DraftProgress]:
    """Render all frames; yields as frames are drafted, and the index of each finished frame.

    Whole key frames come first, so that each model is loaded once.
    """
    propagator = renderers.propagator
    yield from propagator.paint_whole(order.whole)
    yield from propagator.paint_beside(order.beside)
    key_levels = [order.fresh] if order.fresh else []
    key_levels += [[step] for step in order.moved]
    for gap in ([key_levels] if key_levels else []) + list(order.gaps):
        for level in gap:
            yield from propagator.draft_level(level)
        yield from run_passes(renderers.passes)
    yield from run_passes(renderers.passes)
