"""The main job: a video and settings become a film, over the ports.

The only module that reads a setting and passes it on to the stages.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from lib_ofgen import (
    control,
    flow,
    masks,
    page,
    pictures,
    plan,
    prompt_list,
    report,
    survey,
    wording,
)
from lib_ofgen.coverage import Gap
from lib_ofgen.encode import FrameFolder, check_output, write_video
from lib_ofgen.errors import VideoError
from lib_ofgen.finishing import Finisher
from lib_ofgen.flow import flo
from lib_ofgen.making import Maker
from lib_ofgen.painting import Easel, Rules, Stopwatch
from lib_ofgen.prompts import Phrasing, Prompts, infotext
from lib_ofgen.settings import Settings
from lib_ofgen.subject import Divided, Undivided
from lib_ofgen.survey import Spool
from lib_ofgen.values import (
    Clip,
    FlowEstimator,
    Frame,
    FrameSink,
    Image,
    KeyFrame,
    Painter,
    PromptRow,
    Reporter,
    Scene,
    Size,
    Step,
)
from lib_ofgen.video import open_video
from lib_ofgen.workspace import PROMPTS, Workspace, check_place, write_whole

__all__ = [
    "Job",
    "Outcome",
    "Survey",
    "animate",
    "asked_of",
    "expected",
    "finished",
    "flow_picture",
    "look",
    "made_of",
    "painted_whole",
    "phrasing_of",
    "prompted",
    "rules_of",
    "wanted",
]

_LOG = logging.getLogger(__name__)
_PREVIEW = 0.5
"""Seconds between two pictures for the reporter; each is read from disk."""

_DRAFTED = 80
"""Per cent of a frame's way that its draft is, which waits for the painter; the rest, finishing."""


@dataclass(frozen=True)
class Job:
    """What is to be made, and where."""

    source: Path
    output: Path
    workspace: Path
    settings: Settings
    report: Path | None = None
    """A second copy of the report; one is always in the workspace."""
    frames: Path | None = None
    """A folder that gets every finished frame as PNG."""
    models: tuple[Path, ...] = ()
    """Folders in which the weights of flow estimators and taggers are looked for."""
    mask: Path | None = None
    """A video, folder of pictures or picture, white where the source is to be animated."""
    prompts: tuple[PromptRow, ...] = ()
    """A list that wins over what the settings say."""


@dataclass(frozen=True)
class Survey:
    """What is known before anything is painted."""

    spool: Spool
    scenes: tuple[Scene, ...]
    keys: list[KeyFrame]
    division: Undivided
    """What the mask, if there is one, makes of the frames."""


@dataclass(frozen=True)
class Outcome:
    """Where everything is."""

    video: Path
    workspace: Path
    report: Path
    page: Path
    """The report for reading in a browser; it needs nothing but itself."""
    sheet: Path
    facts: dict[str, Any]
    """The report's content."""


def look(
    source: Path,
    workspace: Workspace,
    settings: Settings,
    reporter: Reporter,
    watch: Stopwatch,
    mask: Path | None = None,
) -> Survey:
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
        spool = survey.read_source(workspace, source, _sampling(settings), reporter)
        division = Undivided()
        if mask is not None:
            asked, shown = _sampling(settings), _shown_size(source, settings)
            masked = masks.read(mask, spool, asked, shown, reporter)
            division = Divided(spool, masked, keep=settings.background == "keep")
            rule["mask"] = [masked.key, settings.background]
    with watch("analyse"):
        found = survey.find_scenes(spool, settings.cut_threshold, reporter)
        keys = survey.find_keys(spool, found, rule, reporter, division.inside)
    return Survey(spool, found[0], keys, division)


def expected(known: Survey, settings: Settings, reporter: Reporter) -> list[Gap]:
    """What the frames between keys lack, estimated; paints nothing."""
    rule = {"confidence": settings.confidence, "radius": settings.confidence_radius}
    inside = known.division.inside
    return survey.find_gaps(known.spool, known.scenes, known.keys, rule, reporter, inside)


def painted_whole(known: Survey, settings: Settings) -> int:
    """How many frames are painted whole; with a mask, all that is to be painted of them."""
    return sum(step.fresh or not step.sources for step in _key_steps(known, settings))


def _key_steps(known: Survey, settings: Settings) -> list[Step]:
    """How the key frames are made."""
    guided, division = _guided(settings), known.division
    moved = guided or division.moves_background
    return division.fresh(plan.group_keys(known.keys, known.scenes, guided=moved), guided=guided)


