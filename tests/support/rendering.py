"""The frames of a job, rendered without a film being written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.pipeline import run, stage_options
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.order import (
    Renderers,
    make_renderers,
    plan_order,
    render_frames,
)
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Painter, PromptRow, Reporter, Words

NO_WORDS = {0: Words("", "")}


def rendered(
    source: Path,
    workspace: Workspace,
    settings: Settings,
    painter: Painter,
    reporter: Reporter,
    *,
    mask: Path | None = None,
    seed: int = 0,
    rows: Sequence[PromptRow] = (),
) -> tuple[run.SourceAnalysis, Renderers]:
    """Analyse the source and render all frames, by DIS and without prompts."""
    stopwatch = Stopwatch()
    known = run.analyse_source(source, workspace, settings, reporter, stopwatch, mask)
    rules = stage_options.render_rules(settings, seed)
    prompts = Prompts(known.frames.clip.length, NO_WORDS, rows)
    with PainterSession(painter, rules, prompts, reporter, stopwatch) as session:
        estimator = DisEstimator(settings.confidence_radius)
        context = RenderContext(
            known.frames, known.scenes, known.layers, rules, estimator, session, stopwatch
        )
        renderers = make_renderers(context, known.keys)
        for _ in render_frames(
            renderers, plan_order(known.keys, known.scenes, known.layers, rules)
        ):
            pass
    return known, renderers
