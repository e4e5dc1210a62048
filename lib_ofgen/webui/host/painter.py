"""The `Painter` port by the host's own processing API, in the host's process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
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
from lib_ofgen.webui.host.checkpoints import CheckpointFamilies, find_checkpoint, find_name
from lib_ofgen.webui.host.controlnet import PictureScripts, UserScripts

__all__ = ["HostTurn", "PainterOptions", "WebuiPainter"]


_QUIET = {"multiple_tqdm": False, "return_mask": False, "return_mask_composite": False}
"""Options of the host while we paint: no progress bar over all jobs in the console, since a job of
ours counts as a thousand, and only painted pictures come back."""
_FIXED = ("CLIP_stop_at_last_layers", "eta_noise_seed_delta", "randn_source")
"""Options of the host that change a picture; they keep their values during a job."""


@dataclass(frozen=True)
class PainterOptions:
    """What the host paints with, beside what a `Repaint` says."""

    checkpoint: str = ""
    """Checkpoint of key frames; empty: the one that the user has loaded."""
    inpaint_checkpoint: str = ""
    """Checkpoint of holes; empty: the one of key frames."""
    sampler: str = ""
    scheduler: str = ""
    steps: int = 20
    cfg_scale: float = 7.0
    units: tuple[ControlUnit, ...] = ()
    """Control units of ControlNet."""
    other_scripts: bool = False
    """Whether the user's other always-on scripts run on key frames."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further options of the host while we paint (a request's `override_settings`)."""


@dataclass(frozen=True)
class HostTurn:
    """When we may use the host, and when we are to stop."""

    take: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Our turn at the host; nobody else uses it inside. It is taken for each batch."""
    should_stop: Callable[[], bool] = lambda: False
    """Whether the user has asked to stop."""


