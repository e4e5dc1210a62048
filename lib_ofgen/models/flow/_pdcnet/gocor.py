"""GOCor (Truong et al., NeurIPS 2020): correlation with filters optimised for the target.

All computations keep the precision of the parameters, single or double: in half precision the
local regulariser (about 1e-6 to 1e-9) becomes 0, and sums of squares overflow.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from lib_ofgen.models.flow._pdcnet import tiles
from lib_ofgen.models.flow._pdcnet.layers import lrelu

__all__ = ["GlobalGOCor", "LocalGOCor", "l2_normalise"]

_BINS, _BIN_WIDTH = 10, 0.5
"""The learned functions of distance are piecewise linear, and constant from the last bin on."""
_STEP_REGULARISER = 0.1
"""Regulariser of the step length; only the global optimiser has it."""
_LEAST = 1e-8
"""Smallest denominator of a step length."""


def l2_normalise(x: Tensor) -> Tensor:
    """Return `x`, B x C x H x W, with the vector of each pixel scaled to length 1."""
    return x / torch.sqrt(x.square().sum(1, keepdim=True) + 1e-6)


class _OfDistance(nn.Module):
    """A function of distance with ten learned values."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, _BINS, 1, 1))

    def forward(self, distance: Tensor) -> Tensor:
        """Return the function's values at distances in px, of any shape."""
        at = (distance.to(self.weight) / _BIN_WIDTH).clamp(max=_BINS - 1)
        below = at.floor().clamp(max=_BINS - 2)
        values = self.weight.flatten()
        here, there = values[below.long()], values[below.long() + 1]
        return here + (there - here) * (at - below)


