"""Looking before painting: what a job will do, drawn in a thread of its own."""

from __future__ import annotations

import contextlib
import html
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modules import paths_internal, sd_models

from lib_ofgen.errors import OfgenError, Stopped
from lib_ofgen.models import flow
from lib_ofgen.pipeline import run, stage_options
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning import estimate
from lib_ofgen.report import facts as report
from lib_ofgen.report.html import plan_view
from lib_ofgen.report.model import PaintEstimate
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace, delete_workspace, digest
from lib_ofgen.system.files import modified_ns
from lib_ofgen.system.stopping import raise_if_stopped
from lib_ofgen.values import Image
from lib_ofgen.webui.host.painter import WebuiPainter
from lib_ofgen.webui.jobs import job as jobs
from lib_ofgen.webui.jobs.document import Document, input_of, mask_of, settings_of
from lib_ofgen.webui.messages import doing, note, said

__all__ = ["PLANS", "Plan", "begin", "folder_of", "pace"]

_KEPT = 3
"""Plans whose frames stay on the disk."""
_REMEMBERED = 20
"""Plans that pages may still ask for."""
_LOOK = 0.2
"""Seconds between two looks at whether a plan that waits is to stop."""
_SAMPLING = ("start", "end", "max_frames", "every_nth", "width", "height", "fit")


@dataclass
class Plan:
    """A plan in the making, which is its own reporter; `html` is there when it is drawn."""

    id: str
    settings: Settings
    source: Path
    mask: Path | None
    folder: Path
    text: str = "looking"
    html: str = ""
    message: str = ""
    keys: list[int] = field(default_factory=list)
    running: bool = True
    wish: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def step(self, stage: str, done: int, of: int, preview: Image | None = None) -> None:
        """Note how far it is."""
        self.text = doing(stage, done, of)

    def stopped(self) -> bool:
        """Whether a newer plan has taken its place, or a person pressed Stop."""
        return self.wish.is_set()


PLANS: dict[str, Plan] = {}
"""The last plans, by id."""
_TAKEN: set[Path] = set()
"""Folders that are being planned in, or deleted; `_FREED` is held by who looks or changes."""
_FREED = threading.Condition()


def folder_of(source: Path, settings: Settings, mask: Path | None) -> Path:
    """Where the frames of a plan lie; a job of the same ones takes the folder over."""
    sampling = [getattr(settings, name) for name in _SAMPLING]
    name = digest(str(source), sampling, str(mask or ""), settings.background)
    return jobs.places().output / "plans" / name


def pace() -> estimate.PaintSpeed:
    """How fast this machine has been."""
    return estimate.PaintSpeed(Path(paths_internal.data_path) / "ofgen-pace.json")


def begin(document: Document, instead: str = "") -> Plan:
    """Plan the document's job; the plan grows while the caller goes on.

    `instead` is the id of the plan whose place it takes.

    Raises:
        OfgenError: the document asks for what is not there or not allowed.
    """
    given, settings = jobs.places(), settings_of(document, {}, jobs.presets_here())
    source, mask = input_of(document, given), mask_of(document, given)
    older = PLANS.get(instead)
    if older:
        older.wish.set()
    for ended in [one.id for one in list(PLANS.values()) if not one.running][:-_REMEMBERED]:
        PLANS.pop(ended, None)
    folder = folder_of(source, settings, mask)
    plan = Plan(uuid.uuid4().hex[:8], settings, source, mask, folder)
    PLANS[plan.id] = plan
    plan.thread = threading.Thread(
        target=_work, args=(plan, older), name=f"ofgen-plan-{plan.id}", daemon=True
    )
    plan.thread.start()
    return plan


def _work(plan: Plan, older: Plan | None) -> None:
    """Make the plan once the older one has let go; what goes wrong is its message."""
    try:
        if older and older.thread:
            older.thread.join()
        _clear(plan.folder)
        with _alone(plan):
            plan.html = _drawn(plan)
    except Stopped:
        plan.message = "stopped"
    except OfgenError as error:
        plan.message = said(error)
    except BaseException as error:
        plan.message = f"{type(error).__name__}: {error}"
        raise
    finally:
        plan.running = False


@contextlib.contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    """Wait until no other plan uses the folder: what that has read is found there then.

    Raises:
        Stopped: the plan is to stop.
    """
    with _FREED:
        while plan.folder in _TAKEN:
            plan.text = "waiting for another plan of this video"
            raise_if_stopped(plan)
            _FREED.wait(_LOOK)
        _TAKEN.add(plan.folder)
    try:
        yield
    finally:
        _free(plan.folder)


