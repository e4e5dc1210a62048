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
_MODULES = (
    "jobs.service", "jobs.registry", "jobs.store", "jobs.document", "jobs.state", "tab.job_view",
    "host.environment",
)  # fmt: skip


@contextlib.contextmanager
def hosted(data: Path) -> Iterator[Any]:
    """Our modules with that data folder, and what the service holds: `jobs`, `queue`, `planner`."""
    data.mkdir(parents=True, exist_ok=True)
    before, given = list(sys.path), sys.argv
    sys.path.insert(0, str(ROOT / "tests" / "fake_host"))
    sys.argv = ["fake_host", "--data", str(data), "--api"]
    _forget()
    try:
        yield _imported()
    finally:
        jobs = sys.modules["lib_ofgen.webui.jobs.service"].SERVICE.jobs
        for run in jobs.runs():
            run.stop()
        waited(lambda: not any(run.is_active for run in jobs.runs()), "end of the jobs", 30)
        sys.path[:], sys.argv = before, given
        _forget()


def _imported() -> Any:
    modules = {
        name.partition(".")[2]: importlib.import_module(f"lib_ofgen.webui.{name}")
        for name in _MODULES
    }
    return SimpleNamespace(**modules, **vars(modules["service"].SERVICE))


def _forget() -> None:
    """No module of the host, and none that has seen it, is left."""
    ours = tuple(f"lib_ofgen.webui.{room}" for room in _ROOMS)
    for name in list(sys.modules):
        host = name == "modules" or name.startswith("modules.")
        if host or name.startswith(ours):
            del sys.modules[name]
    for room in _ROOMS:  # else `from lib_ofgen.webui import jobs` finds the old one
        vars(lib_ofgen.webui).pop(room, None)
