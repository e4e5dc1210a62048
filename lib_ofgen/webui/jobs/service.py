"""The one object that holds what the webui's jobs share; "Reload UI" leaves it alone."""

from __future__ import annotations

from lib_ofgen.webui.jobs.plan import Planner
from lib_ofgen.webui.jobs.queue import JobQueue
from lib_ofgen.webui.jobs.registry import JobRegistry

__all__ = ["SERVICE", "JobService"]


class JobService:
    """Jobs with their lock and records, the queue, and the plans."""

    def __init__(self) -> None:
        """Begin idle; nothing is read and no thread starts before it is needed."""
        self.jobs = JobRegistry()
        self.queue = JobQueue(self.jobs)
        self.planner = Planner()


SERVICE = JobService()
"""Of this process. The host imports our modules once, so it lives until the process ends."""
