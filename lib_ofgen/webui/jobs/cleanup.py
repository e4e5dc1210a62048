"""Deletion of uploads that no job needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lib_ofgen.webui.access import uploads
from lib_ofgen.webui.host.environment import allowed_paths
from lib_ofgen.webui.jobs.job import JobRun
from lib_ofgen.webui.jobs.service import SERVICE

__all__ = ["delete_unused_uploads"]


def delete_unused_uploads(*_: Any, ended: JobRun | None = None) -> None:
    """Delete uploads that no active job, no record and no running plan needs.

    Args:
        _: What the host's `on_app_started` gives.
        ended: A job that has just ended; its own uploads are not kept for its sake.
    """
    for path in (ended.source, ended.mask) if ended else ():
        if path:
            uploads.release(path, ended.created if ended else 0)
    needed = {path.name for one in SERVICE.jobs.runs() if one.is_active for path in _files(one)}
    needed |= {path.name for one in SERVICE.planner.list_running() for path in _files(one)}
    for record in SERVICE.jobs.store.all():
        needed |= {Path(str(record.document.get(part, ""))).name for part in ("input", "mask")}
    uploads.delete_unused(allowed_paths().uploads, needed)


def _files(job: Any) -> list[Path]:
    """Return the files that a job or a plan reads."""
    return [path for path in (job.source, job.mask) if path]
