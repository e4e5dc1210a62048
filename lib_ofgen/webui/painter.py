"""The `Painter` port on the host's own processing API, in process."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from modules import processing, sd_models, sd_samplers, sd_schedulers, sd_vae, shared
from PIL import Image as Pictures

from lib_ofgen.errors import PainterError, SettingsError, Stopped
from lib_ofgen.images import size_of
from lib_ofgen.values import Image, Repaint, Stage

__all__ = ["Recipe", "WebuiPainter"]


@dataclass(frozen=True)
class Recipe:
    """What the host is asked for, beside what a `Repaint` says."""

    checkpoint: str = ""
    """Paints key frames; empty: the one that the user has loaded."""
    inpaint_checkpoint: str = ""
    """Paints holes; empty: the one that paints key frames."""
    sampler: str = ""
    scheduler: str = ""
    steps: int = 20
    cfg_scale: float = 7.0
    styles: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    """Further options of the host that hold while we paint (a request's `override_settings`)."""


class WebuiPainter:
    """Paints with the host's checkpoints; its options are as they were whenever nobody paints.

    The option that names the checkpoint is set for a batch at a time, so that a request that gets
    its turn between two of ours finds its own. The weights themselves change only when another
    checkpoint is needed: once a stage, and once more in `close` for the user's own.
    """

    def __init__(
        self,
        recipe: Recipe,
        lock: Callable[[], AbstractContextManager[Any]],
        painted: Callable[[], None] = lambda: None,
    ) -> None:
        """`lock` gives the host's queue lock, or nothing where the caller holds it already.

        `painted` is called after each picture, with the lock held.

        Raises:
            SettingsError: the host has no such checkpoint, sampler or scheduler.
        """
        options = {
            name: value for name, value in recipe.options.items() if name in shared.opts.data_labels
        }
        asked = recipe.checkpoint or str(options.pop("sd_model_checkpoint", "") or "")
        self._options = options
        base = _checkpoint(asked or shared.opts.sd_model_checkpoint or "")
        holes = _checkpoint(recipe.inpaint_checkpoint) if recipe.inpaint_checkpoint else base
        self._checkpoints = {"keys": base, "holes": holes}
        self._sampler = _named(
            "sampler", recipe.sampler, [s.name for s in sd_samplers.all_samplers]
        )
        schedulers = [s.label for s in sd_schedulers.schedulers]
        self._scheduler = _named("scheduler", recipe.scheduler, schedulers)
        self._recipe, self._lock, self._painted = recipe, lock, painted
        self._stage: Stage = "keys"

    @property
    def identity(self) -> str:
        """Checkpoints by content, sampler, and the host's options that change a pixel."""
        hashes = {
            stage: info.calculate_shorthash() or info.name
            for stage, info in self._checkpoints.items()
        }
        options = {
            name: shared.opts.data.get(name)
            for name in (
                "sd_vae",
                "CLIP_stop_at_last_layers",
                "eta_noise_seed_delta",
                "randn_source",
            )
        }
        words = {**asdict(self._recipe), "checkpoint": "", "inpaint_checkpoint": ""}
        styles = [str(shared.prompt_styles.styles.get(name)) for name in self._recipe.styles]
        return json.dumps(["webui", hashes, options, words, styles], sort_keys=True, default=str)

    @contextmanager
    def stage(self, kind: Stage) -> Iterator[None]:
        """Paint with the checkpoint of that stage inside."""
        before, self._stage = self._stage, kind
        try:
            yield
        finally:
            self._stage = before

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        """The pictures, in order; one call of the host each, since each has its own mask.

        Raises:
            Stopped: the user pressed Interrupt or Skip.
            PainterError: the host gave no picture.
        """
        return [self._one(job) for job in jobs]

    def close(self) -> None:
        """Load what the user had loaded, if that has changed."""
        with self._lock():
            sd_models.reload_model_weights()
            if "sd_vae" in self._options:
                sd_vae.reload_vae_weights()

    def _one(self, job: Repaint) -> Image:
        if job.strength == 0:
            return job.image
        checkpoint = self._checkpoints[self._stage]
        options = {**self._options, "sd_model_checkpoint": checkpoint.title}
        with self._lock(), _borrowed(options):
            sd_models.reload_model_weights()
            if "sd_vae" in self._options:
                sd_vae.reload_vae_weights()
            found = self._processed(job)
            self._painted()
        if job.mask is None:
            return found
        return np.where(job.mask[..., None] > 0, found, job.image)

    def _processed(self, job: Repaint) -> Image:
        size = size_of(job.image)
        wanted = processing.StableDiffusionProcessingImg2Img(
            sd_model=shared.sd_model,
            prompt=job.prompt,
            negative_prompt=job.negative_prompt,
            styles=list(self._recipe.styles),
            seed=job.seed,
            sampler_name=self._sampler,
            scheduler=self._scheduler,
            steps=self._recipe.steps,
            cfg_scale=self._recipe.cfg_scale,
            width=size.width,
            height=size.height,
            batch_size=1,
            n_iter=1,
            init_images=[Pictures.fromarray(job.image)],
            mask=None if job.mask is None else Pictures.fromarray(job.mask),
            mask_blur=0,
            inpainting_fill=1,  # start from the picture itself
            inpaint_full_res=False,
            denoising_strength=job.strength,
            do_not_save_samples=True,
            do_not_save_grid=True,
        )
        with closing(wanted) as processor:
            done = processing.process_images(processor)
        state = shared.state
        if state.interrupted or state.skipped or state.stopping_generation:
            raise Stopped("stopped; what is finished is kept, the same job goes on from there")
        if not done.images:
            raise PainterError(f"the webui gave no picture for frame {job.target}; see its log")
        picture = np.asarray(done.images[0].convert("RGB"), dtype=np.uint8)
        if size_of(picture) != size:
            raise PainterError(
                f"the webui gave a picture of {size_of(picture)} where {size} was asked for; an "
                "extension or a setting of the webui changes sizes"
            )
        return picture


@contextmanager
def _borrowed(options: dict[str, Any]) -> Iterator[None]:
    """The host's options set to these values, and back to what they were."""
    before = {name: shared.opts.data.get(name) for name in options}
    missing = {name for name in options if name not in shared.opts.data}
    try:
        for name, value in options.items():
            shared.opts.set(name, value, is_api=True, run_callbacks=False)
        yield
    finally:
        for name, value in before.items():
            if name in missing:
                shared.opts.data.pop(name, None)
            else:
                shared.opts.data[name] = value


def _checkpoint(name: str) -> Any:
    """The host's entry of a checkpoint."""
    found = sd_models.get_closet_checkpoint_match(name) if name else sd_models.select_checkpoint()
    if found is None:
        known = [info.title for info in sd_models.checkpoints_list.values()]
        raise SettingsError(f"the webui has no checkpoint {name!r}{_near(name, known)}")
    return found


def _named(kind: str, name: str, known: Sequence[str]) -> str:
    """The host's spelling of a sampler's or scheduler's name; the host's first where it is empty."""
    if not name:
        return known[0]
    spelt = {each.lower(): each for each in known}
    if name.lower() not in spelt:
        raise SettingsError(f"the webui has no {kind} {name!r}{_near(name, known)}")
    return spelt[name.lower()]


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known) or 'none'}"
