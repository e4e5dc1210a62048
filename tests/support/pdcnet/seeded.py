"""Seeded weights for PDCNet+: every entry from its key and shape, overlaid with fitted ones.

The entries come from numpy's legacy RandomState, whose stream is frozen, so they need no file. The
fitted ones (calibrated batch norms, flow and uncertainty heads) make flows of several pixels. The
flow is not accurate: these are random features.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent


def shapes() -> dict[str, tuple[int, ...]]:
    """Key to shape of the published network's 501 entries."""
    lines = (HERE / "keys.txt").read_text("ascii").splitlines()
    pairs = [line.partition(" ")[::2] for line in lines]
    return {key: tuple(int(n) for n in sizes.split("x") if n) for key, sizes in pairs}


def state_dict() -> dict[str, Any]:
    """The 501 entries as torch tensors."""
    import torch

    wanted = shapes()
    entries = {key: torch.from_numpy(_seeded(key, shape)) for key, shape in wanted.items()}
    with np.load(HERE / "fitted_entries.npz") as fitted:
        for key in fitted.files:
            entries[key] = torch.from_numpy(np.array(fitted[key])).reshape(wanted[key])
    return entries


def _seeded(key: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if key.endswith("num_batches_tracked"):
        return np.array(8, dtype=np.int64)
    stream = np.random.RandomState(zlib.crc32(f"pdcnet-parity-v1:{key}".encode()) & 0xFFFFFFFF)
    value = _gocor(key, shape, stream)
    if value is None:
        value = _plain(key, shape, stream)
    return np.ascontiguousarray(value, dtype=np.float32)


def _gocor(key: str, shape: tuple[int, ...], stream: np.random.RandomState) -> Any:
    """Of the optimisers' parameters; none for others."""
    distance = np.arange(10, dtype=np.float64).reshape(1, 10, 1, 1) * 0.5
    whole = key.startswith("corr.")
    gauss = np.exp(-0.5 * (distance / (0.5 if whole else 1.0)) ** 2)
    makers = {
        "label_map_predictor.weight": (gauss - gauss.min(), 0.02),
        "spatial_weight_predictor.weight": (1.0, 0.1),
        "target_mask_predictor.0.weight": (4.0 * np.tanh(2.0 - distance), 0.2),
        "log_step_length": (np.full(shape, -0.2), 0.02),
        "filter_reg": (np.full(shape, 0.05 if whole else 0.8), 0.0),
        "reg_layer.weight1": (0.0, 0.15),
        "reg_layer.weight2": (0.0, 0.04),
        "target_fg": (1.0, 0.1),
        "target_bg": (0.0, 0.05),
        "filter_initializer.scaling": (np.full(shape, 0.9), 0.0),
    }
    for ending, (mean, deviation) in makers.items():
        if key.endswith(ending):
            return mean + deviation * stream.standard_normal(shape)
    return None


def _plain(key: str, shape: tuple[int, ...], stream: np.random.RandomState) -> Any:
    """Of convolutions and batch norms."""
    if key.startswith("deconv") and not key.endswith("bias"):
        tent = np.array([0.25, 0.75, 0.75, 0.25])
        weight = np.zeros(shape)
        weight[0, 0] = weight[1, 1] = np.outer(tent, tent)
        return weight + 0.005 * stream.standard_normal(shape)
    if key.endswith(("running_mean", "running_var")):
        return np.full(shape, float(key.endswith("var")))
    if key.endswith(".bias"):
        return (0.01 if key.startswith("deconv") else 0.1) * stream.standard_normal(shape)
    if len(shape) == 1:
        return 0.6 + 0.4 * stream.uniform(size=shape)
    fan_in = shape[0] * 4 if key.startswith("upfeat2") else shape[1] * int(np.prod(shape[2:]))
    weight = stream.standard_normal(shape) * np.sqrt(2.0 / fan_in)
    if key.startswith("pyramid") and shape[1] > 3:
        # Else random features collapse onto one direction.
        weight = weight - weight.mean(axis=1, keepdims=True)
    return weight
