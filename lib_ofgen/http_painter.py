"""The painter on the public API (`/sdapi/v1`) of any running AUTOMATIC1111 webui."""

from __future__ import annotations

import base64
import difflib
import http.client
import ipaddress
import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import PainterError
from lib_ofgen.images import decode_png, encode_png, size_of
from lib_ofgen.values import Image, Repaint, Stage

__all__ = ["HttpPainter"]

_QUICK = 30.0  # seconds that a list of names may take
_LONGEST_PAUSE = 8.0  # seconds between two tries
_CRASHES = 3  # how often a 500 is tried again: it is the host's own error, and seldom passes
_MULTIPLE = 8  # px: the sizes that the host takes
_SHOWN = ("title", "model_name", "hash")  # by which people know a checkpoint


class _Unavailable(PainterError):
    """What may pass: a connection refused or lost, an answer of 5xx."""

    def __init__(self, message: str, *, crash: bool = False) -> None:
        super().__init__(message)
        self.crash = crash


class _NotThere(PainterError):
    """A route that the host does not have."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a redirected POST loses its body, and takes the password elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class _Host:
    """The webui behind one address: JSON in, JSON out, every failure a `PainterError`."""

    def __init__(self, url: str, auth: str | None, timeout: float, patience: float) -> None:
        self.url, found = _address(url)
        auth = auth or found
        if auth is not None and ":" not in auth:
            raise PainterError(f"{self.url}: give the painter's credentials as user:password")
        self._headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if auth is not None:
            token = base64.b64encode(auth.encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._timeout, self._patience = timeout, patience
        local = _is_local(urllib.parse.urlsplit(self.url).hostname or "")
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(_NoRedirect, *proxies)

    def call(self, route: str, document: Any = None, *, quick: bool = False) -> Any:
        """The answer to one GET, or to one POST of `document`."""
        data = None if document is None else json.dumps(document).encode()
        url = f"{self.url}/sdapi/v1/{route}"
        request = urllib.request.Request(url, data=data, headers=self._headers)
        timeout = min(self._timeout, _QUICK) if quick else self._timeout
        try:
            with self._opener.open(request, timeout=timeout) as reply:
                body = reply.read()
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error, route) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error, timeout) from error
        try:
            return json.loads(body)
        except ValueError as error:
            raise PainterError(
                f"{url}: the answer is not JSON: check that this is a webui started with --api"
            ) from error

    def insist(self, route: str, document: Any, again: Callable[[], None] | None = None) -> Any:
        """`call`, tried again while the host is away; `again` runs before each new try."""
        end: float | None = None
        pause, crashes = min(0.5, self._patience / 4), 0
        while True:
            try:
                if end is not None and again is not None:
                    again()
                return self.call(route, document)
            except _Unavailable as error:
                now = time.monotonic()
                end = now + self._patience if end is None else end
                crashes += error.crash
                if now + pause > end or crashes > _CRASHES:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _refusal(self, error: urllib.error.HTTPError, route: str) -> PainterError:
        """What an answer of 3xx to 5xx means, with the host's own words."""
        said = _said(error)
        what = f"{self.url}: answered {error.code} to {route}" + (f": {said}" if said else "")
        if error.code >= 500:
            return _Unavailable(what, crash=error.code == 500)
        if error.code in (401, 403):
            return PainterError(f"{what}: give its credentials by --painter-auth user:password")
        if error.code == 404 and said in ("", "Not Found"):
            return _NotThere(f"{what}: start the webui with --api")
        if error.code < 400:
            return PainterError(f"{what}: give {error.headers.get('Location')} as the address")
        return PainterError(what)

    def _failure(self, error: Exception, timeout: float) -> PainterError:
        """What a connection that was not made, or did not last, means."""
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            return PainterError(
                f"{self.url}: no answer in {timeout:g} s: check that the webui is not stuck"
            )
        text = _one_line(str(getattr(reason, "strerror", None) or reason or type(reason).__name__))
        if isinstance(reason, ssl.SSLError):
            return PainterError(f"{self.url}: no secure connection ({text}): check the address")
        return _Unavailable(
            f"{self.url}: cannot be reached ({text}): "
            "check the address, and that the webui runs there with --api"
        )


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
    ) -> None:
        """Keep what is asked for; contacts nobody.

        `timeout` s for one picture, `patience` s for a host that is away. An empty
        `inpaint_checkpoint` is `checkpoint`, an empty `checkpoint` the host's current one.
        """
        self._host = _Host(url, auth, timeout, patience)
        self._asked: dict[Stage, str] = {
            "keys": checkpoint,
            "holes": inpaint_checkpoint or checkpoint,
        }
        self._named = {"sampler": sampler, "scheduler": scheduler}
        self._paint = {"steps": steps, "cfg_scale": cfg_scale}
        self._models: list[dict[str, Any]] = []
        self._wanted: dict[Stage, str] | None = None
        self._staged = ""

    def connect(self) -> None:
        """Learn the host's names, and refuse those asked for that it does not have.

        Raises:
            PainterError: no such webui answers, or it lacks a checkpoint, sampler or scheduler.
        """
        loaded = self._loaded()
        self._models = _entries(self._host.call("sd-models", quick=True))
        wanted: dict[Stage, str] = {}
        for stage, name in self._asked.items():
            wanted[stage] = self._title(name) if name else self._title(loaded, strict=False)
        self._named = {kind: self._name_of(kind, name) for kind, name in self._named.items()}
        self._wanted = wanted

    @property
    def identity(self) -> str:
        """Checkpoints with their hashes, sampler, scheduler, steps and scale; not the address."""
        wanted = self._ready()
        return json.dumps(["sdapi 1", wanted, self._named, self._paint], sort_keys=True)

    @contextmanager
    def stage(self, kind: Stage) -> Iterator[None]:
        """The stage's checkpoint is loaded inside, and on leaving the one that was before."""
        title, before = self._ready()[kind], self._loaded()
        switched = bool(title) and _bare(title) != _bare(self._title(before, strict=False))
        self._staged = title
        whole = False
        try:
            if switched:
                self._switch(title)
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
        answer = self._host.insist("img2img", self._request(job), self._reload)
        picture = self._picture(answer)
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
            "alwayson_scripts": {},
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

    def _loaded(self) -> str:
        """The checkpoint that the host has loaded, as it calls it; may be empty."""
        options = self._host.call("options", quick=True)
        return str((options.get("sd_model_checkpoint") if isinstance(options, dict) else "") or "")

    def _switch(self, title: str) -> None:
        """Have the host load a checkpoint, and see that it did."""
        self._host.insist("options", {"sd_model_checkpoint": title})
        loaded = self._loaded()
        if _bare(self._title(loaded, strict=False)) != _bare(title):
            raise PainterError(
                f"{self._host.url}: kept checkpoint {loaded!r} when asked for {title!r}: "
                "start the webui without --freeze-settings"
            )

    def _reload(self) -> None:
        """Switch again where a host that came back has forgotten the stage's checkpoint."""
        if self._staged and _bare(self._title(self._loaded(), strict=False)) != _bare(self._staged):
            self._switch(self._staged)

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
        except _NotThere:
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


