"""The stubs for pyright name only what the host has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from support.paths import ROOT
from support.webui.host import WEBUI

STUBS = sorted((ROOT / "stubs" / "modules").glob("[!_]*.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.stem)
def test_what_a_stub_declares_is_in_the_hosts_module(stub: Path) -> None:
    source = (WEBUI / "modules" / f"{stub.stem}.py").read_text("utf-8")
    for node in ast.parse(stub.read_text("utf-8")).body:
        name = getattr(node, "name", None)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name is not None and not isinstance(node, ast.ClassDef):
            assert re.search(rf"\b{name}\b", source), name
