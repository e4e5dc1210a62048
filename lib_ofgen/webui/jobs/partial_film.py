"""The finished frames of a running job as a film, for people who watch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.system.files import modified_ns
from lib_ofgen.webui.host.environment import allowed_paths

__all__ = ["delete", "write"]

_KEPT = 3
"""Newest partial films of a job that are kept, because pages may be playing them."""


def write(
    job_id: str, preview: LivePreview, count: int, is_active: Callable[[], bool]
) -> Path | None:
    """Write the first `count` frames of the job; return the file, None if the job has ended.

    Raises:
        OfgenError, OSError: if the file cannot be written.
        KeyError: if one of the frames is being made again.
    """
    path = _folder() / f"{job_id}-{count}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    preview.write_partial(path, count)
    active = is_active()
    delete(job_id, keep=_KEPT if active else 0)
    return path if active else None


def _folder() -> Path:
    return allowed_paths().output / "so-far"


def delete(job_id: str, keep: int = 0) -> None:
    """Delete the partial films of the job, except the `keep` newest."""
    pattern = re.compile(rf"{re.escape(job_id)}(-[0-9]+)?\.mp4")
    with contextlib.suppress(OSError):
        films = [path for path in _folder().iterdir() if pattern.fullmatch(path.name)]
        for old in sorted(films, key=modified_ns, reverse=True)[keep:]:
            with contextlib.suppress(OSError):  # a page plays it
                old.unlink()