def _address(url: str) -> tuple[str, str | None]:
    """The webui's root without a trailing slash, and the user:password that the URL holds."""
    parts = urllib.parse.urlsplit(url.strip())
    try:
        port, name = parts.port, parts.hostname
    except ValueError:
        port = name = None
    if parts.scheme not in ("http", "https") or not name:
        raise PainterError(f"{url!r} is no painter: give http://HOST:PORT of a webui, or 'brush'")
    host = f"[{name}]" if ":" in name else name
    root = parts.path.rstrip("/").removesuffix("/sdapi/v1").rstrip("/")
    auth = None
    if parts.username is not None:
        auth = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{root}", auth


def _is_local(name: str) -> bool:
    """Whether the host is this machine, which no proxy stands before."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _said(error: urllib.error.HTTPError) -> str:
    """The host's own words about an error, in one line; empty where it said nothing to read."""
    try:
        answer = json.loads(error.read())
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    if not isinstance(answer, dict):
        return ""
    words: list[str] = []
    for key in ("error", "detail", "errors"):
        value = answer.get(key)
        problems = value if isinstance(value, list) else [value]
        words += [str(p.get("msg", p)) if isinstance(p, dict) else str(p) for p in problems if p]
    return _one_line(", ".join(words))


def _one_line(text: str) -> str:
    """The text on one line of at most 300 characters."""
    return " ".join(text.split())[:300]


def _bare(title: str) -> str:
    """A checkpoint's title without the hash, which the host adds once it has computed it."""
    return re.sub(r"\s*\[[0-9a-fA-F]+\]$", "", title.strip())


def _entries(answer: Any) -> list[dict[str, Any]]:
    """The objects of a list that the host gave."""
    return [entry for entry in answer if isinstance(entry, dict)] if answer else []


def _padded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture or mask with its edges repeated up to the next size that the host takes."""
    height, width = image.shape[:2]
    below, beside = -height % _MULTIPLE, -width % _MULTIPLE
    rest = ((0, 0),) * (image.ndim - 2)
    return np.pad(image, ((0, below), (0, beside), *rest), mode="edge")


def _base64(image: NDArray[np.uint8]) -> str:
    """The picture or mask as the host takes it: PNG in base64."""
    return base64.b64encode(encode_png(image)).decode("ascii")
