"""The main job: a video and settings become a film, over the ports.

The only module that reads a setting and passes it on to the stages.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import flow_io
from lib_ofgen.models import flow
from lib_ofgen.pipeline import analysis, encoding, prompting, render_progress, reporting
from lib_ofgen.pipeline.context import Rules, Stopwatch
from lib_ofgen.pipeline.job import Job, JobResult, Renderers, SourceAnalysis
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.render_progress import Ahead, holed
from lib_ofgen.pipeline.rendering.layers import SingleLayer, SubjectLayers
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.pipeline.rendering.postprocess import Deflicker, FramePass, SecondPass, run_passes
from lib_ofgen.pipeline.rendering.propagation import DraftProgress, Propagator
from lib_ofgen.pipeline.rendering.stabilise import Stabiliser
from lib_ofgen.planning import schedule
from lib_ofgen.planning.coverage import Gap
from lib_ofgen.planning.prompts import Phrasing, Prompts
from lib_ofgen.report import facts as report
from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.settings import control_units, prompt_rows
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store import masks
from lib_ofgen.store.frame_store import read_source
from lib_ofgen.store.workspace import PROMPTS, Workspace, check_writable, write_whole
from lib_ofgen.system.files import claim_outputs
from lib_ofgen.values import (
    FlowEstimator,
    Image,
    Painter,
    PromptRow,
    Reporter,
    Size,
    Step,
)
from lib_ofgen.video.reader import Source, open_video
from lib_ofgen.video.writer import FrameFolder, check_output, count_left_out

__all__ = [
    "Job",
    "JobResult",
    "Renderers",
    "SourceAnalysis",
    "analyse_source",
    "count_whole_frames",
    "draw_frame_flow",
    "estimate_gaps",
    "estimator_options",
    "make_phrasing",
    "make_prompts",
    "make_renderers",
    "open_source",
    "render_frames",
    "render_rules",
    "run_job",
    "tagger_options",
]

_LOG = logging.getLogger(__name__)


def analyse_source(
    source: Path,
    workspace: Workspace,
    settings: Settings,
    reporter: Reporter,
    watch: Stopwatch,
    mask: Path | None = None,
) -> SourceAnalysis:
    """Frames, scenes and key frames of a video; paints nothing."""
    rule: dict[str, Any] = {
        "kind": settings.key_frames,
        "threshold": settings.key_threshold,
        "gap_min": settings.key_gap_min,
        "gap_max": settings.key_gap_max,
        "interval": settings.key_interval,
        "indices": list(settings.key_indices),
        "last": settings.key_last,
        "coverage": settings.key_coverage,
        "confidence": settings.confidence,
        "radius": settings.confidence_radius,
    }
    with watch("decode"):
        spool = read_source(workspace, source, _sampling(settings), reporter)
        division = SingleLayer()
        if mask is not None:
            asked, shown = _sampling(settings), _source_size(source, settings)
            masked = masks.read(mask, spool, asked, shown, reporter)
            division = SubjectLayers(spool, masked, keep=settings.background == "keep")
            rule["mask"] = [masked.key, settings.background]
    with watch("analyse"):
        found = analysis.find_scenes(spool, settings.cut_threshold, reporter)
        keys = analysis.find_keys(spool, found, rule, reporter, division.inside)
    return SourceAnalysis(spool, found[0], keys, division)


def estimate_gaps(known: SourceAnalysis, settings: Settings, reporter: Reporter) -> list[Gap]:
    """What the frames between keys lack, estimated; paints nothing."""
    rule = {"confidence": settings.confidence, "radius": settings.confidence_radius}
    inside = known.division.inside
    return analysis.find_gaps(known.spool, known.scenes, known.keys, rule, reporter, inside)


def count_whole_frames(known: SourceAnalysis, settings: Settings) -> int:
    """How many frames are painted whole; with a mask, all that is to be painted of them."""
    steps = _key_steps(known, settings)
    return sum(step.fresh or bool(step.beside) or not step.sources for step in steps)


def _key_steps(known: SourceAnalysis, settings: Settings) -> list[Step]:
    """How the key frames are made."""
    guided, division = _guided(settings), known.division
    moved = guided or division.moves_background
    canvas = _agree(settings, "canvas") and not division.divided
    steps = schedule.group_keys(known.keys, known.scenes, guided=moved, canvas=canvas)
    return division.mark_fresh(steps, guided=guided)


def _guided(settings: Settings) -> bool:
    """Whether later keys are moved there from earlier ones."""
    return _agree(settings, "guided")


def _agree(settings: Settings, how: str) -> bool:
    """Whether keys agree in that way; in none where every frame is painted."""
    return settings.key_agreement == how and settings.key_frames != "every"


def run_job(
    job: Job,
    painter: Painter,
    reporter: Reporter,
    shared: Callable[[FlowEstimator], FlowEstimator] = lambda estimator: estimator,
    watched: Callable[[LivePreview], None] = lambda growing: None,
) -> JobResult:
    """Make the film of `job`; what was finished before is not made again.

    `shared` makes an estimator one that shares its device with whoever else is on it. `watched`
    gets the film before its first frame is made, to look at while it grows.

    Raises:
        Stopped: the user asked to stop; the same job goes on from there.
        OfgenError: anything else that one line can explain.
    """
    begun = perf_counter()
    _check_names(job)
    with claim_outputs([job.output, job.report], [job.frames]):
        _check(job)
        return _run_locked(job, painter, reporter, shared, watched, begun)


def _run_locked(
    job: Job,
    painter: Painter,
    reporter: Reporter,
    shared: Callable[[FlowEstimator], FlowEstimator],
    watched: Callable[[LivePreview], None],
    begun: float,
) -> JobResult:
    """Make the film where everything can be read and written; see `animate`."""
    tagger = prompting.choose_tagger(tagger_options(job.settings, job.models))
    workspace, watch = Workspace(job.workspace), Stopwatch()
    with workspace.lock():
        workspace.check()
        seed = _resolve_seed(workspace, job.settings.seed)
        known = analyse_source(job.source, workspace, job.settings, reporter, watch, job.mask)
        if job.frames is not None:
            FrameFolder(job.frames).check(known.spool.clip.length)
        with watch("analyse"):
            ahead = _ahead(known, job.settings, reporter)
            prompts, tagger = make_prompts(known, job.settings, tagger, job.prompts, reporter)
        write_whole(job.workspace / PROMPTS, prompt_rows.dump_rows(prompts.rows(), ".csv"))
        chosen = flow.choose_estimator(
            job.settings.flow, estimator_options(job.settings, job.models)
        )
        _LOG.info("flow: %s (%s)", chosen.name, chosen.reason)
        estimator = shared(chosen.estimator)
        rules = render_rules(job.settings, seed)
        with (
            PainterSession(painter, rules, prompts, reporter, watch) as easel,
            _release_after(estimator),
        ):
            makers = make_renderers(known, rules, estimator, easel, watch)
            watched(reporting.live_preview(known, makers))
            order = render_frames(makers, known, job.settings)
            paced = render_progress.paced(order, ahead, watch)
            told = encoding.report_frames(paced, known.spool.clip, makers.last, easel, reporter)
            _write_film(
                job,
                known,
                told,
                makers.last,
                watch,
                reporting.key_infotexts(known, prompts, seed, job.settings),
            )
            facts = reporting.collect_facts(known, makers, easel, job.settings, watch)
        facts |= report.prompt_facts(known.keys, prompts, tagger.facts(), seed)
        facts["flow"] = {
            "estimator": chosen.name, "asked": job.settings.flow, "reason": chosen.reason
        }  # fmt: skip
        facts["painter"] = painter.identity
        facts["left_out"] = count_left_out(job.output, known.spool.clip)
        facts["seconds"]["total"] = round(perf_counter() - begun, 3)
        return reporting.write_report(job, known, makers, facts)


def _write_film(
    job: Job,
    known: SourceAnalysis,
    order: Iterator[int],
    film: FramePass,
    watch: Stopwatch,
    texts: dict[int, str],
) -> None:
    """Write the film and, where they are wanted, its frames; `texts` are the key frames'."""
    clip = known.spool.clip
    encoding.write_outputs(
        job.output,
        clip,
        order,
        film,
        watch,
        sound_from=job.source if job.settings.keep_sound and clip.sound else None,
        crf=job.settings.quality,
        folder=FrameFolder(job.frames, texts) if job.frames is not None else None,
    )


