"""The preset and its JSON document.

`{"ofgen": 1, "name": ..., "description": ..., "defaults": 2, "settings": {...}}`: the settings that
it names, and the version of the defaults from which it leaves the others.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple, cast

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.choice import shorten
from lib_ofgen.settings.fields import DEFAULTS_VERSION, Settings, choices, describe_unknown

__all__ = [
    "FORMAT",
    "LARGEST",
    "Preset",
    "bundled_presets",
    "dump",
    "fold",
    "load",
    "make",
    "migrate",
    "portable",
    "read",
]

FORMAT = 1
"""Version of the document; a larger one is from a newer program and refused."""
LARGEST = 1 << 20
"""Bytes of a document; a preset is a few hundred."""
_WAS: dict[int, dict[str, Any]] = {
    1: {"key_frames": "edges", "key_agreement": "independent", "hole_min": 100},
}
"""Defaults of a version that the next one changed."""
_PARTS = ("ofgen", "name", "description", "defaults", "settings")
_OF_A_CLIP = ("start", "end", "max_frames", "key_indices")
"""Settings that say something of one clip only."""
_LONGEST = {"name": 60, "description": 300}
"""Characters."""
_LONGEST_NAME = 200
"""Characters of a checkpoint's, sampler's or another host's name."""
_PATH = re.compile(r"[/\\]|^~|^[A-Za-z]:|^\.+$")
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text around them."""


class Preset(NamedTuple):
    """What a preset says; made by `make`, `load` or `read`, which check it."""

    name: str
    """Empty where it has none yet."""
    settings: dict[str, Any]
    """The settings that it names, as JSON has them."""
    description: str = ""
    """One line."""


def make(name: str, changes: Mapping[str, object], description: str = "") -> Preset:
    """The preset of these settings.

    Raises:
        SettingsError: a setting is unknown or bad, a text holds a path or an address, or the name
            or description is no short line.
    """
    whole = Settings().replace(changes).to_json()
    for setting in changes:
        _refuse_places(setting, whole[setting])
    named = {setting: whole[setting] for setting in Settings.names() if setting in changes}
    return Preset(_line("name", name), named, _line("description", description))


def _refuse_places(setting: str, value: object) -> None:
    """Nothing, unless a text that names something of the host is a path or an address.

    Texts of several lines are prose, which nobody opens.
    """
    choice = choices()[setting]
    if not isinstance(value, str) or choice.options or choice.long:
        return
    if _PATH.search(value):
        raise SettingsError(
            f"{setting}={shorten(value)} is a path or an address, and a preset holds none; "
            "give the bare name"
        )
    if len(value) > _LONGEST_NAME or _unseen(value):
        raise SettingsError(
            f"{setting}={shorten(value)} is no name: at most {_LONGEST_NAME} characters on one line"
        )


def _unseen(text: str) -> bool:
    return any(unicodedata.category(sign) in _UNSEEN or sign in _TURNING for sign in text)


def _line(part: str, text: object) -> str:
    """The name or description, composed and trimmed."""
    if not isinstance(text, str):
        raise SettingsError(f"the preset's {part} is {shorten(text)}; it must be a text")
    line = unicodedata.normalize("NFC", text).strip()
    if len(line) > _LONGEST[part] or _unseen(line):
        raise SettingsError(
            f"the preset's {part} {shorten(text)} is no line of at most {_LONGEST[part]} "
            "characters; shorten it"
        )
    if part == "name" and _PATH.search(line):
        raise SettingsError(f"the preset's name {shorten(text)} looks like a path; give it another")
    return line


def fold(name: str) -> str:
    """What two names have in common that people would take for one another."""
    flat = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", flat).split())


def load(text: str | bytes) -> Preset:
    """The preset that a JSON document holds, checked.

    Raises:
        SettingsError: it is no preset, is from a newer program, or names what we do not have.
    """
    if len(text) > LARGEST:
        raise SettingsError(f"more than {LARGEST} bytes are no preset; they are small")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"the preset is not JSON ({error}); export it anew") from error
    return read(document)


def read(document: object) -> Preset:
    """The preset of a document that JSON has been read from already.

    Raises:
        SettingsError: as `load`.
    """
    if not isinstance(document, dict) or "ofgen" not in document:
        raise SettingsError('the document is no preset: it lacks {"ofgen": 1, "settings": {...}}')
    known = cast("dict[str, Any]", document)
    settings = known.get("settings", {})
    if not isinstance(settings, dict):
        raise SettingsError("the preset's settings must be an object, such as {}")
    settings = cast("dict[str, Any]", settings)
    _refuse_newer(known, settings)
    changes = migrate(settings, known.get("defaults", 1))
    return make(known.get("name", ""), changes, known.get("description", ""))


def _refuse_newer(known: dict[str, Any], settings: dict[str, Any]) -> None:
    """Nothing, unless the document is of a newer program: then all that shows it, in one line."""
    told: list[str] = []
    for part, here in (("ofgen", FORMAT), ("defaults", DEFAULTS_VERSION)):
        version = _version(part, known.get(part, 1))
        if version > here:
            told.append(f"its {part} version is {shorten(version)}, and here it is {here}")
    extra = sorted(set(known) - set(_PARTS))
    if extra:
        more = f" and {len(extra) - 12} more" if len(extra) > 12 else ""
        told.append(f"unknown parts {', '.join(map(shorten, extra[:12]))}{more}")
    if unknown := describe_unknown(settings):
        told.append(unknown)
    if told:
        raise SettingsError(f"this program cannot read the preset: {'; '.join(told)}; update ofgen")


def _version(part: str, version: object) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise SettingsError(
            f"the preset's {part}={shorten(version)} is no version; it is a whole number from 1"
        )
    return version


def migrate(settings: Mapping[str, Any], defaults: object) -> dict[str, Any]:
    """The settings, and with them what they left to older defaults.

    Raises:
        SettingsError: `defaults` is no version, or one of a newer program.
    """
    version = _version("defaults", defaults)
    if version > DEFAULTS_VERSION:
        raise SettingsError(
            f"the settings leave the rest to defaults {shorten(version)}, and here these are "
            f"{DEFAULTS_VERSION}; update ofgen"
        )
    merged: dict[str, Any] = {}
    for older in range(DEFAULTS_VERSION - 1, version - 1, -1):
        merged.update(_WAS[older])
    return {**merged, **settings}


def portable(changes: Mapping[str, Any], *, clip: bool = False) -> dict[str, Any]:
    """The settings as they are of use elsewhere.

    A checkpoint goes by its bare name, for others keep it in another folder. What says something
    of one clip only is left out, unless `clip` asks for it.
    """
    left_out = () if clip else _OF_A_CLIP
    if not clip and changes.get("key_frames") == "chosen":
        left_out = (*left_out, "key_frames")  # which says nothing without its indices
    kept = {name: value for name, value in changes.items() if name not in left_out}
    for name in ("checkpoint", "inpaint_checkpoint"):
        if isinstance(kept.get(name), str):
            kept[name] = re.split(r"[/\\]", kept[name])[-1]
    return kept


def dump(preset: Preset) -> str:
    """The document of the preset, which `load` takes again."""
    texts = {"name": preset.name, "description": preset.description}
    document = {
        "ofgen": FORMAT,
        **{part: text for part, text in texts.items() if text},
        "defaults": DEFAULTS_VERSION,
        "settings": preset.settings,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def bundled_presets() -> dict[str, Preset]:
    """The presets that come with the program, by name."""
    folder = resources.files("lib_ofgen.settings.presets") / "bundled"
    texts = [item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".json")]
    found = sorted((load(text) for text in texts), key=lambda preset: preset.name)
    return {preset.name: preset for preset in found}
