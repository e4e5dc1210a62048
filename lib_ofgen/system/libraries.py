"""One-line messages, with a remedy, on libraries that are missing, broken or too old.

Uses only Python's own library, so that it works if everything else is broken.
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
"""Distributions whose name is not the module's."""
_EXTRAS = {"skimage": "evaluate"}
"""Modules that only an extra of ours installs."""
_IMPORT = re.compile(r"\s*(?:from|import)\s+(\w+)")
_OF_THE_SYSTEM = re.compile(r"\b(lib[\w.+-]+\.(?:so|dylib|dll)[\w.]*)")
_LONGEST = 160
"""Most characters of a library's own message."""


class Found(NamedTuple):
    """An imported module, or why it could not be imported."""

    module: ModuleType | None
    fault: str
    """One line; empty if there is a module."""


def try_import(name: str) -> Found:
    """Import the module of that name; if that fails, what it printed is dropped."""
    before, said = sys.stderr, io.StringIO()
    sys.stderr = said  # NumPy, for one, explains a mismatch at length
    try:
        module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a broken library may raise anything, or exit
        return Found(None, explain_fault(error, name))
    finally:
        sys.stderr = before
    if before is not None and said.getvalue():
        with contextlib.suppress(OSError):  # the reader of the pipe has ended
            before.write(said.getvalue())
    return Found(module, "")


def missing_library(*names: str) -> str:
    """Say why the first of these libraries cannot be imported; empty if all can."""
    return next(filter(None, (try_import(name).fault for name in names)), "")


@contextlib.contextmanager
def explain_imports(kind: type[Exception] | None = None) -> Iterator[None]:
    """Turn any error of the imports inside into one line.

    Raises:
        LibraryError: if one cannot be imported; `kind` instead, if that is given.
    """
    try:
        yield
    except Exception as error:  # as above
        from lib_ofgen.errors import LibraryError

        raise (kind or LibraryError)(explain_fault(error)) from error


def explain_fault(error: BaseException, wanted: str = _OURS) -> str:
    """Say in one line what could not be imported, why, and what to do.

    `wanted` is the module that was asked for; it is named if the error names no other.
    """
    name = _culprit(error)
    if name == _OURS:
        name = wanted.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name != _OURS and not _is_there(name):
        return f"{name} is not installed; run `{_pip('install', _requirement(name))}`"
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
    """Return the top-level name of the module at fault; our package's for one of ours."""
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


def _requirement(name: str) -> str:
    """Return what installs a missing module: our extra for it, if ofgen is installed."""
    with contextlib.suppress(Exception):  # without its record, pip would look elsewhere for ofgen
        if name in _EXTRAS and metadata.version("ofgen"):
            return f'"ofgen[{_EXTRAS[name]}]"'
    return _distribution(name)


def _distribution(name: str, *, exact: bool = False) -> str:
    """Return the distribution of a module; with `exact`, with its installed version."""
    with contextlib.suppress(Exception):  # other packages' records may be damaged
        found = metadata.packages_distributions()[name][0]
        return f"{found}=={metadata.version(found)}" if exact else found
    return _DISTRIBUTIONS.get(name, name)


def _pip(*words: str) -> str:
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return " ".join([python or "python", "-m", "pip", *words])
