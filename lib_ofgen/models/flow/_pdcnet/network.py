"""The network: features and filters of one frame, flow of a pair of frames."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from lib_ofgen.models.flow._pdcnet import layers, tiles
from lib_ofgen.models.flow._pdcnet.gocor import GlobalGOCor, LocalGOCor, l2_normalise
from lib_ofgen.models.flow._pdcnet.precision import without_tf32

__all__ = ["Estimate", "Features", "Filters", "Level", "PDCNet", "network_size"]

_SMALL = 256
"""px: side of the picture of the two coarse levels."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BETA_COARSE, _BETA_FINE = 256.0**2, 520.0**2
"""Largest variances of the mixture's second component."""
_BETA_LEAST = 2.0
_REFINED = {3: "dc", 1: "l_dc"}
"""Levels with a context network after them, and the prefix of its parameters' names."""
_PIXEL = {3: 8, 2: 8, 1: 4}
"""px of the flow for each px of a level's grid."""
_PICTURES = 2048
"""Number of pixels whose correlations are read at a time on a CPU; they stay in its cache."""


class Features(NamedTuple):
    """The features of one frame or of a batch of B frames; H' x W' is the network's size."""

    c1: Tensor
    """B x 128 x H'/4 x W'/4."""
    c2: Tensor
    """B x 256 x H'/8 x W'/8."""
    c3: Tensor
    """B x 256 x 32 x 32, of the picture at 256 x 256."""
    c4: Tensor
    """B x 512 x 16 x 16, l2-normalised."""


class Filters(NamedTuple):
    """Local GOCor filters of a target, with the shapes of the features of the same level."""

    level1: Tensor
    level2: Tensor
    level3: Tensor


class Level(NamedTuple):
    """The output of a level of the pyramid."""

    flow: Tensor
    """B x 2 x h x w, px of the 256 px picture (levels 4, 3) or of H' x W'."""
    log_variance: Tensor
    """B x 1 x h x w: log variance of the second component; that of the first is 0."""
    logits: Tensor
    """B x 2 x h x w: weights of the components before softmax."""
    decoded: Tensor
    """B x 32 x h x w: the flow decoder's features."""


class Estimate(NamedTuple):
    """A flow and the distribution of its error, on the target's grid."""

    flow: Tensor
    """B x 2 x H x W px: target (x, y) is source (x + flow[0], y + flow[1])."""
    log_variance: Tensor
    """B x 2 x H x W: log variances of both Laplace components, in px of the network's size."""
    logits: Tensor
    """B x 2 x H x W: weights of the components before softmax."""

    def probability_within(self, radius: float) -> Tensor:
        """Return P_R (PDC-Net, equation 12), the probability of an error of at most `radius` px.

        It is B x 1 x H x W, 0..1; `radius` is in px of the network's size.
        """
        spread = torch.exp(self.log_variance / 2)
        each = (1 - torch.exp(-math.sqrt(2) * radius / spread)).square()
        return (torch.softmax(self.logits, 1) * each).sum(1, keepdim=True)


