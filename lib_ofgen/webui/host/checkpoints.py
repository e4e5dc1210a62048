"""The host's entries by the names that people give, and the families of its checkpoints."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modules import sd_models

from lib_ofgen.errors import SettingsError
from lib_ofgen.models.weights.sd_family import family_of_file, refuse_mixture
from lib_ofgen.values import Stage

__all__ = ["Families", "checkpoint", "named"]

_FLAGS = {"is_sdxl": "SDXL", "is_sd3": "SD 3", "is_sd2": "SD 2.x", "is_sd1": "SD 1.x"}
"""What the host says of the model that it has loaded."""


def checkpoint(name: str) -> Any:
    """The host's entry of a checkpoint; of none, the one that it would load.

    Raises:
        SettingsError: it has no such checkpoint.
    """
    found = sd_models.get_closet_checkpoint_match(name) if name else sd_models.select_checkpoint()
    if found is None:
        known = [info.title for info in sd_models.checkpoints_list.values()]
        raise SettingsError(f"the webui has no checkpoint {name!r}{_near(name, known)}")
    return found


def named(kind: str, name: str, known: Sequence[str]) -> str:
    """The host's spelling of a sampler's or scheduler's name; its first where it is empty.

    Raises:
        SettingsError: it has no such.
    """
    if not name:
        return known[0]
    spelt = {each.lower(): each for each in known}
    if name.lower() not in spelt:
        raise SettingsError(f"the webui has no {kind} {name!r}{_near(name, known)}")
    return spelt[name.lower()]


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known) or 'none'}"


class Families:
    """The families of a job's two checkpoints: from their files, else from the loaded models."""

    def __init__(self, entries: dict[Stage, Any]) -> None:
        """Reads the files' lists of tensors, where there are two checkpoints.

        Raises:
            SettingsError: they are of different families.
        """
        self._names: dict[Stage, str] = {stage: info.name for stage, info in entries.items()}
        self._known: dict[Stage, str] = {}
        if len(set(self._names.values())) > 1:
            for stage, info in entries.items():
                self._known[stage] = family_of_file(Path(info.filename))
            self._check()

    def learn(self, stage: Stage, model: Any) -> None:
        """Take the family of the loaded model where the file did not tell it.

        Raises:
            SettingsError: the two are of different families.
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
