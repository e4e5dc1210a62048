"""The job document: what a request asks for, checked before anything is done.

`{"input": PATH or data URL, "mask": PATH?, "preset": NAME?, "settings": {...}?, "output": PATH?,
"prompts": [ROW, ...]?, "defaults": VERSION?}`; infotext names the defaults to which it leaves other
settings.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lib_ofgen import presets, prompt_list
from lib_ofgen.errors import SettingsError
from lib_ofgen.settings import DEFAULTS_VERSION, Settings
from lib_ofgen.values import PromptRow
from lib_ofgen.workspace import digest, write_whole

__all__ = ["Document", "Places", "input_of", "mask_of", "output_of", "parse", "settings_of"]

_KEYS = ("input", "mask", "preset", "settings", "output", "prompts", "defaults")
_TEXTS = ("input", "mask", "preset", "output")
_DATA_URL = re.compile(r"data:video/([a-z0-9.+-]+);base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Document:
    """What was asked for."""

    input: str
    preset: str
    settings: dict[str, Any]
    output: str
    mask: str = ""
    defaults: object = DEFAULTS_VERSION
    prompts: tuple[PromptRow, ...] = ()


@dataclass(frozen=True)
class Places:
    """Where a request may read and write."""

    output: Path
    """The folder of films that name no place of their own; uploads are kept below it."""
    allowed: Sequence[Path]
    """Further folders from which paths are taken."""

    def confined(self, text: str, role: str) -> Path:
        """The path, if it lies under one of the roots.

        Raises:
            SettingsError: it does not, whatever it is and whether it is there.
        """
        try:
            path = Path(text).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # too long, a loop, a zero byte
            raise SettingsError(f"{role} {text[:200]!r} is no path: {error}") from error
        if not any(path.is_relative_to(root.resolve()) for root in (self.output, *self.allowed)):
            raise SettingsError(
                f"{role} {text!r} is outside the folders that requests may use; start the webui "
                "with --ofgen-allow-path FOLDER to allow it"
            )
        return path


def parse(given: object) -> Document:
    """The document of a JSON object, or of its text.

    Raises:
        SettingsError: it is neither, lacks its input, or has a part that does not belong.
    """
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"the job document is not JSON: {error}") from error
    if not isinstance(given, Mapping):
        raise SettingsError('the job must be an object: {"input": "clip.mp4", "settings": {}}')
    known = cast("Mapping[str, Any]", given)
    extra = sorted(str(key) for key in known if key not in _KEYS)
    if extra:
        raise SettingsError(f"the job has unknown parts: {', '.join(extra)}; it takes {_KEYS}")
    texts = {name: known.get(name) or "" for name in _TEXTS}
    wrong = [name for name, value in texts.items() if not isinstance(value, str)]
    settings = known.get("settings") or {}
    if wrong or not isinstance(settings, Mapping):
        raise SettingsError(f"the job's {(wrong or ['settings'])[0]} has the wrong type")
    if not texts["input"]:
        raise SettingsError('the job names no input; give "input": a path or a data URL')
    defaults = known.get("defaults", DEFAULTS_VERSION)
    rows = prompt_list.checked(known.get("prompts") or [], "the job's prompts")
    return Document(**texts, settings=dict(settings), defaults=defaults, prompts=rows)


def settings_of(
    document: Document, host: Mapping[str, Any], store: presets.Store | None = None
) -> Settings:
    """The document's settings over its preset's, over the host's own fields, over the defaults.

    Raises:
        SettingsError: there is no preset of that name in the store, or a setting is bad.
    """
    settings = Settings().replace({"seed": -1, **presets.migrated({}, document.defaults)})
    settings = settings.replace(host)
    if document.preset:
        settings = settings.replace(presets.named(document.preset, store).settings)
    return settings.replace(document.settings)


def input_of(document: Document, places: Places) -> Path:
    """The video; one that came as a data URL is written under the output folder first.

    Raises:
        SettingsError: the path is outside the allowed folders or not there, or the URL holds no
            video.
    """
    if not document.input.lower().startswith("data:"):
        path = places.confined(document.input, "input")
        if not path.is_file():
            raise SettingsError(f"input {document.input!r} is no file; check the path")
        return path
    head = _DATA_URL.match(document.input[:64])
    if head is None:
        raise SettingsError("the input's data URL is not data:video/...;base64,...")
    try:
        content = base64.b64decode(document.input[head.end() :], validate=True)
    except binascii.Error as error:
        raise SettingsError(f"the input's data URL is damaged: {error}") from error
    extension = {"quicktime": "mov", "x-matroska": "mkv"}.get(head[1].lower(), head[1].lower())
    safe = re.sub(r"[^a-z0-9]", "", extension) or "mp4"
    path = places.output / "uploads" / f"{digest(document.input)}.{safe}"
    if not path.is_file():
        write_whole(path, content)
    return path


def mask_of(document: Document, places: Places) -> Path | None:
    """The mask, a file or folder; None where the document names none.

    Raises:
        SettingsError: the path is outside the allowed folders or not there.
    """
    if not document.mask:
        return None
    path = places.confined(document.mask, "mask")
    if not path.exists():
        raise SettingsError(f"mask {document.mask!r} is not there; check the path")
    return path


def output_of(
    document: Document,
    source: Path,
    settings: Settings,
    places: Places,
    taken: Collection[Path] = (),
) -> Path:
    """Where the film goes.

    Without a place of its own it is named after its source, settings and prompts, so that the same
    request goes on where it was stopped. The rows' seeds are left out: with others it goes on too,
    and paints those frames anew. With a seed that is to be drawn, each finished film is followed by
    another, and so is each that is `taken` by a job under way.
    """
    if document.output:
        return places.confined(document.output, "output")
    stem = re.sub(r"[^\w-]+", "-", source.stem)[:60] or "video"
    more: list[object] = [document.mask] if document.mask else []
    said = [row._replace(seed=None) for row in document.prompts if not row.only_seed]
    more += [prompt_list.to_json(said)] if said else []
    name = f"{stem}-{digest(str(source), settings.to_json(), *more)[:8]}"
    path = places.output / f"{name}.mp4"
    count = 1
    while settings.seed < 0 and (path.exists() or path in taken):
        count += 1
        path = places.output / f"{name}-{count}.mp4"
    return path
