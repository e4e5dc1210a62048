"""Where requests may read and write, and which paths are refused before anything touches them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from lib_ofgen.errors import SettingsError

__all__ = ["AllowedPaths", "is_remote"]

_MAX_QUOTED = 200
"""Characters of a path that a message repeats."""


@dataclass(frozen=True)
class AllowedPaths:
    """Where a request may read and write."""

    output: Path
    """Folder of films whose request names no output; uploads are kept below it."""
    allowed: Sequence[Path]
    """Further folders from which paths are taken."""
    closed: Sequence[Path] = ()
    """Folders from which no path is taken, even if they lie below one of the others."""

    @property
    def uploads(self) -> Path:
        """The folder of uploads."""
        return self.output / "uploads"

    def resolve(self, text: str, role: str) -> Path:
        """Return the path, if it lies in one of the folders.

        Args:
            text: The path as the request names it.
            role: What it is, for messages, such as `input`.

        Raises:
            SettingsError: if it lies elsewhere or is not a path, whether it exists or not.
        """
        quoted = f"{role} {text[:_MAX_QUOTED]!r}"
        outside = SettingsError(
            f"{quoted} is outside the folders that requests may use; start the webui "
            "with --ofgen-allow-path FOLDER to allow it"
        )
        roots = (self.output, *self.allowed)
        if is_remote(text) and not any(_is_below(text, root) for root in roots):
            raise outside  # before anything asks the other machine
        try:
            path = Path(text).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # too long, a loop, a zero byte
            raise SettingsError(f"{quoted} is not a path: {_cause(error)}") from error
        if not _is_in_any(path, roots) or _is_in_any(path, self.closed):
            raise outside
        return path


def is_remote(text: str) -> bool:
    r"""Whether Windows would ask another machine or a device for the path.

    Such paths are `\\host\share`, `//host/share`, `\\?\UNC\host\share`, `\\.\device` and
    `\??\...`.
    """
    head = text.strip().lstrip("'\"").replace("/", "\\")
    return head.startswith(("\\\\", "\\??\\"))


def _is_below(text: str, root: Path) -> bool:
    """Whether a remote path is written as below a root that is remote itself."""
    path, remote_root = PureWindowsPath(text), PureWindowsPath(str(root))
    return is_remote(str(root)) and ".." not in path.parts and path.is_relative_to(remote_root)


def _is_in_any(path: Path, roots: Sequence[Path]) -> bool:
    return any(path.is_relative_to(root.resolve()) for root in roots)


def _cause(error: Exception) -> str:
    """Return why there is no such path, without the path."""
    return getattr(error, "strerror", None) or str(error).splitlines()[0][:_MAX_QUOTED]
