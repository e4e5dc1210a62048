"""Weights that a user downloads: the published ones, their places, and checks of their files.

This project never contains them: each has a licence of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lib_ofgen.errors import WeightsError
from lib_ofgen.system.regular_file import hash_file

__all__ = [
    "CHECKPOINTS",
    "Checkpoint",
    "Companion",
    "Hub",
    "digest",
    "find",
    "names_of_kind",
    "need",
    "record",
    "verify",
    "verify_all",
]

_LOG = logging.getLogger(__name__)
_FULL = 64
"""Digits of a whole SHA-256."""
_LONGEST_RECORD = 200
"""Bytes of a record that are read."""
_RECORD = ".sha256"
"""Ending of the file beside a checkpoint that records its digest."""


@dataclass(frozen=True)
class Hub:
    """A repository of the Hugging Face hub, at one revision."""

    repository: str
    revision: str
    """The commit's hash; later versions are not used."""

    def url(self, file: str) -> str:
        """Return the address of one of its files."""
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{file}"


@dataclass(frozen=True)
class Companion:
    """A further file that the weights need beside them."""

    file: str
    url: str
    sha256: str
    size: int = 0
    """Bytes; 0 if unknown."""


@dataclass(frozen=True)
class Checkpoint:
    """Published weights."""

    name: str
    purpose: str
    file: str
    """Name under which it is published and downloaded, below a models folder."""
    also: tuple[str, ...]
    """Other names under which it is accepted, best first."""
    page: str
    """Address of its page, for people."""
    url: str
    """Address of its bytes."""
    sha256: str
    """SHA-256 of the file, in hex, or its published beginning; empty if none is published."""
    licence: str
    source: str
    """Its authors, and where that is stated."""
    size: int = 0
    """Bytes of the file; 0 if unknown."""
    kind: Literal["flow", "tagger"] = "flow"
    beside: tuple[Companion, ...] = ()
    hub: Hub | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Every name under which it is accepted, best first."""
        return (*self.also, self.file)

    @property
    def is_pinned(self) -> bool:
        """Whether the published file is known by its full SHA-256."""
        return len(self.sha256) == _FULL

    @property
    def pinned(self) -> str:
        """How a file is recognised as the published one, in words."""
        if self.is_pinned:
            return "by its full SHA-256"
        if self.sha256:
            return f"by the first {4 * len(self.sha256)} bits of its SHA-256"
        return "by nothing: the first use is recorded, and compared from then on"

    def companions(self, place: Path) -> list[tuple[Companion, Path]]:
        """Return the further files that belong beside `place`, each with its path."""
        return [(one, place.with_name(one.file)) for one in self.beside]


def _tagger(name: str, hub: Hub, model: str, labels: str) -> Checkpoint:
    """A tagger of the WD14 family; `model` and `labels` are the SHA-256 of its two files."""
    return Checkpoint(
        name=name,
        purpose=f"tagger={name}: prompts from what the key frames show",
        file=f"{name}/model.onnx",
        also=(),
        page=f"https://huggingface.co/{hub.repository}",
        url=hub.url("model.onnx"),
        sha256=model,
        licence="Apache-2.0",
        source=f"SmilingWolf; huggingface.co/{hub.repository} at {hub.revision}",
        kind="tagger",
        beside=(Companion("selected_tags.csv", hub.url("selected_tags.csv"), labels, 253_906),),
        hub=hub,
    )


_DRIVE = "151X9ovbOG35tbPjioV5CYk_5GKQ8FErw"

CHECKPOINTS = {
    one.name: one
    for one in (
        Checkpoint(
            name="pdcnet-plus",
            purpose="flow=pdcnet: flow with a learned confidence",
            file="PDCNet_plus_megadepth.pth.tar",
            also=(
                "PDCNet_plus_megadepth.safetensors",
                "PDCNet_plus_m.safetensors",
                "PDCNet_plus_m.pth.tar",
            ),
            page=f"https://drive.google.com/file/d/{_DRIVE}",
            # "confirm" skips the page that warns of files too large to be scanned
            url=f"https://drive.usercontent.google.com/download?id={_DRIVE}&export=download&confirm=t",
            sha256="",
            licence="non-commercial: no licence is stated for the weights, and they were trained "
            "with GOCor's code, which is CC BY-NC-SA 4.0 and for academic research only",
            source="PDC-Net+, Truong et al. 2021; MODEL_ZOO.md of "
            "github.com/PruneTruong/DenseMatching",
        ),
        Checkpoint(
            name="raft-large",
            purpose="flow=raft: flow without a licence for research only",
            file="raft_large_C_T_SKHT_V2-ff5fadd5.pth",
            also=("raft_large_C_T_SKHT_V2-ff5fadd5.safetensors",),
            page="https://docs.pytorch.org/vision/stable/models/raft.html",
            url="https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth",
            # Its name gives the first 32 bits. All of it stands in public projects that have the
            # file, each for itself: the list of weights of LightStab, the Hugging Face mirror
            # Dominoc/raft_large as others pin it, and DIMER's manifest, which has the size too.
            sha256="ff5fadd56d26b40647388883af1547351ea17868b765c05b27231e72dd16a322",
            size=21_106_607,
            licence="BSD-3-Clause (torchvision); trained on FlyingChairs, FlyingThings3D, Sintel, "
            "KITTI and HD1K, whose own terms are for research",
            source="RAFT, Teed and Deng 2020; Raft_Large_Weights.C_T_SKHT_V2 of torchvision",
        ),
        _tagger(
            "wd-v1-4-swinv2-tagger-v2",
            Hub("SmilingWolf/wd-v1-4-swinv2-tagger-v2", "cdb0c7fdc70646f0af29c6f80f8df564344a69b6"),
            model="04ec04fdf7db74b4fed7f4b52f52e04dec4dbad9e4d88d2d178f334079a29fde",
            labels="8c8750600db36233a1b274ac88bd46289e588b338218c2e4c62bbc9f2b516368",
        ),
    )
}


def names_of_kind(kind: str) -> list[str]:
    """Return the names of the published weights of a kind."""
    return [one.name for one in CHECKPOINTS.values() if one.kind == kind]


def find(checkpoint: Checkpoint, folders: Sequence[Path]) -> Path | None:
    """Return the first of the checkpoint's files that is in one of the folders, or None."""
    places = (folder / name for folder in folders for name in checkpoint.files)
    return next((place for place in places if place.is_file()), None)


