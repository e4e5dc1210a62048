"""The presets of a user: a folder of small JSON files, one each.

A preset's name stands in its file. The file's own name is made of letters that every system takes
and of a digest, so that names which people would take for one another are one file everywhere.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from lib_ofgen.errors import SettingsError, WorkspaceError
from lib_ofgen.settings.choice import shorten
from lib_ofgen.settings.presets.document import LARGEST, Preset, bundled_presets, dump, fold, load
from lib_ofgen.store.workspace import digest, write_whole

__all__ = ["Store"]


class Store:
    """A folder of presets; it need not be there before the first is saved."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self.folder = folder

    def all(self) -> dict[str, Preset]:
        """The presets that can be read, by name."""
        found: dict[str, Preset] = {}
        for _, preset in self._files():
            if isinstance(preset, Preset):
                found.setdefault(fold(preset.name), preset)
        return {preset.name: preset for _, preset in sorted(found.items())}

    def faults(self) -> list[str]:
        """A line for each file that holds no preset."""
        return [f"'{path}': {fault}" for path, fault in self._files() if isinstance(fault, str)]

    def get(self, name: str) -> Preset | None:
        """The preset of that name, or of one that people would take for it."""
        wanted = fold(name)
        return next((one for one in self.all().values() if fold(one.name) == wanted), None)

    def save(self, preset: Preset, *, replace: bool = False) -> Path:
        """Keep the preset; the file that holds it.

        Raises:
            SettingsError: it has no name, its name is a bundled preset's, or one of that name is
                there and not to be replaced.
            WorkspaceError: it cannot be written.
        """
        if not preset.name:
            raise SettingsError("a preset needs a name to be kept under; give one")
        if fold(preset.name) in map(fold, bundled_presets()):
            raise SettingsError(
                f"{shorten(preset.name)} is the name of a bundled preset; choose another"
            )
        there = self._of(preset.name)
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
        """Forget the preset of that name.

        Raises:
            SettingsError: there is none.
            WorkspaceError: it cannot be deleted.
        """
        there = self._of(name)
        if not there:
            ours = fold(name) in map(fold, bundled_presets())
            why = "is bundled and stays" if ours else f"is not in '{self.folder}'"
            raise SettingsError(f"the preset {shorten(name)} {why}; see `ofgen presets list`")
        for path in there:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                why = error.strerror or error
                raise WorkspaceError(f"cannot delete '{path}': {why}; delete it by hand") from error

    def _of(self, name: str) -> list[Path]:
        """The files that hold a preset of that name."""
        wanted = fold(name)
        return [
            path
            for path, preset in self._files()
            if isinstance(preset, Preset) and fold(preset.name) == wanted
        ]

    def _files(self) -> Iterator[tuple[Path, Preset | str]]:
        """Each file of the folder with its preset, or with what is wrong with it."""
        paths: list[Path] = []
        with contextlib.suppress(OSError):
            paths = sorted(path for path in self.folder.glob("*.json") if path.is_file())
        for path in paths:
            try:
                with path.open("rb") as file:
                    preset = load(file.read(LARGEST + 1))
                yield path, preset if preset.name else "the preset has no name"
            except (OSError, SettingsError) as error:
                yield path, getattr(error, "strerror", None) or str(error)


def _file_name(name: str) -> str:
    """A file name that every system takes: no two folded names share one."""
    folded = fold(name)
    letters = re.sub(r"[^a-z0-9]+", "-", folded)[:32].strip("-")
    return f"{letters or 'preset'}-{digest(folded)[:16]}.json"
