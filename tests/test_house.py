"""The order of the rooms, from the import statements; and the house style."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import lib_ofgen
from support.paths import ROOT

HOUSE = ROOT / "lib_ofgen"
ROOMS = (
    ("errors",), ("values",), ("system",), ("imaging",), ("video",), ("store",), ("settings",),
    ("models", "planning"), ("report",), ("pipeline",), ("cli", "webui"),
)  # fmt: skip
"""From the ground up; rooms of one floor know nothing of each other."""
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
HOST = {"modules", "gradio", "fastapi"}
FILES = sorted(HOUSE.rglob("*.py"))
MODULES = [path for path in FILES if path.name != "__init__.py"]
FOLDERS = sorted({HOUSE, *(path.parent for path in FILES)})


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _room(path: Path) -> str:
    """The room of a file, or its own name if it stands before the rooms."""
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


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


def _ours(path: Path) -> set[Path]:
    """The files of ours that the file imports."""
    found = set()
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != HOUSE.name:
            continue
        for length in range(len(parts), 0, -1):
            place = ROOT.joinpath(*parts[:length])
            file = next(
                (one for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file()),
                None,
            )
            if file is not None:
                found.add(file)
                break
        else:
            raise AssertionError(f"{_named(path)}: there is no {name}")
    return found


def test_every_room_has_its_floor() -> None:
    rooms = {_room(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms == FLOOR.keys()


@pytest.mark.parametrize("path", MODULES, ids=_named)
def test_a_room_imports_from_lower_floors_only(path: Path) -> None:
    room = _room(path)
    if room == "__main__":
        return
    for other in _ours(path):
        there = _room(other)
        allowed = there in (room, "__init__") or FLOOR[there] < FLOOR[room]
        assert allowed, f"{_named(path)} imports {_named(other)}"


@pytest.mark.parametrize("folder", FOLDERS, ids=_named)
def test_no_imports_go_in_a_circle(folder: Path) -> None:
    graph: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        here = path.relative_to(folder).parts[0]
        others = {one for one in _ours(path) if folder in one.parents}
        graph.setdefault(here, set()).update(one.relative_to(folder).parts[0] for one in others)
    edges = {here: others - {here, "__init__.py"} for here, others in graph.items()}
    try:
        list(TopologicalSorter(edges).static_order())
    except CycleError as error:
        pytest.fail(f"{_named(folder)}: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("folder", FOLDERS, ids=_named)
def test_no_folder_has_more_entries_than_one_looks_over(folder: Path) -> None:
    entries = [one.name for one in folder.iterdir() if one.name != "__pycache__"]
    most = 15
    if folder == HOUSE:
        entries = [name for name in entries if name not in ("__init__.py", "__main__.py")]
        most = 13
    assert len(entries) <= most, sorted(entries)


@pytest.mark.parametrize("path", MODULES, ids=_named)
def test_only_the_webui_room_knows_the_host(path: Path) -> None:
    hosts = {name.split(".")[0] for name in _imports(path)} & HOST
    assert not hosts or _room(path) == "webui"


def test_no_test_imports_another_test() -> None:
    """What tests share is in `conftest.py`, as fixtures, or in the package `support`."""
    found = {
        f"{_named(path)}: {name}"
        for path in (ROOT / "tests").rglob("*.py")
        for name in _imports(path)
        if any(part.startswith("test_") or part == "conftest" for part in name.split(".")[:-1])
    }
    assert found == set()


def test_what_works_on_pixels_never_sees_settings() -> None:
    fields = HOUSE / "settings" / "fields.py"
    blind = [path for path in MODULES if FLOOR.get(_room(path), 99) <= FLOOR["models"]]
    blind = [path for path in blind if _room(path) != "settings"]
    assert [_named(path) for path in blind if fields in _ours(path)] == []


def test_one_file_says_bgr_and_one_knows_remap() -> None:
    texts = {_named(path): path.read_text("utf-8") for path in MODULES}
    bgr = {name for name, text in texts.items() if "COLOR_RGB2BGR" in text}
    remap = {name for name, text in texts.items() if "cv2.remap(" in text}
    assert bgr == {"lib_ofgen/imaging/images.py"}
    assert remap == {"lib_ofgen/imaging/warp.py"}


def test_the_engine_starts_without_heavy_libraries() -> None:
    heavy = "torch, gradio, fastapi, skimage, scipy, onnxruntime"
    code = (
        "import sys, lib_ofgen.cli.commands; "
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


def test_no_module_and_no_function_is_longer_than_it_may_be() -> None:
    for path in FILES:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 400, f"{_named(path)} has {len(text.splitlines())} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 50, f"{_named(path)}: {node.name} has {lines} lines"


def test_no_constructor_of_the_pipeline_takes_more_than_five_parameters() -> None:
    for path in (HOUSE / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                count = len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]) - 1
                assert count <= 5, f"{_named(path)}: line {node.lineno} takes {count}"


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_is_content(command: list[str]) -> None:
    where = [
        folder for folder in ("lib_ofgen", "scripts", "stubs", "tests") if (ROOT / folder).is_dir()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, *where], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
