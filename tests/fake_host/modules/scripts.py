"""Scripts of the extension: loaded from its folder, and laid out in the host's own tabs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

AlwaysVisible = object()
KNOWN: list[type[Script]] = []
"""The classes of the scripts that were loaded."""


class Script:
    """What a script derives from."""

    infotext_fields: Any = None


class ScriptBuiltinUI(Script):
    """One of the host's own."""


class ScriptRunner:
    """The scripts of a tab, and their controls; none here is always on."""

    def __init__(self) -> None:
        self.alwayson_scripts: list[Script] = []
        self.inputs: list[Any] = []


scripts_img2img = ScriptRunner()


def load(extension: Path) -> None:
    """Run the scripts of the extension, which finds its own package only meanwhile."""
    sys.path.insert(0, str(extension))
    try:
        for path in sorted((extension / "scripts").glob("*.py")):
            spec: Any = importlib.util.spec_from_file_location(path.name, path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            found = [each for each in vars(module).values() if isinstance(each, type)]
            KNOWN.extend(each for each in found if issubclass(each, Script))
    finally:
        sys.path.remove(str(extension))