def make_prompts(
    known: SourceAnalysis,
    settings: Settings,
    tagger: prompting.TaggerChoice,
    rows: Sequence[PromptRow],
    reporter: Reporter,
) -> tuple[Prompts, prompting.TaggerChoice]:
    """What every frame is painted by, and the tagger as it turned out."""
    phrasing = make_phrasing(settings)
    return prompting.find_prompts(
        known.spool, known.scenes, known.keys, phrasing, tagger, rows, reporter
    )


def make_phrasing(settings: Settings) -> Phrasing:
    """What of the settings says how prompts are made.

    Raises:
        SettingsError: a line of the tag rules is none.
    """
    return prompting.parse_phrasing(
        settings.tag_rules,
        settings.tag_blacklist,
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        prefix=settings.prompt_prefix,
        suffix=settings.prompt_suffix,
        general=settings.tag_threshold,
        character=settings.character_threshold,
        slack=settings.tag_slack,
    )


def tagger_options(settings: Settings, models: Sequence[Path]) -> prompting.TaggerOptions:
    """Which tagger the settings ask for."""
    return prompting.TaggerOptions(
        settings.tagger, settings.tagger_device, settings.tagger_optional, models
    )


@contextlib.contextmanager
def _release_after(estimator: FlowEstimator) -> Iterator[None]:
    """Afterwards nothing of the estimator is on its device."""
    try:
        yield
    finally:
        estimator.release()


