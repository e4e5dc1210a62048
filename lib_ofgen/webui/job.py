"""A job in the webui: from a document to a film, by the script and by the tab."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules import call_queue, paths_internal, processing, shared
from PIL import Image as Pictures

from lib_ofgen import pipeline
from lib_ofgen.errors import OfgenError, Stopped
from lib_ofgen.settings import Settings
from lib_ofgen.webui.document import Document, Places, input_of, output_of, parse, settings_of
from lib_ofgen.webui.painter import Recipe, WebuiPainter
from lib_ofgen.webui.reporter import HostReporter

__all__ = [
    "JOBS",
    "TITLE",
    "HostJob",
    "animated",
    "places",
    "prepared",
    "queue_lock",
    "recipe_of",
    "run_script",
    "with_preset",
]

TITLE = "Optical Flow Animation"

Lock = Callable[[], AbstractContextManager[Any]]


@dataclass
class HostJob:
    """A job that the webui runs or has run; `state` and what follows from it change."""

    id: str
    settings: Settings
    source: Path
    output: Path
    reporter: HostReporter
    wish: threading.Event = field(default_factory=threading.Event)
    state: str = "running"
    """running, done, stopped or failed."""
    message: str = ""
    outcome: pipeline.Outcome | None = None

    def facts(self) -> dict[str, Any]:
        """What the API tells of the job."""
        return {
            "id": self.id,
            "state": self.state,
            "progress": round(self.reporter.fraction, 4) if self.state == "running" else 1.0,
            "text": self.message or self.reporter.text,
            "input": str(self.source),
            "video": str(self.output) if self.outcome else None,
            "report": str(self.outcome.report) if self.outcome else None,
        }


JOBS: dict[str, HostJob] = {}
"""The jobs since the webui started, by id; "Reload UI" leaves them be."""


def places() -> Places:
    """Where requests may read and write here."""
    root = Path(paths_internal.default_output_dir)
    more = [Path(path) for path in getattr(shared.cmd_opts, "ofgen_allow_path", None) or []]
    # Where gradio keeps what the page uploads.
    uploads = os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio"
    return Places(root / "ofgen", [root, *more, Path(uploads)])


def prepared(document: Document, host: Mapping[str, Any]) -> HostJob:
    """The job of a document, entered in `JOBS`."""
    settings = settings_of(document, host)
    source = input_of(document, places())
    output = output_of(document, source, settings, places())
    wish = threading.Event()
    name = f"ofgen-{uuid.uuid4().hex[:8]}"
    job = HostJob(name, settings, source, output, HostReporter(name, wish.is_set), wish)
    JOBS[job.id] = job
    return job


def animated(job: HostJob, recipe: Recipe, lock: Lock) -> None:
    """Run the job to its end, which `state` and `message` tell; other errors rise."""
    folder = job.output.with_name(job.output.name + ".ofgen")
    job.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        painter = WebuiPainter(recipe, lock, job.reporter.tell)
        try:
            wanted = pipeline.Job(job.source, job.output, folder, job.settings)
            job.outcome = pipeline.animate(wanted, painter, job.reporter)
        finally:
            painter.close()
        job.state = "done"
    except Stopped as stop:
        job.state, job.message = "stopped", str(stop)
    except OfgenError as error:
        job.state, job.message = "failed", str(error)
    except BaseException as error:
        job.state, job.message = "failed", f"{type(error).__name__}: {error}"
        raise


def recipe_of(settings: Settings, styles: tuple[str, ...] = (), **options: Any) -> Recipe:
    """What the painter is to be, by the settings."""
    return Recipe(
        checkpoint=settings.checkpoint,
        inpaint_checkpoint=settings.inpaint_checkpoint,
        sampler=settings.sampler,
        scheduler=settings.scheduler,
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        styles=styles,
        options=options,
    )


def queue_lock() -> AbstractContextManager[Any]:
    """The host's queue lock."""
    return call_queue.queue_lock


def run_script(p: Any, given: object) -> processing.Processed:
    """What the script's `run` returns; the caller holds the host's queue lock.

    Raises:
        HTTPException: an API request that cannot be done, with one line that says why.
    """
    try:
        job = prepared(parse(given), _host_fields(p))
    except OfgenError as error:
        return _refused(p, str(error))
    options = dict(getattr(p, "override_settings", None) or {})
    animated(job, recipe_of(job.settings, tuple(p.styles or ()), **options), nullcontext)
    if job.state == "failed":
        return _refused(p, job.message)
    return _Processed(p, job)


def with_preset(text: str, name: str) -> str:
    """The job document's text with another preset named; a text that is no object stays."""
    try:
        document = json.loads(text or '{"input": ""}')
    except ValueError:
        return text
    if not isinstance(document, dict):
        return text
    return json.dumps({**document, "preset": name}, ensure_ascii=False)


def _host_fields(p: Any) -> dict[str, Any]:
    """The request's own fields, as settings.

    txt2img has no image to start from, so its strength says nothing.
    """
    fields = {
        "prompt": str(p.prompt or ""),
        "negative_prompt": str(p.negative_prompt or ""),
        "sampler": p.sampler_name or "",
        "scheduler": p.scheduler or "",
        "steps": p.steps,
        "cfg_scale": p.cfg_scale,
        "seed": int(p.seed),
        "width": p.width // 8 * 8,
        "height": p.height // 8 * 8,
    }
    if isinstance(p, processing.StableDiffusionProcessingImg2Img):
        fields |= {"strength": p.denoising_strength, "hole_strength": p.denoising_strength}
    return fields


def _refused(p: Any, message: str) -> processing.Processed:
    """An error for whoever asked: HTTP 422 to the API, a line under the gallery to the page."""
    if getattr(p, "is_api", False):
        from fastapi import HTTPException

        raise HTTPException(status_code=422, detail=f"{TITLE}: {message}")
    return processing.Processed(p, [], p.seed, f"{TITLE}: {message}")


class _Processed(processing.Processed):
    """The host's result, with the contact sheet as its image and our paths in its JSON."""

    def __init__(self, p: Any, job: HostJob) -> None:
        """The result of a finished or stopped job."""
        outcome = job.outcome
        self._ofgen = {
            "state": job.state,
            "video": str(outcome.video) if outcome else None,
            "report": str(outcome.report) if outcome else None,
            "workspace": str(outcome.workspace if outcome else job.output)
            + ("" if outcome else ".ofgen"),
        }
        seed = int(outcome.facts["seed"]) if outcome else p.seed
        document = {
            "input": str(job.source),
            "settings": {**job.settings.differences(), "seed": seed},
        }
        p.extra_generation_params["Script"] = TITLE
        p.extra_generation_params[TITLE] = json.dumps(document)
        p.all_prompts, p.all_negative_prompts = [p.prompt], [p.negative_prompt]
        p.all_seeds, p.all_subseeds = [seed], [p.subseed]
        text = processing.create_infotext(p, p.all_prompts, p.all_seeds, p.all_subseeds)
        pictures = []
        if outcome:
            sheet = Pictures.open(outcome.sheet).convert("RGB")
            sheet.info["parameters"] = text
            pictures = [sheet]
        super().__init__(p, pictures, seed, text, infotexts=[text])
        if not outcome:
            self.comments += job.message

    def js(self) -> str:
        """The host's JSON and `ofgen`: where the film, its report and its workspace are."""
        return json.dumps({**json.loads(super().js()), "ofgen": self._ofgen})
