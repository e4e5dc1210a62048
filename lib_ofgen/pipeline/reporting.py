"""The report of a finished job: its content, its page, the contact sheet, and the live preview."""

from __future__ import annotations

from typing import Any

from lib_ofgen.models.flow import EstimatorChoice
from lib_ofgen.pipeline.analysis.prompting import TaggerChoice
from lib_ofgen.pipeline.job import Job, JobResult, SourceAnalysis
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.rendering.order import Renderers
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning.prompts import Prompts, infotext
from lib_ofgen.report import facts as report
from lib_ofgen.report import figures
from lib_ofgen.report.html import page
from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import REPORT, write_whole

__all__ = ["collect_facts", "job_facts", "key_infotexts", "live_preview", "write_report"]


def collect_facts(
    known: SourceAnalysis,
    makers: Renderers,
    easel: PainterSession,
    settings: Settings,
    watch: Stopwatch,
) -> dict[str, Any]:
    """The report, all but its total time and its seed."""
    propagator, second = makers.propagator, makers.second
    frames = report.frame_facts(
        propagator.records, makers.stabiliser.records, second.shares if second else {}
    )
    with watch("measure"):
        source = known.spool.frame
        measured = report.measure(
            lambda index: source(index).image,
            makers.last.picture,
            propagator.hole_mask,
            known.scenes,
            known.keys,
            easel.report,
        )
    return {
        **report.plan_facts(known.spool.clip, known.scenes, known.keys),
        "frames": frames,
        "kept": report.kept_facts(known.spool.key, known.spool.clip.length, makers.last.key),
        **report.painted_facts(propagator.records),
        **measured,
        "seconds": {stage: round(spent, 3) for stage, spent in watch.seconds.items()},
        "settings": settings.to_json(),
        "versions": report.versions(),
    }


def job_facts(
    job: Job,
    known: SourceAnalysis,
    prompts: Prompts,
    tagger: TaggerChoice,
    chosen: EstimatorChoice,
    seed: int,
) -> dict[str, Any]:
    """The report's part on prompts, tagger and estimator."""
    return {
        **report.prompt_facts(known.keys, prompts, tagger.facts(), seed),
        "flow": {
            "estimator": chosen.name, "asked": job.settings.flow, "reason": chosen.reason
        },
    }  # fmt: skip


def write_report(
    job: Job, known: SourceAnalysis, makers: Renderers, facts: dict[str, Any]
) -> JobResult:
    """Write the report, its page and the contact sheet, and say where everything is."""
    kept, sheet = job.workspace / REPORT, job.workspace / "keys.png"
    for path in (kept, job.report):
        if path is not None:
            write_whole(path, report.to_bytes(facts))
    report.save_sheet(sheet, makers.last.picture, known.keys, known.spool.clip)
    shown = job.workspace / "report.html"
    write_whole(shown, page.report_html(facts, _page_content(job, known, makers, facts)))
    return JobResult(job.output, job.workspace, kept, shown, sheet, facts)


def _page_content(
    job: Job, known: SourceAnalysis, makers: Renderers, facts: dict[str, Any]
) -> page.PageContent:
    """What the report's page shows beside the report's facts."""
    clip, records = known.spool.clip, makers.propagator.records
    whole = {index for index, record in records.items() if record.whole}
    return page.PageContent(
        job.source.name,
        job.output.name,
        clip,
        figures.thumbs(known.keys, clip, makers.last.picture),
        figures.closeups(_frame_pictures(known, makers), facts["warp_error"]["each"], whole),
    )


def _frame_pictures(known: SourceAnalysis, makers: Renderers) -> figures.Film:
    """Where to get what is shown of a frame."""
    source = known.spool.frame
    return figures.Film(
        lambda index: source(index).image,
        makers.last.picture,
        makers.propagator.hole_mask,
        makers.stabiliser.origins,
    )


def live_preview(known: SourceAnalysis, makers: Renderers) -> LivePreview:
    """The film, for those who watch it grow."""
    film, whole = _frame_pictures(known, makers), makers.propagator.records
    done = makers.last.done
    return LivePreview(known.spool.clip, film, done, lambda index: whole[index].whole)


def key_infotexts(
    known: SourceAnalysis, prompts: Prompts, seed: int, settings: Settings
) -> dict[int, str]:
    """The infotext of each key frame."""
    about = report.infotext_facts(settings.to_json(), seed, known.spool.clip.size)
    words = {key.index: prompts.of(key.index) for key in known.keys}
    return {
        index: infotext(said, {**about, "Seed": said.seed_or(seed)})
        for index, said in words.items()
    }
