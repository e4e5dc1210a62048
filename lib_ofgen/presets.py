"""Named settings as small JSON documents that people share.

A preset holds only what differs from the defaults, and the version of the defaults it differs
from. Nothing in it is ever executed, and no path or address is taken from it.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, cast

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings import DEFAULTS_VERSION, Settings

__all__ = ["FORMAT", "Preset", "bundled", "dump", "find", "load"]

FORMAT = 1
"""Version of the document; a larger one is from a newer program and refused."""
_WAS: dict[int, dict[str, Any]] = {
    1: {"key_frames": "edges", "key_agreement": "independent", "hole_min": 100},
}
"""Defaults of a version that the next one changed."""
_LARGEST = 1 << 20
"""Bytes; a preset is a few hundred."""

Preset = tuple[str, dict[str, Any]]
"""Name and what the settings differ in."""


def load(text: str | bytes) -> Preset:
    """The preset that a JSON document holds, checked.

    Raises:
        SettingsError: it is no preset, is from a newer program, or names what we do not have.
    """
    if len(text) > _LARGEST:
        raise SettingsError(f"more than {_LARGEST} bytes are no preset; they are small")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"the preset is not JSON ({error}); export it anew") from error
    if not isinstance(document, dict) or "ofgen" not in document:
        raise SettingsError('the document is no preset: it lacks {"ofgen": 1, "settings": {...}}')
    known = cast("dict[str, Any]", document)
    extra = sorted(set(known) - {"ofgen", "name", "settings", "defaults"})
    if extra:
        raise SettingsError(f"the preset has unknown parts: {', '.join(extra)}")
    if known["ofgen"] != FORMAT or isinstance(known["ofgen"], bool):
        raise SettingsError(f"preset format {known['ofgen']!r} is not {FORMAT}; update ofgen")
    name, settings = known.get("name", ""), known.get("settings", {})
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise SettingsError("the preset's name must be a text and its settings an object")
    asked = {**_older_defaults(known.get("defaults", 1)), **cast("dict[str, Any]", settings)}
    return name, Settings().replace(asked).differences()


def _older_defaults(version: object) -> dict[str, Any]:
    """What a preset that was made against older defaults leaves unsaid.

    Raises:
        SettingsError: the version is none, or one of a newer program.
    """
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise SettingsError(
            f"the preset's defaults={version!r} is no version; it is a whole number"
        )
    if version > DEFAULTS_VERSION:
        raise SettingsError(
            f"the preset differs from defaults {version}, and these are {DEFAULTS_VERSION}; "
            "update ofgen"
        )
    merged: dict[str, Any] = {}
    for older in range(DEFAULTS_VERSION - 1, version - 1, -1):
        merged.update(_WAS[older])
    return merged


def dump(name: str, settings: Settings) -> str:
    """The document of these settings."""
    document = {
        "ofgen": FORMAT,
        "name": name,
        "defaults": DEFAULTS_VERSION,
        "settings": settings.differences(),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def bundled() -> dict[str, Preset]:
    """The presets that come with the program, by name."""
    folder = resources.files("lib_ofgen") / "bundled_presets"
    texts = [item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".json")]
    found = [load(text) for text in texts]
    return {name: (name, settings) for name, settings in sorted(found, key=lambda one: one[0])}


def find(name: str) -> Preset:
    """The bundled preset of that name, or the one in the file of that path.

    Raises:
        SettingsError: there is neither, or the file holds no preset.
    """
    known = bundled()
    if name in known:
        return known[name]
    try:
        with Path(name).open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise SettingsError(
            f"no preset {name!r} ({error.strerror}); take a file, or one of {', '.join(known)}"
        ) from error
    return load(text)
