"""`install.py` adds what is missing and moves nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT
from support.webui.host import PYTHON, WEBUI

PINS = (
    "protobuf==3.20.0", "numpy==1.26.2", "Pillow==9.5.0", "opencv-python-headless==4.9.0.80",
    "tqdm==4.65.0",
)  # fmt: skip
"""What the webui pins, and an OpenCV that is not the one that `scenedetect` names."""
ADDED = {"av", "click", "platformdirs", "scenedetect"}


def _packages(python: str | Path) -> dict[str, str]:
    """Distribution to version, as that interpreter sees them."""
    code = (
        "from importlib import metadata\n"
        "for dist in metadata.distributions():\n"
        "    print(dist.metadata['Name'].lower(), dist.version)"
    )
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return dict(line.split() for line in done.stdout.splitlines())


def _installed(python: str | Path) -> str:
    """What the run of `install.py` printed; started as the webui starts it."""
    done = subprocess.run(
        [python, ROOT / "install.py"],
        env={**os.environ, "PYTHONPATH": str(WEBUI), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=WEBUI, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_hosts_packages_stay_what_they_are() -> None:
    before = _packages(PYTHON)
    _installed(PYTHON)
    assert before.items() <= _packages(PYTHON).items()
    assert _installed(PYTHON) == "", "a second run is silent"


@pytest.mark.slow
def test_a_fresh_environment_gets_additions_alone(tmp_path: Path) -> None:
    subprocess.run([PYTHON, "-m", "venv", tmp_path / "venv"], check=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = tmp_path / "venv" / scripts / "python"
    pip = [python, "-m", "pip", "install", "-q", *PINS]
    pinned = subprocess.run(pip, capture_output=True, text=True)
    if pinned.returncode:
        pytest.skip(f"no package index: {pinned.stderr[-200:]}")
    before = _packages(python)
    assert "installing av" in _installed(python)
    after = _packages(python)
    assert before.items() <= after.items(), "a version was moved"
    assert {name for name in after if name not in before} == ADDED
    assert _installed(python) == "", "a second run is silent"
    code = "import av, cv2, scenedetect; assert cv2.__version__ == '4.9.0'"
    subprocess.run([python, "-c", code], check=True, capture_output=True)
