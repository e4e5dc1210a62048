"""The webui's side of the extension in this process, on the fake host's `modules`; no gradio."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lib_ofgen.webui
from support.paths import ROOT
from support.server import waited

_ROOMS = ("host", "jobs", "tab")
"""Rooms whose modules know the host, or a module that does."""
_MODULES = ("jobs.job", "jobs.queue", "jobs.plan", "tab.job_view", "jobs.store", "jobs.document")


@contextlib.contextmanager
def hosted(data: Path) -> Iterator[Any]:
    """Our modules with that data folder: `job`, `queue`, `plan`, `job_view`, `store`."""
    data.mkdir(parents=True, exist_ok=True)
    before, given = list(sys.path), sys.argv
    sys.path.insert(0, str(ROOT / "tests" / "fake_host"))
    sys.argv = ["fake_host", "--data", str(data), "--api"]
    _forget()
    try:
        yield _imported()
    finally:
        jobs = sys.modules["lib_ofgen.webui.jobs.job"]
        for job in list(jobs.JOBS.values()):
            job.stop()
        waited(lambda: not any(job.under_way for job in jobs.JOBS.values()), "end of the jobs", 30)
        sys.path[:], sys.argv = before, given
        _forget()


def _imported() -> Any:
    return SimpleNamespace(**{
        name.partition(".")[2]: importlib.import_module(f"lib_ofgen.webui.{name}")
        for name in _MODULES
    })  # fmt: skip


def _forget() -> None:
    """No module of the host, and none that has seen it, is left."""
    ours = tuple(f"lib_ofgen.webui.{room}" for room in _ROOMS)
    for name in list(sys.modules):
        host = name == "modules" or name.startswith("modules.")
        if host or name.startswith(ours):
            del sys.modules[name]
    for room in _ROOMS:  # else `from lib_ofgen.webui import jobs` finds the old one
        vars(lib_ofgen.webui).pop(room, None)
