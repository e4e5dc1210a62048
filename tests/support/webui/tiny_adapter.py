"""A tiny T2I adapter for SD 1.x checkpoints with 32 base channels: `python tiny_adapter.py FILE`.

The smallest model that ControlNet steers by, with random weights: it takes one channel, such as
edges. Needs torch and safetensors, as the host has them.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

CHANNELS = (32, 64, 128, 128)
BLOCKS = 2
SQUARE = 8  # px on a side of what becomes one place of the first layer
SEED = 4
GAIN = 40  # of the first layer, for what the tiny checkpoint's deep layers say counts little


def weights() -> dict[str, torch.Tensor]:
    """The tensors by the adapter's own names."""
    chance = torch.Generator().manual_seed(SEED)
    made: dict[str, torch.Tensor] = {}

    def layer(name: str, given: int, channels: int, side: int) -> None:
        shape = (channels, given, side, side)
        scale = 1 / math.sqrt(given * side * side)
        made[f"{name}.weight"] = torch.randn(shape, generator=chance) * scale
        made[f"{name}.bias"] = torch.zeros(channels)

    layer("conv_in", SQUARE * SQUARE, CHANNELS[0], 3)
    made["conv_in.weight"] *= GAIN
    given = CHANNELS[0]
    for level, channels in enumerate(CHANNELS):
        for block in range(BLOCKS):
            at = f"body.{level * BLOCKS + block}"
            if given != channels:
                layer(f"{at}.in_conv", given, channels, 1)
            layer(f"{at}.block1", channels, channels, 3)
            layer(f"{at}.block2", channels, channels, 1)
            given = channels
    return made


if __name__ == "__main__":
    save_file(weights(), Path(sys.argv[1]))