def _free(folder: Path) -> None:
    with _FREED:
        _TAKEN.discard(folder)
        _FREED.notify_all()


def _clear(folder: Path) -> None:
    """Delete the frames of all plans but this, the newest others, and those under way."""
    others = [one for one in folder.parent.glob("*") if one.is_dir() and one != folder]
    for old in sorted(others, key=modified_ns, reverse=True)[_KEPT - 1 :]:
        with _FREED:
            if old in _TAKEN:
                continue
            _TAKEN.add(old)
        try:
            with contextlib.suppress(OfgenError, OSError):  # another process is planning there
                delete_workspace(old)
        finally:
            _free(old)


def _drawn(plan: Plan) -> str:
    workspace, settings = Workspace(plan.folder), plan.settings
    with workspace.lock():
        known = run.analyse_source(plan.source, workspace, settings, plan, Stopwatch(), plan.mask)
        gaps = run.estimate_gaps(known, settings, plan)
        clip = known.spool.clip
        pictures = plan_view.key_strip(clip, lambda index: known.spool.frame(index).image)
    plan.keys = [key.index for key in known.keys]
    whole = run.count_whole_frames(known, settings)
    paint = report.estimate_paint(clip, whole, gaps)
    todo = estimate.estimate_work(
        clip.length, clip.size, whole, len(known.keys), gaps, settings.hole_min
    )
    drawn = plan_view.plan_html(plan_view.PlanFacts(clip, known.scenes, known.keys, gaps, pictures))
    spool = sum(file.stat().st_size for file in (plan.folder / "spool").rglob("*.qoi"))
    needed = estimate.disk_space(
        todo,
        spool,
        gaps,
        waiting=estimate.count_waiting_drafts(
            clip.length, whole, len(known.keys), gaps, settings.track_reach
        ),
        passes=bool(settings.second_pass) + bool(settings.deflicker),
        quality=settings.quality,
    )
    return _summary(plan, todo, paint, len(known.scenes), needed) + drawn


def _summary(
    plan: Plan, todo: estimate.Work, paint: PaintEstimate, scenes: int, needed: int
) -> str:
    """The numbers, and the lines of advice above them; `needed` are bytes on the disk."""
    settings = plan.settings
    estimator, flow_lines = _flow(settings)
    painter, lines = _painter(settings)
    free = shutil.disk_usage(plan.folder).free
    lines += [*estimate.list_advice(todo.size, _native(), free, needed), *flow_lines]
    seconds = pace().seconds(
        todo, flow=estimator, painter=painter, steps=settings.steps,
        strengths=(settings.strength, settings.hole_strength),
    )  # fmt: skip
    told = {
        "frames": f"{todo.frames} of {todo.size}; scenes: {scenes}",
        "paint": f"whole frames: {paint.whole}; {paint.painted:.0%} of all pixels "
        f"({todo.painted / 1e6:.1f} megapixels), at most {todo.calls} calls",
        "time": _span(seconds),
        "disk": f"at most {needed / 1e6:.0f} MB",
        "flow": estimator,
    }
    items = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in told.items())
    return "".join(note(line, warns=True) for line in lines) + f"<dl class='facts'>{items}</dl>"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "known after the first film with this checkpoint and flow"
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"


def _flow(settings: Settings) -> tuple[str, list[str]]:
    """The estimator that would run, and what is to be said of it."""
    try:
        chosen = flow.choose_estimator(
            settings.flow, stage_options.estimator_options(settings, jobs.model_folders())
        )
    except OfgenError as error:
        return settings.flow, [str(error)]
    chosen.estimator.release()
    if chosen.name == "dis" and settings.flow == "auto":
        lacks = chosen.reason.rpartition("; ")[0]
        return "dis", [
            f"{lacks}, so that flow is by DIS; `ofgen weights list` says where to get it"
        ]
    return chosen.name, []


def _painter(settings: Settings) -> tuple[str, list[str]]:
    """The checkpoint that would paint, and what the host lacks to do so."""
    try:
        return WebuiPainter(jobs.recipe_of(settings)).checkpoint.title, []
    except OfgenError as error:
        return "", [str(error)]


def _native() -> int:
    """The side in px of the pictures that the loaded checkpoint was made for."""
    return 1024 if getattr(sd_models.model_data.sd_model, "is_sdxl", False) else 512
