"""The webui's hook before it starts: installs what is missing, and moves nothing that is there.

Everything installed is a constraint: a package that could only be had by moving another one is an
error instead. `scenedetect` names a wheel of OpenCV that may be another than the webui's, so it is
taken without its dependencies, which the webui has.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path

NEEDED = {"av": (17, 1), "click": (0, 0), "platformdirs": (0, 0)}
"""Distribution, which is also its module, to the least version."""
ALONE = {"scenedetect": (0, 7)}
"""The same, without dependencies."""


def missing(needed: dict[str, tuple[int, int]]) -> list[str]:
    """The requirements whose module is not there."""
    return [
        f"{name}>={least[0]}.{least[1]}"
        for name, least in needed.items()
        if util.find_spec(name) is None
    ]


def too_old(needed: dict[str, tuple[int, int]]) -> list[str]:
    """What is there, but is older than it must be; it is somebody's, so it is not moved."""
    found = []
    for name, least in needed.items():
        with suppress(metadata.PackageNotFoundError):
            version = metadata.version(name)
            numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
            if numbers < least:
                found.append(f"{name} {version} is older than {least[0]}.{least[1]}")
    return found


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
        for old in too_old(needed):
            sys.stdout.write(f"Optical Flow Animation: {old}; update it with pip\n")


if __name__ == "__main__":
    main()
