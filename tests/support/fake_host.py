"""The fake host of the tests in a process of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT
from support.server import Server, free_port

__all__ = ["FakeHost", "interpreter"]


class FakeHost(Server):
    """`fake_host` in the environment of an interpreter."""

    name = "fake host"

    def __init__(self, python: str, data: Path, *flags: str) -> None:
        port = free_port()
        told = ("--port", str(port), "--data", str(data), "--api", *flags)
        kept = {"PYTHONDONTWRITEBYTECODE": ""}  # it would compile all of gradio at each start
        super().__init__([python, "tests/fake_host", *told], port, data, ROOT, **kept)

    def job(self, name: str) -> dict[str, Any]:
        """What the API tells of a job."""
        return self.call(f"/ofgen/v1/jobs/{name}").body


def interpreter(variable: str) -> str:
    """The interpreter that the variable names, if gradio is there."""
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} names no Python with gradio; docs/architecture.md tells how")
    asked = [python, "-c", "import importlib.util as u; print(u.find_spec('gradio') is not None)"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if found != "True":
        pytest.skip(f"{variable}={python} has no gradio")
    return python
