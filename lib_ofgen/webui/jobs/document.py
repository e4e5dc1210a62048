"""The job document: what a request asks for, checked before anything is done.

`{"input": PATH or data URL, "mask": PATH?, "preset": NAME?, "settings": {...}?, "output": PATH?,
"prompts": [ROW, ...]?, "defaults": VERSION?}`; infotext names the defaults to which it leaves other
settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings import presets, prompt_rows
from lib_ofgen.settings.choice import shorten
from lib_ofgen.settings.fields import DEFAULTS_VERSION, Settings
from lib_ofgen.store.workspace import digest
from lib_ofgen.values import PromptRow
from lib_ofgen.webui.access import uploads
from lib_ofgen.webui.access.allowed_paths import Places

__all__ = ["Document", "Places", "input_of", "mask_of", "output_of", "parse", "settings_of"]

_KEYS = ("input", "mask", "preset", "settings", "output", "prompts", "defaults")
_TEXTS = ("input", "mask", "preset", "output")
_MOST_NAMED = 12
"""Unknown parts that a message names."""


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

    @property
    def holds_video(self) -> bool:
        """Whether the input is the video itself, as a data URL."""
        return self.input[:5].lower() == "data:"

    @property
    def paths(self) -> list[str]:
        """The paths that it names."""
        named = (
            [self.mask, self.output] if self.holds_video else [self.input, self.mask, self.output]
        )
        return [one for one in named if one]


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
        told = ", ".join(shorten(key).strip("'\"") for key in extra[:_MOST_NAMED])
        raise SettingsError(f"the job has unknown parts: {told}; it takes {', '.join(_KEYS)}")
    texts = {name: known.get(name) or "" for name in _TEXTS}
    wrong = [name for name, value in texts.items() if not isinstance(value, str)]
    settings = known.get("settings") or {}
    if wrong or not isinstance(settings, Mapping):
        raise SettingsError(f"the job's {(wrong or ['settings'])[0]} has the wrong type")
    if not texts["input"]:
        raise SettingsError('the job names no input; give "input": a path or a data URL')
    defaults = known.get("defaults", DEFAULTS_VERSION)
    rows = prompt_rows.check_rows(known.get("prompts") or [], "the job's prompts")
    return Document(**texts, settings=dict(settings), defaults=defaults, prompts=rows)


def settings_of(
    document: Document, host: Mapping[str, Any], store: presets.Store | None = None
) -> Settings:
    """The document's settings over its preset's, over the host's own fields, over the defaults.

    Raises:
        SettingsError: there is no preset of that name in the store, or a setting is bad.
    """
    settings = Settings().replace({"seed": -1, **presets.migrate({}, document.defaults)})
    settings = settings.replace(host)
    if document.preset:
        settings = settings.replace(presets.get_preset(document.preset, store).settings)
    return settings.replace(document.settings)


def input_of(document: Document, places: Places) -> Path:
    """The video; one that was sent is kept below the output folder first.

    Raises:
        SettingsError: the path is outside the allowed folders or not there, or the URL is damaged.
        VideoError: what was sent is no video.
        WorkspaceError: what was sent cannot be kept.
    """
    if document.holds_video:
        return uploads.keep_url(document.input, places.uploads)
    path = _sent_or_confined(document.input, "input", places)
    if not path.is_file():
        raise SettingsError(f"input {shorten(document.input)} is no file; check the path")
    return path


def mask_of(document: Document, places: Places) -> Path | None:
    """The mask, a file or folder; None where the document names none.

    Raises:
        SettingsError: the path is outside the allowed folders or not there.
        VideoError: what was uploaded is no mask.
        WorkspaceError: what was uploaded cannot be kept.
    """
    if not document.mask:
        return None
    path = _sent_or_confined(document.mask, "mask", places)
    if not path.exists():
        raise SettingsError(f"mask {shorten(document.mask)} is not there; check the path")
    return path


def _sent_or_confined(text: str, role: str, places: Places) -> Path:
    """The path, if it is of an upload or lies under one of the roots."""
    if text in uploads.RECEIVED:
        return uploads.keep(Path(text), places.uploads, role)
    return places.confined(text, role)


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
    more += [prompt_rows.to_json(said)] if said else []
    name = f"{stem}-{digest(str(source), settings.to_json(), *more)[:8]}"
    path = places.output / f"{name}.mp4"
    count = 1
    while settings.seed < 0 and (path.exists() or path in taken):
        count += 1
        path = places.output / f"{name}-{count}.mp4"
    return path
