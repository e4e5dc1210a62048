"""Make the report of a job, its page, its contact sheet and the live preview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_ofgen.models.flow import EstimatorChoice
from lib_ofgen.pipeline.analysis.prompting import TaggerChoice
from lib_ofgen.pipeline.job import Job, JobResult, SourceAnalysis
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.rendering.order import Renderers
from lib_ofgen.planning.prompts import Prompts, infotext
from lib_ofgen.report import facts as report
from lib_ofgen.report import figures, measures
from lib_ofgen.report.html import page
from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.report.model import FlowFacts, Report, StoredFrames
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import REPORT, write_whole
from lib_ofgen.video.writer import count_left_out

__all__ = [
    "Choices",
    "key_infotexts",
    "live_preview",
    "make_report",
    "measure_result",
    "write_report",
]


@dataclass(frozen=True)
class Choices:
    """What a job chose before it painted."""

    prompts: Prompts
    tagger: TaggerChoice
    seed: int
    flow: EstimatorChoice
    painter: str
    """The identity of the painter."""


def measure_result(
    analysis: SourceAnalysis, renderers: Renderers, session: PainterSession
) -> measures.Measurement:
    """Measure the quality of the finished frames.

    Raises:
        Stopped: if the user asked to stop.
    """
    source = analysis.frames.frame
    return measures.measure(
        lambda index: source(index).image,
        renderers.last.picture,
        renderers.propagator.hole_mask,
        analysis.scenes,
        analysis.keys,
        session.report,
    )


def make_report(
    job: Job,
    analysis: SourceAnalysis,
    renderers: Renderers,
    choices: Choices,
    measured: measures.Measurement,
    seconds: Mapping[str, float],
) -> Report:
    """Return the report of a finished job; `seconds` has the time of each kind of work."""
    clip, last, second = analysis.frames.clip, renderers.last, renderers.second
    made = renderers.propagator.records
    painted = report.summarise_paint(made)
    frames = (last.key(index) for index in range(clip.length))
    chosen, settings = choices.flow, job.settings
    return Report(
        clip=report.describe_clip(clip),
        scenes=analysis.scenes,
        keys=report.describe_keys(analysis.keys, choices.prompts, choices.seed),
        frames=report.describe_frames(
            made, renderers.stabiliser.records, second.shares if second else {}
        ),
        kept=StoredFrames(analysis.frames.key, tuple(key for key in frames if key is not None)),
        painted_mean=painted.painted_mean,
        painted=painted.painted,
        coverage_mean=painted.coverage_mean,
        warp_error=measured.warp_error,
        flicker=measured.flicker,
        flickering=measured.flickering,
        colour=report.summarise_colour(made),
        sharpness=measured.sharpness,
        seconds={name: round(spent, 3) for name, spent in seconds.items()},
        settings=settings.to_json(),
        versions=report.versions(),
        prompts=choices.prompts.rows(),
        tagger=choices.tagger.facts(),
        seed=choices.seed,
        flow=FlowFacts(chosen.name, settings.flow, chosen.reason),
        painter=choices.painter,
        left_out=count_left_out(job.output, clip),
    )


def write_report(
    job: Job, analysis: SourceAnalysis, renderers: Renderers, facts: Report
) -> JobResult:
    """Write the report, its page and the contact sheet; return the paths of all results.

    Raises:
        WorkspaceError: if a file cannot be written.
    """
    stored, sheet = job.workspace / REPORT, job.workspace / "keys.png"
    for path in (stored, job.report):
        if path is not None:
            write_whole(path, report.to_bytes(facts))
    report.save_sheet(sheet, renderers.last.picture, analysis.keys, analysis.frames.clip)
    html = job.workspace / "report.html"
    write_whole(html, page.report_html(facts, _page_content(job, analysis, renderers, facts)))
    return JobResult(job.output, job.workspace, stored, html, sheet, facts)


def _page_content(
    job: Job, analysis: SourceAnalysis, renderers: Renderers, facts: Report
) -> page.PageContent:
    """Return what the page shows in addition to the facts of the report."""
    clip, records = analysis.frames.clip, renderers.propagator.records
    whole = {index for index, record in records.items() if record.whole}
    return page.PageContent(
        job.source.name,
        job.output.name,
        clip,
        figures.make_thumbnails(analysis.keys, clip, renderers.last.picture),
        figures.view_worst_pairs(
            _frame_pictures(analysis, renderers), facts.warp_error.each, whole
        ),
    )


def _frame_pictures(analysis: SourceAnalysis, renderers: Renderers) -> figures.FilmPictures:
    """Return the functions that get the pictures of a frame, by its index."""
    source = analysis.frames.frame
    return figures.FilmPictures(
        lambda index: source(index).image,
        renderers.last.picture,
        renderers.propagator.hole_mask,
        renderers.stabiliser.origins,
    )


def live_preview(analysis: SourceAnalysis, renderers: Renderers) -> LivePreview:
    """Return the preview of the film, for people who watch while it is rendered."""
    film, whole = _frame_pictures(analysis, renderers), renderers.propagator.records
    done = renderers.last.done
    return LivePreview(analysis.frames.clip, film, done, lambda index: whole[index].whole)


def key_infotexts(
    analysis: SourceAnalysis, prompts: Prompts, seed: int, settings: Settings
) -> dict[int, str]:
    """Return the infotext of each key frame, by index."""
    about = report.infotext_fields(settings.to_json(), seed, analysis.frames.clip.size)
    by_key = {key.index: prompts.of(key.index) for key in analysis.keys}
    return {
        index: infotext(words, {**about, "Seed": words.seed_or(seed)})
        for index, words in by_key.items()
    }
