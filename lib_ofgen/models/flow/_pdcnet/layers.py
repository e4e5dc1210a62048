"""Convolutional parts: blocks, pyramids, decoders, refinement; folding of batch norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = [
    "CorrelationUncertaintyDecoder",
    "FlowDecoder",
    "Pyramid",
    "UncertaintyDecoder",
    "apply",
    "block",
    "fold_batch_norms",
    "head",
    "lrelu",
    "refinement",
    "stays_exact",
]

_SLOPE = 0.1
"""Negative slope of every leaky ReLU."""
_STRIP = 2**15
"""px: area of a strip of a picture's features."""


def lrelu(x: Tensor) -> Tensor:
    """Apply leaky ReLU in place, and return `x`."""
    return nn.functional.leaky_relu_(x, _SLOPE)


def block(
    inputs: int, outputs: int, *, kernel: int = 3, pad: int = 1, dilation: int = 1, act: bool = True
) -> nn.Sequential:
    """Return a convolution, batch norm and, with `act`, leaky ReLU.

    A 1x1 convolution has no bias.
    """
    conv = nn.Conv2d(inputs, outputs, kernel, padding=pad, dilation=dilation, bias=kernel > 1)
    activation = [nn.LeakyReLU(_SLOPE, inplace=True)] if act else []
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *activation)


def head(inputs: int, outputs: int, *, pad: int = 1) -> nn.Conv2d:
    """Return the 3x3 convolution at the end of a decoder."""
    return nn.Conv2d(inputs, outputs, 3, padding=pad)


def stays_exact(name: str) -> bool:
    """Whether the module of that name stays in single precision when others run in half.

    These are the heads, whose outputs half precision rounds too much, and the pyramid of the
    coarse levels: it is a fifth of the work on features, but causes half of the flow's error.
    """
    heads = ("final", "predict_flow", "predict_uncertainty", "conv7")
    return name.endswith(heads) or name.startswith("pyramid_256.")


def apply(module: nn.Module, x: Tensor) -> Tensor:
    """Return the module's output, computed in the precision of its weights."""
    return module(x.to(next(module.parameters()).dtype))


