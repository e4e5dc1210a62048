"""The plan of a job before it is painted; it is made in a thread of its own."""

from __future__ import annotations

import contextlib
import html
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modules import sd_models

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
from lib_ofgen.webui.host.environment import (
    allowed_paths,
    data_folder,
    model_folders,
    preset_store,
)
from lib_ofgen.webui.host.painter import WebuiPainter
from lib_ofgen.webui.jobs.document import JobDocument, find_input, find_mask, read_settings
from lib_ofgen.webui.jobs.execution import make_painter_options
from lib_ofgen.webui.messages import adapt_message, note, progress_text

__all__ = ["Plan", "Planner", "folder_of", "paint_speed"]

_KEPT = 3
"""Plans whose frames stay on the disk."""
_MAX_ENDED = 20
"""Ended plans that pages may still ask for."""
_POLL = 0.2
"""Seconds between two checks whether a plan that waits is to stop."""
_SAMPLING = ("start", "end", "max_frames", "every_nth", "width", "height", "fit")
"""Settings that change the frames of a plan."""


@dataclass(frozen=True)
class PlanInputs:
    """What is planned."""

    settings: Settings
    source: Path
    mask: Path | None
    folder: Path
    """The workspace of the plan."""


@dataclass
class Plan:
    """A plan while it is made and afterwards; it is its own reporter."""

    id: str
    inputs: PlanInputs
    text: str = "looking"
    """The progress."""
    html: str = ""
    """The plan, when it is ready."""
    message: str = ""
    """Why there is no plan."""
    keys: list[int] = field(default_factory=list)
    """Indices of the key frames."""
    is_running: bool = True
    stop_event: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def source(self) -> Path:
        """The video."""
        return self.inputs.source

    @property
    def mask(self) -> Path | None:
        """The mask, a file or folder; None if there is none."""
        return self.inputs.mask

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        """Note the progress."""
        self.text = progress_text(phase, done, of)

    def should_stop(self) -> bool:
        """Whether a newer plan has taken its place."""
        return self.stop_event.is_set()


def folder_of(source: Path, settings: Settings, mask: Path | None) -> Path:
    """Return the folder of a plan's frames; a job of the same frames takes them from there."""
    sampling = [getattr(settings, name) for name in _SAMPLING]
    name = digest(str(source), sampling, str(mask or ""), settings.background)
    return allowed_paths().output / "plans" / name


def paint_speed() -> estimate.PaintSpeed:
    """Return how fast this machine has been."""
    return estimate.PaintSpeed(data_folder() / "ofgen-pace.json")


class Planner:
    """The last plans, and which of their folders are in use."""

    def __init__(self) -> None:
        """Begin without a plan."""
        self._plans: dict[str, Plan] = {}
        self._busy: set[Path] = set()
        """Folders that a plan uses or that are being deleted."""
        self._released = threading.Condition()
        """Guards `_busy`; is notified when a folder is free again."""

    def find(self, plan_id: str) -> Plan | None:
        """Return the plan of that id; None if there is none."""
        return self._plans.get(plan_id)

    def list_running(self) -> list[Plan]:
        """Return the plans that are being made."""
        return [one for one in list(self._plans.values()) if one.is_running]

    def start(self, document: JobDocument, replaced: str = "") -> Plan:
        """Plan the document's job in a new thread; return the plan at once.

        Args:
            document: What is asked for.
            replaced: Id of the plan whose place it takes; that one is stopped.

        Raises:
            OfgenError: if the document asks for what does not exist or is not allowed.
        """
        paths, settings = allowed_paths(), read_settings(document, {}, preset_store())
        source, mask = find_input(document, paths), find_mask(document, paths)
        older = self._plans.get(replaced)
        if older:
            older.stop_event.set()
        ended = [one.id for one in list(self._plans.values()) if not one.is_running]
        for old in ended[:-_MAX_ENDED]:
            self._plans.pop(old, None)
        inputs = PlanInputs(settings, source, mask, folder_of(source, settings, mask))
        plan = Plan(uuid.uuid4().hex[:8], inputs)
        self._plans[plan.id] = plan
        plan.thread = threading.Thread(
            target=self._work, args=(plan, older), name=f"ofgen-plan-{plan.id}", daemon=True
        )
        plan.thread.start()
        return plan

    def _work(self, plan: Plan, older: Plan | None) -> None:
        """Make the plan after the older one has ended; an error becomes its message."""
        try:
            if older and older.thread:
                older.thread.join()
            self._delete_old(plan.inputs.folder)
            with self._folder_in_use(plan):
                plan.html = _make_html(plan)
        except Stopped:
            plan.message = "stopped"
        except OfgenError as error:
            plan.message = adapt_message(error)
        except BaseException as error:
            plan.message = f"{type(error).__name__}: {error}"
            raise
        finally:
            plan.is_running = False

    @contextlib.contextmanager
    def _folder_in_use(self, plan: Plan) -> Iterator[None]:
        """Wait until no other plan uses the folder; what that one has read is used again.

        Raises:
            Stopped: if the plan is to stop.
        """
        folder = plan.inputs.folder
        with self._released:
            while folder in self._busy:
                plan.text = "waiting for another plan of this video"
                raise_if_stopped(plan)
                self._released.wait(_POLL)
            self._busy.add(folder)
        try:
            yield
        finally:
            self._release(folder)

    def _release(self, folder: Path) -> None:
        with self._released:
            self._busy.discard(folder)
            self._released.notify_all()

    def _delete_old(self, folder: Path) -> None:
        """Delete the frames of all plans except this one, the newest others, and busy ones."""
        others = [one for one in folder.parent.glob("*") if one.is_dir() and one != folder]
        for old in sorted(others, key=modified_ns, reverse=True)[_KEPT - 1 :]:
            with self._released:
                if old in self._busy:
                    continue
                self._busy.add(old)
            try:
                with contextlib.suppress(OfgenError, OSError):  # another process is planning there
                    delete_workspace(old)
            finally:
                self._release(old)


