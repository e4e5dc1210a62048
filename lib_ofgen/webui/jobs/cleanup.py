"""What was sent is deleted once no job needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lib_ofgen.webui.access import uploads
from lib_ofgen.webui.jobs import plan
from lib_ofgen.webui.jobs.job import JOBS, HostJob, places
from lib_ofgen.webui.jobs.store import shelf

__all__ = ["clear"]


def clear(*_: Any, ended: HostJob | None = None) -> None:
    """Delete what neither a job under way, nor the history, nor a plan in the making needs.

    `ended` is a job that has just come to its end. Also for the host's `on_app_started`.
    """
    for path in (ended.source, ended.mask) if ended else ():
        if path:
            uploads.let_go(path, ended.made if ended else 0)
    needed = {path.name for one in list(JOBS.values()) if one.under_way for path in _of(one)}
    needed |= {path.name for one in list(plan.PLANS.values()) if one.running for path in _of(one)}
    for record in shelf().all():
        needed |= {Path(str(record.document.get(part, ""))).name for part in ("input", "mask")}
    uploads.sweep(places().uploads, needed)


def _of(job: Any) -> list[Path]:
    """The files that a job or a plan reads."""
    return [path for path in (job.source, job.mask) if path]
