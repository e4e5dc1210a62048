"""Taggers of the WD14 family: networks in ONNX that name what a picture shows.

A model is a folder with `model.onnx` and `selected_tags.csv`. onnxruntime is imported only when a
picture is to be tagged.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import TaggerError, WeightsError
from lib_ofgen.imaging import images
from lib_ofgen.models.weights import registry
from lib_ofgen.system import libraries, limits
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import Image, Tags

__all__ = ["LABELS", "MODEL", "Labels", "WD14Tagger", "check_model", "find_model", "names"]

MODEL, LABELS = "model.onnx", "selected_tags.csv"
"""The two files of a model."""
_METHOD = 1
"""Version of the preparation of pictures; a new one makes them be tagged again."""
_LARGEST = 1 << 24
"""Bytes of a table that is read; the published ones have a quarter of a million."""
_KINDS = {"9": "ratings", "4": "characters", "0": "general"}
"""By the category's number in the table of labels."""
_BATCH = 8
"""Pictures at a time, where the model takes any number."""
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


def names(folders: Sequence[Path]) -> list[str]:
    """Return the names of the models in the folders: subfolders with a network."""
    found = (place.parent.name for folder in folders for place in sorted(folder.glob(f"*/{MODEL}")))
    return list(dict.fromkeys(found))


def find_model(name: str, folders: Sequence[Path]) -> Path:
    """Return the folder of the model of that name.

    Raises:
        WeightsError: if it is in none of the folders; the message says how to get it.
    """
    if Path(name).name != name:
        raise WeightsError(f"tagger={name!r} is not a name; give that of a folder of the models")
    for folder in folders:
        if (folder / name / MODEL).is_file():
            return folder / name
    published = registry.CHECKPOINTS.get(name)
    if published and published.kind == "tagger":
        registry.need(published, folders)
    where = " or ".join(f"'{folder / name}'" for folder in folders) or "a models folder"
    known = ", ".join(["off", *names(folders), *registry.names_of_kind("tagger")])
    raise WeightsError(
        f"no tagger {name!r}: put {MODEL} and {LABELS} into {where}, or take one of {known}"
    )


@dataclass(frozen=True)
class Labels:
    """The table of a model's labels, in the order of its outputs."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    """`ratings`, `characters`, `general`, or empty for another kind."""

    @classmethod
    def read(cls, path: Path) -> Labels:
        """The table in a CSV file with the columns `name` and `category`.

        Raises:
            WeightsError: if the file is missing, or has no such table.
        """
        try:
            with regular_file(path) as file:
                data = file.read(_LARGEST + 1)
        except OSError as error:
            raise WeightsError(
                f"cannot read '{path}': {error.strerror or error}; it belongs beside {MODEL}"
            ) from error
        try:
            if len(data) > _LARGEST:
                raise ValueError(f"it has more than {_LARGEST >> 20} MiB")
            lines = io.StringIO(data.decode("utf-8-sig"), newline="")
            rows = [(row["name"], row["category"]) for row in csv.DictReader(lines)]
        except KeyError as error:
            raise WeightsError(f"'{path}' has no column {error}; get it anew") from error
        except (ValueError, csv.Error) as error:
            raise WeightsError(f"'{path}' is not a table of tags: {error}; get it again") from error
        if not any(category in _KINDS for _, category in rows):
            raise WeightsError(f"'{path}' names no tags; get it anew")
        if any(name is None or category is None for name, category in rows):
            raise WeightsError(f"'{path}' has rows without a name or category; get it anew")
        return cls(tuple(name for name, _ in rows), tuple(_KINDS.get(kind, "") for _, kind in rows))

    def tags(self, confidences: NDArray[np.float32]) -> Tags:
        """Return the tags of one row of the model's output."""
        found: dict[str, dict[str, float]] = {kind: {} for kind in _KINDS.values()}
        values = confidences.tolist()
        for place in np.argsort(-confidences, kind="stable").tolist():
            if self.kinds[place]:
                found[self.kinds[place]][self.names[place]] = values[place]
        return Tags(**found)


class _Loaded(NamedTuple):
    """The network on its device."""

    session: Any
    input: str
    output: str
    side: int
    """px: the pictures' height and width."""
    batch: int
    """Pictures at a time, exactly; 0 where the model takes any number."""
    tag_count: int
    """How many tags it knows."""


class WD14Tagger:
    """The `Tagger` port on a model's folder; the network is loaded at the first picture."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        """Look at the model's files; `device` is `auto`, `cuda` or `cpu`.

        Raises:
            WeightsError: if a file is missing or is another than it was.
            TaggerError: if onnxruntime is not installed, or cannot use the device.
        """
        self._file, self._device = folder / MODEL, device
        self._labels = Labels.read(folder / LABELS)
        self._digest = registry.verify(self._file, registry.CHECKPOINTS.get(folder.name))
        self._table = registry.digest(folder / LABELS)
        self._loaded: _Loaded | None = None
        self._providers = _providers(device)
        self.provider = ""
        """What the network runs on, in onnxruntime's words; empty before the first picture."""

    @property
    def identity(self) -> str:
        """The digests of the model's files."""
        return f"wd14 {_METHOD} {self._digest} {self._table}"

    def tag(self, images: Sequence[Image]) -> list[Tags]:
        """Tag each picture; (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA pictures.

        Raises:
            TaggerError: if the network is not of this family, or cannot run.
        """
        if not images:
            return []
        if self._loaded is None:
            self._loaded = self._load()
        return [self._labels.tags(row) for row in _rows(self._loaded, images)]

    def release(self) -> None:
        """Take the network off its device."""
        self._loaded = None

    def _load(self) -> _Loaded:
        with libraries.explain_imports(TaggerError):
            import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # we warn of a fallback ourselves
        try:
            session = onnxruntime.InferenceSession(
                str(self._file), sess_options=options, providers=self._providers
            )
        except Exception as error:  # onnxruntime raises a dozen kinds of them
            raise TaggerError(
                f"cannot load '{self._file}': {_error_text(error)}; get the model anew"
            ) from error
        self.provider = session.get_providers()[0]
        if self._device != "auto" and self.provider != _PROVIDERS[self._device]:
            raise TaggerError(
                f"onnxruntime could not start {_PROVIDERS[self._device]} and took {self.provider}; "
                "see to its libraries, or take tagger_device=auto"
            )
        return _check_network(session, self._file, len(self._labels.names))


