"""9x9 correlations as matrix products of tiles with their windows.

A tile has `TILE` x `TILE` pixels; its window has the (TILE + 8)^2 pixels with which these are
compared. One product compares every pixel of the tile with every pixel of the window. The 81
results that belong to a pixel lie in it on a band, which a strided view reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from lib_ofgen.models.flow._pdcnet.layers import lrelu

__all__ = [
    "INNER",
    "REACH",
    "SHIFTS",
    "TILE",
    "WINDOW",
    "Tiling",
    "band",
    "correlate",
    "put",
    "tiles_in",
    "windows_in",
]

REACH = 4
"""px: reach of a correlation in each direction."""
SHIFTS = (2 * REACH + 1) ** 2
"""Number of shifts, 81."""
TILE = 8
"""px: side of a tile; products compute (TILE + 8)^2 / 81 of what is needed, as large matrices."""
WINDOW = TILE + 2 * REACH
"""px: side of a window."""
INNER = REACH * WINDOW + REACH
"""Index of the window's pixel that is the first pixel of the tile."""


@dataclass(frozen=True)
class Tiling:
    """How B x C x H x W maps are split into tiles, and the tiles into portions."""

    batch: int
    channels: int
    height: int
    width: int

    @classmethod
    def of(cls, features: Tensor) -> Tiling:
        """Return the tiling of maps of that shape."""
        return cls(*features.shape)

    @property
    def rows(self) -> int:
        """Number of rows of tiles."""
        return -(-self.height // TILE)

    @property
    def columns(self) -> int:
        """Number of columns of tiles."""
        return -(-self.width // TILE)

    def portions(self, tiles: int) -> Iterator[tuple[slice, slice]]:
        """Yield slices of (batch, rows of tiles) with about `tiles` tiles each."""
        rows = max(1, min(self.rows, tiles // self.columns))
        samples = max(1, tiles // (self.columns * self.rows))
        for sample in range(0, self.batch, samples):
            for row in range(0, self.rows, rows):
                yield slice(sample, sample + samples), slice(row, row + rows)

    def empty(self, like: Tensor, channels: int) -> Tensor:
        """Return an empty tiled map: B x rows x TILE x columns x TILE x channels."""
        shape = (self.batch, self.rows, TILE, self.columns, TILE, channels)
        return torch.empty(shape, dtype=like.dtype, device=like.device)

    def whole(self, tiled: Tensor) -> Tensor:
        """Return the B x C x H x W map of a tiled map; channels are innermost in memory."""
        channels = tiled.shape[-1]
        full = tiled.view(self.batch, self.rows * TILE, self.columns * TILE, channels)
        return full[:, : self.height, : self.width].permute(0, 3, 1, 2)

    def split(self, features: Tensor) -> Tensor:
        """Return the map as B x rows x TILE x columns x TILE x C, with zeros beyond its edge."""
        last = features.permute(0, 2, 3, 1)
        below = self.rows * TILE - self.height
        beside = self.columns * TILE - self.width
        full = pad(last, (0, 0, 0, beside, 0, below)).contiguous()
        return full.view(self.batch, self.rows, TILE, self.columns, TILE, self.channels)

    def make_windows(self, features: Tensor) -> Tensor:
        """Return the window of every tile: a B x rows x columns x WINDOW x WINDOW x C view."""
        last = features.permute(0, 2, 3, 1)
        below = self.rows * TILE - self.height + REACH
        beside = self.columns * TILE - self.width + REACH
        full = pad(last, (0, 0, REACH, beside, REACH, below)).contiguous()
        b, y, x, c = full.stride()
        shape = (self.batch, self.rows, self.columns, WINDOW, WINDOW, self.channels)
        return full.as_strided(shape, (b, TILE * y, TILE * x, y, x, c))


def tiles_in(tiled: Tensor, portion: tuple[slice, slice]) -> Tensor:
    """Return N x TILE^2 x C of a portion of the result of `Tiling.split`."""
    return tiled[portion].permute(0, 1, 3, 2, 4, 5).reshape(-1, TILE * TILE, tiled.shape[-1])


def windows_in(windowed: Tensor, portion: tuple[slice, slice]) -> Tensor:
    """Return N x WINDOW^2 x C of a portion of the result of `Tiling.make_windows`."""
    return windowed[portion].reshape(-1, WINDOW * WINDOW, windowed.shape[-1])


def put(tiled: Tensor, portion: tuple[slice, slice], tiles: Tensor) -> None:
    """Write N x TILE x TILE x ... into a portion of a tiled map."""
    room = tiled[portion].permute(0, 1, 3, 2, 4, 5)
    room.copy_(tiles.reshape(room.shape))


def band(products: Tensor, *, row: int = TILE, first: int = 0) -> Tensor:
    """Return an N x TILE x TILE x 9 x 9 view: each pixel of the tile with its 81 neighbours.

    `products` is N x R x WINDOW^2. The tile's pixel (y, x) is its row `first + y * row + x`.
    """
    count, rows, across = products.shape
    reach = 2 * REACH + 1
    stride = (rows * across, row * across + WINDOW, across + 1, WINDOW, 1)
    start = products.storage_offset() + first * across
    return products.as_strided((count, TILE, TILE, reach, reach), stride, start)


def correlate(filters: Tensor, target: Tensor, source: Tensor, tiles: int) -> tuple[Tensor, Tensor]:
    """Correlate the filters, and the target's features, with the source's; apply leaky ReLU.

    All are B x C x H x W. Return B x 81 x H x W for the filters and for the target: means over C.
    `tiles` tiles are computed at a time.
    """
    tiling = Tiling.of(target)
    windowed = tiling.make_windows(source)
    both = [tiling.split(filters), tiling.split(target)]
    maps = [tiling.empty(target, SHIFTS) for _ in both]
    for portion in tiling.portions(tiles):
        windows = windows_in(windowed, portion).transpose(1, 2)
        stacked = torch.cat([tiles_in(each, portion) for each in both], 1)
        products = torch.bmm(stacked, windows)
        for index, tiled in enumerate(maps):
            put(tiled, portion, band(products, first=index * TILE * TILE))
    scaled = [lrelu(tiled.div_(tiling.channels)) for tiled in maps]
    return tiling.whole(scaled[0]), tiling.whole(scaled[1])
