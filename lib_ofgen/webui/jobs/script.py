"""The script's run: a request of the host becomes a job, and the job a result of the host."""

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
from lib_ofgen.webui.host.controlnet import Given
from lib_ofgen.webui.jobs import cleanup
from lib_ofgen.webui.jobs.document import Document, parse
from lib_ofgen.webui.jobs.job import TITLE, HostJob, animated, for_strangers, prepared, recipe_of

__all__ = ["FilmProcessed", "run_script"]


def run_script(p: Any, given: object) -> processing.Processed:
    """What the script's `run` returns; the caller holds the host's queue lock.

    Raises:
        HTTPException: an API request that cannot be done, with one line that says why.
    """
    fields = _host_fields(p)
    own: list[str] = []
    try:
        document = parse(given)
        own = document.paths
        job = prepared(document, fields, inside=True)
    except OfgenError as error:
        return _refused(p, str(error), own)
    options = dict(getattr(p, "override_settings", None) or {})
    given = Given(p.scripts, p.script_args) if p.scripts and p.script_args else None
    try:
        animated(job, recipe_of(job.settings, **options), nullcontext, given)
    finally:
        cleanup.clear(ended=job)
    if job.state == "failed":
        return _refused(p, job.message, own)
    return FilmProcessed(p, job, list(fields), document)


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


def _refused(p: Any, message: str, own: Iterable[str]) -> processing.Processed:
    """An error for whoever asked: HTTP 422 to the API, a line under the gallery to the page.

    `own` are the paths that the request has named.
    """
    if _by_api(p):
        from fastapi import HTTPException

        raise HTTPException(status_code=422, detail=f"{TITLE}: {for_strangers(message, own)}")
    return processing.Processed(p, [], p.seed, f"{TITLE}: {message}")


def _by_api(p: Any) -> bool:
    """Whether the request came by the API, and not from a page of the host."""
    return bool(getattr(p, "is_api", False))


class FilmProcessed(processing.Processed):
    """The host's result, with the contact sheet as its image and our part in its JSON."""

    def __init__(self, p: Any, job: HostJob, fields: list[str], asked: Document) -> None:
        """The result of a finished or stopped job; `fields` are the request's own settings.

        `asked` is its document: paths that it does not name are told to pages only.
        """
        outcome = job.outcome
        place = asked.output or (job.output.name if _by_api(p) else str(job.output))
        self._ofgen = {"state": job.state, "id": job.id, "output": place, **job.addresses()}
        seed = outcome.facts.seed if outcome else p.seed
        text = _infotext(p, job, fields, seed, asked)
        pictures = []
        if outcome:
            with Pictures.open(outcome.sheet) as sheet:
                pictures = [sheet.convert("RGB")]
            pictures[0].info["parameters"] = text
        super().__init__(p, pictures, seed, text, infotexts=[text])
        if not outcome:
            told = for_strangers(job.message, asked.paths)
            self.comments += told if _by_api(p) else job.message

    def js(self) -> str:
        """The host's JSON and `ofgen`: where the film and its report are to be had."""
        return json.dumps({**json.loads(super().js()), "ofgen": self._ofgen})


def _infotext(p: Any, job: HostJob, fields: list[str], seed: int, asked: Document) -> str:
    """The host's infotext, with a job document that repeats the run.

    Paths stand there as they were asked for; of a video that was sent, only its name.
    """
    settings, model = job.settings, job.checkpoint
    own = {name: value for name, value in settings.to_json().items() if name in fields}
    document = {
        "input": job.source.name if asked.holds_video else asked.input,
        **({"mask": asked.mask} if asked.mask else {}),
        "defaults": DEFAULTS_VERSION,
        "settings": {**settings.differences(), **own, "checkpoint": model.title, "seed": seed},
    }
    if job.prompts or settings.tagger != "off":
        rows = job.outcome.facts.prompts if job.outcome else job.prompts
        document["prompts"] = prompt_rows.to_json(rows)
    p.extra_generation_params["Script"] = TITLE
    p.extra_generation_params[TITLE] = json.dumps(document, ensure_ascii=False)
    p.sd_model_name, p.sd_model_hash = model.name_for_extra, model.shorthash
    p.all_prompts, p.all_negative_prompts = [settings.prompt], [settings.negative_prompt]
    p.all_seeds, p.all_subseeds = [seed], [p.subseed]
    p.steps, p.cfg_scale = settings.steps, settings.cfg_scale
    if job.outcome:
        p.width, p.height = job.outcome.facts.clip.width, job.outcome.facts.clip.height
    return processing.create_infotext(p, p.all_prompts, p.all_seeds, p.all_subseeds)