class _Optimizer(nn.Module):
    """The learned parameters that both optimisers have."""

    def __init__(self) -> None:
        super().__init__()
        self.log_step_length = nn.Parameter(torch.zeros(1))
        self.filter_reg = nn.Parameter(torch.zeros(1))
        self.label_map_predictor = _OfDistance()
        self.spatial_weight_predictor = _OfDistance()
        self.target_mask_predictor = nn.Sequential(_OfDistance(), nn.Sigmoid())

    def weights(self, distance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return v (1 + m) / 2, v (1 - m) / 2 and v y, where v, y, m are functions of distance.

        The first two give D = v sig'(s; m), the weight times the slope of the leaky ReLU, whose
        slope below 0 is m: D = first + second * sign(s). As sig(s) = sig'(s) s, the residual of
        the correlation objective is D (D s - v y).
        """
        v, m = self.spatial_weight_predictor(distance), self.target_mask_predictor(distance)
        return v * (1 + m) / 2, v * (1 - m) / 2, v * self.label_map_predictor(distance)

    def step(self) -> Tensor:
        """Return the step length, (1,)."""
        return self.log_step_length.exp()

    def regulariser(self) -> Tensor:
        """Return lambda, (1,)."""
        return self.filter_reg.square().clamp(min=1e-10)


class _ContextAwareInitializer(nn.Module):
    """Filters that respond to their own feature and not to the mean feature (GOCor, appendix)."""

    def __init__(self) -> None:
        super().__init__()
        self.target_fg = nn.Parameter(torch.zeros(512))
        self.target_bg = nn.Parameter(torch.zeros(512))

    def forward(self, reference: Tensor) -> Tensor:
        """Return B x P x C filters of B x P x C features."""
        mean = reference.mean(1, keepdim=True)  # B x 1 x C
        ff = reference.square().sum(2, keepdim=True)
        bb = mean.square().sum(2, keepdim=True)
        fb = (reference * mean).sum(2, keepdim=True)
        determinant = (ff * bb - fb.square()).clamp(min=1e-6)
        g, h = self.target_fg, self.target_bg
        return ((g * bb - h * fb) * reference - (g * fb - h * ff) * mean) / determinant


class _SeparableRegulariser(nn.Module):
    """The 4-D convolution K over (target position, source position), both on the 16x16 grid.

    It is stored as a convolution over the source's plane, to 16 channels, and one over the
    target's plane. A 3x3 neighbourhood has only 9 positions, so one convolution over the target's
    plane, with these 9 shifts as input channels, gives the same with fewer channels.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight1 = nn.Parameter(torch.zeros(16, 1, 3, 3))
        self.weight2 = nn.Parameter(torch.zeros(16, 16, 3, 3))

    def kernel(self) -> Tensor:
        """Return 16 x 9 x 3 x 3: shifts of the source position, then of the target position."""
        whole = torch.einsum("ocyx,ck->okyx", self.weight2, self.weight1.flatten(1))
        return whole.contiguous(memory_format=torch.channels_last)

    def forward(self, kernel: Tensor, scores: Tensor) -> Tensor:
        """Return K^T K of scores B x Q x P, in the same shape."""
        return self._transpose(kernel, self._direct(kernel, scores))

    @staticmethod
    def _direct(kernel: Tensor, scores: Tensor) -> Tensor:
        """Return K of scores B x Q x P: (B Q) x 16 x 16 x 16, planes of target positions."""
        planes = pad(scores.view(-1, 16, 16, 256), (0, 0, 1, 1, 1, 1))
        shifted = [planes[:, y : y + 16, x : x + 16] for y in range(3) for x in range(3)]
        channels = torch.stack(shifted, -1).view(-1, 16, 16, 9).permute(0, 3, 1, 2)
        return conv2d(channels, kernel, padding=1)

    @staticmethod
    def _transpose(kernel: Tensor, z: Tensor) -> Tensor:
        """Return K^T, B x Q x P, of a result of K."""
        adjoint = kernel.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        shifted = conv2d(z, adjoint, padding=1).reshape(-1, 16, 16, 9, 256)
        planes = z.new_zeros(len(shifted), 18, 18, 256)
        for shift in range(9):
            y, x = divmod(shift, 3)
            planes[:, y : y + 16, x : x + 16] += shifted[:, :, :, shift]
        return planes[:, 1:17, 1:17].reshape(-1, 256, 256)


class _GlobalOptimizer(_Optimizer):
    def __init__(self) -> None:
        super().__init__()
        self.reg_layer = _SeparableRegulariser()

    def forward(self, f: Tensor, reference: Tensor, query: Tensor, iterations: int) -> Tensor:
        """Optimise the filters, B x P x C, by steepest descent; return the scores, B x Q x P.

        `reference`, B x P x C, are the target's features; `query`, B x Q x C, are the source's.
        The scores on both, and K^T K of the latter, are linear in the filters, so each step
        updates them too. K alone would give 16 times as many numbers; the square of K x is
        x (K^T K x).
        """
        lam, step = self.regulariser(), self.step()
        upper, lower, label = self.weights(_grid_distances(f))
        sr, sq = f @ reference.mT, query @ f.mT
        less, f = label.neg(), f.clone()
        kernel, ktk = self.reg_layer.kernel(), self.reg_layer
        smooth = ktk(kernel, sq)
        for _ in range(iterations):
            slope = torch.addcmul(upper, lower, sr.sign())
            residual = torch.addcmul(less, slope, sr).mul_(slope)
            grad = torch.baddbmm(lam * f, residual, reference).baddbmm_(smooth.mT, query)
            gr, gq = grad @ reference.mT, query @ grad.mT
            smooth_gq = ktk(kernel, gq)
            num = _total(grad)
            den = _total(slope.mul_(gr)) + (gq * smooth_gq).sum((1, 2), keepdim=True) + lam * num
            alpha = step * num / (den.clamp(min=_LEAST) + _STEP_REGULARISER * num)
            for carried, by in ((f, grad), (sr, gr), (sq, gq), (smooth, smooth_gq)):
                carried.addcmul_(by, alpha, value=-1)
        return sq


class _CorrelationModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filter_initializer = _ContextAwareInitializer()
        self.filter_optimizer = _GlobalOptimizer()


class GlobalGOCor(nn.Module):
    """Correlation of every target position with every source position, at 16x16."""

    def __init__(self) -> None:
        super().__init__()
        self.corr_module = _CorrelationModule()

    def forward(self, target: Tensor, source: Tensor, iterations: int) -> Tensor:
        """Return B x 256 x 16 x 16, whose channels are source positions.

        `target` and `source` are B x 512 x 16 x 16, l2-normalised.
        """
        reference, query = target.flatten(2).mT, source.flatten(2).mT
        filters = self.corr_module.filter_initializer(reference)
        scores = self.corr_module.filter_optimizer(filters, reference, query, iterations)
        return lrelu(scores.view(-1, 256, 16, 16))


class _Scaling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scaling = nn.Parameter(torch.zeros(1))


class LocalGOCor(nn.Module):
    """Filters of 9x9 correlations. They depend only on the target: one computation for a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.filter_initializer = _Scaling()
        self.filter_optimizer = _Optimizer()

    def forward(self, target: Tensor, iterations: int, portion: int) -> Tensor:
        """Return B x C x H x W filters of features of that shape.

        `portion` tiles are computed at a time, with all iterations before the next portion begins.
        """
        tiling = tiles.Tiling.of(target)
        windowed = tiling.make_windows(target)
        room = tiling.empty(target, tiling.channels)
        for part in tiling.portions(portion):
            windows = tiles.windows_in(windowed, part)
            tiles.put(room, part, self._optimise(windows, iterations))
        return tiling.whole(room)

    def _optimise(self, windows: Tensor, iterations: int) -> Tensor:
        """Return the filters of N tiles, N x TILE^2 x C, from N x WINDOW^2 x C features.

        A filter stays in the span of its pixel's 81 neighbours. So descent runs on 81 coefficients
        for each pixel, and of the features only the Gram matrix is needed: with f = a T, the scores
        are a G, the gradient is (lambda a + res / C) T, and its square follows from G.
        """
        count, channels = windows.shape[0], windows.shape[2]
        optimizer, reach = self.filter_optimizer, tiles.REACH
        gram = torch.bmm(windows, windows.mT).div_(channels)  # N x WINDOW^2 x WINDOW^2
        own = tiles.band(gram, row=tiles.WINDOW, first=tiles.INNER)  # N x TILE x TILE x 9 x 9
        # The gradient needs residual / C, which is the residual of weights / sqrt(C).
        weighting = optimizer.weights(_shift_distances(windows))
        upper, lower, label = (each / math.sqrt(channels) for each in weighting)
        less = label.neg()
        lam, step = optimizer.regulariser() / channels**2, optimizer.step()
        start = self.filter_initializer.scaling / (own[..., reach, reach] + 1e-6)
        s = own * start[..., None, None]
        a = torch.zeros_like(s)
        a[..., reach, reach] = start
        spread = windows.new_zeros(count, tiles.TILE**2, tiles.WINDOW**2)
        for _ in range(iterations):
            slope = torch.addcmul(upper, lower, s.sign())
            g = torch.addcmul(less, slope, s).mul_(slope).addcmul_(a, lam)
            tiles.band(spread).copy_(g)
            sg = tiles.band(torch.bmm(spread, gram)).contiguous()
            num = (g * sg).sum((3, 4), keepdim=True)  # divided by C, as den
            den = torch.linalg.vector_norm(slope.mul_(sg), dim=(3, 4), keepdim=True).square_()
            alpha = num * step / den.addcmul_(num, lam).clamp_(min=_LEAST / channels)
            a.addcmul_(g, alpha, value=-1)
            s.addcmul_(sg, alpha, value=-1)
        tiles.band(spread).copy_(a)
        return torch.bmm(spread, windows)


def _total(x: Tensor) -> Tensor:
    """Return the sum of squares of each sample, B x 1 x 1."""
    return x.square().sum((1, 2), keepdim=True)


def _grid_distances(like: Tensor) -> Tensor:
    """Return 256 x 256 distances in px between all positions of the 16x16 grid, row by row."""
    at = torch.arange(256, device=like.device)
    y, x = at // 16, at % 16
    return torch.hypot((y[:, None] - y).to(like), (x[:, None] - x).to(like))


def _shift_distances(like: Tensor) -> Tensor:
    """Return the 9 x 9 lengths of the shifts in px, dy then dx."""
    at = torch.arange(-tiles.REACH, tiles.REACH + 1, device=like.device).to(like)
    return torch.hypot(at[:, None], at)
