"""The webui's side of the extension in this process, on the fake host's `modules`; no gradio."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from conftest import ROOT
from serving import waited

import lib_ofgen.webui

_OURS = ("job", "runner", "planning", "watching", "request", "painter", "reporter", "sharing",
         "control", "lookup")  # fmt: skip
"""Modules of ours that know the host."""


@contextlib.contextmanager
def hosted(data: Path) -> Iterator[Any]:
    """Our modules with that data folder: `job`, `runner`, `planning`, `watching`, `shelf`."""
    data.mkdir(parents=True, exist_ok=True)
    before, given = list(sys.path), sys.argv
    sys.path.insert(0, str(ROOT / "tests" / "fake_host"))
    sys.argv = ["fake_host", "--data", str(data), "--api"]
    _forget()
    try:
        yield _imported()
    finally:
        jobs = sys.modules["lib_ofgen.webui.job"]
        for job in list(jobs.JOBS.values()):
            job.stop()
        waited(lambda: not any(job.under_way for job in jobs.JOBS.values()), "end of the jobs", 30)
        sys.path[:], sys.argv = before, given
        _forget()


def _imported() -> Any:
    names = ("job", "runner", "planning", "watching", "shelf", "document")
    return SimpleNamespace(
        **{name: importlib.import_module(f"lib_ofgen.webui.{name}") for name in names}
    )


def _forget() -> None:
    """No module of the host, and none that has seen it, is left."""
    for name in list(sys.modules):
        host = name == "modules" or name.startswith("modules.")
        if host or name in {f"lib_ofgen.webui.{one}" for one in _OURS}:
            del sys.modules[name]
    for name in _OURS:  # else `from lib_ofgen.webui import job` finds the old one
        vars(lib_ofgen.webui).pop(name, None)
