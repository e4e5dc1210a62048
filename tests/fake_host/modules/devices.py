"""The processor is all there is."""

from __future__ import annotations

import torch


class NansException(Exception):  # noqa: N818 - the webui's name
    """A model gave no numbers."""


def get_optimal_device() -> torch.device:
    return torch.device("cpu")


def torch_gc() -> None:
    """Nothing is kept on a device."""
