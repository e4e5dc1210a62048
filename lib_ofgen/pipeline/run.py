"""The main job: a video and settings become a film, through the ports of `values`."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import flow_io
from lib_ofgen.models.flow import EstimatorChoice, choose_estimator
from lib_ofgen.pipeline import encoding, reporting, stage_options
from lib_ofgen.pipeline.analysis import prompting, source_search
from lib_ofgen.pipeline.analysis.flow_reach import FlowReach
from lib_ofgen.pipeline.checks import check_inputs, check_names
from lib_ofgen.pipeline.job import Job, JobResult, SourceAnalysis
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.progress import render_progress
from lib_ofgen.pipeline.progress.expected_work import expect_work
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.layers import SingleLayer, SubjectLayers
from lib_ofgen.pipeline.rendering.order import (
    Renderers,
    RenderOrder,
    make_renderers,
    plan_order,
    render_frames,
)
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning import coverage
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import DRAW_SEED, Settings
from lib_ofgen.store import masks
from lib_ofgen.store.frame_store import read_source
from lib_ofgen.store.workspace import PROMPTS, Workspace, write_whole
from lib_ofgen.system.files import claim_outputs
from lib_ofgen.values import FlowEstimator, Image, Painter, PromptRow, Reporter
from lib_ofgen.video.writer import FrameFolder

__all__ = [
    "Job",
    "JobResult",
    "SourceAnalysis",
    "analyse_source",
    "count_matched_frames",
    "count_whole_frames",
    "draw_frame_flow",
    "estimate_gaps",
    "make_prompts",
    "run_job",
]

_LOG = logging.getLogger(__name__)

ShareDevice = Callable[[FlowEstimator], FlowEstimator]
"""Makes an estimator share its device with others."""


def analyse_source(
    source: Path,
    workspace: Workspace,
    settings: Settings,
    reporter: Reporter,
    stopwatch: Stopwatch,
    mask: Path | None = None,
) -> SourceAnalysis:
    """Return the frames, scenes and key frames of a video; paints nothing."""
    sampling = stage_options.sampling(settings)
    layers, masks_key = SingleLayer(), None
    with stopwatch("decode"):
        frames = read_source(workspace, source, sampling, reporter)
        if mask is not None:
            with stage_options.open_source(source, settings) as video:
                shown = video.display_size
            mask_frames = masks.read(mask, frames, sampling, shown, reporter)
            layers = SubjectLayers(frames, mask_frames, keep=settings.background == "keep")
            masks_key = mask_frames.key
    with stopwatch("analyse"):
        scenes = source_search.find_scenes(frames, settings.cut_threshold, reporter)
        rule = stage_options.key_frame_rule(settings, masks_key)
        reach = FlowReach(frames, stage_options.reach_rule(settings), layers, reporter)
        keys = source_search.find_key_frames(frames, scenes, rule, reach)
    return SourceAnalysis(frames, scenes[0], keys, layers)


def estimate_gaps(
    analysis: SourceAnalysis, settings: Settings, reporter: Reporter
) -> list[coverage.Gap]:
    """Return what the frames between key frames lack, estimated; paints nothing."""
    reach = FlowReach(
        analysis.frames, stage_options.reach_rule(settings), analysis.layers, reporter
    )
    return coverage.estimate_gaps(
        [key.index for key in analysis.keys], analysis.scenes, reach.share_without_source
    )


def count_whole_frames(analysis: SourceAnalysis, settings: Settings) -> int:
    """Return how many frames are painted whole; with a mask, the whole of what is painted."""
    return _plan_without_seed(analysis, settings).whole_count


def count_matched_frames(analysis: SourceAnalysis, settings: Settings) -> int:
    """Return how many key frames take on the colours of earlier ones after they are painted."""
    steps = _plan_without_seed(analysis, settings).key_steps
    return sum(bool(step.matched or step.beside) for step in steps)


def _plan_without_seed(analysis: SourceAnalysis, settings: Settings) -> RenderOrder:
    """Return the order of a job that is only planned: no step of it depends on the seed."""
    rules = stage_options.render_rules(settings, seed=0)
    return plan_order(analysis.keys, analysis.scenes, analysis.layers, rules)


def run_job(
    job: Job,
    painter: Painter,
    reporter: Reporter,
    share_device: ShareDevice = lambda estimator: estimator,
    watch: Callable[[LivePreview], None] = lambda preview: None,
) -> JobResult:
    """Make the film of `job`. What was finished before is not made again.

    `share_device` makes an estimator share its device with others. `watch` gets the live preview
    of the film before the first frame is rendered.

    Raises:
        Stopped: if the user asked to stop; the same job goes on from there.
        OfgenError: if anything else fails that one line can explain.
    """
    begun = perf_counter()
    check_names(job)
    with claim_outputs([job.output, job.report], [job.frames]):
        check_inputs(job)
        tagger = prompting.choose_tagger(stage_options.tagger_options(job.settings, job.models))
        workspace = Workspace(job.workspace)
        with workspace.lock():
            workspace.check()
            run = _Run(job, painter, reporter, workspace, Stopwatch(), begun)
            return run.make_film(tagger, share_device, watch)


@dataclass(frozen=True)
class _Run:
    """A job whose inputs are checked and whose workspace is locked."""

    job: Job
    painter: Painter
    reporter: Reporter
    workspace: Workspace
    stopwatch: Stopwatch
    begun: float
    """When the job began, on `perf_counter`."""

    def make_film(
        self,
        tagger: prompting.TaggerChoice,
        share_device: ShareDevice,
        watch: Callable[[LivePreview], None],
    ) -> JobResult:
        """Analyse the source, make the prompts, render and write the film and its report."""
        job, settings, stopwatch = self.job, self.job.settings, self.stopwatch
        seed = _resolve_seed(self.workspace, settings.seed)
        analysis = analyse_source(
            job.source, self.workspace, settings, self.reporter, stopwatch, job.mask
        )
        if job.frames is not None:
            FrameFolder(job.frames).check(analysis.frames.clip.length)
        rules = stage_options.render_rules(settings, seed)
        order = plan_order(analysis.keys, analysis.scenes, analysis.layers, rules)
        with stopwatch("analyse"):
            reach = FlowReach(
                analysis.frames, stage_options.reach_rule(settings), analysis.layers, self.reporter
            )
            work = expect_work(analysis.scenes, analysis.keys, order, rules, reach)
            prompts, tagger = make_prompts(analysis, settings, tagger, job.prompts, self.reporter)
        write_whole(job.workspace / PROMPTS, prompt_rows.dump_rows(prompts.rows(), ".csv"))
        chosen = _choose_estimator(settings, job.models)
        estimator = share_device(chosen.estimator)
        session = PainterSession(self.painter, rules, prompts, self.reporter, stopwatch)
        with session, _release_after(estimator):
            context = RenderContext(
                analysis.frames,
                analysis.scenes,
                analysis.layers,
                rules,
                estimator,
                session,
                stopwatch,
            )
            renderers = make_renderers(context, analysis.keys)
            watch(reporting.live_preview(analysis, renderers))
            steps = render_progress.measure_progress(
                render_frames(renderers, order), work, stopwatch
            )
            self._write_outputs(analysis, renderers, session, steps, prompts, seed)
            with stopwatch("measure"):
                measured = reporting.measure_result(analysis, renderers, session)
        choices = reporting.Choices(prompts, tagger, seed, chosen, self.painter.identity)
        seconds = {**stopwatch.seconds, "total": perf_counter() - self.begun}
        facts = reporting.make_report(job, analysis, renderers, choices, measured, seconds)
        return reporting.write_report(job, analysis, renderers, facts)

    def _write_outputs(
        self,
        analysis: SourceAnalysis,
        renderers: Renderers,
        session: PainterSession,
        steps: Iterator[tuple[int | None, float]],
        prompts: Prompts,
        seed: int,
    ) -> None:
        """Write the film and, if they are wanted, its frames, while these are rendered."""
        job, clip = self.job, analysis.frames.clip
        texts = reporting.key_infotexts(analysis, prompts, seed, job.settings)
        encoding.write_outputs(
            job.output,
            clip,
            encoding.report_frames(steps, clip, renderers.last, session, self.reporter),
            renderers.last,
            self.stopwatch,
            sound_from=job.source if job.settings.keep_sound and clip.sound else None,
            crf=job.settings.quality,
            folder=FrameFolder(job.frames, texts) if job.frames is not None else None,
        )


def make_prompts(
    analysis: SourceAnalysis,
    settings: Settings,
    tagger: prompting.TaggerChoice,
    rows: Sequence[PromptRow],
    reporter: Reporter,
) -> tuple[Prompts, prompting.TaggerChoice]:
    """Return the prompts of every frame, and the tagger as it turned out."""
    phrasing = stage_options.make_phrasing(settings)
    return prompting.find_prompts(
        analysis.frames, analysis.scenes, analysis.keys, phrasing, tagger, rows, reporter
    )


def draw_frame_flow(
    source: Path,
    settings: Settings,
    index: int,
    models: Sequence[Path] = (),
    share_device: ShareDevice = lambda estimator: estimator,
) -> Image:
    """Return a picture of the flow from frame `index` to the next; see `flow_io.draw_flow`.

    Raises:
        VideoError: if the video cannot be read, or has no such frame, or no frame after it.
        FlowError: if the estimator of the settings cannot run here.
    """
    with stage_options.open_source(source, settings) as frames:
        pair = [frame for frame in frames if frame.index in (index, index + 1)]
    if len(pair) < 2:
        raise VideoError(
            f"'{source}' has no frame {index} with another after it; take an earlier one",
            bad_input=True,
        )
    estimator = share_device(_choose_estimator(settings, models).estimator)
    with _release_after(estimator):
        (found,) = estimator.estimate([(pair[1], pair[0])])
    return flow_io.draw_flow(found.vectors)


def _choose_estimator(settings: Settings, models: Sequence[Path]) -> EstimatorChoice:
    chosen = choose_estimator(settings.flow, stage_options.estimator_options(settings, models))
    _LOG.info("flow: %s (%s)", chosen.name, chosen.reason)
    return chosen


@contextlib.contextmanager
def _release_after(estimator: FlowEstimator) -> Iterator[None]:
    """On leaving, take everything of the estimator off its device."""
    try:
        yield
    finally:
        estimator.release()


def _resolve_seed(workspace: Workspace, seed: int) -> int:
    """Return the seed; a negative one is drawn once per workspace and remembered."""
    if seed != DRAW_SEED:
        return seed
    known = workspace.seed()
    if known is None:
        known = secrets.randbelow(2**32)
        workspace.save_seed(known)
    return known
