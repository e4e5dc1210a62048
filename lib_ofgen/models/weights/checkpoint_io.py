"""Reads checkpoints without running what they hold: torch's two formats, and safetensors.

`shapes` reads no tensor at all, so that a checkpoint of gigabytes is known at once.
"""

from __future__ import annotations

import json
import logging
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lib_ofgen.errors import OfgenError, WeightsError
from lib_ofgen.system import libraries

__all__ = ["convert", "fit", "load", "shapes"]

_LOG = logging.getLogger(__name__)
_LONGEST_HEADER = 100_000_000
"""Bytes, as safetensors has it."""
_LISTED = 5
"""How many keys a message names before it counts the rest."""


def load(path: Path) -> dict[str, Any]:
    """Read a state dictionary, or a training checkpoint with one: names to tensors on the CPU.

    Reads safetensors and torch's zip and legacy formats; runs nothing that the file names.

    Raises:
        WeightsError: if the file is missing, damaged, no checkpoint, or would run code.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at '{path}'")
    try:
        content = _safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except OfgenError:
        raise
    except Exception as error:  # unpickling damaged bytes can raise any exception
        raise WeightsError(f"'{path}' is damaged or no checkpoint: download it again") from error
    return _state(content, path)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read only the list of a checkpoint's tensors: names to shapes.

    Raises:
        WeightsError: if the file is missing, damaged, no checkpoint, or would run code.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at '{path}'")
    try:
        content = _header(path) if path.suffix == ".safetensors" else _outline(path)
    except OfgenError:
        raise
    except Exception as error:  # unpickling damaged bytes can raise any exception
        raise WeightsError(f"'{path}' is damaged or no checkpoint: download it again") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    state = content if isinstance(content, Mapping) else {}
    return {str(name): shape for name, shape in state.items() if isinstance(shape, tuple)}


def _header(path: Path) -> object:
    """Read the shapes from the header of a safetensors file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise WeightsError(f"'{path}' is damaged or no checkpoint: download it again")
        entries = json.loads(file.read(length))
    return {name: tuple(entry["shape"]) for name, entry in entries.items() if "shape" in entry}


def _outline(path: Path) -> object:
    """Read a file of torch's pickles, with shapes in place of tensors."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:  # a magic number, a version, the machine, and the content
            for _ in range(3):
                _Outliner(file).load()
            return _Outliner(file).load()
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(name) as file:
            return _Outliner(file).load()


def fit(state: Mapping[str, Any], wanted: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Check that `state`, read from `path`, has the network's keys in their shapes.

    Additional keys cause only a warning.

    Raises:
        WeightsError: if keys are missing, or of another shape; the message lists them.
    """
    missing = [key for key in wanted if key not in state]
    if missing:
        raise WeightsError(f"'{path}' is of another network: it lacks {_some(missing)}")
    shapes = {key: tuple(state[key].shape) for key in wanted}
    unlike = [f"{key} {shapes[key]}" for key in wanted if shapes[key] != wanted[key]]
    if unlike:
        raise WeightsError(f"'{path}' is of another network: other shapes of {_some(unlike)}")
    more = [key for key in state if key not in wanted]
    if more:
        _LOG.warning("'%s' has keys that the network does not know: %s", path, _some(more))


def convert(path: Path, out: Path) -> None:
    """Write the checkpoint's tensors as safetensors, whole or not at all.

    Raises:
        WeightsError: if it cannot be read, or `out` cannot be written.
    """
    with libraries.explain_imports():
        from safetensors.torch import save_file

    state = {key: value.contiguous() for key, value in load(path).items()}
    partial = out.with_name(f".{out.name}.partial")
    try:
        save_file(state, partial)
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WeightsError(f"cannot write '{out}': {error.strerror or error}") from error


def _some(keys: Sequence[str]) -> str:
    rest = len(keys) - _LISTED
    return ", ".join(keys[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _safetensors(path: Path) -> object:
    with libraries.explain_imports():
        from safetensors.torch import load_file

    return load_file(path)


def _read_pickle(path: Path) -> object:
    with libraries.explain_imports():
        import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # torch would hand a TorchScript archive to another loader, which this one cannot guard.
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise WeightsError(f"'{path}' is a TorchScript program, not a checkpoint")
    guard = SimpleNamespace(
        __name__="guarded_pickle", Unpickler=_GuardedUnpickler, load=_load_safely
    )
    # The webui replaces torch.load; this one stays as it is.
    loader = torch.serialization.load
    return loader(path, map_location="cpu", pickle_module=guard, weights_only=False)


def _state(content: object, path: Path) -> dict[str, Any]:
    """Return the tensors of a checkpoint; a parallel trainer's `module.` is cut off the names."""
    with libraries.explain_imports():
        import torch

    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    state = dict(content) if isinstance(content, Mapping) else {}
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"'{path}' holds no state dictionary: it is not a checkpoint")
    prefix = "module."
    if all(str(key).startswith(prefix) for key in state):
        return {key.removeprefix(prefix): value for key, value in state.items()}
    return state


class _Inert:
    """Stands for anything that a training checkpoint holds beside tensors; does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None: ...

    def __call__(self, *_: object, **__: object) -> _Inert:
        return self

    def append(self, _: object) -> None: ...

    def extend(self, _: object) -> None: ...

    def add(self, _: object) -> None: ...


_HARMLESS = {
    "_codecs", "argparse", "array", "collections", "copyreg", "datetime", "decimal", "enum",
    "fractions", "pathlib", "random", "time", "types", "uuid",
}  # fmt: skip
"""Modules of the standard library whose objects training code stores; they become inert ones."""
_HARMLESS_BUILTINS = {
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
    "range", "set", "slice", "str", "tuple",
}  # fmt: skip


class _GuardedUnpickler(pickle.Unpickler):
    """Builds tensors and plain containers; whatever else a file names becomes an inert object."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The few functions that rebuild tensors, an inert class, or a refusal."""
        import torch._utils

        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module_name == "torch._utils" and global_name in (
            "_rebuild_tensor_v2",
            "_rebuild_parameter",
        ):
            return getattr(torch._utils, global_name)
        if module_name == "torch" and global_name.endswith("Storage"):
            return getattr(torch, global_name)
        top = module_name.partition(".")[0]
        if top in ("builtins", "__builtin__"):
            harmless = global_name in _HARMLESS_BUILTINS
        else:
            harmless = top in _HARMLESS or top not in sys.stdlib_module_names
        if not harmless:
            raise WeightsError(
                f"refused a checkpoint that would run code: it calls {module_name}.{global_name}"
            )
        return _Inert


class _Outliner(_GuardedUnpickler):
    """Builds shapes instead of tensors, and reads nothing of what these hold."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the guard's replacements; functions that rebuild tensors return shapes."""
        if module_name == "torch._utils" and global_name == "_rebuild_tensor_v2":
            return _shape
        if module_name == "torch._utils" and global_name == "_rebuild_parameter":
            return _of_parameter
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any, /) -> None:
        """Return None in place of a storage."""


def _shape(_storage: object, _offset: int, size: tuple[int, ...], *_: object) -> tuple[int, ...]:
    return tuple(size)


def _of_parameter(shape: tuple[int, ...], *_: object) -> tuple[int, ...]:
    return shape


def _load_safely(file: Any, **options: Any) -> object:
    return _GuardedUnpickler(file, **options).load()