def _guided(settings: Settings) -> bool:
    """Whether later keys are moved there from earlier ones; never where every frame is painted."""
    return settings.key_agreement == "guided" and settings.key_frames != "every"


def animate(
    job: Job,
    painter: Painter,
    reporter: Reporter,
    shared: Callable[[FlowEstimator], FlowEstimator] = lambda estimator: estimator,
) -> Outcome:
    """Make the film of `job`; what was finished before is not made again.

    `shared` makes an estimator one that shares its device with whoever else is on it.

    Raises:
        Stopped: the user asked to stop; the same job goes on from there.
        OfgenError: anything else that one line can explain.
    """
    begun = perf_counter()
    _check(job)
    tagger = wording.choose(asked_of(job.settings, job.models))
    workspace, watch = Workspace(job.workspace), Stopwatch()
    with workspace.locked():
        seed = _drawn(workspace, job.settings.seed)
        known = look(job.source, workspace, job.settings, reporter, watch, job.mask)
        with watch("analyse"):
            prompts, tagger = prompted(known, job.settings, tagger, job.prompts, reporter)
        write_whole(job.workspace / PROMPTS, prompt_list.dump(prompts.rows(), ".csv"))
        chosen = flow.choose(job.settings.flow, wanted(job.settings, job.models))
        _LOG.info("flow: %s (%s)", chosen.name, chosen.reason)
        estimator = shared(chosen.estimator)
        rules = rules_of(job.settings, seed)
        with Easel(painter, rules, prompts, reporter, watch) as easel, _released(estimator):
            makers = made_of(known, rules, estimator, easel, watch)
            order = finished(*makers, known, job.settings)
            told = _told(order, known.spool.clip, makers[1], easel, reporter)
            _film(job, known, makers[1], told, watch, _texts(known, prompts, rules, job.settings))
            facts = _facts(known, *makers, easel, job.settings, watch)
        facts |= report.prompt_facts(known.keys, prompts, tagger.facts())
        facts["seed"] = seed
        facts["flow"] = {
            "estimator": chosen.name, "asked": job.settings.flow, "reason": chosen.reason
        }  # fmt: skip
        facts["painter"] = painter.identity
        facts["seconds"]["total"] = round(perf_counter() - begun, 3)
        return _closed(job, known, *makers, facts)


def prompted(
    known: Survey,
    settings: Settings,
    tagger: wording.Chosen,
    rows: Sequence[PromptRow],
    reporter: Reporter,
) -> tuple[Prompts, wording.Chosen]:
    """What every frame is painted by, and the tagger as it turned out."""
    phrasing = phrasing_of(settings)
    return wording.find_words(
        known.spool, known.scenes, known.keys, phrasing, tagger, rows, reporter
    )


