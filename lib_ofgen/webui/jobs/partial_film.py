"""The film of a running job as far as it is done, as a file for those who watch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.system.files import modified_ns
from lib_ofgen.webui.jobs.job import places

__all__ = ["forget", "write"]

_KEPT = 3
"""Films of what is done so far that are kept of a job, the newest: pages may be playing them."""


def write(name: str, film: LivePreview, count: int, running: Callable[[], bool]) -> Path | None:
    """Write the first `count` frames of the job `name`; None if it has ended meanwhile.

    Raises:
        OfgenError, OSError: the file cannot be written.
        KeyError: a frame is being made anew.
    """
    path = _folder() / f"{name}-{count}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    film.write_partial(path, count)
    still = running()
    forget(name, keep=_KEPT if still else 0)
    return path if still else None


def _folder() -> Path:
    return places().output / "so-far"


def forget(name: str, keep: int = 0) -> None:
    """Delete the films of what was done so far of that job, but for the newest ones."""
    named = re.compile(rf"{re.escape(name)}(-[0-9]+)?\.mp4")
    with contextlib.suppress(OSError):
        films = [path for path in _folder().iterdir() if named.fullmatch(path.name)]
        for old in sorted(films, key=modified_ns, reverse=True)[keep:]:
            with contextlib.suppress(OSError):  # somebody plays it
                old.unlink()
