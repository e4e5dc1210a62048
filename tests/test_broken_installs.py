"""Libraries that are missing, broken or too old: one line each, and a webui that starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT

MISMATCH = (
    "numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got "
    "88 from PyObject"
)
TALK = "import sys; sys.stderr.write('x\\n' * 30); "
LONG = "\\n\\nIMPORTANT: PLEASE READ THIS FOR ADVICE ON HOW TO SOLVE THIS ISSUE!\\n\\n" * 9
GL = "libGL.so.1: cannot open shared object file: No such file or directory"
BROKEN = {
    "av missing": ("av", None, "av is not installed; run ", "-m pip install av"),
    "av's library": ("av", f"raise ImportError('libavformat.so.61: {GL[12:]}')",
                     "install libavformat.so.61, which the system lacks", "--force-reinstall"),
    "av too old": ("av", "", "av is too old or broken", "--no-deps av"),
    "cv2 missing": ("cv2", None, "cv2 is not installed", "pip install opencv-python"),
    "cv2 without GL": ("cv2", f"raise ImportError('{GL}')",
                       "install libGL.so.1, which the system lacks", "--no-deps opencv-python"),
    "numpy and binaries": ("cv2", f"raise ValueError('{MISMATCH}')", "ValueError: numpy.dtype size",
                           "--no-deps opencv-python"),
    "numpy itself": ("numpy", f"raise ImportError('{LONG}')", "numpy cannot be imported",
                     "--no-deps numpy=="),
    "numpy talks": ("numpy", TALK + "raise AttributeError('_ARRAY_API')",
                    "numpy cannot be imported (AttributeError: _ARRAY_API)", "--no-deps numpy"),
    "platformdirs missing": ("platformdirs", None, "platformdirs is not installed",
                             "pip install platformdirs"),
    "PIL broken": ("PIL", "raise OSError('bad image')", "PIL cannot be imported (OSError: bad",
                   "--no-deps pillow"),
    "PIL is a stand-in": ("PIL", "", "PIL is too old or broken", "--no-deps pillow"),
    "tqdm missing": ("tqdm", None, "tqdm is not installed", "pip install tqdm"),
    "tqdm leaves": ("tqdm", "raise SystemExit(3)", "tqdm cannot be imported (SystemExit: 3)",
                    "--no-deps tqdm"),
    "tqdm has a fault": ("tqdm", "def :", "tqdm cannot be imported (SyntaxError", "tqdm"),
    "a part is missing": ("tqdm", "import tqdm.gone", "tqdm", "pip install"),
}  # fmt: skip
"""What is broken: the module, the stand-in's text or None, and what is said of it."""


def stand_in(folder: Path, module: str, text: str | None) -> Path:
    """A folder for PYTHONPATH in which a module is as `text` has it; None: it is not there."""
    folder.mkdir(exist_ok=True)
    if text is not None:
        (folder / f"{module}.py").write_text(text, "utf-8")
        return folder
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == '{module}':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Gone())\n",
        "utf-8",
    )
    return folder


def ofgen(broken: Path, *words: object, where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command, as its entry point runs it, where a stand-in is found first."""
    code = "import sys; from lib_ofgen.__main__ import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, cwd=where,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (broken, where)))},
    )  # fmt: skip


def one_line(done: subprocess.CompletedProcess[str], *said: str) -> str:
    """The only line of a command that failed."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("ofgen: error: ")
    assert [words for words in said if words not in line] == [], line
    assert len(line) < 500
    return line


@pytest.mark.parametrize("how", BROKEN)
def test_the_command_line_says_what_is_broken_in_one_line(tmp_path: Path, how: str) -> None:
    module, text, said, remedy = BROKEN[how]
    one_line(ofgen(stand_in(tmp_path / "x", module, text), "settings"), said, remedy)


def test_the_module_as_a_program_says_it_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lib_ofgen", "settings"], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(stand_in(tmp_path / "x", "av", None))},
    )  # fmt: skip
    one_line(done, "av is not installed; run ", "-m pip install av")


HALF = {
    "a fault of syntax": ("imaging/warp.py", "def still(:\n"),
    "a name is gone": ("values/painting.py", None),
    "a file is gone": ("imaging/fusion.py", "gone"),
    "half a file": ("imaging/images.py", "import numpy as np\nLEFT = TOP\n"),
}


