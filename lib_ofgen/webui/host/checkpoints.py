"""Finding checkpoints, samplers and schedulers of the host by name; families of checkpoints."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modules import sd_models

from lib_ofgen.errors import SettingsError
from lib_ofgen.models.weights.sd_family import family_of_file, refuse_mixture
from lib_ofgen.values import Stage

__all__ = ["CheckpointFamilies", "find_checkpoint", "find_name"]

_FLAGS = {"is_sdxl": "SDXL", "is_sd3": "SD 3", "is_sd2": "SD 2.x", "is_sd1": "SD 1.x"}
"""Flags of the host's loaded model to families."""


def find_checkpoint(name: str) -> Any:
    """Return the host's entry of a checkpoint; without a name, of the one that it would load.

    Raises:
        SettingsError: if the host has no such checkpoint.
    """
    found = sd_models.get_closet_checkpoint_match(name) if name else sd_models.select_checkpoint()
    if found is None:
        known = [info.title for info in sd_models.checkpoints_list.values()]
        raise SettingsError(f"the webui has no checkpoint {name!r}{_hint(name, known)}")
    return found


def find_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Return the host's spelling of the name of a sampler or scheduler.

    Args:
        kind: `sampler` or `scheduler`, for messages.
        name: The name in any case; empty: the first one.
        known: The names that the host has.

    Raises:
        SettingsError: if the host has no such name.
    """
    if not name:
        return known[0]
    spelt = {each.lower(): each for each in known}
    if name.lower() not in spelt:
        raise SettingsError(f"the webui has no {kind} {name!r}{_hint(name, known)}")
    return spelt[name.lower()]


def _hint(name: str, known: Sequence[str]) -> str:
    """Return the nearest known name, or all of them, as the end of a message."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known) or 'none'}"


class CheckpointFamilies:
    """Families of a job's two checkpoints, by their files, otherwise by the loaded models."""

    def __init__(self, entries: dict[Stage, Any]) -> None:
        """Read the files' lists of tensors, if there are two checkpoints.

        Args:
            entries: The host's entry of the checkpoint of each stage.

        Raises:
            SettingsError: if they are of different families.
        """
        self._names: dict[Stage, str] = {stage: info.name for stage, info in entries.items()}
        self._known: dict[Stage, str] = {}
        if len(set(self._names.values())) > 1:
            for stage, info in entries.items():
                self._known[stage] = family_of_file(Path(info.filename))
            self._check()

    def learn(self, stage: Stage, model: Any) -> None:
        """Take the family of the loaded model if the file has not shown it.

        Raises:
            SettingsError: if the two checkpoints are of different families.
        """
        if self._known.get(stage) == "":
            flags = [family for flag, family in _FLAGS.items() if getattr(model, flag, False)]
            self._known[stage] = flags[0] if flags else ""
            self._check()

    def _check(self) -> None:
        base, holes = (
            (self._names[stage], self._known.get(stage, "")) for stage in ("keys", "holes")
        )
        refuse_mixture(base, holes)
