"""The webui's hook before it starts: installs what is missing, and moves nothing that is there.

Everything installed is a constraint: a package that could only be had by moving another one is an
error instead. `scenedetect` names a wheel of OpenCV that may be another than the webui's, so it is
taken without its dependencies, which the webui has.

What goes wrong is one line, and never stops the webui: its log then says what is missing.
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
"""Distribution, which is also its module, to the least version."""
ALONE = {"scenedetect": (0, 7)}
"""The same, without dependencies."""


_VERSION = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(-\d+|[-_.]?(post|rev|r)[-_.]?\d*)?([-_.]?dev[-_.]?\d*)?(\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
    re.IGNORECASE,
)
"""What pip takes for a version, PEP 440; it refuses to work where a constraint has another."""
_NAME = re.compile(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", re.ASCII)


def missing(needed: dict[str, tuple[int, int]]) -> list[str]:
    """The requirements whose module is not there."""
    return [
        f"{name}>={least[0]}.{least[1]}" for name, least in needed.items() if not _is_there(name)
    ]


def _is_there(name: str) -> bool:
    try:
        return util.find_spec(name) is not None
    except (ImportError, ValueError):  # somebody has put a stand-in there
        return name in sys.modules


def too_old(needed: dict[str, tuple[int, int]]) -> list[str]:
    """What is there, but is older than it must be; it is somebody's, so it is not moved."""
    found = []
    for name, least in needed.items():
        with suppress(Exception):  # its record may lack, or be damaged in any way
            version = str(metadata.version(name))
            numbers = [int(part) for part in re.findall(r"\d+", version)[:2]]
            if numbers and (*numbers, 0)[:2] < least:
                found.append(f"{name} {version} is older than {least[0]}.{least[1]}")
    return found


def constraints() -> str:
    """One line for each installed distribution: the version that it has."""
    found: dict[str, str] = {}
    for dist in metadata.distributions():
        with suppress(Exception):  # as above
            name, version = str(dist.metadata["Name"]), str(dist.version)
            if _NAME.fullmatch(name) and _VERSION.fullmatch(version):
                found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return "".join(f"{name}=={version}\n" for name, version in found.items())


def install(wanted: list[str], *options: str) -> str:
    """Install requirements into this environment under the constraints.

    Gives what pip says of why it could not; empty when all is well.
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
    told = [line for line in lines if line.startswith("ERROR:")] or lines
    return told[-1][:200] if told else f"pip ended with status {done.returncode}"


def _say(line: str) -> None:
    text = "".join(sign if sign.isprintable() else "?" for sign in line)
    safe = text.encode("ascii", "backslashreplace").decode()
    sys.stdout.write(f"Optical Flow Animation: {safe}\n")


def main() -> None:
    """Install what is missing; silent when nothing is."""
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
