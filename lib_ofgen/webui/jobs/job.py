"""A job in the webui, of the script or of the tab: from a document to a film."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules import call_queue, paths_internal, shared

from lib_ofgen.errors import OfgenError, SettingsError, Stopped
from lib_ofgen.models import tagger
from lib_ofgen.models.weights import registry
from lib_ofgen.pipeline import run, stage_options
from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.settings import control_units
from lib_ofgen.settings.fields import Settings
from lib_ofgen.settings.presets import Store
from lib_ofgen.system import limits
from lib_ofgen.system.safe_text import to_one_line
from lib_ofgen.values import Image, PromptRow
from lib_ofgen.video.writer import check_output
from lib_ofgen.webui.access.allowed_paths import Places
from lib_ofgen.webui.access.error_text import without_paths
from lib_ofgen.webui.host.controlnet import Given
from lib_ofgen.webui.host.painter import Recipe, WebuiPainter
from lib_ofgen.webui.host.progress import HostReporter
from lib_ofgen.webui.host.vram import SharingEstimator
from lib_ofgen.webui.jobs.document import Document, input_of, mask_of, output_of, settings_of
from lib_ofgen.webui.jobs.store import same_place
from lib_ofgen.webui.messages import said

__all__ = [
    "ENTERING",
    "FILES",
    "JOBS",
    "ROUTES",
    "TITLE",
    "HostJob",
    "animated",
    "apply_limits",
    "described",
    "flow_picture",
    "for_strangers",
    "last_seed",
    "model_folders",
    "places",
    "prepared",
    "presets_here",
    "queue_lock",
    "recipe_of",
    "tagger_names",
    "with_preset",
]

TITLE = "Optical Flow Animation"

FILES = ("video", "report", "page", "keys")
"""What a finished job hands out: film, report as JSON and as HTML, contact sheet."""
ROUTES = "/ofgen/v1"
"""Where our routes begin."""

_LOG = logging.getLogger(__name__)

_REMEMBERED = 50
"""Jobs of which the API still tells when they have ended."""
_FOLDERS = ("default_output_dir", "data_path", "models_path", "extensions_dir", "script_path")
"""Names of the host's folders."""
_PAUSE = 0.01
"""Seconds in which those who wait for the host's queue lock can take it."""

Lock = Callable[[], AbstractContextManager[Any]]


@dataclass
class HostJob:
    """A job that the webui runs or has run; `state` and what follows from it change."""

    id: str
    settings: Settings
    source: Path
    output: Path
    reporter: HostReporter
    prompts: tuple[PromptRow, ...] = ()
    wish: threading.Event = field(default_factory=threading.Event)
    state: str = "running"
    """waiting, running, done, stopped or failed."""
    message: str = ""
    outcome: run.JobResult | None = None
    checkpoint: Any = None
    """The host's entry of the checkpoint that paints key frames."""
    mask: Path | None = None
    growing: LivePreview | None = None
    """What is there of the film while it is made."""
    made: float = field(default_factory=time.monotonic)
    """When it was entered, on the monotonic clock."""

    @property
    def folder(self) -> Path:
        """The workspace."""
        return self.output.with_name(self.output.name + ".ofgen")

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "running")

    def stop(self) -> None:
        """End the job as soon as may be; what is finished is kept."""
        if self.state == "waiting":
            self.state, self.message = "stopped", "stopped before it began"
        if self.state == "running":
            self.wish.set()
            self.reporter.interrupt()

    def facts(self) -> dict[str, Any]:
        """What the API tells of the job, to anybody: names of files, and addresses of routes."""
        return {
            "id": self.id,
            "state": self.state,
            "progress": 1.0 if self.state == "done" else round(self.reporter.fraction, 4),
            "text": for_strangers(self.message or self.reporter.text),
            "input": to_one_line(self.source.name),
            "output": to_one_line(self.output.name),
            **self.addresses(),
        }

    def addresses(self) -> dict[str, str | None]:
        """Where the API hands out what the job has made; None of what it has not."""
        base = f"{ROUTES}/jobs/{self.id}"
        return {name: f"{base}/{name}" if self.outcome else None for name in FILES}

    def file(self, name: str) -> Path | None:
        """What the job has made under one of the names of `FILES`."""
        made = self.outcome
        if made is None:
            return None
        return {"video": made.video, "report": made.report, "page": made.page, "keys": made.sheet}[
            name
        ]