class WebuiPainter:
    """Paints with the host's checkpoints, and leaves the host's options as they were.

    The option that names the checkpoint is set for one batch at a time, so that a request between
    two of our turns finds its own checkpoint. The weights are loaded only when another checkpoint
    is needed: once for each stage, and once more in `close` for the user's own checkpoint.
    """

    def __init__(
        self,
        options: PainterOptions,
        turn: HostTurn | None = None,
        batch: int = 1,
        scripts: UserScripts | None = None,
    ) -> None:
        """Check that the host has what the options name.

        Args:
            options: What the host paints with.
            turn: When we may use the host; None: at any time.
            batch: Largest number of pictures that are sampled together.
            scripts: The user's always-on scripts; None: with their first values.

        Raises:
            SettingsError: if the host has no such checkpoint, sampler, scheduler or control unit,
                or if the two checkpoints are of different families.
        """
        host_options = {
            name: value
            for name, value in options.options.items()
            if name in shared.opts.data_labels
        }
        wanted = options.checkpoint or str(host_options.pop("sd_model_checkpoint", "") or "")
        # Fixed for the whole job, so that a change by others in the meantime changes no pixel.
        fixed = {name: shared.opts.data[name] for name in _FIXED if name in shared.opts.data}
        self._vae = str(host_options.get("sd_vae", shared.opts.data.get("sd_vae")))
        self._host_options = {**fixed, **host_options}
        base = find_checkpoint(wanted or shared.opts.sd_model_checkpoint or "")
        holes = find_checkpoint(options.inpaint_checkpoint) if options.inpaint_checkpoint else base
        self._checkpoints: dict[Stage, Any] = {"keys": base, "holes": holes}
        self._families = CheckpointFamilies(self._checkpoints)
        samplers = [s.name for s in sd_samplers.all_samplers]
        self._sampler = find_name("sampler", options.sampler, samplers)
        schedulers = [s.label for s in sd_schedulers.schedulers]
        self._scheduler = find_name("scheduler", options.scheduler, schedulers)
        self._scripts = PictureScripts(options.units, scripts, others=options.other_scripts)
        self._options, self._turn, self._batch = options, turn or HostTurn(), batch
        self._stage: Stage = "keys"
        self._used = self._broken = False

    @property
    def checkpoint(self) -> Any:
        """The host's entry of the checkpoint of key frames."""
        return self._checkpoints["keys"]

    @property
    def identity(self) -> str:
        """Everything that changes a pixel: checkpoints by content, sampler, scripts, options."""
        hashes = {
            stage: info.calculate_shorthash() or info.name
            for stage, info in self._checkpoints.items()
        }
        options = {**asdict(self._options), "checkpoint": "", "inpaint_checkpoint": ""}
        del options["units"], options["other_scripts"]  # part of the scripts' identity
        parts = ["webui", hashes, self._vae, self._host_options, options]
        if self._scripts.identity:
            parts.append(self._scripts.identity)
        return json.dumps(parts, sort_keys=True, default=str)

    @contextmanager
    def stage(self, kind: Stage) -> Iterator[None]:
        """Inside, paint with the checkpoint of that stage."""
        before, self._stage = self._stage, kind
        try:
            yield
        finally:
            self._stage = before

    def paint(self, repaints: Sequence[Repaint]) -> list[Image]:
        """Return the painted pictures in order.

        Repaints of one size, prompt and strength are sampled together.

        Raises:
            Stopped: if the user has asked to stop.
            PainterError: if the host gave no picture; the message says why.
        """
        painted = {i: one.image for i, one in enumerate(repaints) if one.strength == 0}
        # Scripts know one picture at a time; ControlNet has one control image for a whole batch.
        batch = 1 if self._scripts.has_scripts(self._stage) else self._batch
        for indices in _group(repaints, batch):
            pictures = self._paint_batch([repaints[i] for i in indices])
            painted |= dict(zip(indices, pictures, strict=True))
        return [painted[i] for i in range(len(repaints))]

    def close(self) -> None:
        """Load the checkpoint that the user had loaded, if it has changed.

        Raises:
            PainterError: if the host cannot load it.
        """
        if not self._used:
            return
        task = "load the checkpoint that was loaded before"
        with self._turn.take(), sd_models.SkipWritingToConfig(), _convert_errors(task):
            self._load()

    def _load(self) -> None:
        """Load the checkpoint and VAE that the host's options name.

        A load that fails leaves the host with half a model, which the host takes for a whole one.
        """
        forced, self._broken = self._broken, True
        sd_models.reload_model_weights(forced_reload=forced)
        if "sd_vae" in self._host_options:
            sd_vae.reload_vae_weights()
        self._broken = False

    def _paint_batch(self, repaints: Sequence[Repaint]) -> list[Image]:
        """Paint the pictures by one call of the host."""
        self._used = True
        title = self._checkpoints[self._stage].title
        options = {**self._host_options, "sd_model_checkpoint": title, **_QUIET}
        frames = ", ".join(str(target) for target in sorted({one.target for one in repaints}))
        task = f"paint frame{'s' * (',' in frames)} {frames}"
        with self._turn.take(), _convert_errors(task), _set_host_options(options):
            self._raise_if_stopped()
            self._load()
            self._families.learn(self._stage, shared.sd_model)
            pictures = self._process(repaints)
        for one, picture in zip(repaints, pictures, strict=True):
            if is_blank(picture, one):
                raise PainterError(f"the webui painted frame {one.target} {BLANK}")
        return [
            picture if one.mask is None else np.where(one.mask[..., None] > 0, picture, one.image)
            for one, picture in zip(repaints, pictures, strict=True)
        ]

    def _raise_if_stopped(self) -> None:
        if self._turn.should_stop():
            raise Stopped("stopped; what is finished is kept, the same job goes on from there")

    def _process(self, repaints: Sequence[Repaint]) -> list[Image]:
        """Have the host process the pictures, and check what comes back."""
        wanted, size = self._make_processing(repaints), size_of(repaints[0].image)
        raise_if_failed = self._scripts.attach(wanted, self._stage, repaints[0])

        def check() -> None:
            self._raise_if_stopped()
            raise_if_failed()

        wanted.check = check
        with closing(wanted) as processor:
            try:
                done = processing.process_images(processor)
            except BaseException:
                self._scripts.detach(processor)
                raise
        check()
        if self._scripts.has_scripts(self._stage):
            del done.images[len(repaints) :]  # scripts append their own pictures
        if len(done.images) != len(repaints):
            raise PainterError(
                f"the webui returned {len(done.images)} pictures instead of {len(repaints)}; an "
                "extension of the webui changes their number; see its log"
            )
        pictures = [np.asarray(each.convert("RGB"), dtype=np.uint8) for each in done.images]
        for picture in pictures:
            if size_of(picture) != size:
                raise PainterError(
                    f"the webui returned a picture of {size_of(picture)} instead of {size}; "
                    "an extension or a setting of the webui changes sizes"
                )
        return pictures

    def _make_processing(self, repaints: Sequence[Repaint]) -> _Processing:
        """Return the host's processing object for the pictures."""
        first, size = repaints[0], size_of(repaints[0].image)
        wanted = _Processing(
            sd_model=shared.sd_model,
            prompt=first.prompt,
            negative_prompt=first.negative_prompt,
            seed=[one.seed for one in repaints],
            sampler_name=self._sampler,
            scheduler=self._scheduler,
            steps=self._options.steps,
            cfg_scale=self._options.cfg_scale,
            width=size.width,
            height=size.height,
            batch_size=len(repaints),
            n_iter=1,
            init_images=[Pictures.fromarray(one.image) for one in repaints],
            mask_blur=0,
            inpainting_fill=1,  # start from the picture itself
            inpaint_full_res=False,
            denoising_strength=first.strength,
            do_not_save_samples=True,
            do_not_save_grid=True,
        )
        masks = [one.mask for one in repaints]
        wanted.masks = [None if one is None else Pictures.fromarray(one) for one in masks]
        wanted.image_mask = wanted.masks[0]  # the mask that scripts read
        return wanted


