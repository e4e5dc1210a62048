"""Two checkpoints, of which only the names are there."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from modules import shared

SkipWritingToConfig = nullcontext


@dataclass(frozen=True)
class Checkpoint:
    """An entry of the list."""

    name: str
    shorthash: str

    @property
    def title(self) -> str:
        return f"{self.name} [{self.shorthash}]"

    @property
    def name_for_extra(self) -> str:
        return self.name.partition(".")[0]

    @property
    def filename(self) -> str:
        return f"{shared.cmd_opts.data}/models/{self.name}"

    def calculate_shorthash(self) -> str:
        return self.shorthash


_ALL = [
    Checkpoint("brush.safetensors", "0123456789"),
    Checkpoint("brush-inpainting.safetensors", "9876543210"),
]
checkpoints_list = {one.title: one for one in _ALL}
model_data = SimpleNamespace(sd_model=shared.sd_model)


def list_models() -> None:
    """There are no more than these."""


def get_closet_checkpoint_match(name: str) -> Checkpoint | None:
    return next((one for one in _ALL if name and name in one.title), None)


def select_checkpoint() -> Checkpoint:
    return checkpoints_list[shared.opts.sd_model_checkpoint]


def reload_model_weights(*, forced_reload: bool = False) -> Any:
    """The brush has none."""
    return shared.sd_model


def send_model_to_cpu(model: Any) -> None:
    """It is there."""


def send_model_to_device(model: Any) -> None:
    """The processor is the device."""
