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
from lib_ofgen.imaging.images import size_of
from lib_ofgen.models.painters.answer_check import BLANK, is_blank
from lib_ofgen.values import ControlUnit, Image, Repaint, Stage
from lib_ofgen.webui.host.checkpoints import Families, checkpoint, named
from lib_ofgen.webui.host.controlnet import Given, PictureScripts

__all__ = ["Recipe", "WebuiPainter"]


_QUIET = {"multiple_tqdm": False, "return_mask": False, "return_mask_composite": False}
"""The console's total would count the host's jobs, of which ours is a thousand; and nothing but
what is painted comes back."""
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
        batch: int = 1,
        given: Given | None = None,
    ) -> None:
        """`turn` is our turn at the host, which nobody else uses inside; taken for each batch.

        `stopped` says whether the user asked to stop; `batch` is how many pictures are sampled
        together at most; `given` holds the user's always-on scripts.

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
        self._recipe, self._turn, self._stopped, self._batch = recipe, turn, stopped, batch
        self._stage: Stage = "keys"
        self._used = self._broken = False

    @property
    def checkpoint(self) -> Any:
        """The host's entry of the checkpoint that paints key frames."""
        return self._checkpoints["keys"]

    @property
    def identity(self) -> str:
        """Checkpoints by content, sampler, scripts, and the host's options that change a pixel."""
        return self._identity

    @cached_property
    def _identity(self) -> str:
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
        """The pictures, in order; those that differ in nothing but pixels are sampled together.

        Raises:
            Stopped: the user asked to stop.
            PainterError: the host gave no picture; the message says why.
        """
        found = {place: job.image for place, job in enumerate(jobs) if job.strength == 0}
        # Scripts know one picture at a time, and ControlNet one control image for all of a batch.
        most = 1 if self._scripts.run(self._stage) else self._batch
        for places in _alike(jobs, most):
            pictures = self._together([jobs[place] for place in places])
            found |= dict(zip(places, pictures, strict=True))
        return [found[place] for place in range(len(jobs))]

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

    def _together(self, jobs: Sequence[Repaint]) -> list[Image]:
        """One call of the host."""
        self._used = True
        title = self._checkpoints[self._stage].title
        options = {**self._options, "sd_model_checkpoint": title, **_QUIET}
        frames = ", ".join(str(target) for target in sorted({job.target for job in jobs}))
        what = f"paint frame{'s' * (',' in frames)} {frames}"
        with self._turn(), _explained(what), _borrowed(options):
            self._go_on()
            self._load()
            self._families.learn(self._stage, shared.sd_model)
            found = self._processed(jobs)
        for job, picture in zip(jobs, found, strict=True):
            if is_blank(picture, job):
                raise PainterError(f"the webui painted frame {job.target} {BLANK}")
        return [
            picture if job.mask is None else np.where(job.mask[..., None] > 0, picture, job.image)
            for job, picture in zip(jobs, found, strict=True)
        ]

    def _go_on(self) -> None:
        if self._stopped():
            raise Stopped("stopped; what is finished is kept, the same job goes on from there")

    def _processed(self, jobs: Sequence[Repaint]) -> list[Image]:
        wanted, size = self._wanted(jobs), size_of(jobs[0].image)
        check = self._scripts.attach(wanted, self._stage, jobs[0])

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
        if self._scripts.run(self._stage):
            del done.images[len(jobs) :]  # scripts show what they have seen
        if len(done.images) != len(jobs):
            raise PainterError(
                f"the webui gave {len(done.images)} pictures where {len(jobs)} were asked for; an "
                "extension of the webui changes how many it makes; see its log"
            )
        pictures = [np.asarray(each.convert("RGB"), dtype=np.uint8) for each in done.images]
        for picture in pictures:
            if size_of(picture) != size:
                raise PainterError(
                    f"the webui gave a picture of {size_of(picture)} where {size} was asked for; "
                    "an extension or a setting of the webui changes sizes"
                )
        return pictures

    def _wanted(self, jobs: Sequence[Repaint]) -> _Processing:
        """What the host is asked to process."""
        first, size = jobs[0], size_of(jobs[0].image)
        wanted = _Processing(
            sd_model=shared.sd_model,
            prompt=first.prompt,
            negative_prompt=first.negative_prompt,
            seed=[job.seed for job in jobs],
            sampler_name=self._sampler,
            scheduler=self._scheduler,
            steps=self._recipe.steps,
            cfg_scale=self._recipe.cfg_scale,
            width=size.width,
            height=size.height,
            batch_size=len(jobs),
            n_iter=1,
            init_images=[Pictures.fromarray(job.image) for job in jobs],
            mask_blur=0,
            inpainting_fill=1,  # start from the picture itself
            inpaint_full_res=False,
            denoising_strength=first.strength,
            do_not_save_samples=True,
            do_not_save_grid=True,
        )
        wanted.masks = [None if job.mask is None else Pictures.fromarray(job.mask) for job in jobs]
        wanted.image_mask = wanted.masks[0]  # as scripts know it
        return wanted


class _Processing(processing.StableDiffusionProcessingImg2Img):
    """Pictures with a mask each, sampled together.

    Looks whether to stop just before the host forgets that Skip was pressed.
    """

    masks: Sequence[Any]
    """One for each of `init_images`; all or none are None."""
    go_on: Callable[[], None]

    def init(self, *args: Any, **options: Any) -> None:
        """Encode each picture with its mask as if it were alone, for the host knows one mask."""
        pictures, made = self.init_images, list[dict[str, Any]]()
        for picture, mask in zip(pictures, self.masks, strict=True):
            self.init_images, self.image_mask, self.batch_size = [picture], mask, 1
            self.color_corrections = None
            super().init(*args, **options)
            made.append({name: getattr(self, name, None) for name in _ENCODED})
        self.init_images, self.batch_size = pictures, len(pictures)
        if len(made) > 1:
            for name in _ENCODED:
                setattr(self, name, _joined([each[name] for each in made]))
        self.go_on()


_ENCODED = (
    "init_latent", "image_conditioning", "mask", "nmask", "overlay_images", "color_corrections"
)  # fmt: skip
"""What the host makes of a picture and its mask before it samples."""


def _joined(parts: list[Any]) -> Any:
    """Of several pictures what the host has of one: tensors along their first axis, or lists."""
    if parts[0] is None:
        return None
    if isinstance(parts[0], list):
        return [each for part in parts for each in part]
    return torch.cat([part if part.ndim == 4 else part[None] for part in parts])  # masks: C h w


def _alike(jobs: Sequence[Repaint], most: int) -> Iterator[list[int]]:
    """Places of jobs that can be sampled together, at most so many."""
    groups: dict[Any, list[int]] = {}
    for place, job in enumerate(jobs):
        if job.strength > 0:
            words = (job.prompt, job.negative_prompt, job.strength, job.mask is None)
            groups.setdefault((size_of(job.image), *words), []).append(place)
    for places in groups.values():
        for start in range(0, len(places), most):
            yield places[start : start + most]


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
            f"the webui could not {what}: out of memory; choose a smaller paint_batch or "
            "smaller width and height, or start it with --medvram"
        ) from error
    except Exception as error:
        host_errors.report(f"Optical Flow Animation: could not {what}", exc_info=True)
        said = " ".join(str(error).split())[:300]
        raise PainterError(
            f"the webui could not {what}: {type(error).__name__}: {said}; its log says more"
        ) from error