def draw_frame_flow(
    source: Path,
    settings: Settings,
    index: int,
    models: Sequence[Path] = (),
    shared: Callable[[FlowEstimator], FlowEstimator] = lambda estimator: estimator,
) -> Image:
    """How frame `index` of the video moves on to the next, as a picture; see `flow.flo.picture`.

    Raises:
        VideoError: the video cannot be read, or has no such frame and another after it.
        FlowError: the estimator that the settings name cannot run here.
    """
    with open_source(source, settings) as frames:
        pair = [frame for frame in frames if frame.index in (index, index + 1)]
    if len(pair) < 2:
        raise VideoError(
            f"'{source}' has no frame {index} with another after it; take an earlier one",
            bad_input=True,
        )
    estimator = shared(
        flow.choose_estimator(settings.flow, estimator_options(settings, models)).estimator
    )
    with _release_after(estimator):
        (found,) = estimator.estimate([(pair[1], pair[0])])
    return flow_io.draw_flow(found.vectors)


def estimator_options(settings: Settings, models: Sequence[Path]) -> flow.EstimatorOptions:
    """What the settings ask of an estimator."""
    return flow.EstimatorOptions(
        settings.confidence_radius,
        models,
        settings.global_iterations,
        settings.local_iterations,
        settings.flow_half,
    )


def _sampling(settings: Settings) -> dict[str, Any]:
    """Which frames are taken, and at which size: keywords of `open_video`."""
    names = ("start", "end", "max_frames", "every_nth", "width", "height", "fit")
    return {name: getattr(settings, name) for name in names}


def open_source(source: Path, settings: Settings) -> Source:
    """The video as the settings take frames from it; a context manager.

    Raises:
        VideoError: it cannot be read, or has no frame where the settings look for one.
    """
    return open_video(source, **_sampling(settings))


def _source_size(source: Path, settings: Settings) -> Size:
    """The size of the source in square pixels, before it is framed.

    Raises:
        VideoError: it cannot be read, or has no frame where the settings look for one.
    """
    with open_source(source, settings) as video:
        return video.shown


def _check_names(job: Job) -> None:
    """Nothing, if the results can be written, and over nothing that is to be kept.

    Raises:
        VideoError: they cannot.
    """
    check_output(job.output)
    check_apart([job.source, *filter(None, [job.mask])], [job.output, job.report, job.frames])
    check_apart([job.output], [job.report, job.frames])
    check_apart([*filter(None, [job.report])], [job.frames])


def _check(job: Job) -> None:
    """Nothing, if all can be read, and no frame would be written over another's picture.

    Raises:
        SettingsError: a line of the tag rules is none.
        VideoError: the source, the mask or the folder is at fault.
        WorkspaceError: the report's place is.
    """
    make_phrasing(job.settings)
    with open_source(job.source, job.settings) as video:
        shown, expected = video.shown, video.expected
    if job.mask is not None:
        masks.check(job.mask, shown)
    if job.report is not None:
        check_writable(job.report)
    if job.frames is not None:
        FrameFolder(job.frames).check(expected)