@pytest.mark.parametrize("how", HALF)
def test_files_of_ours_that_do_not_fit_are_one_line(tmp_path: Path, how: str) -> None:
    shutil.copytree(ROOT / "lib_ofgen", tmp_path / "lib_ofgen")
    file, text = HALF[how]
    path = tmp_path / "lib_ofgen" / file
    if text == "gone":
        path.unlink()
    else:
        path.write_text(text or path.read_text("utf-8").replace("class PromptRow", "class Row"))
    done = ofgen(tmp_path, "settings", where=tmp_path)
    one_line(done, "ofgen's own files do not fit together", "install ofgen again")


LAZY = {
    "skimage missing": ("skimage", None, "evaluate", "skimage is not installed; run "),
    "skimage and numpy": ("skimage", f"raise ValueError('{MISMATCH}')", "evaluate",
                          "skimage cannot be imported (ValueError"),
    "scenedetect missing": ("scenedetect", None, "plan", "scenedetect is not installed; run "),
    "scenedetect too old": ("scenedetect", "", "plan", "scenedetect is too old or broken"),
    "click missing": ("scenedetect", "import click_that_is_gone", "plan",
                      "click_that_is_gone is not installed"),
}  # fmt: skip


@pytest.mark.parametrize("how", LAZY)
def test_what_is_imported_late_is_one_line_too(tmp_path: Path, data: Path, how: str) -> None:
    module, text, command, said = LAZY[how]
    clip = next((data / "clips").glob("*.mp4"))
    words = (clip, clip) if command == "evaluate" else (clip, "--quiet", "--set", "max_frames=3")
    done = ofgen(stand_in(tmp_path / "x", module, text), command, *words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"ofgen: error: {said}")


def test_what_only_an_extra_installs_is_asked_for_by_the_extra(tmp_path: Path) -> None:
    folder = stand_in(tmp_path / "x", "skimage", None)
    (folder / "ofgen-0.1.0.dist-info").mkdir()
    record = "Metadata-Version: 2.1\nName: ofgen\nVersion: 0.1.0\n"
    (folder / "ofgen-0.1.0.dist-info" / "METADATA").write_text(record, "utf-8")
    done = ofgen(folder, "evaluate", "no.mp4", "no.mp4")  # said before anything is read
    one_line(done, "skimage is not installed; run ", '-m pip install "ofgen[evaluate]"')


def test_all_but_the_judge_works_without_scikit_image(tmp_path: Path, data: Path) -> None:
    folder = stand_in(tmp_path / "x", "skimage", None)
    clip, film = data / "clips" / "car_5s_512x288.mp4", tmp_path / "o.mp4"
    words = (clip, "-o", film, "--quiet", "--report", tmp_path / "o.json", "--set", "max_frames=3")
    done = ofgen(folder, "animate", *words, "--set", "width=64", "--set", "flow=dis")
    assert (done.returncode, done.stderr) == (0, "")
    assert film.is_file()
    assert "farneback" in (tmp_path / "o.json").read_text("utf-8")


def test_flow_with_a_broken_torch_is_one_line_and_auto_takes_another(
    tmp_path: Path, data: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "PDCNet_plus_m.pth.tar").write_bytes(b"any")
    broken = stand_in(tmp_path / "x", "torch", "raise OSError('libcudart.so.12: no such file')")
    clip = data / "clips" / "car_5s_512x288.mp4"
    films = (clip, "-o", tmp_path / "o.mp4", "--quiet", "--models-dir", models)
    words = ("animate", *films, "--set", "max_frames=2", "--set", "width=64")
    done = ofgen(broken, *words, "--set", "flow=pdcnet")
    one_line(done, "flow=pdcnet cannot run: torch cannot be imported (OSError", "take flow=dis")
    assert ofgen(broken, *words).returncode == 0


def test_a_tagger_with_a_broken_onnxruntime_is_one_line(tmp_path: Path) -> None:
    from support import tiny_tagger

    folder = tiny_tagger.make(tmp_path / "mine")
    broken = stand_in(tmp_path / "x", "onnxruntime", "raise ImportError('DLL load failed')")
    done = ofgen(broken, "weights", "verify", folder / "model.onnx")
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith("bad   onnxruntime cannot be imported (ImportError: DLL load failed)")
    assert done.stderr == ""


