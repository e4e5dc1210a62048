"""The preset and its JSON document.

`{"ofgen": 1, "name": ..., "description": ..., "defaults": 2, "settings": {...}}`. All settings that
it does not have are those of the defaults of the given version.
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
    "MAX_BYTES",
    "Preset",
    "bundled_presets",
    "dump",
    "fold_name",
    "load",
    "make_portable",
    "make_preset",
    "migrate",
    "read",
]

FORMAT = 1
"""Version of the document; a higher one is from a newer program and refused."""
MAX_BYTES = 1 << 20
"""Most bytes of a document; a preset has a few hundred."""
_OLD_DEFAULTS: dict[int, dict[str, Any]] = {
    1: {"key_frames": "edges", "key_agreement": "independent", "hole_min": 100},
}
"""For each version of the defaults, those that the next version changed."""
_PARTS = ("ofgen", "name", "description", "defaults", "settings")
_OF_A_CLIP = ("start", "end", "max_frames", "key_indices")
"""Settings that are useful for one clip only."""
_MAX_LENGTHS = {"name": 60, "description": 300}
"""Most characters of each."""
_MAX_NAME = 200
"""Most characters of the name of a checkpoint, a sampler or the like."""
_PATH = re.compile(r"[/\\]|^~|^[A-Za-z]:|^\.+$")
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTION_MARKS = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them."""


class Preset(NamedTuple):
    """A preset; `make_preset`, `load` and `read` make and check it."""

    name: str
    """Empty: it has no name yet."""
    settings: dict[str, Any]
    """The settings that it has, as JSON."""
    description: str = ""
    """One line."""


def make_preset(name: str, changes: Mapping[str, object], description: str = "") -> Preset:
    """Return the preset of these settings.

    Raises:
        SettingsError: if a setting is unknown or bad, a text has a path or an address, or the name
            or the description is not a short line.
    """
    whole = Settings().replace(changes).to_json()
    for setting in changes:
        _refuse_places(setting, whole[setting])
    named = {setting: whole[setting] for setting in Settings.names() if setting in changes}
    return Preset(_check_line("name", name), named, _check_line("description", description))


def _refuse_places(setting: str, value: object) -> None:
    """Check that a text which names something of the host is not a path or an address.

    Texts of several lines are not checked: nothing opens them.

    Raises:
        SettingsError: if it is one, or is not a short line.
    """
    choice = choices()[setting]
    if not isinstance(value, str) or choice.options or choice.long:
        return
    if _PATH.search(value):
        raise SettingsError(
            f"{setting}={shorten(value)} is a path or an address, and a preset holds none; "
            "give the bare name"
        )
    if len(value) > _MAX_NAME or _has_unseen(value):
        raise SettingsError(
            f"{setting}={shorten(value)} is not a name: at most {_MAX_NAME} characters on one line"
        )


def _has_unseen(text: str) -> bool:
    return any(unicodedata.category(sign) in _UNSEEN or sign in _DIRECTION_MARKS for sign in text)


def _check_line(part: str, text: object) -> str:
    """Return the name or description, in composed form and without spaces around it."""
    if not isinstance(text, str):
        raise SettingsError(f"the preset's {part} is {shorten(text)}; it must be a text")
    line = unicodedata.normalize("NFC", text).strip()
    if len(line) > _MAX_LENGTHS[part] or _has_unseen(line):
        raise SettingsError(
            f"the preset's {part} {shorten(text)} is not a line of at most {_MAX_LENGTHS[part]} "
            "characters; shorten it"
        )
    if part == "name" and _PATH.search(line):
        raise SettingsError(f"the preset's name {shorten(text)} looks like a path; give it another")
    return line


def fold_name(name: str) -> str:
    """Return a form of the name that is the same for names which look the same to users."""
    flat = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", flat).split())


def load(text: str | bytes) -> Preset:
    """Return the preset of a JSON document, checked.

    Raises:
        SettingsError: if it is not a preset, or of a newer program, or has an unknown setting.
    """
    if len(text) > MAX_BYTES:
        raise SettingsError(f"more than {MAX_BYTES} bytes are not a preset; they are small")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"the preset is not JSON ({error}); export it anew") from error
    return read(document)


def read(document: object) -> Preset:
    """Return the preset of a document that was read from JSON.

    Raises:
        SettingsError: if the preset is not valid; see `load`.
    """
    if not isinstance(document, dict) or "ofgen" not in document:
        raise SettingsError(
            'the document is not a preset: it lacks {"ofgen": 1, "settings": {...}}'
        )
    known = cast("dict[str, Any]", document)
    settings = known.get("settings", {})
    if not isinstance(settings, dict):
        raise SettingsError("the preset's settings must be an object, such as {}")
    settings = cast("dict[str, Any]", settings)
    _refuse_newer(known, settings)
    changes = migrate(settings, known.get("defaults", 1))
    return make_preset(known.get("name", ""), changes, known.get("description", ""))


def _refuse_newer(known: dict[str, Any], settings: dict[str, Any]) -> None:
    """Check that the document is not of a newer program.

    Raises:
        SettingsError: if it is; the message has all that shows it, in one line.
    """
    told: list[str] = []
    for part, here in (("ofgen", FORMAT), ("defaults", DEFAULTS_VERSION)):
        version = _check_version(part, known.get(part, 1))
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


def _check_version(part: str, version: object) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise SettingsError(
            f"the preset's {part}={shorten(version)} is not a version; it is a whole number from 1"
        )
    return version


def migrate(settings: Mapping[str, Any], defaults: object) -> dict[str, Any]:
    """Return the settings, with the values of older defaults where they had none.

    Raises:
        SettingsError: if `defaults` is not a version, or of a newer program.
    """
    version = _check_version("defaults", defaults)
    if version > DEFAULTS_VERSION:
        raise SettingsError(
            f"the settings leave the rest to defaults {shorten(version)}, and here these are "
            f"{DEFAULTS_VERSION}; update ofgen"
        )
    merged: dict[str, Any] = {}
    for older in range(DEFAULTS_VERSION - 1, version - 1, -1):
        merged.update(_OLD_DEFAULTS[older])
    return {**merged, **settings}


def make_portable(changes: Mapping[str, Any], *, clip: bool = False) -> dict[str, Any]:
    """Return the settings in a form that is useful on another machine.

    A checkpoint has its bare name, because others keep it in another folder. Settings that are
    useful for one clip only are left out, unless `clip` is true.
    """
    left_out = () if clip else _OF_A_CLIP
    if not clip and changes.get("key_frames") == "chosen":
        left_out = (*left_out, "key_frames")  # which means nothing without its indices
    kept = {name: value for name, value in changes.items() if name not in left_out}
    for name in ("checkpoint", "inpaint_checkpoint"):
        if isinstance(kept.get(name), str):
            kept[name] = re.split(r"[/\\]", kept[name])[-1]
    return kept


def dump(preset: Preset) -> str:
    """Return the document of the preset, which `load` reads."""
    texts = {"name": preset.name, "description": preset.description}
    document = {
        "ofgen": FORMAT,
        **{part: text for part, text in texts.items() if text},
        "defaults": DEFAULTS_VERSION,
        "settings": preset.settings,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def bundled_presets() -> dict[str, Preset]:
    """Return the presets that come with the program, by name."""
    folder = resources.files("lib_ofgen.settings.presets") / "bundled"
    texts = [item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".json")]
    found = sorted((load(text) for text in texts), key=lambda preset: preset.name)
    return {preset.name: preset for preset in found}
