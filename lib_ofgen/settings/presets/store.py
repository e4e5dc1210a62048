"""The presets of a user: a folder of small JSON files, one for each.

The name of a preset is in its file. The file's own name is made of letters that every system
accepts and a digest, so that names which look the same to users are one file everywhere.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from lib_ofgen.errors import SettingsError, WorkspaceError
from lib_ofgen.settings.choice import shorten
from lib_ofgen.settings.presets.document import (
    MAX_BYTES,
    Preset,
    bundled_presets,
    dump,
    fold_name,
    load,
)
from lib_ofgen.store.workspace import digest, write_whole

__all__ = ["Store"]


class Store:
    """A folder of presets; it is made when the first is saved."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`; nothing is read yet."""
        self.folder = folder

    def all(self) -> dict[str, Preset]:
        """Return the presets that can be read, by name."""
        found: dict[str, Preset] = {}
        for _, preset in self._read_files():
            if isinstance(preset, Preset):
                found.setdefault(fold_name(preset.name), preset)
        return {preset.name: preset for _, preset in sorted(found.items())}

    def faults(self) -> list[str]:
        """Return a line for each file that is not a preset."""
        return [
            f"'{path}': {fault}" for path, fault in self._read_files() if isinstance(fault, str)
        ]

    def get(self, name: str) -> Preset | None:
        """Return the preset of that name, or of one that looks the same, or None."""
        wanted = fold_name(name)
        return next((one for one in self.all().values() if fold_name(one.name) == wanted), None)

    def save(self, preset: Preset, *, replace: bool = False) -> Path:
        """Save the preset; return its file.

        Raises:
            SettingsError: if it has no name, its name is a bundled preset's, or one of that name is
                there and not to be replaced.
            WorkspaceError: if it cannot be written.
        """
        if not preset.name:
            raise SettingsError("a preset needs a name to be kept under; give one")
        if fold_name(preset.name) in map(fold_name, bundled_presets()):
            raise SettingsError(
                f"{shorten(preset.name)} is the name of a bundled preset; choose another"
            )
        there = self._find_files(preset.name)
        if there and not replace:
            raise SettingsError(
                f"there is a preset {shorten(preset.name)} already; choose another name, "
                "or say that it is to be replaced"
            )
        path = there[0] if there else self.folder / _file_name(preset.name)
        try:
            write_whole(path, dump(preset).encode("utf-8", "backslashreplace"))
        except WorkspaceError as error:
            cause = getattr(error.__cause__, "strerror", None) or "it is a folder"
            raise WorkspaceError(
                f"cannot keep the preset in '{path}': {cause}; choose another folder"
            ) from error
        return path

    def delete(self, name: str) -> None:
        """Delete the preset of that name.

        Raises:
            SettingsError: if there is none.
            WorkspaceError: if it cannot be deleted.
        """
        there = self._find_files(name)
        if not there:
            ours = fold_name(name) in map(fold_name, bundled_presets())
            why = "is bundled and stays" if ours else f"is not in '{self.folder}'"
            raise SettingsError(f"the preset {shorten(name)} {why}; see `ofgen presets list`")
        for path in there:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                why = error.strerror or error
                raise WorkspaceError(f"cannot delete '{path}': {why}; delete it by hand") from error

    def _find_files(self, name: str) -> list[Path]:
        """Return the files with a preset of that name."""
        wanted = fold_name(name)
        return [
            path
            for path, preset in self._read_files()
            if isinstance(preset, Preset) and fold_name(preset.name) == wanted
        ]

    def _read_files(self) -> Iterator[tuple[Path, Preset | str]]:
        """Yield each file of the folder with its preset, or with its error."""
        paths: list[Path] = []
        with contextlib.suppress(OSError):
            paths = sorted(path for path in self.folder.glob("*.json") if path.is_file())
        for path in paths:
            try:
                with path.open("rb") as file:
                    preset = load(file.read(MAX_BYTES + 1))
                yield path, preset if preset.name else "the preset has no name"
            except (OSError, SettingsError) as error:
                yield path, getattr(error, "strerror", None) or str(error)


def _file_name(name: str) -> str:
    """Return a file name that every system accepts, a different one for each folded name."""
    folded = fold_name(name)
    letters = re.sub(r"[^a-z0-9]+", "-", folded)[:32].strip("-")
    return f"{letters or 'preset'}-{digest(folded)[:16]}.json"