def _make_html(plan: Plan) -> str:
    """Return the plan as HTML, and note its key frames."""
    workspace, settings = Workspace(plan.inputs.folder), plan.inputs.settings
    with workspace.lock():
        known = run.analyse_source(plan.source, workspace, settings, plan, Stopwatch(), plan.mask)
        gaps = run.estimate_gaps(known, settings, plan)
        clip = known.frames.clip
        pictures = plan_view.key_strip(clip, lambda index: known.frames.frame(index).image)
    plan.keys = [key.index for key in known.keys]
    whole = run.count_whole_frames(known, settings)
    paint = report.estimate_paint(clip, whole, gaps)
    todo = estimate.estimate_work(
        clip.length, clip.size, whole, len(known.keys), gaps, settings.hole_min
    )
    view = plan_view.plan_html(plan_view.PlanFacts(clip, known.scenes, known.keys, gaps, pictures))
    spool = sum(file.stat().st_size for file in (plan.inputs.folder / "spool").rglob("*.qoi"))
    needed = estimate.disk_space(
        todo,
        spool,
        gaps,
        waiting=estimate.count_waiting_drafts(
            clip.length, whole, len(known.keys), gaps, settings.track_reach
        ),
        matched=run.count_matched_frames(known, settings),
        passes=bool(settings.second_pass) + bool(settings.deflicker),
        quality=settings.quality,
    )
    return _summary(plan, todo, paint, len(known.scenes), needed) + view


def _summary(
    plan: Plan, todo: estimate.Work, paint: PaintEstimate, scenes: int, needed: int
) -> str:
    """Return the numbers, and lines of advice above them; `needed` are bytes on the disk."""
    settings = plan.inputs.settings
    estimator, flow_lines = _choose_flow(settings)
    painter, lines = _find_checkpoint(settings)
    free = shutil.disk_usage(plan.inputs.folder).free
    lines += [*estimate.list_advice(todo.size, _native_size(), free, needed), *flow_lines]
    seconds = paint_speed().seconds(
        todo, flow=estimator, painter=painter, steps=settings.steps,
        strengths=(settings.strength, settings.hole_strength),
    )  # fmt: skip
    rows = {
        "frames": f"{todo.frames} of {todo.size}; scenes: {scenes}",
        "paint": f"whole frames: {paint.whole}; {paint.painted:.0%} of all pixels "
        f"({todo.painted / 1e6:.1f} megapixels), at most {todo.calls} calls",
        "time": _format_seconds(seconds),
        "disk": f"at most {needed / 1e6:.0f} MB",
        "flow": estimator,
    }
    items = "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in rows.items())
    return "".join(note(line, warns=True) for line in lines) + f"<dl class='facts'>{items}</dl>"


def _format_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "known after the first film with this checkpoint and flow"
    return f"about {seconds:.0f} s" if seconds < 120 else f"about {seconds / 60:.0f} min"


def _choose_flow(settings: Settings) -> tuple[str, list[str]]:
    """Return the name of the estimator that would run, and lines of advice."""
    try:
        chosen = flow.choose_estimator(
            settings.flow, stage_options.estimator_options(settings, model_folders())
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


def _find_checkpoint(settings: Settings) -> tuple[str, list[str]]:
    """Return the title of the checkpoint that would paint, and what the host lacks for it."""
    try:
        return WebuiPainter(make_painter_options(settings)).checkpoint.title, []
    except OfgenError as error:
        return "", [str(error)]


def _native_size() -> int:
    """Return the side in px of the pictures for which the loaded checkpoint was made."""
    return 1024 if getattr(sd_models.model_data.sd_model, "is_sdxl", False) else 512
