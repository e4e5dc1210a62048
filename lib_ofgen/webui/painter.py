"""The `Painter` port on the host's own processing API, in process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from modules import devices, processing, sd_models, sd_samplers, sd_schedulers, sd_vae, shared
from modules import errors as host_errors
from PIL import Image as Pictures

from lib_ofgen.errors import OfgenError, PainterError, Stopped
from lib_ofgen.images import size_of
from lib_ofgen.values import ControlUnit, Image, Repaint, Stage
from lib_ofgen.webui.control import Given, PictureScripts
from lib_ofgen.webui.lookup import Families, checkpoint, named

__all__ = ["Recipe", "WebuiPainter"]


_HELD = ("CLIP_stop_at_last_layers", "eta_noise_seed_delta", "randn_source")
"""Options of the host that change a picture and cost nothing to set."""


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
    units: tuple[ControlUnit, ...] = ()
    """What ControlNet steers by."""
    other_scripts: bool = False
    """Whether the user's other always-on scripts run on key frames."""
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
        turn: Callable[[], AbstractContextManager[Any]] = nullcontext,
        stopped: Callable[[], bool] = lambda: False,
        given: Given | None = None,
    ) -> None:
        """`turn` is our turn at the host, which nobody else uses inside; taken for each picture.

        `stopped` says whether the user asked to stop; `given` holds the user's always-on scripts.

        Raises:
            SettingsError: the host has no such checkpoint, sampler, scheduler or control unit, or
                the two checkpoints are of different families.
        """
        options = {
            name: value for name, value in recipe.options.items() if name in shared.opts.data_labels
        }
        asked = recipe.checkpoint or str(options.pop("sd_model_checkpoint", "") or "")
        # Held for the whole job, so that what others choose meanwhile changes no pixel of it.
        held = {name: shared.opts.data[name] for name in _HELD if name in shared.opts.data}
        self._vae = str(options.get("sd_vae", shared.opts.data.get("sd_vae")))
        self._options = {**held, **options}
        base = checkpoint(asked or shared.opts.sd_model_checkpoint or "")
        holes = checkpoint(recipe.inpaint_checkpoint) if recipe.inpaint_checkpoint else base
        self._checkpoints: dict[Stage, Any] = {"keys": base, "holes": holes}
        self._families = Families(self._checkpoints)
        self._sampler = named("sampler", recipe.sampler, [s.name for s in sd_samplers.all_samplers])
        schedulers = [s.label for s in sd_schedulers.schedulers]
        self._scheduler = named("scheduler", recipe.scheduler, schedulers)
        self._scripts = PictureScripts(recipe.units, given, others=recipe.other_scripts)
        self._recipe, self._turn, self._stopped = recipe, turn, stopped
        self._stage: Stage = "keys"
        self._used = self._broken = False

    @property
    def checkpoint(self) -> Any:
        """The host's entry of the checkpoint that paints key frames."""
        return self._checkpoints["keys"]

    @cached_property
    def identity(self) -> str:
        """Checkpoints by content, sampler, scripts, and the host's options that change a pixel."""
        hashes = {
            stage: info.calculate_shorthash() or info.name
            for stage, info in self._checkpoints.items()
        }
        words = {**asdict(self._recipe), "checkpoint": "", "inpaint_checkpoint": ""}
        del words["units"], words["other_scripts"]  # the scripts know them by the host's names
        parts = ["webui", hashes, self._vae, self._options, words]
        if self._scripts.identity:
            parts.append(self._scripts.identity)
        return json.dumps(parts, sort_keys=True, default=str)

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
            Stopped: the user asked to stop.
            PainterError: the host gave no picture; the message says why.
        """
        return [self._one(job) for job in jobs]

    def close(self) -> None:
        """Load what the user had loaded, if that has changed.

        Raises:
            PainterError: the host cannot load it.
        """
        if not self._used:
            return
        what = "load the checkpoint that was loaded before"
        with self._turn(), sd_models.SkipWritingToConfig(), _explained(what):
            self._load()

    def _load(self) -> None:
        """Load the checkpoint and VAE that the host's options name.

        A load that fails leaves the host with half a model, which it takes for the one it had.
        """
        forced, self._broken = self._broken, True
        sd_models.reload_model_weights(forced_reload=forced)
        if "sd_vae" in self._options:
            sd_vae.reload_vae_weights()
        self._broken = False

    def _one(self, job: Repaint) -> Image:
        if job.strength == 0:
            return job.image
        self._used = True
        title = self._checkpoints[self._stage].title
        # The console's total would count the host's jobs, of which ours is a thousand.
        own = {"sd_model_checkpoint": title, "multiple_tqdm": False}
        options = {**self._options, **own}
        with self._turn(), _explained(f"paint frame {job.target}"), _borrowed(options):
            self._go_on()
            self._load()
            self._families.learn(self._stage, shared.sd_model)
            found = self._processed(job)
        if job.mask is None:
            return found
        return np.where(job.mask[..., None] > 0, found, job.image)

    def _go_on(self) -> None:
        if self._stopped():
            raise Stopped("stopped; what is finished is kept, the same job goes on from there")

    def _processed(self, job: Repaint) -> Image:
        size, wanted = size_of(job.image), self._wanted(job)
        check = self._scripts.attach(wanted, self._stage, job)

        def go_on() -> None:
            self._go_on()
            check()

        wanted.go_on = go_on
        with closing(wanted) as processor:
            try:
                done = processing.process_images(processor)
            except BaseException:
                self._scripts.detach(processor)
                raise
        go_on()
        if not done.images:
            raise PainterError(f"the webui gave no picture for frame {job.target}; see its log")
        picture = np.asarray(done.images[0].convert("RGB"), dtype=np.uint8)
        if size_of(picture) != size:
            raise PainterError(
                f"the webui gave a picture of {size_of(picture)} where {size} was asked for; an "
                "extension or a setting of the webui changes sizes"
            )
        return picture

    def _wanted(self, job: Repaint) -> _Processing:
        """What the host is asked to process."""
        size = size_of(job.image)
        return _Processing(
            sd_model=shared.sd_model,
            prompt=job.prompt,
            negative_prompt=job.negative_prompt,
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


class _Processing(processing.StableDiffusionProcessingImg2Img):
    """Looks whether to stop just before the host forgets that Skip was pressed."""

    go_on: Callable[[], None]

    def init(self, *args: Any, **options: Any) -> None:
        """Encode the picture."""
        super().init(*args, **options)
        self.go_on()


@contextmanager
def _borrowed(wanted: dict[str, Any]) -> Iterator[None]:
    """The host's options set to these values, and back to what they were.

    One that somebody else changes meanwhile stays changed.
    """
    options = shared.opts.data
    before = {name: options[name] for name in (*wanted, "sd_checkpoint_hash") if name in options}
    try:
        for name, value in wanted.items():
            shared.opts.set(name, value, is_api=True, run_callbacks=False)
        yield
    finally:
        for name in (*wanted, "sd_checkpoint_hash"):
            if name in wanted and options.get(name) != wanted[name]:
                continue
            if name in before:
                options[name] = before[name]
            else:
                options.pop(name, None)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """The host's errors as one line; what the line cannot explain goes to the host's log whole."""
    try:
        yield
    except OfgenError:
        raise
    except devices.NansException as error:
        raise PainterError(
            f"the webui could not {what}: its model gave no numbers (NaN); start it with --no-half "
            "or --no-half-vae, or choose another checkpoint or VAE"
        ) from error
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        raise PainterError(
            f"the webui could not {what}: out of memory; choose a smaller width and height, or "
            "start it with --medvram"
        ) from error
    except Exception as error:
        host_errors.report(f"Optical Flow Animation: could not {what}", exc_info=True)
        said = " ".join(str(error).split())[:300]
        raise PainterError(
            f"the webui could not {what}: {type(error).__name__}: {said}; its log says more"
        ) from error
