"""Libraries that are missing, broken or too old: told in one line with a remedy.

Needs nothing but Python's own library, so that it works where all else is broken.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import linecache
import re
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

__all__ = ["Found", "explain_fault", "explain_imports", "missing_library", "try_import"]

_HERE = Path(__file__).resolve().parents[1]
_OURS = _HERE.name
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "scenedetect": "scenedetect-headless",
    "skimage": "scikit-image",
}
"""Where the name of what is installed is not the module's."""
_IMPORT = re.compile(r"\s*(?:from|import)\s+(\w+)")
_OF_THE_SYSTEM = re.compile(r"\b(lib[\w.+-]+\.(?:so|dylib|dll)[\w.]*)")
_LONGEST = 160
"""Characters of what a library says itself."""


class Found(NamedTuple):
    """A module, or why there is none."""

    module: ModuleType | None
    fault: str
    """One line; empty where there is a module."""


def try_import(name: str) -> Found:
    """The module of that name, imported; what is printed meanwhile is dropped if that fails."""
    before, said = sys.stderr, io.StringIO()
    sys.stderr = said  # NumPy, for one, explains a mismatch at length
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a broken library raises, or exits, as it pleases
        return Found(None, explain_fault(error, name))
    finally:
        sys.stderr = before
    if before is not None and said.getvalue():
        with contextlib.suppress(OSError):  # whoever reads it has left
            before.write(said.getvalue())
    return Found(module, "")


def missing_library(*names: str) -> str:
    """Why the first of these libraries that cannot be imported cannot; empty if all can."""
    return next(filter(None, (try_import(name).fault for name in names)), "")


@contextlib.contextmanager
def explain_imports(kind: type[Exception] | None = None) -> Iterator[None]:
    """Inside, libraries are imported; whatever fails there becomes one line.

    Raises:
        LibraryError: if one cannot be imported; `kind` instead, if that is given.
    """
    try:
        yield
    except Exception as error:  # as above
        from lib_ofgen.errors import LibraryError

        raise (kind or LibraryError)(explain_fault(error)) from error


def explain_fault(error: BaseException, wanted: str = _OURS) -> str:
    """What could not be imported, why, and what to do, in one line.

    `wanted` is the module that was asked for, which is to blame where nothing tells another.
    """
    name = _culprit(error)
    if name == _OURS:
        name = wanted.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name != _OURS and not _is_there(name):
        return f"{name} is not installed; run `{_pip('install', _distribution(name))}`"
    text = "".join(sign if sign.isprintable() else " " for sign in str(error))
    said = f"{type(error).__name__}: {' '.join(text.split())[:_LONGEST]}"
    if name == _OURS:
        return f"ofgen's own files do not fit together ({said}); install ofgen again, all of it"
    if name in sys.stdlib_module_names:
        return f"Python's own {name} cannot be imported ({said}); install Python again"
    system = _OF_THE_SYSTEM.search(text)
    needs = f"install {system[1]}, which the system lacks, or " if system else ""
    old = any(words in text for words in ("no attribute", "cannot import name", "No module named"))
    how = ["--upgrade"] if old else []
    what = _distribution(name, exact=not old)
    remedy = _pip("install", *how, "--force-reinstall", "--no-deps", what)
    state = "is too old or broken" if old else "cannot be imported"
    return f"{name} {state} ({said}); {needs}run `{remedy}`"


def _culprit(error: BaseException) -> str:
    """The top name of the module that is to blame; the package's own for one of ours."""
    if isinstance(error, SyntaxError) and _is_ours(error.filename or ""):
        return _OURS
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name.partition(".")[0]
    line = ""
    step = error.__traceback__
    while step is not None:
        if _is_ours(step.tb_frame.f_code.co_filename):
            line = linecache.getline(step.tb_frame.f_code.co_filename, step.tb_lineno)
        step = step.tb_next
    found = _IMPORT.match(line)
    if found and found[1] != "lib_ofgen":
        return found[1]
    named = getattr(error, "name", None) if isinstance(error, ImportError) else None
    thing = getattr(error, "obj", None)  # of an AttributeError
    if isinstance(thing, (ModuleType, type)):
        named = thing.__name__ if isinstance(thing, ModuleType) else thing.__module__
    return str(named or _OURS).partition(".")[0]


def _is_ours(file: str) -> bool:
    path = Path(file)
    return _HERE in path.resolve().parents and path.resolve() != Path(__file__).resolve()


def _is_there(name: str) -> bool:
    with contextlib.suppress(ImportError, ValueError):
        return util.find_spec(name) is not None
    return False


def _distribution(name: str, *, exact: bool = False) -> str:
    """What is installed under that module's name, with its version where that is to stay."""
    with contextlib.suppress(Exception):  # other packages' records may be damaged
        found = metadata.packages_distributions()[name][0]
        return f"{found}=={metadata.version(found)}" if exact else found
    return _DISTRIBUTIONS.get(name, name)


def _pip(*words: str) -> str:
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return " ".join([python or "python", "-m", "pip", *words])