class _Processing(processing.StableDiffusionProcessingImg2Img):
    """Pictures that are sampled together, each with its own mask.

    It checks whether to stop just before the host forgets that Skip was pressed.
    """

    masks: Sequence[Any]
    """One mask for each of `init_images`; all are None or none is."""
    check: Callable[[], None]
    """Raises Stopped or PainterError."""

    def init(self, *args: Any, **options: Any) -> None:
        """Encode each picture with its mask alone, because the host knows one mask only."""
        pictures, encoded = self.init_images, list[dict[str, Any]]()
        for picture, mask in zip(pictures, self.masks, strict=True):
            self.init_images, self.image_mask, self.batch_size = [picture], mask, 1
            self.color_corrections = None
            super().init(*args, **options)
            encoded.append({name: getattr(self, name, None) for name in _ENCODED})
        self.init_images, self.batch_size = pictures, len(pictures)
        if len(encoded) > 1:
            for name in _ENCODED:
                setattr(self, name, _concatenate([each[name] for each in encoded]))
        self.check()


_ENCODED = (
    "init_latent", "image_conditioning", "mask", "nmask", "overlay_images", "color_corrections"
)  # fmt: skip
"""Attributes that the host computes from a picture and its mask before it samples."""


def _concatenate(parts: list[Any]) -> Any:
    """Return one attribute of several pictures: tensors along the first axis, or lists, joined."""
    if parts[0] is None:
        return None
    if isinstance(parts[0], list):
        return [each for part in parts for each in part]
    return torch.cat([part if part.ndim == 4 else part[None] for part in parts])  # masks: C h w


def _group(repaints: Sequence[Repaint], batch: int) -> Iterator[list[int]]:
    """Yield indices of repaints that can be sampled together, at most `batch` at a time."""
    groups: dict[Any, list[int]] = {}
    for i, one in enumerate(repaints):
        if one.strength > 0:
            words = (one.prompt, one.negative_prompt, one.strength, one.mask is None)
            groups.setdefault((size_of(one.image), *words), []).append(i)
    for indices in groups.values():
        for start in range(0, len(indices), batch):
            yield indices[start : start + batch]


@contextmanager
def _set_host_options(wanted: dict[str, Any]) -> Iterator[None]:
    """Inside, the host's options have these values; afterwards they are as before.

    An option that somebody else has changed inside stays changed.
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
def _convert_errors(task: str) -> Iterator[None]:
    """Raise the host's errors as PainterError of one line; unknown ones go to its log too."""
    try:
        yield
    except OfgenError:
        raise
    except devices.NansException as error:
        raise PainterError(
            f"the webui could not {task}: its model gave no numbers (NaN); start it with --no-half "
            "or --no-half-vae, or choose another checkpoint or VAE"
        ) from error
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        raise PainterError(
            f"the webui could not {task}: out of memory; choose a smaller paint_batch or "
            "smaller width and height, or start it with --medvram"
        ) from error
    except Exception as error:
        host_errors.report(f"Optical Flow Animation: could not {task}", exc_info=True)
        text = " ".join(str(error).split())[:300]
        raise PainterError(
            f"the webui could not {task}: {type(error).__name__}: {text}; its log says more"
        ) from error