def check_apart(kept: Sequence[Path], written: Sequence[Path | None]) -> None:
    """Nothing, if no file that is to be kept would be written over.

    Raises:
        VideoError: one would; the message names it.
    """
    for path in written:
        for other in kept:
            if path is not None and _same(path, other):
                raise VideoError(
                    f"'{path}' would be written over '{other}'; give it another name",
                    bad_input=True,
                )


def _same(path: Path, other: Path) -> bool:
    """Whether both name one file."""
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    try:
        return path.samefile(other)
    except OSError:  # one is not there, or may not be seen: then nothing is written over it either
        return False


def render_rules(settings: Settings, seed: int) -> Rules:
    """What of the settings says how frames are made; the seed is drawn already."""
    return Rules(
        confidence=settings.confidence,
        least=settings.hole_min,
        box=settings.hole_box,
        reach=settings.track_reach,
        strength=settings.strength,
        hole_strength=settings.hole_strength,
        seed=seed,
        anchored=control_units.anchored_stages(control_units.read(settings.control_units)),
        second=settings.second_pass,
        tolerance=settings.second_tolerance,
        deflicker=settings.deflicker,
        batch=settings.paint_batch,
    )


def _resolve_seed(workspace: Workspace, seed: int) -> int:
    """The seed; one that is to be drawn is drawn once per workspace and remembered."""
    if seed >= 0:
        return seed
    known = workspace.seed()
    if known is None:
        known = secrets.randbelow(2**32)
        workspace.save_seed(known)
    return known


def make_renderers(
    known: SourceAnalysis,
    rules: Rules,
    estimator: FlowEstimator,
    easel: PainterSession,
    watch: Stopwatch,
) -> Renderers:
    """What drafts frames, what finishes them, and the passes after that which the rules ask for."""
    spool, scenes, division = known.spool, known.scenes, known.division
    motion = NeighbourFlow(spool, estimator, watch)
    anchors = schedule.anchors(known.keys, scenes)
    maker = Propagator(spool, rules, estimator, easel, watch, division, anchors)
    finisher = Stabiliser(maker, spool, motion, scenes, rules.reach, watch, division)
    stages: list[FramePass] = [finisher]
    second = None
    if rules.second:
        second = SecondPass(finisher, spool, scenes, estimator, easel, rules, division, watch)
        stages.append(second)
    if rules.deflicker:
        stages.append(Deflicker(stages[-1], spool, scenes, motion, rules, division, watch))
    return Renderers(maker, finisher, second, tuple(stages))


def render_frames(
    makers: Renderers, known: SourceAnalysis, settings: Settings
) -> Iterator[int | DraftProgress]:
    """Make all frames; tells as they are drafted, and gives the index of each that is finished.

    Whole key frames first, so that each model is loaded once.
    """
    maker = makers.maker
    guided = _guided(settings) or known.division.moves_background
    steps = _key_steps(known, settings)
    yield from maker.paint_whole([step for step in steps if not step.sources and not step.fresh])
    gaps = schedule.group_between(
        known.keys, known.scenes, guided=guided, lend=settings.hole_lending
    )
    yield from maker.paint_beside([step for step in steps if step.beside])
    first = [step for step in steps if step.fresh and not step.sources]
    moved = [[step] for step in steps if step.sources and not step.beside]
    levels = [*([first] if first else []), *moved]
    for group in ([levels] if levels else [], gaps):
        for gap in group:
            for level in gap:
                yield from maker.draft_level(level)
            yield from run_passes(makers.stages)
    yield from run_passes(makers.stages)


def _ahead(known: SourceAnalysis, settings: Settings, reporter: Reporter) -> Ahead:
    """What there is to make, for whoever asks how long it will take."""
    clip, steps = known.spool.clip, _key_steps(known, settings)
    area = clip.size.height * clip.size.width
    rule = {"confidence": settings.confidence, "radius": settings.confidence_radius}
    missing = analysis.sampled(
        known.spool, known.scenes, known.keys, rule, reporter, known.division.inside
    )
    reporter.step("keys", clip.length, clip.length)  # so that this is not taken for painting
    return Ahead(
        length=clip.length,
        pixels=area,
        keys=count_whole_frames(known, settings),
        whole=frozenset(s.target for s in steps if s.beside or not (s.sources or s.fresh)),
        holes=holed(missing, area, settings.hole_min),
        strength=settings.hole_strength / settings.strength if settings.strength else 1.0,
    )
