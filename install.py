"""The webui's hook before it starts: installs what is missing, and moves nothing that is there.

Everything installed is a constraint: a package that could only be had by moving another one is an
error instead. `scenedetect` names a wheel of OpenCV that may be another than the webui's, so it is
taken without its dependencies, which the webui has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib import metadata, util
from pathlib import Path

NEEDED = {"av": "av>=12", "click": "click", "platformdirs": "platformdirs"}
"""Module to requirement."""
ALONE = {"scenedetect": "scenedetect>=0.7"}
"""The same, without dependencies."""


def missing(needed: dict[str, str]) -> list[str]:
    """The requirements whose module is not there."""
    return [wanted for module, wanted in needed.items() if util.find_spec(module) is None]


def constraints() -> str:
    """One line for each installed distribution: the version that it has."""
    found = {dist.metadata["Name"]: dist.version for dist in metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in found.items() if name)


def install(wanted: list[str], *options: str) -> None:
    """Install requirements into this environment under the constraints."""
    index = os.environ.get("INDEX_URL")  # the webui's own name for it
    with tempfile.TemporaryDirectory() as folder:
        fixed = Path(folder) / "constraints.txt"
        fixed.write_text(constraints(), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--prefer-binary", "-c", str(fixed)]
        command += ["--index-url", index] if index else []
        subprocess.run([*command, *options, *wanted], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Install what is missing; silent when nothing is."""
    for needed, options in ((NEEDED, ()), (ALONE, ("--no-deps",))):
        wanted = missing(needed)
        if wanted:
            sys.stdout.write(f"Optical Flow Animation: installing {', '.join(wanted)}\n")
            install(wanted, *options)


if __name__ == "__main__":
    main()
