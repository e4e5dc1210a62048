"""How a preset changes the controls of the tab, and how the controls become a preset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lib_ofgen.settings import presets
from lib_ofgen.settings.fields import Settings
from lib_ofgen.settings.presets import Preset

__all__ = ["apply_preset", "make_preset", "to_control_value"]

_FILM_SETTINGS = (
    "prompt", "negative_prompt", "sampler", "scheduler", "checkpoint", "inpaint_checkpoint", "seed",
    "start", "end", "max_frames", "key_indices",
)  # fmt: skip
"""Settings of the film, not of the method; a preset changes them only if it names them."""
_REQUEST_FIELDS = (
    "seed", "steps", "cfg_scale", "strength", "hole_strength", "width", "height",
)  # fmt: skip
"""Settings that a preset always names, because a request's own fields decide otherwise."""


def to_control_value(value: object) -> object:
    """Return the setting's value as its control has it."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def apply_preset(
    preset: Preset,
    now: Mapping[str, Any],
    before: Mapping[str, Any],
    first: Settings,
    lists: Mapping[str, Sequence[str]],
) -> tuple[dict[str, Any], list[str]]:
    """Return the new values of the controls that change, and notes for the user.

    Args:
        preset: The chosen preset.
        now: What the controls show.
        before: Settings of the preset that was chosen before; those that the user has left as they
            were are taken back.
        first: What settings of the method become if the preset does not name them.
        lists: The host's own names for some settings.
    """
    changes: dict[str, Any] = {}
    notes: list[str] = []
    for name, start in first.to_json().items():
        is_from_before = name in before and now.get(name) == to_control_value(before[name])
        if name in _FILM_SETTINGS and name not in preset.settings and not is_from_before:
            continue
        value = preset.settings.get(name, start)
        if value and name in lists:
            local_name = _match_name(value, lists[name])
            if local_name is None:
                notes.append(f"there is no {name.replace('_', ' ')} {value!r} here; it is left out")
                continue
            value = local_name
        changes[name] = to_control_value(value)
    return changes, notes


def _match_name(name: str, names: Sequence[str]) -> str | None:
    """Return the host's name of a file that may be in another folder here or have no hash yet."""
    for key in (_file_name, lambda text: re.sub(r" \[[0-9a-f]+\]$", "", _file_name(text))):
        found = next((one for one in names if key(one) == key(name)), None)
        if found is not None:
            return found
    return None


def _file_name(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


def make_preset(name: str, settings: Mapping[str, Any], *, clip: bool) -> Preset:
    """Return the preset of the controls' settings.

    Args:
        name: Name of the preset.
        settings: The settings that differ from the defaults.
        clip: With the settings that only make sense for this clip.

    Raises:
        SettingsError: if the name is not valid, or a setting is a path.
    """
    whole = Settings().replace(settings).to_json()
    named = {**settings, **{setting: whole[setting] for setting in _REQUEST_FIELDS}}
    return presets.make_preset(name, presets.make_portable(named, clip=clip))