def network_size(height: int, width: int) -> tuple[int, int]:
    """Return H' and W', multiples of 8 and at least 256, to which a picture is resized."""
    return max(256, height // 8 * 8), max(256, width // 8 * 8)


class PDCNet(nn.Module):
    """PDC-Net+ on VGG-16 features. Load the checkpoint, then call `prepare` once."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid, self.pyramid_256 = layers.Pyramid(), layers.Pyramid()
        self.corr, self.local_corr = GlobalGOCor(), LocalGOCor()
        for level, inputs in ((4, 258), (3, 87), (2, 87), (1, 89)):
            decoder = layers.FlowDecoder(inputs, "final" if level == 4 else "predict_flow")
            correlations = layers.CorrelationUncertaintyDecoder(pool=level == 4)
            uncertainty = layers.UncertaintyDecoder(38 if level == 4 else 44)
            self.add_module(f"decoder{level}", decoder)
            self.add_module(f"corr_uncertainty_decoder{level}", correlations)
            self.add_module(f"uncertainty_decoder{level}", uncertainty)
        self.deconv4, self.deconv2, self.upfeat2 = (
            _upsampler(2),
            _upsampler(2),
            _upsampler(32),
        )
        for prefix in _REFINED.values():
            for name, module in layers.refinement(prefix).items():
                self.add_module(name, module)

    def prepare(self, *, half: bool = False) -> PDCNet:
        """Prepare for inference in place: eval mode, batch norms folded; return the network.

        With `half` the fine pyramid and the decoders run in float16, not in bfloat16: its 8 bits
        of mantissa cause errors of a quarter of a pixel. Flows and variances stay in single
        precision, as float16 has steps of half a pixel at 512 px. GOCor and the modules of
        `stays_exact` stay in single precision too.
        """
        layers.fold_batch_norms(self)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                if half and not layers.stays_exact(name):
                    module.half()
                module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
        return self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.deconv4.weight.device

    @without_tf32()
    @torch.inference_mode()
    def features(self, images: Tensor) -> Features:
        """Return the features of B x 3 x H x W pictures, 0..255, of any type."""
        size = network_size(*images.shape[-2:])
        fine = self.pyramid(self._normalise(images, size), coarse=False)
        coarse = self.pyramid_256(self._normalise(images, (_SMALL, _SMALL)), coarse=True)
        c1, c2, c3, c4 = (each.to(self.deconv4.weight.dtype) for each in (*fine, *coarse))
        return Features(c1, c2, c3, l2_normalise(c4))

    @without_tf32()
    @torch.inference_mode()
    def filters(self, target: Features, iterations: int) -> Filters:
        """Return the local filters of a target, after `iterations` steps of descent."""
        levels = (target.c1, target.c2, target.c3)
        return Filters(*(self.local_corr(c, iterations, self._portion()) for c in levels))

    @without_tf32()
    @torch.inference_mode()
    def levels(
        self, source: Features, target: Features, filters: Filters, iterations: int
    ) -> list[Level]:
        """Return levels 4, 3, 2, 1; `iterations` is the number for the global filters."""
        level4 = self._global_level(source.c4, target.c4, iterations)
        flow = self.deconv4(level4.flow)
        level3 = self._local_level(3, source.c3, target.c3, filters.level3, (level4, flow))
        height, width = target.c2.shape[-2:]
        flow = _resize(level3.flow, (height, width)) * _pair(8 * width, 8 * height, flow) / _SMALL
        level2 = self._local_level(2, source.c2, target.c2, filters.level2, (level3, flow))
        flow, more = self.deconv2(level2.flow), layers.apply(self.upfeat2, level2.decoded)
        level1 = self._local_level(
            1, source.c1, target.c1, filters.level1, (level2, flow), more=(more,)
        )
        return [level4, level3, level2, level1]

    @without_tf32()
    @torch.inference_mode()
    def estimate(
        self,
        source: Features,
        target: Features,
        filters: Filters,
        *,
        iterations: int,
        size: tuple[int, int],
    ) -> Estimate:
        """Return the flow and its distribution at `size`, the pictures' (height, width)."""
        last = self.levels(source, target, filters, iterations)[-1]
        height, width = network_size(*size)
        scale = _pair(size[1] / width, size[0] / height, last.flow)
        log_variance = _resize(last.log_variance, size)
        both = torch.cat([torch.zeros_like(log_variance), log_variance], 1)
        return Estimate(_resize(last.flow, size) * scale, both, _resize(last.logits, size))

    def _normalise(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize the pictures to `size`, by area, and normalise them for VGG."""
        dtype = self.deconv4.weight.dtype
        if images.shape[-2:] != size:
            # MPS averages areas only if one size divides the other, and has no double precision.
            images = (images.cpu() if images.is_mps else images).to(dtype)
            images = interpolate(images, size, mode="area")
        images = images.to(self.device, dtype) / 255
        mean, deviation = (images.new_tensor(each)[:, None, None] for each in (_MEAN, _DEVIATION))
        return ((images - mean) / deviation).contiguous(memory_format=torch.channels_last)

    def _portion(self) -> int:
        """Return the number of tiles that are computed at a time.

        It is large enough that waking the threads for each step takes little of the time. On a
        CPU fewer tiles would fit into its cache, but the threads would lose more than that gains.
        """
        return 64 if self.device.type == "cpu" else 2048

    def _global_level(self, source: Tensor, target: Tensor, iterations: int) -> Level:
        """Return level 4, from B x 512 x 16 x 16 features."""
        corr = self.corr(target, source, iterations)
        decoder = self.get_submodule("decoder4")
        decoded, mapping = decoder(torch.cat([corr, torch.zeros_like(corr[:, :2])], 1))
        at = torch.arange(16, device=corr.device).to(corr)
        grid = torch.stack(torch.meshgrid(at, at, indexing="xy"))  # 2 x 16 x 16: x, y
        flow = ((mapping.to(corr) + 1) * 7.5 - grid) * 16
        plain = (source.flatten(2).mT @ target.flatten(2)).view_as(corr).relu()
        error_features = self._correlation_uncertainty(4, l2_normalise(plain))
        log_variance, logits = self._uncertainty(4, [error_features, decoded])
        return Level(flow, log_variance, logits, decoded)

    def _local_level(
        self,
        level: int,
        source: Tensor,
        target: Tensor,
        filters: Tensor,
        coarser: tuple[Level, Tensor],
        more: tuple[Tensor, ...] = (),
    ) -> Level:
        """Return level 3, 2 or 1, from B x C x h x w features and filters.

        `coarser` is the level before, with its flow on this grid, B x 2 x h x w px of the picture.
        `more` are further inputs of the flow decoder.
        """
        before, flow = coarser
        size = (flow.shape[-2], flow.shape[-1])
        log_variance, logits = _resize(before.log_variance, size), _resize(before.logits, size)
        sure = torch.cat([torch.zeros_like(log_variance), log_variance, logits], 1)
        warped = warp(source, flow / _PIXEL[level])
        corr, plain = tiles.correlate(filters, target, warped, self._portion())
        decoder = self.get_submodule(f"decoder{level}")
        decoded, residual = decoder(torch.cat([corr, flow, *more, sure], 1))
        found = flow + residual
        if level in _REFINED:
            refined, residual = self._refine(_REFINED[level], decoded, found)
            decoded, found = decoded + refined, found + residual
        error_features = self._correlation_uncertainty(level, plain)
        return Level(
            found, *self._uncertainty(level, [error_features, decoded, sure, flow]), decoded
        )

    def _refine(self, prefix: str, decoded: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to add to the decoded features, B x 32 x h x w, and to the flow.

        The latter is B x 2 x h x w, in px.
        """
        x = torch.cat([decoded.to(flow), flow], 1)
        for index in range(1, 7):
            x = layers.apply(self.get_submodule(f"{prefix}_conv{index}"), x)
        return x, layers.apply(self.get_submodule(f"{prefix}_conv7"), x)

    def _correlation_uncertainty(self, level: int, correlations: Tensor) -> Tensor:
        """Return B x 6 x h x w features of the error, from B x K^2 x h x w correlations."""
        count, shifts, height, width = correlations.shape
        side = math.isqrt(shifts)
        pictures = correlations.permute(0, 2, 3, 1).reshape(-1, side, side)
        portion = _PICTURES if self.device.type == "cpu" else 64 * _PICTURES
        decoder = self.get_submodule(f"corr_uncertainty_decoder{level}")
        error_features = torch.cat([decoder(each) for each in pictures.split(portion)])
        return error_features.view(count, height, width, -1).permute(0, 3, 1, 2)

    def _uncertainty(self, level: int, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the large log variance, B x 1 x h x w, and the logits, B x 2 x h x w."""
        exact = self.deconv4.weight.dtype
        beta = _BETA_COARSE if level > 2 else _BETA_FINE
        decoder = self.get_submodule(f"uncertainty_decoder{level}")
        u = decoder(torch.cat([each.to(exact) for each in inputs], 1))
        share = torch.sigmoid(u[:, :1] - math.log(beta))
        return torch.log(_BETA_LEAST + (beta - _BETA_LEAST) * share), u[:, 1:]


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """Return `x`, B x C x H x W, sampled where the flow points; zeros outside.

    The flow is B x 2 x H x W, in px of `x`.
    """
    height, width = x.shape[-2:]
    across = torch.arange(width, device=flow.device).to(flow)
    down = torch.arange(height, device=flow.device).to(flow)
    at_x = (across + flow[:, 0]) * (2 / (width - 1)) - 1
    at_y = (down[:, None] + flow[:, 1]) * (2 / (height - 1)) - 1
    return grid_sample(x, torch.stack([at_x, at_y], -1), padding_mode="zeros", align_corners=True)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return B x C x h x w at another size, by bilinear interpolation."""
    return interpolate(x, size, mode="bilinear", align_corners=False)


def _pair(x: float, y: float, like: Tensor) -> Tensor:
    """Return the factors of a flow's x and y, 2 x 1 x 1."""
    return like.new_tensor([x, y])[:, None, None]


def _upsampler(inputs: int) -> nn.ConvTranspose2d:
    """Return a layer that gives two channels on a grid twice as fine."""
    return nn.ConvTranspose2d(inputs, 2, 4, stride=2, padding=1)
