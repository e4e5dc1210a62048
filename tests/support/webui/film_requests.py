"""Requests under way to a webui."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

from support.webui.films import JOB
from support.webui.host import Answer, Host
from support.webui.page import Page


class Running(threading.Thread):
    """A request under way."""

    def __init__(self, host: Host, job: dict[str, Any], **fields: Any) -> None:
        super().__init__()
        self.answer: Answer | None = None
        self._ask = lambda: host.film(job, **fields)
        self.start()

    def run(self) -> None:
        self.answer = self._ask()

    def ended(self) -> Answer:
        self.join()
        assert self.answer is not None
        return self.answer


SMALL = {
    **JOB, "prompt": "oil painting", "steps": 4, "cfg_scale": 5.0, "sampler": "Euler", "seed": 41,
    "strength": 0.5, "hole_strength": 0.5,
}  # fmt: skip


class Pressed(threading.Thread):
    """Generate was pressed; `seen` grows while the page looks at the job."""

    def __init__(self, host: Host, clip: Path, **changes: Any) -> None:
        super().__init__(daemon=True)
        self.page, self._host = Page(host.port), host
        values = {f"ofgen_{name}": value for name, value in {**SMALL, **changes}.items()}
        file = self.page.upload(clip)
        told = self.page.press("ofgen_generate", ofgen_upload=file, **values)["ofgen_told"]
        found = re.search(r"data-job='([\w-]+)'", told)
        assert found, told
        self.id = found[1]
        self.seen: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        while self.job()["state"] in ("waiting", "running"):
            self.seen.append(self.page.press("ofgen_look"))
            time.sleep(0.1)
        self.seen.append(self.page.press("ofgen_look"))

    def job(self) -> dict[str, Any]:
        """What the API tells of the job."""
        return self._host.call(f"/ofgen/v1/jobs/{self.id}").body

    def film(self) -> Path:
        """The film, when the job has ended."""
        self.join()
        job = self.job()
        assert job["state"] == "done", job
        return self._host.outputs / "ofgen" / job["output"]