def phrasing_of(settings: Settings) -> Phrasing:
    """What of the settings says how prompts are made.

    Raises:
        SettingsError: a line of the tag rules is none.
    """
    return wording.phrasing_of(
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


def asked_of(settings: Settings, models: Sequence[Path]) -> wording.Asked:
    """Which tagger the settings ask for."""
    return wording.Asked(settings.tagger, settings.tagger_device, settings.tagger_optional, models)


def _texts(known: Survey, prompts: Prompts, rules: Rules, settings: Settings) -> dict[int, str]:
    """The infotext of each key frame."""
    about = {
        "Steps": settings.steps,
        "Sampler": settings.sampler,
        "Schedule type": settings.scheduler,
        "CFG scale": settings.cfg_scale,
        "Seed": rules.seed,
        "Size": known.spool.clip.size,
        "Model": settings.checkpoint,
        "Denoising strength": rules.strength,
    }
    return {key.index: infotext(prompts.of(key.index), about) for key in known.keys}


@contextlib.contextmanager
def _released(estimator: FlowEstimator) -> Iterator[None]:
    """Afterwards nothing of the estimator is on its device."""
    try:
        yield
    finally:
        estimator.release()


def flow_picture(
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
    with open_video(source, **_sampling(settings)) as frames:
        pair = [frame for frame in frames if frame.index in (index, index + 1)]
    if len(pair) < 2:
        raise VideoError(
            f"'{source}' has no frame {index} with another after it; take an earlier one",
            bad_input=True,
        )
    estimator = shared(flow.choose(settings.flow, wanted(settings, models)).estimator)
    with _released(estimator):
        (found,) = estimator.estimate([(pair[1], pair[0])])
    return flo.picture(found.vectors)


def wanted(settings: Settings, models: Sequence[Path]) -> flow.Wanted:
    """What the settings ask of an estimator."""
    return flow.Wanted(
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


def _shown_size(source: Path, settings: Settings) -> Size:
    """The size of the source in square pixels, before it is framed.

    Raises:
        VideoError: it cannot be read, or has no frame where the settings look for one.
    """
    with open_video(source, **_sampling(settings)) as video:
        return video.shown


def _check(job: Job) -> None:
    """Nothing, if the source can be read and the results written.

    Raises:
        SettingsError: a line of the tag rules is none.
        VideoError: the source or the output is at fault.
        WorkspaceError: the report's place is.
    """
    phrasing_of(job.settings)
    shown = _shown_size(job.source, job.settings)
    if job.mask is not None:
        masks.check(job.mask, shown)
        keep_apart([job.mask], [job.output, job.report, job.frames])
    check_output(job.output)
    keep_apart([job.source], [job.output, job.report])
    keep_apart([job.output], [job.report])
    if job.report is not None:
        check_place(job.report)
    if job.frames is not None:
        FrameFolder(job.frames)


def keep_apart(kept: Sequence[Path], written: Sequence[Path | None]) -> None:
    """Nothing, if no file that is to be kept would be written over.

    Raises:
        VideoError: one would; the message names it.
    """
    for path in written:
        for other in kept:
            same = path is not None and path.resolve() == other.resolve()
            if same or (
                path is not None and path.exists() and other.exists() and path.samefile(other)
            ):
                raise VideoError(
                    f"'{path}' would be written over '{other}'; give it another name",
                    bad_input=True,
                )


def rules_of(settings: Settings, seed: int) -> Rules:
    """What of the settings says how frames are made; the seed is drawn already."""
    return Rules(
        confidence=settings.confidence,
        least=settings.hole_min,
        box=settings.hole_box,
        reach=settings.track_reach,
        strength=settings.strength,
        hole_strength=settings.hole_strength,
        seed=seed,
        anchored=control.anchored(control.read(settings.control_units)),
    )


def _drawn(workspace: Workspace, seed: int) -> int:
    """The seed; one that is to be drawn is drawn once per workspace and remembered."""
    if seed >= 0:
        return seed
    known = workspace.facts("seed")
    if known is None:
        known = secrets.randbelow(2**32)
        workspace.save_facts("seed", known)
    return int(known)


def made_of(
    known: Survey, rules: Rules, estimator: FlowEstimator, easel: Easel, watch: Stopwatch
) -> tuple[Maker, Finisher]:
    """What drafts frames, and what finishes them."""
    division = known.division
    anchors = plan.anchors(known.keys, known.scenes)
    maker = Maker(known.spool, rules, estimator, easel, watch, division, anchors)
    finisher = Finisher(maker, known.spool, estimator, known.scenes, rules.reach, watch, division)
    return maker, finisher


def finished(
    maker: Maker, finisher: Finisher, known: Survey, settings: Settings
) -> Iterator[int | None]:
    """Make all frames; gives None as each is drafted, and its index as it is finished.

    Whole key frames first, so that each model is loaded once.
    """
    guided = _guided(settings) or known.division.moves_background
    steps = _key_steps(known, settings)
    for _ in maker.paint_whole([step for step in steps if not step.sources and not step.fresh]):
        yield None
    gaps = plan.group_between(known.keys, known.scenes, guided=guided, lend=settings.hole_lending)
    first = [step for step in steps if step.fresh and not step.sources]
    levels = [*([first] if first else []), *([step] for step in steps if step.sources)]
    for group in ([levels] if levels else [], gaps):
        for gap in group:
            for level in gap:
                for _ in maker.draft_level(level):
                    yield None
            yield from finisher.ready()
    yield from finisher.ready()


def _told(
    order: Iterator[int | None], clip: Clip, finisher: Finisher, easel: Easel, reporter: Reporter
) -> Iterator[int]:
    """The indices, with the reporter told how far all is, and shown a frame now and then."""
    shown, latest, way = 0.0, -1, 0
    for index in order:
        way += _DRAFTED if index is None else 100 - _DRAFTED
        latest = latest if index is None else index
        due = latest >= 0 and perf_counter() - shown >= _PREVIEW
        image = finisher.picture(latest) if due else None
        reporter.step("paint", max(1, way // 100), clip.length, image)
        shown = perf_counter() if due else shown
        easel.go_on()
        if index is not None:
            yield index


def _film(
    job: Job,
    known: Survey,
    finisher: Finisher,
    order: Iterator[int],
    watch: Stopwatch,
    texts: dict[int, str],
) -> None:
    """Write the film while it is made: encoding has a thread of its own.

    `texts` are the infotexts of the key frames, for their PNG.
    """
    clip = known.spool.clip
    sound = job.source if job.settings.keep_sound and clip.sound else None
    with (
        write_video(job.output, clip, sound_from=sound, crf=job.settings.quality) as writer,
        ThreadPoolExecutor(max_workers=1) as encoder,
    ):
        folder = FrameFolder(job.frames, texts) if job.frames is not None else None
        sinks: list[FrameSink] = [writer, folder] if folder else [writer]
        try:
            _feed(encoder, order, clip.length, _writer(sinks, finisher, watch))
            if folder:
                folder.end(clip.length)
        except BaseException:
            encoder.shutdown(cancel_futures=True)
            raise


def _writer(
    sinks: Sequence[FrameSink], finisher: Finisher, watch: Stopwatch
) -> Callable[[int], None]:
    """What puts a finished frame into every sink."""

    def write(index: int) -> None:
        with watch("encode"):
            image: Image = finisher.picture(index)
            for sink in sinks:
                sink.write(Frame(index, image))

    return write


def _feed(
    encoder: ThreadPoolExecutor, order: Iterator[int], length: int, write: Callable[[int], None]
) -> None:
    """Hand finished frames to the encoder in the order of showing; its errors rise here."""
    ready: set[int] = set()
    following = 0
    written: list[Future[None]] = []
    for index in order:
        ready.add(index)
        while following in ready:
            ready.remove(following)
            written.append(encoder.submit(write, following))
            following += 1
        while written and written[0].done():
            written.pop(0).result()
    if following != length:
        raise AssertionError(f"the plan left out frame {following} of {length}")
    for each in written:
        each.result()


def _facts(
    known: Survey,
    maker: Maker,
    finisher: Finisher,
    easel: Easel,
    settings: Settings,
    watch: Stopwatch,
) -> dict[str, Any]:
    """The report, all but its total time and its seed."""
    frames = report.frame_facts(maker.made, finisher.finished)
    with watch("measure"):
        source = known.spool.frame
        measured = report.evaluation(
            lambda index: source(index).image,
            finisher.picture,
            maker.repainted,
            known.scenes,
            known.keys,
            easel.tell,
        )
    return {
        **report.plan_facts(known.spool.clip, known.scenes, known.keys),
        "frames": frames,
        **report.painted_facts(maker.made),
        **measured,
        "seconds": {stage: round(spent, 3) for stage, spent in watch.seconds.items()},
        "settings": settings.to_json(),
        "versions": report.versions(),
    }


def _closed(
    job: Job, known: Survey, maker: Maker, finisher: Finisher, facts: dict[str, Any]
) -> Outcome:
    """Write the report, its page and the contact sheet, and say where everything is."""
    kept, sheet = job.workspace / "report.json", job.workspace / "keys.png"
    for path in (kept, job.report):
        if path is not None:
            write_whole(path, report.to_bytes(facts))
    report.save_sheet(sheet, finisher.picture, known.keys, known.spool.clip)
    shown = job.workspace / "report.html"
    write_whole(shown, page.page(facts, _shown(job, known, maker, finisher, facts)))
    return Outcome(job.output, job.workspace, kept, shown, sheet, facts)


def _shown(
    job: Job, known: Survey, maker: Maker, finisher: Finisher, facts: dict[str, Any]
) -> page.Shown:
    """What the report's page shows beside the report's facts."""
    source, clip = known.spool.frame, known.spool.clip
    film = pictures.Film(
        lambda index: source(index).image, finisher.picture, maker.repainted, finisher.origins
    )
    whole = {index for index, made in maker.made.items() if made.whole}
    return page.Shown(
        job.source.name,
        job.output.name,
        clip,
        pictures.thumbs(known.keys, clip, finisher.picture),
        pictures.closeups(film, facts["warp_error"]["each"], whole),
    )
