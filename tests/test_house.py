"""The layers, from the import statements; and the house style."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT

import lib_ofgen

LAYERS = {
    0: {"addresses", "values", "errors", "libraries", "reading"},
    1: {
        "control", "settings", "images", "warp", "media", "weights", "checkpoints", "download",
        "exchange", "limits", "files", "seals", "light",
    },
    2: {
        "video", "encode", "scenes", "keyframes", "flow", "plan", "fuse", "inpaint",
        "brush", "sdapi", "metrics", "workspace", "sheet", "tracks", "render", "coverage",
        "plots", "markup", "tagging", "prompts", "prompt_list", "pace",
        "canvas", "families", "answers", "drafts", "stopping", "context", "records",
        "frame_store",
    },
    3: {
        "presets", "survey", "painting", "making", "motion", "finishing", "polishing", "filming",
        "report", "evaluate", "http_painter", "masks", "subject", "pictures", "page", "wording",
        "filling", "forecast", "timeline", "growing", "reel", "http_control",
        "beside", "reseeding", "pacing",
    },
    4: {"pipeline"},
    5: {"cli", "cli_presets", "cli_weights", "console", "__main__", "webui"},
}  # fmt: skip
LAYER = {name: layer for layer, names in LAYERS.items() for name in names}
SAME_LAYER = {
    ("libraries", "errors"),
    ("images", "limits"),
    ("light", "images"),
    ("light", "warp"),
    ("media", "images"),
    ("media", "limits"),
    ("settings", "control"),
    ("workspace", "drafts"),
    ("frame_store", "video"),
    ("frame_store", "workspace"),
    ("frame_store", "stopping"),
    ("http_painter", "http_control"),
    ("filling", "painting"),
    ("making", "filling"),
    ("making", "painting"),
    ("making", "subject"),
    ("finishing", "subject"),
    ("finishing", "motion"),
    ("motion", "painting"),
    ("filming", "painting"),
    ("filming", "polishing"),
    ("polishing", "making"),
    ("polishing", "motion"),
    ("polishing", "painting"),
    ("polishing", "subject"),
    ("finishing", "making"),
    ("pacing", "making"),
    ("pacing", "painting"),
    ("finishing", "painting"),
    ("evaluate", "report"),
    ("page", "pictures"),
    ("growing", "pictures"),
    ("reel", "report"),
    ("beside", "reel"),
    ("cli", "cli_presets"),
    ("cli", "cli_weights"),
    ("cli", "console"),
    ("cli_presets", "console"),
    ("cli_weights", "console"),
}
"""Halves of one stage in two files; every other import goes to a lower layer."""
HOST = {"modules", "gradio", "fastapi"}
MODULES = sorted(path for path in (ROOT / "lib_ofgen").rglob("*.py") if path.name != "__init__.py")


def _place(path: Path) -> str:
    return path.relative_to(ROOT / "lib_ofgen").parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """Dotted names that the file imports, with each name taken from a package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _ours(path: Path) -> set[str]:
    parts = [name.split(".") for name in _imports(path)]
    return {part[1] for part in parts if part[0] == "lib_ofgen" and part[1] in LAYER}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_from_lower_layers_only(path: Path) -> None:
    place = _place(path)
    assert place in LAYER, f"{place} has no layer"
    for other in _ours(path) - {place}:
        lower = LAYER[other] < LAYER[place]
        assert lower or (place, other) in SAME_LAYER, f"{place} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_webui_layer_knows_the_host(path: Path) -> None:
    hosts = {name.split(".")[0] for name in _imports(path)} & HOST
    assert not hosts or _place(path) == "webui"


def test_stages_never_see_settings() -> None:
    stages = [path for path in MODULES if LAYER[_place(path)] == 2]
    assert [path.name for path in stages if "settings" in _ours(path)] == []


def test_one_file_says_bgr_and_one_knows_remap() -> None:
    texts = {_place(path): path.read_text("utf-8") for path in MODULES}
    assert {name for name, text in texts.items() if "COLOR_RGB2BGR" in text} == {"images"}
    assert {name for name, text in texts.items() if "cv2.remap(" in text} == {"warp"}


def test_the_engine_starts_without_heavy_libraries() -> None:
    heavy = "torch, gradio, fastapi, skimage, scipy, onnxruntime"
    code = (
        "import sys, lib_ofgen.cli; "
        f"print([name for name in '{heavy}'.split(', ') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def test_public_names_exist_and_are_sorted() -> None:
    for info in pkgutil.walk_packages(lib_ofgen.__path__, "lib_ofgen."):
        if ".webui" in info.name or info.name.endswith("__main__"):
            continue
        if "._pdcnet" in info.name and find_spec("torch") is None:
            continue
        module = importlib.import_module(info.name)
        assert all(hasattr(module, name) for name in module.__all__), info.name


def test_no_function_is_longer_than_it_may_be() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 50, f"{path.name}: {node.name} has {lines} lines"


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_is_content(command: list[str]) -> None:
    where = [folder for folder in ("lib_ofgen", "scripts", "tests") if (ROOT / folder).is_dir()]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, *where], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