def need(checkpoint: Checkpoint, folders: Sequence[Path]) -> Path:
    """Return the checkpoint's file.

    Raises:
        WeightsError: if it is in none of the folders; the message says how to get it.
    """
    found = find(checkpoint, folders)
    if found is None:
        where = " or ".join(f"'{folder}'" for folder in folders) or "a models folder"
        raise WeightsError(
            f"no weights for {checkpoint.name}: run `ofgen weights fetch {checkpoint.name}`, or "
            f"download {checkpoint.page} and put it into {where} as {checkpoint.file} "
            f"(licence: {checkpoint.licence})"
        )
    return found


def digest(path: Path) -> str:
    """Return the file's SHA-256, 64 hex digits.

    Raises:
        WeightsError: if it cannot be read, or is not a regular file.
    """
    try:
        return hash_file(path)
    except OSError as error:
        raise WeightsError(f"cannot read '{path}': {error.strerror or error}") from error


def verify(path: Path, checkpoint: Checkpoint | None) -> str:
    """Check a file's SHA-256 against the published one and that of its first use; return it.

    If none is published, that of the first use is recorded beside the file.

    Raises:
        WeightsError: if the file is not the published one, or has changed.
    """
    found = _compare(path, path, checkpoint)
    record(path, found)
    return found


def _compare(path: Path, lies: Path, checkpoint: Checkpoint | None) -> str:
    """Check the file `lies`, whose final place is `path`; return its SHA-256."""
    found = digest(lies)
    same = checkpoint is not None and path.name == Path(checkpoint.file).name
    published = checkpoint.sha256 if checkpoint and same else ""
    if not found.startswith(published):
        raise WeightsError(f"'{path}' has SHA-256 {found}, not {published}: download it again")
    known = _read_record(path)
    if not found.startswith(known):
        raise WeightsError(
            f"'{path}' has SHA-256 {found}, not {known}: download it again, or delete"
            f" '{path.name}{_RECORD}' beside it if you replaced it yourself"
        )
    return found


def _read_record(path: Path) -> str:
    """Read the SHA-256 that was recorded at the first use; empty if there is no record."""
    place = path.with_name(path.name + _RECORD)
    try:
        if not place.is_file():
            return ""
        with place.open("rb") as file:
            return file.read(_LONGEST_RECORD).decode("ascii", errors="replace").strip()
    except OSError as error:
        raise WeightsError(f"cannot read '{place}': {error.strerror or error}") from error


def record(path: Path, found: str) -> None:
    """Record the SHA-256 of a file beside it, if there is no record yet."""
    if _read_record(path):
        return
    try:
        path.with_name(path.name + _RECORD).write_text(found + "\n", "ascii")
    except OSError as error:
        _LOG.warning("cannot record the SHA-256 of '%s': %s", path, error.strerror or error)


def verify_all(
    path: Path, checkpoint: Checkpoint, staged: Mapping[Path, Path] | None = None
) -> str:
    """Check a file as `verify` does, and the further files beside it; return its SHA-256.

    `staged` maps final places to where the files lie now; with it, nothing is recorded.

    Raises:
        WeightsError: if a file is missing, is not the published one, or has changed.
    """
    lies = staged or {}
    for companion, place in checkpoint.companions(path):
        if not lies.get(place, place).is_file():
            raise WeightsError(f"'{place}' is missing; get it from {companion.url}")
        found = digest(lies.get(place, place))
        if found != companion.sha256:
            raise WeightsError(
                f"'{place}' has SHA-256 {found}, not {companion.sha256}: download it again"
            )
    if staged is None:
        return verify(path, checkpoint)
    return _compare(path, lies.get(path, path), checkpoint)