HOST = """
import sys
sys.path[:0] = [{host!r}]
import logging
from pathlib import Path
import modules.scripts as scripts
from modules import script_callbacks
scripts.load(Path({root!r}))
print(len(scripts.KNOWN), len(script_callbacks.PAGES), len(script_callbacks.STARTED))
"""
"""What the fake host does with the extension's scripts, without gradio's page."""


@pytest.mark.parametrize("how", ["av missing", "cv2 without GL", "numpy talks", "PIL broken"])
def test_the_webui_starts_without_us_and_logs_one_line(tmp_path: Path, how: str) -> None:
    module, text, said, remedy = BROKEN[how]
    folder = stand_in(tmp_path / "x", module, text)
    for host in ("gradio", "fastapi"):  # whose nothing is reached
        (folder / f"{host}.py").write_text("def __getattr__(name): return object", "utf-8")
    code = HOST.format(host=str(ROOT / "tests" / "fake_host"), root=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "0", "0"], "something of ours was left in the host"
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Optical Flow Animation: not loaded: ")
    assert said in line
    assert remedy in line


def _installing() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        import install
    finally:
        sys.path.remove(str(ROOT))
    return install


def _installer(broken: Path, **more: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "install.py"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(broken), **more},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_installer_offline_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install = _installing()
    monkeypatch.setattr(install, "NEEDED", {"ofgen-lacks-this": (1, 0)})
    monkeypatch.setattr(install, "ALONE", {"ofgen-lacks-that": (1, 0)})
    monkeypatch.setenv("INDEX_URL", "http://127.0.0.1:9/simple")
    install.main()
    said = capfd.readouterr()
    (line,) = said.out.splitlines()
    wanted = "ofgen-lacks-this>=1.0, ofgen-lacks-that>=1.0"
    assert line.startswith(f"Optical Flow Animation: could not install {wanted} (ERROR: ")
    assert line.endswith("install.py")
    assert said.err == ""


def test_the_installer_without_pip_is_one_line(tmp_path: Path) -> None:
    broken = stand_in(tmp_path / "x", "platformdirs", None)
    (broken / "pip.py").write_text("raise ImportError('no pip\\nhere')", "utf-8")
    (line,) = _installer(broken)
    assert "could not install platformdirs>=0.0 (ImportError: no pip" in line or "here)" in line


ODD = {
    "no version": "Metadata-Version: 2.1\nName: av\n",
    "no name": "Metadata-Version: 2.1\nVersion: 1.0\n",
    "a local version": "Metadata-Version: 2.1\nName: odd\nVersion: 2023.1+local\n",
    "a candidate": "Metadata-Version: 2.1\nName: platformdirs\nVersion: 4.0.0rc1\n",
    "no version at all": "Metadata-Version: 2.1\nName: click\nVersion: as-yesterday\n",
    "nothing": None,
    "noise": "\0\1\2",
    "OpenCV by another name": "Metadata-Version: 2.1\nName: opencv-contrib-python\nVersion: 4.9\n",
}


@pytest.mark.parametrize("how", ODD)
def test_the_installer_minds_no_odd_neighbour(tmp_path: Path, how: str) -> None:
    record = tmp_path / "x" / "odd-1.dist-info"
    record.mkdir(parents=True)
    text = ODD[how]
    if text is not None:
        (record / "METADATA").write_text(text, "utf-8")
    assert _installer(record.parent) == []


def test_constraints_hold_what_pip_can_read_and_the_first_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install = _installing()
    for place, text in enumerate([*filter(None, ODD.values()), "Name: Odd\nVersion: 1\n"]):
        record = tmp_path / f"odd{place}-1.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    lines = install.constraints().splitlines()
    assert "platformdirs==4.0.0rc1" in lines
    assert "opencv-contrib-python==4.9" in lines
    assert not any("None" in line or "yesterday" in line or "\0" in line for line in lines)
    assert len({line.partition("==")[0] for line in lines}) == len(lines)


@pytest.mark.parametrize(
    ("version", "told"),
    [("12", False), ("12.0.0", False), ("11.9", True), ("2023.1+local", False), ("1.0rc1", True)],
)
def test_a_version_that_is_too_old_is_told(
    monkeypatch: pytest.MonkeyPatch, version: str, told: bool
) -> None:
    install = _installing()
    monkeypatch.setattr(install.metadata, "version", lambda name: version)
    assert bool(install.too_old({"av": (12, 0)})) is told
