"""Control units: the lines in which people write them, and what a painter hands on of them.

A line is `MODULE`, `MODULE / MODEL`, and any of `weight=`, `start=`, `end=`, `threshold_a=`,
`threshold_b=`, `source=frame|anchor` and `stages=keys|holes|both` behind it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lib_ofgen.errors import SettingsError
from lib_ofgen.values import ControlUnit, Image, Repaint, Stage

__all__ = [
    "LINE",
    "MOST",
    "anchored_stages",
    "fields",
    "match_models",
    "read",
    "units_with_pictures",
]

MOST = 3
"""Units of a job."""
LINE = "MODULE / MODEL weight=0.7"
"""What a line looks like, for messages."""
_OPTION = re.compile(r"\s+(\w+)\s*=\s*(\S*)$")
_RANGES: dict[str, tuple[float, float]] = {
    "weight": (0, 2),
    "start": (0, 1),
    "end": (0, 1),
    "threshold_a": (-1, 4096),
    "threshold_b": (-1, 4096),
}
_WORDS: dict[str, dict[str, Any]] = {
    "source": {"frame": "frame", "anchor": "anchor"},
    "stages": {"keys": ("keys",), "holes": ("holes",), "both": ("keys", "holes")},
}
_REFERENCE = "reference"
"""How modules begin that take the look from a picture, and need no model."""
_PLACE = re.compile(r"[/\\]|^~|^\w+:|^\.+$")
_LONGEST = 400
"""Characters of a line."""


def read(text: str) -> tuple[ControlUnit, ...]:
    """The units of a text of lines; empty lines say nothing.

    Raises:
        SettingsError: a line is no unit, or there are too many; the message names it.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    said = [(number, line) for number, line in lines if line]
    if len(said) > MOST:
        raise SettingsError(f"control_units has {len(said)} units; keep at most {MOST}")
    return tuple(_unit(number, line) for number, line in said)


def _unit(number: int, line: str) -> ControlUnit:
    if len(line) > _LONGEST:
        raise _refusal(number, line, f"is longer than {_LONGEST} characters; write {LINE}")
    options: dict[str, Any] = {}
    head = line
    while found := _OPTION.search(head):
        name, value = found.groups()
        if name in options:
            raise _refusal(number, line, f"says {name} twice; keep one")
        options[name] = _value(number, name, value)
        head = head[: found.start()]
    module, slash, model = (part.strip() for part in head.partition("/"))
    for name in (module, model) if slash else (module,):
        if not name or "=" in name:
            raise _refusal(number, line, f"is no unit; write {LINE}")
        if _PLACE.search(name):
            raise _refusal(number, line, f"names a path or an address ({name!r}); give bare names")
    if options.get("start", 0.0) >= options.get("end", 1.0):
        raise _refusal(number, line, "ends before it starts; give an end that is larger")
    if module.lower().startswith(_REFERENCE):
        options.setdefault("source", "anchor")
    return ControlUnit(module, model, **options)


def _value(number: int, name: str, value: str) -> object:
    """The value of one option of a line."""
    if words := _WORDS.get(name):
        if value not in words:
            allowed = ", ".join(words)
            raise _refusal(number, f"{name}={value}", f"is none of {allowed}")
        return words[value]
    if name not in _RANGES:
        known = (*_RANGES, *_WORDS)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise _refusal(number, f"{name}={value}", f"is unknown; {hint}")
    low, high = _RANGES[name]
    try:
        typed = float(value)
    except ValueError:
        typed = float("nan")
    if not low <= typed <= high:
        raise _refusal(number, f"{name}={value}", f"is outside {low:g}..{high:g}")
    return typed


def _refusal(number: int, value: str, why: str) -> SettingsError:
    cut = value if len(value) <= 80 else f"{value[:77]}..."
    return SettingsError(f"control_units, line {number}: {cut!r} {why}")


def anchored_stages(units: Collection[ControlUnit]) -> tuple[Stage, ...]:
    """The stages whose pictures need their scene's first key frame."""
    stages: tuple[Stage, ...] = ("keys", "holes")
    looking = [unit for unit in units if unit.source == "anchor"]
    return tuple(stage for stage in stages if any(stage in unit.stages for unit in looking))


def units_with_pictures(
    units: Sequence[ControlUnit], stage: Stage, job: Repaint
) -> list[tuple[ControlUnit, Image]]:
    """The units that steer this job in this stage, each with its control image.

    A unit that looks at the scene's first key frame says nothing of that frame itself.
    """
    here = [unit for unit in units if stage in unit.stages]
    images = {"frame": job.original, "anchor": job.anchor}
    pairs = [(unit, images[unit.source]) for unit in here]
    return [(unit, image) for unit, image in pairs if image is not None]


def fields(unit: ControlUnit) -> dict[str, Any]:
    """The unit in the words of ControlNet's API, without its image."""
    return {
        "enabled": True,
        "module": unit.module,
        "model": unit.model or "None",
        "weight": unit.weight,
        "guidance_start": unit.start,
        "guidance_end": unit.end,
        "threshold_a": unit.threshold_a,
        "threshold_b": unit.threshold_b,
        "pixel_perfect": True,
        "save_detected_map": False,
    }


def match_models(
    units: Sequence[ControlUnit],
    modules: Sequence[str],
    models: Sequence[str],
    free: Mapping[str, bool] | None = None,
) -> tuple[ControlUnit, ...]:
    """The units with modules and models as ControlNet spells them.

    `free` tells of modules whether they need no model; without it those of references do.

    Raises:
        SettingsError: it lacks a module or a model, or a module that needs a model has none.
    """
    found: list[ControlUnit] = []
    for number, unit in enumerate(units, 1):
        module = _named(number, "module", unit.module, modules)
        modelless = (free or {}).get(module, module.lower().startswith(_REFERENCE))
        if not unit.model and not modelless:
            raise SettingsError(
                f"control_units, unit {number}: {module!r} needs a model; write {module} / MODEL"
            )
        model = _named(number, "model", unit.model, models) if unit.model else ""
        found.append(replace(unit, module=module, model=model))
    return tuple(found)


def _named(number: int, kind: str, name: str, known: Sequence[str]) -> str:
    """ControlNet's spelling of a name, which a model's hash behind it may follow."""
    spelt = {spelling: each for each in known for spelling in (_bare(each), each.lower())}
    for wanted in (name.lower(), _bare(name)):
        if wanted in spelt:
            return spelt[wanted]
    near = difflib.get_close_matches(_bare(name), list(spelt), n=1, cutoff=0.6)
    real = [each for each in known if each.lower() != "none"]
    if near:
        hint = f"did you mean {spelt[near[0]]!r}?"
    elif real:
        hint = f"it has {', '.join(real[:12])}{' and more' if len(real) > 12 else ''}"
    else:
        hint = "it has none; put the file into the webui's folder models/ControlNet"
    raise SettingsError(f"control_units, unit {number}: ControlNet has no {kind} {name!r}; {hint}")


def _bare(name: str) -> str:
    return re.sub(r"\s*\[[0-9a-fA-F]+\]$", "", name.strip()).lower()
