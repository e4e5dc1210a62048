"""`python -m tests.versions`: the core tests on the lowest and the newest versions allowed.

Makes an environment of each in a temporary folder, by the two resolutions of uv, which the extra
`dev` installs, and prints a Markdown table. The core is what needs neither torch nor a webui; the
house style is left out, for it is judged by one version of ruff. Takes some ten minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
SHOWN = ("av", "numpy", "opencv-python-headless", "pillow", "scikit-image", "onnxruntime")
LEFT_OUT = ("tests/webui", "tests/test_tab_alone.py")


def environment(folder: Path, resolution: str) -> Path:
    """The interpreter of a new environment with the project and its tests' needs."""
    uv = shutil.which("uv") or "uv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    how = ("--quiet", "--python", str(python), "--resolution", resolution)
    subprocess.run([uv, "pip", "install", *how, f"{ROOT}[test]"], check=True, cwd=folder)
    return python


def versions(python: Path) -> dict[str, str]:
    """Of the packages that are shown."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    done = subprocess.run([python, "-c", code, *SHOWN], check=True, capture_output=True, text=True)
    return dict(zip(SHOWN, done.stdout.split(), strict=True))


def tested(python: Path) -> tuple[int, str]:
    """The exit status of the core tests, and how many passed, failed and were skipped."""
    ignored = [f"--ignore={path}" for path in LEFT_OUT]
    command = [python, "-m", "pytest", "tests", "-rfE", "-p", "no:cacheprovider", *ignored]
    command += ["--deselect=tests/test_house.py::test_ruff_is_content"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or [done.stderr[-500:]]
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            sys.stderr.write(line + "\n")
    return done.returncode, re.sub(r" in [\d.]+s.*|=+", "", lines[-1]).strip()


def main() -> int:
    """Print the table; the exit status is 0 if all tests passed on both."""
    rows = [["versions", *SHOWN, "core tests"], ["---"] * (len(SHOWN) + 2)]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # some tests run programs as another user
        for name, resolution in RESOLUTIONS.items():
            python = environment(Path(folder) / name, resolution)
            status, counts = tested(python)
            good = good and status == 0
            rows.append([name, *versions(python).values(), counts])
    sys.stdout.write("".join(f"| {' | '.join(row)} |\n" for row in rows))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