def _providers(device: str) -> list[str]:
    """Onnxruntime's providers for a device, best first."""
    if util.find_spec("onnxruntime") is None:
        raise TaggerError(
            "the tagger needs onnxruntime, which is not installed; `pip install onnxruntime`, "
            "or take tagger=off"
        )
    with libraries.explain_imports(TaggerError):
        import onnxruntime

    there = onnxruntime.get_available_providers()
    wanted = [_PROVIDERS[device]] if device != "auto" else list(_PROVIDERS.values())
    found = [provider for provider in wanted if provider in there]
    if not found:
        raise TaggerError(
            f"tagger_device={device} needs {wanted[0]}, and this onnxruntime has "
            f"{', '.join(there)}; install onnxruntime-gpu, or take tagger_device=auto"
        )
    return found


def _error_text(error: Exception) -> str:
    """Return onnxruntime's own message, as part of a line."""
    return " ".join(str(error).split())[:200]


def _check_network(session: Any, path: Path, count: int) -> _Loaded:
    """Check that the network takes pictures and returns `count` confidences."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or not outputs:
        raise TaggerError(
            f"'{path}' takes {len(inputs)} inputs and gives {len(outputs)} outputs, and a tagger "
            "takes one and gives one; take a model of the WD14 family"
        )
    given, gives = inputs[0], outputs[0]
    shape, last = list(given.shape), (list(gives.shape) or [None])[-1]
    side = shape[1] if len(shape) == 4 and isinstance(shape[1], int) else 0
    fits = side > 0 and shape[1:] == [side, side, 3]
    if not fits or given.type != "tensor(float)":
        raise TaggerError(
            f"'{path}' takes {given.type} {shape}, and a tagger takes tensor(float) "
            "[N, side, side, 3]; take a model of the WD14 family"
        )
    batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 0
    pixels = side * side * (batch or _BATCH)
    if pixels > limits.current().pixels:
        raise TaggerError(
            f"'{path}' takes {pixels} px at a time and the limit is {limits.current().pixels}; "
            f"take another model, or raise the limit with --limit pixels={pixels}"
        )
    if last != count:
        raise TaggerError(
            f"'{path}' gives {last} confidences, and {LABELS} names {count} tags; "
            "the two files must be of one model"
        )
    return _Loaded(session, given.name, gives.name, side, batch, count)


def _rows(loaded: _Loaded, pictures: Sequence[Image]) -> Iterator[NDArray[np.float32]]:
    """The model's confidences of each picture; the next ones are prepared while it works."""
    size = loaded.batch or _BATCH
    groups = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    with ThreadPoolExecutor(max_workers=1) as hand:
        ready = hand.submit(_prepare, loaded, groups[0])
        for place, group in enumerate(groups):
            given = ready.result()
            if place + 1 < len(groups):
                ready = hand.submit(_prepare, loaded, groups[place + 1])
            yield from _run(loaded, given)[: len(group)]


def _run(loaded: _Loaded, given: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, tags): the confidences."""
    try:
        (found,) = loaded.session.run([loaded.output], {loaded.input: given})
    except Exception as error:  # out of memory, or an operator that the provider lacks
        raise TaggerError(
            f"the tagger failed: {_error_text(error)}; take tagger_device=cpu, or tagger=off"
        ) from error
    wanted = (len(given), loaded.tag_count)
    if getattr(found, "dtype", None) != np.float32 or found.shape != wanted:
        raise TaggerError(
            f"the tagger gives {getattr(found, 'dtype', type(found).__name__)} "
            f"{list(getattr(found, 'shape', ()))} and not float32 {list(wanted)}; get it anew"
        )
    if not bool(((found >= 0) & (found <= 1)).all()):
        raise TaggerError("the tagger returned an invalid confidence, not 0 to 1; get it again")
    return found


def _prepare(loaded: _Loaded, pictures: Sequence[Image]) -> NDArray[np.float32]:
    """(N, side, side, 3): what the network takes; black pictures fill a fixed batch."""
    count = loaded.batch or len(pictures)
    given = np.zeros((count, loaded.side, loaded.side, 3), np.float32)
    for place, picture in enumerate(pictures):
        given[place] = images.to_tagger_input(picture, loaded.side)
    return given


def check_model(folder: Path) -> int:
    """Return how many tags a folder's model has; try its network if it can run here.

    Raises:
        WeightsError: if a file is missing or damaged.
        TaggerError: if the network is not of this family.
    """
    labels = Labels.read(folder / LABELS)
    if util.find_spec("onnxruntime") is not None:
        tagger = WD14Tagger(folder, "cpu")
        tagger.tag([np.zeros((8, 8, 3), np.uint8)])
    return len(labels.names)