JOBS: dict[str, HostJob] = {}
"""The jobs since the webui started, by id; "Reload UI" leaves them be."""

ENTERING = threading.RLock()
"""Held while a job is entered, changed or deleted: no two jobs that make one film are under way."""


def apply_limits(*_: Any) -> None:
    """Take the limits of the host's command line; for the host's `on_app_started`."""
    try:
        limits.change(getattr(shared.cmd_opts, "ofgen_limit", None) or [])
    except OfgenError as error:  # a webui starts, whatever stands there
        _LOG.error("--ofgen-limit: %s; the default limits hold", error)


def places() -> Places:
    """Where requests may read and write here."""
    root = Path(paths_internal.default_output_dir)
    more = [Path(path) for path in getattr(shared.cmd_opts, "ofgen_allow_path", None) or []]
    # Gradio keeps copies of any file there that a client has named to it.
    return Places(root / "ofgen", [root, *more], closed=[_gradio()])


def _gradio() -> Path:
    """Where gradio keeps what the page uploads."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")


def for_strangers(text: str, own: Iterable[str] = ()) -> str:
    """A line for a client of the API: without paths of this machine but those of `own`, its own."""
    known = (getattr(paths_internal, name, "") for name in _FOLDERS)
    given = places()
    more = [*given.allowed, *given.closed, Path.home(), Path.cwd(), Path(tempfile.gettempdir())]
    folders = {form for one in [*known, *more] for form in (str(one), str(Path(one).resolve()))}
    return without_paths(text, folders, own)


def presets_here() -> Store:
    """The presets of those who use this webui."""
    return Store(Path(paths_internal.data_path) / "ofgen-presets")


def prepared(
    document: Document,
    host: Mapping[str, Any],
    *,
    inside: bool = False,
    named: Callable[[Path], str] = lambda output: "",
    taken: Collection[Path] = (),
) -> HostJob:
    """The job of a document, entered in `JOBS`; `inside` is for one inside a request of the host.

    `named` gives its id by its film; empty: a new one. A film whose seed is to be drawn is none of
    `taken`.

    Raises:
        SettingsError: the document asks for what is not there or not allowed, or a job that is
            under way makes that film.
        VideoError: its output cannot be written, or what was sent is no video.
        WorkspaceError: what was sent cannot be kept.
    """
    given, settings = places(), settings_of(document, host, presets_here())
    WebuiPainter(recipe_of(settings))  # refuses names that the host does not know
    if document.output:
        check_output(given.confined(document.output, "output"))
        given.confined(f"{document.output}.ofgen", "the output's workspace")
    source, mask = input_of(document, given), mask_of(document, given)
    given.output.mkdir(parents=True, exist_ok=True)
    with ENTERING:
        busy = {known.output for known in list(JOBS.values()) if known.under_way}
        output = output_of(document, source, settings, given, {*busy, *taken})
        if any(same_place(output, other) for other in busy):
            raise SettingsError(
                f"a job that waits or runs makes {output.name!r} already; wait for it, stop it, "
                "or change a setting"
            )
        wish = threading.Event()
        name = named(output) or f"ofgen-{uuid.uuid4().hex[:8]}"
        reporter = HostReporter(name, wish.is_set, inside=inside)
        job = HostJob(name, settings, source, output, reporter, document.prompts, wish, mask=mask)
        ended = [known.id for known in list(JOBS.values()) if not known.under_way]
        for old in ended[:-_REMEMBERED]:
            JOBS.pop(old, None)
        JOBS[job.id] = job
        return job


def animated(job: HostJob, recipe: Recipe, lock: Lock, given: Given | None = None) -> None:
    """Run the job to its end, which `state` and `message` tell; other errors rise.

    `given` holds the values of the user's always-on scripts; without it they have their first ones.
    """
    job.reporter.step("decode", 0, 1)
    try:
        painter = WebuiPainter(
            recipe, lambda: _turn(job, lock), job.reporter.stopped, job.settings.paint_batch, given
        )
        job.checkpoint = painter.checkpoint
        try:
            wanted = run.Job(
                job.source,
                job.output,
                job.folder,
                job.settings,
                models=model_folders(),
                mask=job.mask,
                prompts=job.prompts,
            )
            job.outcome = run.run_job(
                wanted,
                painter,
                job.reporter,
                lambda estimator: SharingEstimator(estimator, lambda: _turn(job, lock)),
                lambda growing: setattr(job, "growing", growing),
            )
        finally:
            job.message = _restored(painter)
        job.state = "done"
    except Stopped as stop:
        job.state, job.message = "stopped", str(stop)
    except OfgenError as error:
        job.state, job.message = "failed", said(error)
    except BaseException as error:
        job.state, job.message = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        job.growing = None
        job.reporter.leave()


def model_folders() -> tuple[Path, ...]:
    """Where the weights of flow estimators and taggers may lie."""
    more = [Path(path) for path in getattr(shared.cmd_opts, "ofgen_models_dir", None) or []]
    return (Path(paths_internal.models_path) / "ofgen", *more)


def tagger_names() -> list[str]:
    """What the setting `tagger` may name: models that are here, and published ones."""
    return list(
        dict.fromkeys(["off", *tagger.names(model_folders()), *registry.names_of_kind("tagger")])
    )


def described(document: Document) -> str:
    """What the document's video is, and what its settings take of it.

    Raises:
        OfgenError: it cannot be had.
    """
    settings = settings_of(document, {}, presets_here())
    with stage_options.open_source(input_of(document, places()), settings) as video:
        sound = f", sound ({video.sound.codec})" if video.sound else ", no sound"
        seconds = float(video.expected / video.rate)
        return (
            f"{video.path.name}: {video.display_size}{sound}. Taken: about {video.expected} "
            f"frames of {video.size} at {float(video.rate):.4g} a second, {seconds:.1f} s"
        )


def last_seed() -> int:
    """The seed of the film that was finished last; -1 where there is none."""
    seeds = [job.outcome.facts.seed for job in list(JOBS.values()) if job.outcome]
    return seeds[-1] if seeds else -1


def flow_picture(document: Document, index: int) -> Image:
    """How frame `index` of the document's video moves on to the next, as a picture.

    Raises:
        OfgenError: the video or the estimator cannot be had.
    """
    settings = settings_of(document, {}, presets_here())
    return run.draw_frame_flow(
        input_of(document, places()),
        settings,
        index,
        model_folders(),
        lambda estimator: SharingEstimator(estimator, queue_lock),
    )


def _restored(painter: WebuiPainter) -> str:
    """Give the user's checkpoint back; gives what went wrong, which hides no film."""
    try:
        painter.close()
    except OfgenError as error:
        return str(error)
    return ""


@contextmanager
def _turn(job: HostJob, lock: Lock) -> Iterator[None]:
    """Inside, the host and its state are the job's."""
    with lock():
        job.reporter.turn()
        try:
            yield
        finally:
            job.reporter.tell()


def recipe_of(settings: Settings, **options: Any) -> Recipe:
    """What the painter is to be, by the settings."""
    return Recipe(
        checkpoint=settings.checkpoint,
        inpaint_checkpoint=settings.inpaint_checkpoint,
        sampler=settings.sampler,
        scheduler=settings.scheduler,
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        units=control_units.parse_units(settings.control_units),
        other_scripts=settings.other_scripts,
        options=options,
    )


@contextmanager
def queue_lock() -> Iterator[None]:
    """The host's queue lock; afterwards whoever waits for it comes first."""
    with call_queue.queue_lock:
        yield
    time.sleep(_PAUSE)


def with_preset(text: str, name: str) -> str:
    """The job document's text with another preset named; a text that is no object stays."""
    try:
        document = json.loads(text or '{"input": ""}')
    except (ValueError, RecursionError):
        return text
    if not isinstance(document, dict):
        return text
    return json.dumps({**document, "preset": name}, ensure_ascii=False)
