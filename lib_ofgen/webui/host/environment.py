"""Folders, options and lists of the host that jobs and the tab need."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from modules import call_queue, paths_internal, shared

from lib_ofgen.errors import OfgenError
from lib_ofgen.models import tagger
from lib_ofgen.models.weights import registry
from lib_ofgen.settings.presets import Store
from lib_ofgen.system import limits
from lib_ofgen.webui.access.allowed_paths import AllowedPaths
from lib_ofgen.webui.access.error_text import remove_paths

__all__ = [
    "allowed_paths",
    "apply_limits",
    "data_folder",
    "model_folders",
    "preset_store",
    "public_text",
    "queue_lock",
    "tagger_names",
]

_LOG = logging.getLogger(__name__)

_FOLDERS = ("default_output_dir", "data_path", "models_path", "extensions_dir", "script_path")
"""Names of the host's folders."""
_PAUSE = 0.01
"""Seconds in which others who wait for the host's queue lock can take it."""


def apply_limits(*_: Any) -> None:
    """Apply the limits of the host's command line; for the host's `on_app_started`."""
    try:
        limits.change(getattr(shared.cmd_opts, "ofgen_limit", None) or [])
    except OfgenError as error:  # the webui must start, whatever the option says
        _LOG.error("--ofgen-limit: %s; the default limits hold", error)


def data_folder() -> Path:
    """Return the folder in which the host keeps data."""
    return Path(paths_internal.data_path)


def allowed_paths() -> AllowedPaths:
    """Return where requests may read and write."""
    root = Path(paths_internal.default_output_dir)
    more = [Path(path) for path in getattr(shared.cmd_opts, "ofgen_allow_path", None) or []]
    # Gradio's folder is closed: gradio copies any file there that a client has named to it.
    return AllowedPaths(root / "ofgen", [root, *more], closed=[_gradio_folder()])


def _gradio_folder() -> Path:
    """Return where gradio keeps what the page uploads."""
    return Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")


def public_text(text: str, own: Iterable[str] = ()) -> str:
    """Return a line for a client of the API, without paths of this machine.

    Args:
        text: The line.
        own: Paths that the client has named itself; they stay.
    """
    known = (getattr(paths_internal, name, "") for name in _FOLDERS)
    allowed = allowed_paths()
    more = [*allowed.allowed, *allowed.closed, Path.home(), Path.cwd(), Path(tempfile.gettempdir())]
    folders = {form for one in [*known, *more] for form in (str(one), str(Path(one).resolve()))}
    return remove_paths(text, folders, own)


def preset_store() -> Store:
    """Return the presets that the users of this webui have saved."""
    return Store(data_folder() / "ofgen-presets")


def model_folders() -> tuple[Path, ...]:
    """Return the folders that may hold weights of flow estimators and taggers."""
    more = [Path(path) for path in getattr(shared.cmd_opts, "ofgen_models_dir", None) or []]
    return (Path(paths_internal.models_path) / "ofgen", *more)


def tagger_names() -> list[str]:
    """Return the values of the setting `tagger`: installed models, then published ones."""
    return list(
        dict.fromkeys(["off", *tagger.names(model_folders()), *registry.names_of_kind("tagger")])
    )


@contextlib.contextmanager
def queue_lock() -> Iterator[None]:
    """Hold the host's queue lock; afterwards others who wait for it come first."""
    with call_queue.queue_lock:
        yield
    time.sleep(_PAUSE)
