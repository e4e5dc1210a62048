"""The run of the script: a request of the host becomes a job, and the job a result of the host."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from modules import processing, shared
from PIL import Image as Pictures

from lib_ofgen.errors import OfgenError
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import DEFAULTS_VERSION
from lib_ofgen.webui.host.controlnet import UserScripts
from lib_ofgen.webui.host.environment import public_text
from lib_ofgen.webui.jobs import cleanup
from lib_ofgen.webui.jobs.document import JobDocument, parse
from lib_ofgen.webui.jobs.execution import execute, make_painter_options
from lib_ofgen.webui.jobs.job import JobRun
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.jobs.state import JobState
from lib_ofgen.webui.messages import TITLE

__all__ = ["FilmProcessed", "run_script"]


def run_script(p: Any, given: object) -> processing.Processed:
    """Make the film and return what the script's `run` returns.

    The caller holds the host's queue lock.

    Raises:
        HTTPException: if an API request cannot be done; one line says why.
    """
    fields = _host_fields(p)
    own: list[str] = []
    try:
        document = parse(given)
        own = document.paths
        run = SERVICE.jobs.prepare(document, fields)
    except OfgenError as error:
        return _refuse(p, str(error), own)
    options = dict(getattr(p, "override_settings", None) or {})
    user_scripts = UserScripts(p.scripts, p.script_args) if p.scripts and p.script_args else None
    try:
        execute(
            run, make_painter_options(run.inputs.settings, **options), nullcontext, user_scripts
        )
    finally:
        cleanup.delete_unused_uploads(ended=run)
    if run.state is JobState.FAILED:
        return _refuse(p, run.status.message, own)
    return FilmProcessed(p, run, list(fields), document)


def _host_fields(p: Any) -> dict[str, Any]:
    """Return the request's own fields as settings.

    txt2img starts from no picture, so its denoising strength is not one of them.
    """
    styles, names = shared.prompt_styles, list(p.styles or ())
    fields = {
        "prompt": styles.apply_styles_to_prompt(str(p.prompt or ""), names),
        "negative_prompt": styles.apply_negative_styles_to_prompt(
            str(p.negative_prompt or ""), names
        ),
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


def _refuse(p: Any, message: str, own: Iterable[str]) -> processing.Processed:
    """Report an error: HTTP 422 to the API, a line under the gallery to the page.

    Args:
        p: The request.
        message: The error.
        own: The paths that the request has named.
    """
    if _is_by_api(p):
        from fastapi import HTTPException

        raise HTTPException(status_code=422, detail=f"{TITLE}: {public_text(message, own)}")
    return processing.Processed(p, [], p.seed, f"{TITLE}: {message}")


def _is_by_api(p: Any) -> bool:
    """Whether the request came by the API and not from a page of the host."""
    return bool(getattr(p, "is_api", False))


class FilmProcessed(processing.Processed):
    """The host's result: the contact sheet is its picture, and its JSON has a part of ours."""

    def __init__(self, p: Any, run: JobRun, fields: list[str], document: JobDocument) -> None:
        """Take the result of a finished or stopped job.

        Args:
            p: The request.
            run: The job.
            fields: Names of the settings that are the request's own fields.
            document: The job's document; the API gets no path that it does not name.
        """
        result = run.result
        output = document.output or (run.output.name if _is_by_api(p) else str(run.output))
        state = {"state": run.state.value, "id": run.id, "output": output}
        self._ofgen = {**state, **run.addresses()}
        seed = result.facts.seed if result else p.seed
        text = _infotext(p, run, fields, seed, document)
        pictures = []
        if result:
            with Pictures.open(result.sheet) as sheet:
                pictures = [sheet.convert("RGB")]
            pictures[0].info["parameters"] = text
        super().__init__(p, pictures, seed, text, infotexts=[text])
        if not result:
            message = run.status.message
            self.comments += public_text(message, document.paths) if _is_by_api(p) else message

    def js(self) -> str:
        """Return the host's JSON with `ofgen`: where the film and its report are."""
        return json.dumps({**json.loads(super().js()), "ofgen": self._ofgen})


def _infotext(p: Any, run: JobRun, fields: list[str], seed: int, asked: JobDocument) -> str:
    """Return the host's infotext with a job document that repeats the run.

    It has the paths of the request; of an uploaded video, only the name.
    """
    settings, model = run.inputs.settings, run.checkpoint
    own = {name: value for name, value in settings.to_json().items() if name in fields}
    document = {
        "input": run.source.name if asked.holds_video else asked.input,
        **({"mask": asked.mask} if asked.mask else {}),
        "defaults": DEFAULTS_VERSION,
        "settings": {**settings.differences(), **own, "checkpoint": model.title, "seed": seed},
    }
    if run.inputs.prompts or settings.tagger != "off":
        rows = run.result.facts.prompts if run.result else run.inputs.prompts
        document["prompts"] = prompt_rows.to_json(rows)
    p.extra_generation_params["Script"] = TITLE
    p.extra_generation_params[TITLE] = json.dumps(document, ensure_ascii=False)
    p.sd_model_name, p.sd_model_hash = model.name_for_extra, model.shorthash
    p.all_prompts, p.all_negative_prompts = [settings.prompt], [settings.negative_prompt]
    p.all_seeds, p.all_subseeds = [seed], [p.subseed]
    p.steps, p.cfg_scale = settings.steps, settings.cfg_scale
    if run.result:
        p.height, p.width = run.result.facts.clip.size
    return processing.create_infotext(p, p.all_prompts, p.all_seeds, p.all_subseeds)
