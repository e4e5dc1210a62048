"""The painter on the public API (`/sdapi/v1`) of any running AUTOMATIC1111 webui."""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import PainterError, Stopped
from lib_ofgen.imaging.images import encode_png, size_of
from lib_ofgen.models.painters.answer_check import BLANK, decode_answer, is_blank
from lib_ofgen.models.painters.http_client import MIB, Host, NoRouteError
from lib_ofgen.models.painters.webui_controlnet import HttpControl
from lib_ofgen.values import ControlUnit, Image, Repaint, Size, Stage

__all__ = ["HttpPainter"]

_MULTIPLE = 8  # px: the sizes that the host takes
_SHOWN = ("title", "model_name", "hash")  # by which people know a checkpoint
_BYTES = 24  # a pixel of an answer may take: eight times as much as it needs
_NEAR = 200  # characters of a name that may be the nearest one
_LOOKED_AT = 3000  # names among which the nearest is looked for


class HttpPainter:
    """Paints on a webui; `connect` first, everything after it survives a restart of the host."""

    def __init__(
        self,
        url: str,
        *,
        auth: str | None = None,
        timeout: float = 600.0,
        patience: float = 60.0,
        checkpoint: str = "",
        inpaint_checkpoint: str = "",
        sampler: str = "",
        scheduler: str = "",
        steps: int = 20,
        cfg_scale: float = 7.0,
        units: Sequence[ControlUnit] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Keep what is asked for; contacts nobody.

        `timeout` s for one picture, `patience` s for a host that is away. An empty
        `inpaint_checkpoint` is `checkpoint`, an empty `checkpoint` the host's current one.
        `units` are what the host's ControlNet steers by. Whatever is waited for ends in `Stopped`
        as soon as `should_stop` says that the user asks for it.
        """
        self._host = Host(url, auth, timeout, patience, should_stop)
        self._asked: dict[Stage, str] = {
            "keys": checkpoint,
            "holes": inpaint_checkpoint or checkpoint,
        }
        self._named = {"sampler": sampler, "scheduler": scheduler}
        self._paint = {"steps": steps, "cfg_scale": cfg_scale}
        self._models: list[dict[str, Any]] = []
        self._wanted: dict[Stage, str] | None = None
        self._staged = ""
        self._control = HttpControl(self._host, units)
        self._stage: Stage = "keys"

    def connect(self) -> None:
        """Learn the host's names, and refuse those asked for that it does not have.

        Raises:
            PainterError: if no such webui answers, or it lacks a checkpoint, sampler, scheduler or
                control unit.
        """
        loaded = self._loaded_checkpoint()
        self._models = _entries(self._host.call("sd-models", quick=True))
        wanted: dict[Stage, str] = {}
        for stage, name in self._asked.items():
            wanted[stage] = self._title(name) if name else self._title(loaded, strict=False)
        self._named = {kind: self._name_of(kind, name) for kind, name in self._named.items()}
        self._control.connect()
        self._wanted = wanted

    @property
    def identity(self) -> str:
        """Checkpoints, sampler, scheduler, steps, scale and control units; not the address.

        Without the checkpoints' hashes: a host learns them as it loads, and what was painted
        before it knew is the same.
        """
        wanted = {stage: _bare(title) for stage, title in self._ready().items()}
        units = [[asdict(unit) for unit in self._control.units]] if self._control.units else []
        return json.dumps(["sdapi 1", wanted, self._named, self._paint, *units], sort_keys=True)

    @contextmanager
    def stage(self, kind: Stage) -> Iterator[None]:
        """The stage's checkpoint is loaded inside, and on leaving the one that was before."""
        title, before = self._ready()[kind], self._loaded_checkpoint(patient=True)
        switched = not self._same(before, title)
        self._staged, self._stage = title, kind
        back = {"sd_model_checkpoint": before} if switched and before else None
        try:
            if switched:
                self._host.insist("options", {"sd_model_checkpoint": title})
                self._see(title)
            yield
        except BaseException as error:  # the user must read the first error
            if back:
                stops = isinstance(error, Stopped) or not isinstance(error, Exception)
                self._host.leave("options", back, brief=stops)
            raise
        finally:
            self._staged = ""
        if back:
            self._host.insist("options", back)

    def paint(self, repaints: Sequence[Repaint]) -> list[Image]:
        """The pictures, one call each; bit-identical to the job's image where the mask is 0."""
        self._ready()
        return [self._repaint(one) for one in repaints]

    def _repaint(self, job: Repaint) -> Image:
        """One picture; none is asked for where nothing may change."""
        if job.strength <= 0 or (job.mask is not None and not job.mask.any()):
            return job.image.copy()
        request = self._request(job)
        scripts, wanted = request["alwayson_scripts"], size_of(_pad(job.image))
        maps = self._control.count(scripts)
        most = 8 * MIB + _BYTES * wanted.height * wanted.width * (1 + maps)
        answer = self._host.insist("img2img", request, self._reload, most=most)
        text = self._first(answer, 1 + maps)
        self._control.check(answer, scripts, job.target)
        del answer
        picture = self._picture(text, wanted)[: job.image.shape[0], : job.image.shape[1]].copy()
        if is_blank(picture, job):
            raise self._host.refuse(f"painted frame {job.target} {BLANK}")
        if job.mask is not None:
            picture[job.mask == 0] = job.image[job.mask == 0]
        return picture

    def _request(self, job: Repaint) -> dict[str, Any]:
        """Return the body of an `img2img` request."""
        image = _pad(job.image)
        request: dict[str, Any] = {
            "init_images": [_base64(image)],
            "prompt": job.prompt,
            "negative_prompt": job.negative_prompt,
            "denoising_strength": min(1.0, float(job.strength)),
            "seed": int(job.seed),
            "width": image.shape[1],
            "height": image.shape[0],
            "batch_size": 1,
            "n_iter": 1,
            "do_not_save_samples": True,
            "do_not_save_grid": True,
            "send_images": True,
            "alwayson_scripts": self._control.scripts(self._stage, job, _pad),
            **self._paint,
        }
        for key, kind in (("sampler_name", "sampler"), ("scheduler", "scheduler")):
            if self._named[kind]:
                request[key] = self._named[kind]
        if job.mask is not None:
            request |= {
                "mask": _base64(_pad(job.mask)),
                "mask_blur": 0,
                "inpainting_fill": 1,  # start from the image
                "inpaint_full_res": False,
                "inpainting_mask_invert": 0,
            }
        return request

    def _first(self, answer: Any, most: int) -> str:
        """Return the first picture of an answer, as sent; it may have at most `most` pictures."""
        images = answer.get("images") if isinstance(answer, dict) else None
        if not isinstance(images, list) or not images or not isinstance(images[0], str):
            raise self._host.refuse("the answer holds no picture: look at the webui's own log")
        if len(images) > most:
            raise self._host.refuse(
                f"gave {len(images)} pictures where {most} was asked: "
                "switch off the scripts and extensions that add pictures there"
            )
        return images[0]

    def _picture(self, text: str, size: Size) -> Image:
        """The picture that is sent as base64, which may have `data:...;base64,` before it."""
        try:
            data = base64.b64decode(text.split(",", 1)[-1], validate=True)
        except ValueError as error:
            raise self._host.refuse(
                "the answer holds no picture: look at the webui's own log"
            ) from error
        try:
            return decode_answer(data, size)
        except ValueError as error:
            raise self._host.refuse(str(error)) from error

    def _ready(self) -> dict[Stage, str]:
        """The title of each stage's checkpoint; connects where nobody did."""
        if self._wanted is None:
            self.connect()
        return self._wanted or {}

    def _loaded_checkpoint(self, *, patient: bool = False) -> str:
        """Return the host's name of its loaded checkpoint; may be empty."""
        host = self._host
        options = host.insist("options") if patient else host.call("options", quick=True)
        return _text(options.get("sd_model_checkpoint")) if isinstance(options, dict) else ""

    def _same(self, loaded: str, title: str) -> bool:
        """Whether the loaded checkpoint has that title; true for an empty title."""
        return not title or _bare(self._title(loaded, strict=False)) == _bare(title)

    def _see(self, title: str) -> None:
        """Check that the host has loaded the checkpoint that it was asked for."""
        loaded = self._loaded_checkpoint(patient=True)
        if not self._same(loaded, title):
            raise self._host.refuse(
                f"kept checkpoint {loaded[:_NEAR]!r} when asked for {title[:_NEAR]!r}: "
                "start the webui without --freeze-settings"
            )

    def _reload(self) -> None:
        """Load the stage's checkpoint again if the host was restarted and has another one."""
        if not self._same(self._loaded_checkpoint(), self._staged):
            self._host.call("options", {"sd_model_checkpoint": self._staged})

    def _title(self, name: str, *, strict: bool = True) -> str:
        """The title of the host's checkpoint of that title, name, file or hash."""
        for model in self._models:
            title = _text(model.get("title"))
            file = re.split(r"[/\\]", _text(model.get("filename")))[-1]
            others = (_text(model.get(key)) for key in ("model_name", "hash", "sha256"))
            if _bare(name).lower() in [
                key.lower() for key in (title, _bare(title), file, *others) if key
            ]:
                return title
        if strict:
            known = [_text(model.get(key)) for model in self._models for key in _SHOWN]
            raise self._unknown("checkpoint", name, known)
        return name

    def _name_of(self, kind: str, name: str) -> str:
        """Return the host's own name of a sampler or scheduler; empty stays empty."""
        if not name:
            return ""
        try:
            entries = _entries(self._host.call(f"{kind}s", quick=True))
        except NoRouteError:
            return name  # hosts before 1.9 have no list of schedulers
        for entry in entries:
            aliases = entry.get("aliases")
            known = [entry.get("name"), entry.get("label")]
            known += aliases if isinstance(aliases, list) else []
            if name.lower() in [_text(key).lower() for key in known]:
                return _text(entry.get("name"))
        raise self._unknown(kind, name, [_text(entry.get("name")) for entry in entries])

    def _unknown(self, kind: str, name: str, known: list[str]) -> PainterError:
        """Return the refusal of a name that the host does not have."""
        lower = {key.lower(): key for key in known[:_LOOKED_AT] if 0 < len(key) <= _NEAR}
        near = difflib.get_close_matches(name.lower()[:_NEAR], list(lower), n=1, cutoff=0.0)
        hint = f": the nearest it has is {lower[near[0]]!r}" if near else ": it has none"
        return self._host.refuse(f"has no {kind} {name[:_NEAR]!r}{hint}")


def _bare(title: str) -> str:
    """A checkpoint's title without the hash, which the host adds once it has computed it."""
    name, opened, end = title.strip().rpartition("[")
    return name.rstrip() if opened and re.fullmatch(r"[0-9a-fA-F]+\]", end) else title.strip()


def _text(value: object) -> str:
    """What a host says where a text is looked for; anything else is none."""
    return value if isinstance(value, str) else ""


def _entries(answer: Any) -> list[dict[str, Any]]:
    """The objects of a list that the host gave."""
    return (
        [entry for entry in answer if isinstance(entry, dict)] if isinstance(answer, list) else []
    )


def _pad(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the edges of a picture or mask up to the next size that the host accepts."""
    height, width = image.shape[:2]
    below, beside = -height % _MULTIPLE, -width % _MULTIPLE
    rest = ((0, 0),) * (image.ndim - 2)
    return np.pad(image, ((0, below), (0, beside), *rest), mode="edge")


def _base64(image: NDArray[np.uint8]) -> str:
    """The picture or mask as the host takes it: PNG in base64."""
    return base64.b64encode(encode_png(image)).decode("ascii")
