"""Control units: the lines in which users write them, and their form in ControlNet's API.

A line is `MODULE`, `MODULE / MODEL`, and any of `weight=`, `start=`, `end=`, `threshold_a=`,
`threshold_b=`, `source=frame|anchor` and `stages=keys|holes|both` after it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lib_ofgen.errors import SettingsError
from lib_ofgen.values import MODULE_DEFAULT, ControlUnit, Image, Repaint, Stage

__all__ = [
    "EXAMPLE",
    "MAX_UNITS",
    "anchored_stages",
    "match_models",
    "parse_units",
    "to_controlnet",
    "units_with_pictures",
]

MAX_UNITS = 3
"""Most units of a job."""
EXAMPLE = "MODULE / MODEL weight=0.7"
"""An example of a line, for messages."""
_OPTION = re.compile(r"\s+(\w+)\s*=\s*(\S*)$")
_RANGES: dict[str, tuple[float, float]] = {
    "weight": (0, 2),
    "start": (0, 1),
    "end": (0, 1),
    "threshold_a": (MODULE_DEFAULT, 4096),
    "threshold_b": (MODULE_DEFAULT, 4096),
}
_WORDS: dict[str, dict[str, Any]] = {
    "source": {"frame": "frame", "anchor": "anchor"},
    "stages": {"keys": ("keys",), "holes": ("holes",), "both": ("keys", "holes")},
}
_REFERENCE = "reference"
"""Start of the names of modules that imitate a picture, and need no model."""
_PATH = re.compile(r"[/\\]|^~|^\w+:|^\.+$")
_MAX_LINE = 400
"""Most characters of a line."""


def parse_units(text: str) -> tuple[ControlUnit, ...]:
    """Return the units of a text, one a line; empty lines are skipped.

    Raises:
        SettingsError: if a line is not a unit, or there are too many; the message names it.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    said = [(number, line) for number, line in lines if line]
    if len(said) > MAX_UNITS:
        raise SettingsError(f"control_units has {len(said)} units; keep at most {MAX_UNITS}")
    return tuple(_unit(number, line) for number, line in said)


def _unit(number: int, line: str) -> ControlUnit:
    if len(line) > _MAX_LINE:
        raise _line_error(number, line, f"is longer than {_MAX_LINE} characters; write {EXAMPLE}")
    options: dict[str, Any] = {}
    head = line
    while found := _OPTION.search(head):
        name, value = found.groups()
        if name in options:
            raise _line_error(number, line, f"says {name} twice; keep one")
        options[name] = _value(number, name, value)
        head = head[: found.start()]
    module, slash, model = (part.strip() for part in head.partition("/"))
    for name in (module, model) if slash else (module,):
        if not name or "=" in name:
            raise _line_error(number, line, f"is not a unit; write {EXAMPLE}")
        if _PATH.search(name):
            raise _line_error(
                number, line, f"names a path or an address ({name!r}); give bare names"
            )
    if options.get("start", 0.0) >= options.get("end", 1.0):
        raise _line_error(number, line, "ends before it starts; give an end that is larger")
    if module.lower().startswith(_REFERENCE):
        options.setdefault("source", "anchor")
    return ControlUnit(module, model, **options)


def _value(number: int, name: str, value: str) -> object:
    """Return the value of an option of a line."""
    if words := _WORDS.get(name):
        if value not in words:
            allowed = ", ".join(words)
            raise _line_error(number, f"{name}={value}", f"is none of {allowed}")
        return words[value]
    if name not in _RANGES:
        known = (*_RANGES, *_WORDS)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise _line_error(number, f"{name}={value}", f"is unknown; {hint}")
    low, high = _RANGES[name]
    try:
        typed = float(value)
    except ValueError:
        typed = float("nan")
    if not low <= typed <= high:
        raise _line_error(number, f"{name}={value}", f"is outside {low:g}..{high:g}")
    return typed


def _line_error(number: int, value: str, why: str) -> SettingsError:
    cut = value if len(value) <= 80 else f"{value[:77]}..."
    return SettingsError(f"control_units, line {number}: {cut!r} {why}")


def anchored_stages(units: Collection[ControlUnit]) -> tuple[Stage, ...]:
    """Return the stages in which a unit needs the first key frame of the scene."""
    stages: tuple[Stage, ...] = ("keys", "holes")
    looking = [unit for unit in units if unit.source == "anchor"]
    return tuple(stage for stage in stages if any(stage in unit.stages for unit in looking))


def units_with_pictures(
    units: Sequence[ControlUnit], stage: Stage, job: Repaint
) -> list[tuple[ControlUnit, Image]]:
    """Return the units that act on this repaint in this stage, each with its control image.

    A unit whose image is the first key frame of the scene does not act on that frame itself.
    """
    here = [unit for unit in units if stage in unit.stages]
    images = {"frame": job.original, "anchor": job.anchor}
    pairs = [(unit, images[unit.source]) for unit in here]
    return [(unit, image) for unit, image in pairs if image is not None]


def to_controlnet(unit: ControlUnit) -> dict[str, Any]:
    """Return the unit as ControlNet's API has it, without its image."""
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
    """Return the units with modules and models as ControlNet spells them.

    Args:
        units: the units of a job.
        modules: names of the modules that ControlNet has.
        models: names of its models.
        free: for each module, whether it needs no model; of others, those for references need none.

    Raises:
        SettingsError: if ControlNet lacks a module or a model, or a unit lacks a model that its
            module needs.
    """
    found: list[ControlUnit] = []
    for number, unit in enumerate(units, 1):
        module = _find_spelling(number, "module", unit.module, modules)
        modelless = (free or {}).get(module, module.lower().startswith(_REFERENCE))
        if not unit.model and not modelless:
            raise SettingsError(
                f"control_units, unit {number}: {module!r} needs a model; write {module} / MODEL"
            )
        model = _find_spelling(number, "model", unit.model, models) if unit.model else ""
        found.append(replace(unit, module=module, model=model))
    return tuple(found)


def _find_spelling(number: int, kind: str, name: str, known: Sequence[str]) -> str:
    """Return ControlNet's spelling of a name, which may end in the hash of a model."""
    spelt = {spelling: each for each in known for spelling in (_normalise_name(each), each.lower())}
    for wanted in (name.lower(), _normalise_name(name)):
        if wanted in spelt:
            return spelt[wanted]
    near = difflib.get_close_matches(_normalise_name(name), list(spelt), n=1, cutoff=0.6)
    real = [each for each in known if each.lower() != "none"]
    if near:
        hint = f"did you mean {spelt[near[0]]!r}?"
    elif real:
        hint = f"it has {', '.join(real[:12])}{' and more' if len(real) > 12 else ''}"
    else:
        hint = "it has none; put the file into the webui's folder models/ControlNet"
    raise SettingsError(f"control_units, unit {number}: ControlNet has no {kind} {name!r}; {hint}")


def _normalise_name(name: str) -> str:
    return re.sub(r"\s*\[[0-9a-fA-F]+\]$", "", name.strip()).lower()