class _Pool(nn.Module):
    """2x2 max pooling; on a CPU several times faster than torch's, which computes indices."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        return torch.maximum(x[..., ::2], x[..., 1::2])


class Pyramid(nn.Module):
    """VGG-16 without batch norm, split after each pooling (Simonyan and Zisserman 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.level_0 = self._level(3, 64, 1, pool=False)
        self.level_1 = self._level(64, 64, 1)
        self.level_2 = self._level(64, 128, 2)
        self.level_3 = self._level(128, 256, 3)
        self.level_4 = self._level(256, 512, 3)

    @staticmethod
    def _level(inputs: int, outputs: int, convolutions: int, *, pool: bool = True) -> nn.Sequential:
        layers: list[nn.Module] = []
        for _ in range(convolutions):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = outputs
        if pool:
            # Before the last ReLU: same numbers, and ReLU has a quarter of the pixels.
            layers.insert(-1, _Pool())
        return nn.Sequential(*layers)

    def forward(self, image: Tensor, *, coarse: bool) -> list[Tensor]:
        """Return the outputs of pools 2 and 3, or with `coarse` of pools 3 and 4.

        `image` is B x 3 x H x W, normalised. Pool 2 is B x 128 x H/4 x W/4, pool 3 is
        B x 256 x H/8 x W/8, pool 4 is B x 512 x H/16 x W/16.
        """
        image = image.to(next(self.parameters()).dtype)
        pool1 = _in_strips(nn.Sequential(self.level_0, self.level_1), image, reach=2)
        pool2 = _in_strips(self.level_2, pool1, reach=2)
        pool3 = _in_strips(self.level_3, pool2, reach=4)
        return [pool3, self.level_4(pool3)] if coarse else [pool2, pool3]


def _in_strips(level: nn.Module, x: Tensor, reach: int) -> Tensor:
    """Return the output of a level that ends in pooling; on a CPU it is computed strip by strip.

    Strips overlap by `reach` px, which is even and at least the reach of the convolutions. The
    result is the same, with a fraction of the memory: whole maps of full-size features are too
    large for any cache, and the system must provide new pages for them each time.
    """
    height, width = x.shape[-2:]
    rows = max(2 * reach, _STRIP // width // 2 * 2) if x.device.type == "cpu" else height
    strips = []
    for top in range(0, height, rows):
        above, below = max(0, top - reach), min(height, top + rows + reach)
        pooled = level(x[:, :, above:below])
        first = (top - above) // 2
        strips.append(pooled[:, :, first : first + (min(rows, height - top)) // 2])
    return torch.cat(strips, 2) if len(strips) > 1 else strips[0]


class FlowDecoder(nn.Module):
    """Five convolutions with two residual connections, and a head for the flow."""

    def __init__(self, inputs: int, last: str) -> None:
        """Take `inputs` channels; `last` is the head's name in the checkpoint."""
        super().__init__()
        self.conv_0 = block(inputs, 128, act=False)
        self.conv0_skip = block(128, 96, kernel=1, pad=0, act=False)
        self.conv_1 = block(128, 128)
        self.conv_2 = block(128, 96, act=False)
        self.conv2_skip = block(96, 32, kernel=1, pad=0, act=False)
        self.conv_3 = block(96, 64)
        self.conv_4 = block(64, 32, act=False)
        self._last = last
        self.add_module(last, head(32, 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features, B x 32 x H x W, and the head's output, B x 2 x H x W."""
        x = apply(self.conv_0, x)
        skip = self.conv0_skip(x)
        x = self.conv_2(self.conv_1(lrelu(x))).add_(skip)
        skip = self.conv2_skip(x)
        x = lrelu(self.conv_4(self.conv_3(lrelu(x))).add_(skip))
        return x, apply(self.get_submodule(self._last), x)


class CorrelationUncertaintyDecoder(nn.Module):
    """Reads each pixel's correlations as a picture of their own (PDC-Net, section 3.3)."""

    def __init__(self, *, pool: bool = False) -> None:
        """Make the decoder of 9x9 correlations, or with `pool` of 16x16, for the global level."""
        super().__init__()
        self.conv_0 = block(1, 32, pad=0)
        self.conv_1 = block(32, 32, pad=0)
        self.conv_2 = block(32, 16, pad=0)
        self.predict_uncertainty = head(16, 6, pad=0)
        self._pool = nn.MaxPool2d(2) if pool else nn.Identity()

    def forward(self, correlations: Tensor) -> Tensor:
        """Return N x 6 from N x K x K, one picture for each pixel."""
        # A last axis is added: strides of a single channel would not say channels-last.
        x = self._pool(apply(self.conv_0, correlations.unsqueeze(-1).permute(0, 3, 1, 2)))
        x = self.conv_2(self.conv_1(x))
        return apply(self.predict_uncertainty, x).flatten(1)


def refinement(prefix: str) -> dict[str, nn.Module]:
    """Return the parts of PWC-Net's context network (Sun et al. 2018) by their names."""
    widths, dilations = (34, 128, 128, 128, 96, 64, 32), (1, 2, 4, 8, 16, 1)
    parts: dict[str, nn.Module] = {
        f"{prefix}_conv{index + 1}": block(*widths[index : index + 2], pad=gap, dilation=gap)
        for index, gap in enumerate(dilations)
    }
    return parts | {f"{prefix}_conv7": head(32, 2)}


class UncertaintyDecoder(nn.Module):
    """The mixture's parameters from correlations, features and flow (PDC-Net, section 3.3)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv_0 = block(inputs, 32)
        self.conv_1 = block(32, 16)
        self.predict_uncertainty_final = head(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return B x 3 x H x W: the raw large log variance, then the two mixture logits."""
        x = self.conv_1(apply(self.conv_0, x))
        return apply(self.predict_uncertainty_final, x)


@torch.no_grad()
def fold_batch_norms(network: nn.Module) -> None:
    """Merge each batch norm, with its running statistics, into the convolution before it."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            layers = list(child) if isinstance(child, nn.Sequential) else []
            if len(layers) > 1 and isinstance(layers[1], nn.BatchNorm2d):
                setattr(parent, name, nn.Sequential(_fold(layers[0], layers[1]), *layers[2:]))


def _fold(conv: nn.Module, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In double precision, so that folding does not round; on the CPU, as MPS has no double.
    weight, gain, shift, mean, variance = (
        each.detach().cpu().double()
        for each in (conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    )
    bias = torch.zeros_like(mean) if conv.bias is None else conv.bias.detach().cpu().double()
    gain = gain / torch.sqrt(variance + norm.eps)
    like = conv.weight
    conv.weight = nn.Parameter((weight * gain[:, None, None, None]).to(like))
    conv.bias = nn.Parameter(((bias - mean) * gain + shift).to(like))
    return conv
