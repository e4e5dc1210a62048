"""The job document: what a request asks for. It is checked before anything is done.

`{"input": PATH or data URL, "mask": PATH?, "preset": NAME?, "settings": {...}?, "output": PATH?,
"prompts": [ROW, ...]?, "defaults": VERSION?}`. Infotext names the version of the defaults that hold
for the settings that it does not name.
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
from lib_ofgen.webui.access.allowed_paths import AllowedPaths

__all__ = [
    "JobDocument",
    "find_input",
    "find_mask",
    "find_output",
    "parse",
    "read_settings",
    "set_preset",
]

_KEYS = ("input", "mask", "preset", "settings", "output", "prompts", "defaults")
_TEXTS = ("input", "mask", "preset", "output")
_MAX_NAMED = 12
"""Unknown parts that a message names."""


@dataclass(frozen=True)
class JobDocument:
    """What a request asks for."""

    input: str
    preset: str
    settings: dict[str, Any]
    output: str
    mask: str = ""
    defaults: object = DEFAULTS_VERSION
    prompts: tuple[PromptRow, ...] = ()

    @property
    def holds_video(self) -> bool:
        """Whether the input is a data URL, not a path."""
        return self.input[:5].lower() == "data:"

    @property
    def paths(self) -> list[str]:
        """The paths that the document names."""
        named = (
            [self.mask, self.output] if self.holds_video else [self.input, self.mask, self.output]
        )
        return [one for one in named if one]


def parse(given: object) -> JobDocument:
    """Return the document of a JSON object or of its text.

    Raises:
        SettingsError: if it is neither, lacks an input, or has an unknown part.
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
        names = ", ".join(shorten(key).strip("'\"") for key in extra[:_MAX_NAMED])
        raise SettingsError(f"the job has unknown parts: {names}; it takes {', '.join(_KEYS)}")
    texts = {name: known.get(name) or "" for name in _TEXTS}
    wrong = [name for name, value in texts.items() if not isinstance(value, str)]
    settings = known.get("settings") or {}
    if wrong or not isinstance(settings, Mapping):
        raise SettingsError(f"the job's {(wrong or ['settings'])[0]} has the wrong type")
    if not texts["input"]:
        raise SettingsError('the job names no input; give "input": a path or a data URL')
    defaults = known.get("defaults", DEFAULTS_VERSION)
    rows = prompt_rows.check_rows(known.get("prompts") or [], "the job's prompts")
    return JobDocument(**texts, settings=dict(settings), defaults=defaults, prompts=rows)


def read_settings(
    document: JobDocument, host: Mapping[str, Any], store: presets.Store | None = None
) -> Settings:
    """Return the settings of a job.

    The document's settings win over its preset, the preset over the host's own fields, and these
    over the defaults.

    Raises:
        SettingsError: if the store has no preset of that name, or a setting is bad.
    """
    settings = Settings().replace({"seed": -1, **presets.migrate({}, document.defaults)})
    settings = settings.replace(host)
    if document.preset:
        settings = settings.replace(presets.get_preset(document.preset, store).settings)
    return settings.replace(document.settings)


def find_input(document: JobDocument, paths: AllowedPaths) -> Path:
    """Return the video; an upload is kept below the output folder first.

    Raises:
        SettingsError: if the path is outside the allowed folders or does not exist, or the data
            URL is damaged.
        VideoError: if the upload is not a video.
        WorkspaceError: if the upload cannot be kept.
    """
    if document.holds_video:
        return uploads.keep_url(document.input, paths.uploads)
    path = _find_path(document.input, "input", paths)
    if not path.is_file():
        raise SettingsError(f"input {shorten(document.input)} is not a file; check the path")
    return path


def find_mask(document: JobDocument, paths: AllowedPaths) -> Path | None:
    """Return the mask, a file or folder; None if the document names none.

    Raises:
        SettingsError: if the path is outside the allowed folders or does not exist.
        VideoError: if the upload is not a mask.
        WorkspaceError: if the upload cannot be kept.
    """
    if not document.mask:
        return None
    path = _find_path(document.mask, "mask", paths)
    if not path.exists():
        raise SettingsError(f"mask {shorten(document.mask)} does not exist; check the path")
    return path


def _find_path(text: str, role: str, paths: AllowedPaths) -> Path:
    """Return the path of an upload, or the path in one of the allowed folders."""
    if text in uploads.RECEIVED:
        return uploads.keep(Path(text), paths.uploads, role)
    return paths.resolve(text, role)


def find_output(
    document: JobDocument,
    source: Path,
    settings: Settings,
    paths: AllowedPaths,
    taken: Collection[Path] = (),
) -> Path:
    """Return the path of the film.

    If the document names none, the film is named after source, settings and prompts, so that the
    same request continues a stopped job. The seeds of rows are left out of the name: a request with
    other seeds continues the job too, and repaints those frames. If the seed is drawn, each request
    makes another film: the name has a number that no existing film and no film in `taken` has.
    """
    if document.output:
        return paths.resolve(document.output, "output")
    stem = re.sub(r"[^\w-]+", "-", source.stem)[:60] or "video"
    more: list[object] = [document.mask] if document.mask else []
    rows = [row._replace(seed=None) for row in document.prompts if not row.only_seed]
    more += [prompt_rows.to_json(rows)] if rows else []
    name = f"{stem}-{digest(str(source), settings.to_json(), *more)[:8]}"
    path = paths.output / f"{name}.mp4"
    count = 1
    while settings.seed < 0 and (path.exists() or path in taken):
        count += 1
        path = paths.output / f"{name}-{count}.mp4"
    return path


def set_preset(text: str, name: str) -> str:
    """Return a job document's text with another preset; a text that is not an object stays."""
    try:
        document = json.loads(text or '{"input": ""}')
    except (ValueError, RecursionError):
        return text
    if not isinstance(document, dict):
        return text
    return json.dumps({**document, "preset": name}, ensure_ascii=False)
