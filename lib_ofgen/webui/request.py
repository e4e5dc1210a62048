"""The script's run: a request of the host becomes a job, and the job a result of the host."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

from modules import processing, shared
from PIL import Image as Pictures

from lib_ofgen import prompt_list
from lib_ofgen.errors import OfgenError
from lib_ofgen.settings import DEFAULTS_VERSION
from lib_ofgen.webui.control import Given
from lib_ofgen.webui.document import parse
from lib_ofgen.webui.job import TITLE, HostJob, animated, prepared, recipe_of

__all__ = ["FilmProcessed", "run_script"]


def run_script(p: Any, given: object) -> processing.Processed:
    """What the script's `run` returns; the caller holds the host's queue lock.

    Raises:
        HTTPException: an API request that cannot be done, with one line that says why.
    """
    fields = _host_fields(p)
    try:
        job = prepared(parse(given), fields, inside=True)
    except OfgenError as error:
        return _refused(p, str(error))
    options = dict(getattr(p, "override_settings", None) or {})
    given = Given(p.scripts, p.script_args) if p.scripts and p.script_args else None
    animated(job, recipe_of(job.settings, **options), nullcontext, given)
    if job.state == "failed":
        return _refused(p, job.message)
    return FilmProcessed(p, job, list(fields))


def _host_fields(p: Any) -> dict[str, Any]:
    """The request's own fields, as settings.

    txt2img has no image to start from, so its strength says nothing.
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


def _refused(p: Any, message: str) -> processing.Processed:
    """An error for whoever asked: HTTP 422 to the API, a line under the gallery to the page."""
    if getattr(p, "is_api", False):
        from fastapi import HTTPException

        raise HTTPException(status_code=422, detail=f"{TITLE}: {message}")
    return processing.Processed(p, [], p.seed, f"{TITLE}: {message}")


class FilmProcessed(processing.Processed):
    """The host's result, with the contact sheet as its image and our paths in its JSON."""

    def __init__(self, p: Any, job: HostJob, fields: list[str]) -> None:
        """The result of a finished or stopped job; `fields` are the request's own settings."""
        outcome = job.outcome
        self._ofgen = {
            "state": job.state,
            "video": str(outcome.video) if outcome else None,
            "report": str(outcome.report) if outcome else None,
            "page": str(outcome.page) if outcome else None,
            "workspace": str(outcome.workspace if outcome else job.output)
            + ("" if outcome else ".ofgen"),
        }
        seed = int(outcome.facts["seed"]) if outcome else p.seed
        text = _infotext(p, job, fields, seed)
        pictures = []
        if outcome:
            with Pictures.open(outcome.sheet) as sheet:
                pictures = [sheet.convert("RGB")]
            pictures[0].info["parameters"] = text
        super().__init__(p, pictures, seed, text, infotexts=[text])
        if not outcome:
            self.comments += job.message

    def js(self) -> str:
        """The host's JSON and `ofgen`: where the film, its report and its workspace are."""
        return json.dumps({**json.loads(super().js()), "ofgen": self._ofgen})


def _infotext(p: Any, job: HostJob, fields: list[str], seed: int) -> str:
    """The host's infotext, with a job document that repeats the run."""
    settings, model = job.settings, job.checkpoint
    own = {name: value for name, value in settings.to_json().items() if name in fields}
    document = {
        "input": str(job.source),
        **({"mask": str(job.mask)} if job.mask else {}),
        "defaults": DEFAULTS_VERSION,
        "settings": {**settings.differences(), **own, "checkpoint": model.title, "seed": seed},
    }
    if job.prompts or settings.tagger != "off":
        listed = prompt_list.to_json(job.prompts)
        document["prompts"] = job.outcome.facts["prompts"] if job.outcome else listed
    p.extra_generation_params["Script"] = TITLE
    p.extra_generation_params[TITLE] = json.dumps(document, ensure_ascii=False)
    p.sd_model_name, p.sd_model_hash = model.name_for_extra, model.shorthash
    p.all_prompts, p.all_negative_prompts = [settings.prompt], [settings.negative_prompt]
    p.all_seeds, p.all_subseeds = [seed], [p.subseed]
    p.steps, p.cfg_scale = settings.steps, settings.cfg_scale
    if job.outcome:
        p.width, p.height = (job.outcome.facts["clip"][side] for side in ("width", "height"))
    return processing.create_infotext(p, p.all_prompts, p.all_seeds, p.all_subseeds)
