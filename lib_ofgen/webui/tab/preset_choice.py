"""What choosing a preset does to the controls of the tab, and what of them goes into a preset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lib_ofgen.settings import presets
from lib_ofgen.settings.fields import Settings
from lib_ofgen.settings.presets import Preset

__all__ = ["chosen", "kept", "shown"]

_THEIRS = (
    "prompt", "negative_prompt", "sampler", "scheduler", "checkpoint", "inpaint_checkpoint", "seed",
    "start", "end", "max_frames", "key_indices",
)  # fmt: skip
"""Settings that a preset changes only where it names them: the film's own, not the method's."""
_OF_REQUESTS = (
    "seed", "steps", "cfg_scale", "strength", "hole_strength", "width", "height",
)  # fmt: skip
"""Settings that a preset must name, for where it does not a request's own fields decide."""


def shown(value: object) -> object:
    """The setting's value as its control shows it."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def chosen(
    preset: Preset,
    now: Mapping[str, Any],
    before: Mapping[str, Any],
    first: Settings,
    lists: Mapping[str, Sequence[str]],
) -> tuple[dict[str, Any], list[str]]:
    """What controls show once the preset is chosen, of those that change; and notes for the user.

    Settings of the method that it does not name go back to what they are at `first`. `now` is what
    the controls show, `before` the settings of the preset chosen before: what that one brought
    leaves with it. `lists` gives the host's own names for some settings.
    """
    changes: dict[str, Any] = {}
    notes: list[str] = []
    for name, start in first.to_json().items():
        brought = name in before and now.get(name) == shown(before[name])
        if name in _THEIRS and name not in preset.settings and not brought:
            continue
        value = preset.settings.get(name, start)
        if value and name in lists:
            here = _listed(value, lists[name])
            if here is None:
                notes.append(f"there is no {name.replace('_', ' ')} {value!r} here; it is left out")
                continue
            value = here
        changes[name] = shown(value)
    return changes, notes


def _listed(name: str, names: Sequence[str]) -> str | None:
    """The host's name for what may lie in another folder here, or has no hash yet."""
    for same in (_bare, lambda text: re.sub(r" \[[0-9a-f]+\]$", "", _bare(text))):
        found = next((one for one in names if same(one) == same(name)), None)
        if found is not None:
            return found
    return None


def _bare(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


def kept(name: str, settings: Mapping[str, Any], *, clip: bool) -> Preset:
    """The preset of what the controls stand for, `clip` with what says something of the clip only.

    Raises:
        SettingsError: the name is none, or a setting holds a path.
    """
    whole = Settings().replace(settings).to_json()
    named = {**settings, **{setting: whole[setting] for setting in _OF_REQUESTS}}
    return presets.make_preset(name, presets.make_portable(named, clip=clip))
