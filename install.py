"""The webui's hook before it starts: installs missing packages, and changes no installed version.

Every installed version is a constraint: a package that needs another version of one is an error.
`scenedetect` requires a wheel of OpenCV that may differ from the webui's, so it is installed
without its dependencies, which the webui has.

An error is one line in the webui's log, and never stops the webui.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import metadata, util
from pathlib import Path

NEEDED = {"av": (17, 1), "click": (0, 0), "platformdirs": (0, 0)}
"""Name of the distribution, which is also its module's, and the lowest version."""
ALONE = {"scenedetect": (0, 7)}
"""The same, installed without dependencies."""


_VERSION = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(-\d+|[-_.]?(post|rev|r)[-_.]?\d*)?([-_.]?dev[-_.]?\d*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
    re.IGNORECASE,
)
"""A version that pip accepts (PEP 440); with another one in a constraint, pip fails."""
_NAME = re.compile(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", re.ASCII)


def missing(needed: dict[str, tuple[int, int]]) -> list[str]:
    """Return the requirements whose module is missing."""
    return [
        f"{name}>={least[0]}.{least[1]}" for name, least in needed.items() if not _is_there(name)
    ]


def _is_there(name: str) -> bool:
    try:
        return util.find_spec(name) is not None
    except (ImportError, ValueError):  # a stand-in for the module
        return name in sys.modules


def too_old(needed: dict[str, tuple[int, int]]) -> list[str]:
    """List installed packages that are too old; they belong to the user and are not changed."""
    found = []
    for name, least in needed.items():
        with suppress(Exception):  # its record may be missing or damaged
            version = str(metadata.version(name))
            numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
            if numbers and (*numbers, 0)[:2] < least:
                found.append(f"{name} {version} is older than {least[0]}.{least[1]}")
    return found


def constraints() -> str:
    """Return one line for each installed distribution, with its version."""
    found: dict[str, str] = {}
    for dist in metadata.distributions():
        with suppress(Exception):  # its record may be missing or damaged
            name, version = str(dist.metadata["Name"]), str(dist.version)
            if _NAME.fullmatch(name) and _VERSION.fullmatch(version):
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return "".join(f"{name}=={version}\n" for name, version in found.items())


def install(wanted: list[str], *options: str) -> str:
    """Install requirements into this environment under the constraints.

    Returns pip's error; empty if all went well.
    """
    index = os.environ.get("INDEX_URL")  # the webui's own name for it
    with tempfile.TemporaryDirectory() as folder:
        fixed = Path(folder) / "constraints.txt"
        fixed.write_text(constraints(), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--prefer-binary", "-c", str(fixed)]
        command += ["--disable-pip-version-check", "--no-input", "--retries", "1"]
        command += ["--index-url", index] if index else []
        done = subprocess.run(
            [*command, *options, *wanted], capture_output=True, check=False, errors="replace",
        )  # fmt: skip
    if not done.returncode:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return errors[-1][:200] if errors else f"pip ended with status {done.returncode}"


def _say(line: str) -> None:
    text = "".join(sign if sign.isprintable() else "?" for sign in line)
    safe = text.encode("ascii", "backslashreplace").decode()
    sys.stdout.write(f"Optical Flow Animation: {safe}\n")


def main() -> None:
    """Install missing packages; print nothing if there are none."""
    lacking: list[str] = []
    reason = ""
    for needed, options in ((NEEDED, ()), (ALONE, ("--no-deps",))):
        wanted = missing(needed)
        if wanted:
            try:
                why = install(wanted, *options)
            except (OSError, ValueError) as error:
                why = str(error)
            if why:
                lacking, reason = [*lacking, *wanted], reason or why
            else:
                _say(f"installing {', '.join(wanted)}: done")
        for old in too_old(needed):
            _say(f"{old}; update it with pip")
    if lacking:
        again = shlex.join([sys.executable, str(Path(__file__).resolve())])
        _say(f"could not install {', '.join(lacking)} ({reason}); go online and run {again}")


if __name__ == "__main__":
    main()
