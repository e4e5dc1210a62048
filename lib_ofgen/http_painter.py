"""The painter on the public API (`/sdapi/v1`) of any running AUTOMATIC1111 webui."""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import PainterError
from lib_ofgen.http_control import HttpControl
from lib_ofgen.images import decode_png, encode_png, size_of
from lib_ofgen.sdapi import Host, NoRouteError
from lib_ofgen.values import ControlUnit, Image, Repaint, Stage

__all__ = ["HttpPainter"]

_MULTIPLE = 8  # px: the sizes that the host takes
_SHOWN = ("title", "model_name", "hash")  # by which people know a checkpoint


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
    ) -> None:
        """Keep what is asked for; contacts nobody.

        `timeout` s for one picture, `patience` s for a host that is away. An empty
        `inpaint_checkpoint` is `checkpoint`, an empty `checkpoint` the host's current one.
        `units` are what the host's ControlNet steers by.
        """
        self._host = Host(url, auth, timeout, patience)
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
            PainterError: no such webui answers, or it lacks a checkpoint, sampler, scheduler or
                control unit.
        """
        loaded = self._loaded()
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
        title, before = self._ready()[kind], self._loaded(patient=True)
        switched = not self._same(before, title)
        self._staged, self._stage = title, kind
        whole = False
        try:
            if switched:
                self._host.insist("options", {"sd_model_checkpoint": title})
                self._see(title)
            yield
            whole = True
        finally:
            self._staged = ""
            if switched and before:
                if whole:
                    self._host.insist("options", {"sd_model_checkpoint": before})
                else:  # what went wrong first is what the user must read
                    with suppress(PainterError):
                        self._host.call("options", {"sd_model_checkpoint": before})

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        """The pictures, one call each; bit-identical to the job's image where the mask is 0."""
        self._ready()
        return [self._repaint(job) for job in jobs]

    def _repaint(self, job: Repaint) -> Image:
        """One picture; none is asked for where nothing may change."""
        if job.strength <= 0 or (job.mask is not None and not job.mask.any()):
            return job.image.copy()
        request = self._request(job)
        answer = self._host.insist("img2img", request, self._reload)
        picture = self._picture(answer)
        self._control.check(answer, request["alwayson_scripts"], job.target)
        size, wanted = size_of(picture), size_of(_padded(job.image))
        if size != wanted:
            raise PainterError(
                f"{self._host.url}: painted {size} where {wanted} was asked: "
                "switch off what resizes pictures there"
            )
        picture = picture[: job.image.shape[0], : job.image.shape[1]].copy()
        if job.mask is not None:
            picture[job.mask == 0] = job.image[job.mask == 0]
        return picture

    def _request(self, job: Repaint) -> dict[str, Any]:
        """The body of the job's `img2img`."""
        image = _padded(job.image)
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
            "alwayson_scripts": self._control.scripts(self._stage, job, _padded),
            **self._paint,
        }
        for key, kind in (("sampler_name", "sampler"), ("scheduler", "scheduler")):
            if self._named[kind]:
                request[key] = self._named[kind]
        if job.mask is not None:
            request |= {
                "mask": _base64(_padded(job.mask)),
                "mask_blur": 0,
                "inpainting_fill": 1,  # start from the image
                "inpaint_full_res": False,
                "inpainting_mask_invert": 0,
            }
        return request

    def _picture(self, answer: Any) -> Image:
        """The first picture of an answer."""
        try:
            text = answer["images"][0]
            return decode_png(base64.b64decode(text.split(",", 1)[-1], validate=True))
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise PainterError(
                f"{self._host.url}: the answer holds no picture: look at the webui's own log"
            ) from error

    def _ready(self) -> dict[Stage, str]:
        """The title of each stage's checkpoint; connects where nobody did."""
        if self._wanted is None:
            self.connect()
        return self._wanted or {}

    def _loaded(self, *, patient: bool = False) -> str:
        """The checkpoint that the host has loaded, as it calls it; may be empty."""
        host = self._host
        options = host.insist("options") if patient else host.call("options", quick=True)
        return str((options.get("sd_model_checkpoint") if isinstance(options, dict) else "") or "")

    def _same(self, loaded: str, title: str) -> bool:
        """Whether the checkpoint that is loaded is the one of that title; none asked for is."""
        return not title or _bare(self._title(loaded, strict=False)) == _bare(title)

    def _see(self, title: str) -> None:
        """Refuse a host that did not load what it was asked to."""
        loaded = self._loaded(patient=True)
        if not self._same(loaded, title):
            raise PainterError(
                f"{self._host.url}: kept checkpoint {loaded!r} when asked for {title!r}: "
                "start the webui without --freeze-settings"
            )

    def _reload(self) -> None:
        """Switch again where a host that came back has forgotten the stage's checkpoint."""
        if not self._same(self._loaded(), self._staged):
            self._host.call("options", {"sd_model_checkpoint": self._staged})

    def _title(self, name: str, *, strict: bool = True) -> str:
        """The title of the host's checkpoint of that title, name, file or hash."""
        for model in self._models:
            title = str(model.get("title", ""))
            file = re.split(r"[/\\]", str(model.get("filename", "")))[-1]
            keys = (title, _bare(title), model.get("model_name"), file)
            hashes = (model.get("hash"), model.get("sha256"))
            if _bare(name).lower() in [str(key).lower() for key in (*keys, *hashes) if key]:
                return title
        if strict:
            known = [str(model.get(key, "")) for model in self._models for key in _SHOWN]
            raise self._unknown("checkpoint", name, known)
        return name

    def _name_of(self, kind: str, name: str) -> str:
        """The host's own name of a sampler or scheduler; empty stays empty."""
        if not name:
            return ""
        try:
            entries = _entries(self._host.call(f"{kind}s", quick=True))
        except NoRouteError:
            return name  # hosts before 1.9 have no list of schedulers
        for entry in entries:
            known = [entry.get("name"), entry.get("label"), *(entry.get("aliases") or [])]
            if name.lower() in [str(key).lower() for key in known if key]:
                return str(entry.get("name"))
        raise self._unknown(kind, name, [str(entry.get("name")) for entry in entries])

    def _unknown(self, kind: str, name: str, known: list[str]) -> PainterError:
        """The refusal of a name that the host does not have."""
        lower = {key.lower(): key for key in known if key}
        near = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.0)
        hint = f": the nearest it has is {lower[near[0]]!r}" if near else ": it has none"
        return PainterError(f"{self._host.url}: has no {kind} {name!r}{hint}")


def _bare(title: str) -> str:
    """A checkpoint's title without the hash, which the host adds once it has computed it."""
    return re.sub(r"\s*\[[0-9a-fA-F]+\]$", "", title.strip())


def _entries(answer: Any) -> list[dict[str, Any]]:
    """The objects of a list that the host gave."""
    return (
        [entry for entry in answer if isinstance(entry, dict)] if isinstance(answer, list) else []
    )


def _padded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture or mask with its edges repeated up to the next size that the host takes."""
    height, width = image.shape[:2]
    below, beside = -height % _MULTIPLE, -width % _MULTIPLE
    rest = ((0, 0),) * (image.ndim - 2)
    return np.pad(image, ((0, below), (0, beside), *rest), mode="edge")


def _base64(image: NDArray[np.uint8]) -> str:
    """The picture or mask as the host takes it: PNG in base64."""
    return base64.b64encode(encode_png(image)).decode("ascii")
