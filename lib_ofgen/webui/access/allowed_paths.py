"""Where requests may read and write, and which paths of theirs are not even looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from lib_ofgen.errors import SettingsError

__all__ = ["Places", "is_remote"]

_QUOTED = 200
"""Characters of a path that a message repeats."""


@dataclass(frozen=True)
class Places:
    """Where a request may read and write."""

    output: Path
    """The folder of films that name no place of their own; uploads are kept below it."""
    allowed: Sequence[Path]
    """Further folders from which paths are taken."""
    closed: Sequence[Path] = ()
    """Folders from which no path is taken, also where they lie below one of the others."""

    @property
    def uploads(self) -> Path:
        """The folder of what was sent."""
        return self.output / "uploads"

    def confined(self, text: str, role: str) -> Path:
        """The path, if it lies under one of the roots.

        Raises:
            SettingsError: it does not, whatever it is and whether it is there.
        """
        told = f"{role} {text[:_QUOTED]!r}"
        outside = SettingsError(
            f"{told} is outside the folders that requests may use; start the webui "
            "with --ofgen-allow-path FOLDER to allow it"
        )
        roots = (self.output, *self.allowed)
        if is_remote(text) and not any(_below(text, root) for root in roots):
            raise outside  # before anything asks the other machine
        try:
            path = Path(text).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # too long, a loop, a zero byte
            raise SettingsError(f"{told} is no path: {_cause(error)}") from error
        if not _in_one(path, roots) or _in_one(path, self.closed):
            raise outside
        return path


def is_remote(text: str) -> bool:
    r"""Whether Windows would ask another machine or a device for the path.

    So for `\\host\share`, `//host/share`, `\\?\UNC\host\share`, `\\.\device` and `\??\...`.
    """
    head = text.strip().lstrip("'\"").replace("/", "\\")
    return head.startswith(("\\\\", "\\??\\"))


def _below(text: str, root: Path) -> bool:
    """Whether a remote path is written as below a root, itself a remote one."""
    path, there = PureWindowsPath(text), PureWindowsPath(str(root))
    return is_remote(str(root)) and ".." not in path.parts and path.is_relative_to(there)


def _in_one(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root.resolve()) for root in roots)


def _cause(error: Exception) -> str:
    """Why there is no such path, without the path."""
    return getattr(error, "strerror", None) or str(error).splitlines()[0][:_QUOTED]
