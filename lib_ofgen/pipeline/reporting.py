"""The report of a finished job: its content, its page, the contact sheet, and the live preview."""

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
from lib_ofgen.report import figures
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
    """What a job decided before it painted."""

    prompts: Prompts
    tagger: TaggerChoice
    seed: int
    flow: EstimatorChoice
    painter: str
    """The identity of the painter."""


def measure_result(
    known: SourceAnalysis, makers: Renderers, easel: PainterSession
) -> report.Measurement:
    """Measure the quality of the finished frames.

    Raises:
        Stopped: if the user asked to stop.
    """
    source = known.frames.frame
    return report.measure(
        lambda index: source(index).image,
        makers.last.picture,
        makers.propagator.hole_mask,
        known.scenes,
        known.keys,
        easel.report,
    )


def make_report(
    job: Job,
    known: SourceAnalysis,
    makers: Renderers,
    choices: Choices,
    measured: report.Measurement,
    seconds: Mapping[str, float],
) -> Report:
    """Return the report of a finished job; `seconds` are those of each kind of work."""
    clip, last, second = known.frames.clip, makers.last, makers.second
    painted = report.summarise_paint(makers.propagator.records)
    frames = (last.key(index) for index in range(clip.length))
    chosen, settings = choices.flow, job.settings
    return Report(
        clip=report.describe_clip(clip),
        scenes=known.scenes,
        keys=report.describe_keys(known.keys, choices.prompts, choices.seed),
        frames=report.describe_frames(
            makers.propagator.records, makers.stabiliser.records, second.shares if second else {}
        ),
        kept=StoredFrames(known.frames.key, tuple(key for key in frames if key is not None)),
        painted_mean=painted.painted_mean,
        painted=painted.painted,
        coverage_mean=painted.coverage_mean,
        warp_error=measured.warp_error,
        flicker=measured.flicker,
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


def write_report(job: Job, known: SourceAnalysis, makers: Renderers, facts: Report) -> JobResult:
    """Write the report, its page and the contact sheet; return where everything is.

    Raises:
        WorkspaceError: if a file cannot be written.
    """
    kept, sheet = job.workspace / REPORT, job.workspace / "keys.png"
    for path in (kept, job.report):
        if path is not None:
            write_whole(path, report.to_bytes(facts))
    report.save_sheet(sheet, makers.last.picture, known.keys, known.frames.clip)
    shown = job.workspace / "report.html"
    write_whole(shown, page.report_html(facts, _page_content(job, known, makers, facts)))
    return JobResult(job.output, job.workspace, kept, shown, sheet, facts)


def _page_content(
    job: Job, known: SourceAnalysis, makers: Renderers, facts: Report
) -> page.PageContent:
    """What the report's page shows beside the report's facts."""
    clip, records = known.frames.clip, makers.propagator.records
    whole = {index for index, record in records.items() if record.whole}
    return page.PageContent(
        job.source.name,
        job.output.name,
        clip,
        figures.make_thumbnails(known.keys, clip, makers.last.picture),
        figures.view_worst_pairs(_frame_pictures(known, makers), facts.warp_error.each, whole),
    )


def _frame_pictures(known: SourceAnalysis, makers: Renderers) -> figures.FilmPictures:
    """Where to get what is shown of a frame."""
    source = known.frames.frame
    return figures.FilmPictures(
        lambda index: source(index).image,
        makers.last.picture,
        makers.propagator.hole_mask,
        makers.stabiliser.origins,
    )


def live_preview(known: SourceAnalysis, makers: Renderers) -> LivePreview:
    """The film, for those who watch it grow."""
    film, whole = _frame_pictures(known, makers), makers.propagator.records
    done = makers.last.done
    return LivePreview(known.frames.clip, film, done, lambda index: whole[index].whole)


def key_infotexts(
    known: SourceAnalysis, prompts: Prompts, seed: int, settings: Settings
) -> dict[int, str]:
    """The infotext of each key frame."""
    about = report.infotext_fields(settings.to_json(), seed, known.frames.clip.size)
    words = {key.index: prompts.of(key.index) for key in known.keys}
    return {
        index: infotext(said, {**about, "Seed": said.seed_or(seed)})
        for index, said in words.items()
    }
