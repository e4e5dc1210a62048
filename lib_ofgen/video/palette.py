"""Pictures in 256 colours, for GIF."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
import av.filter

from lib_ofgen.values import Size

__all__ = ["Palette"]


class Palette:
    """Pictures reduced to 256 colours of their own each, so that memory stays bounded."""

    def __init__(self, size: Size, time_base: Fraction) -> None:
        """Build the filters for frames of that size."""
        self._graph = av.filter.Graph()
        add = self._graph.add
        source = self._graph.add_buffer(
            width=size.width,
            height=size.height,
            format=av.VideoFormat("rgb24"),
            time_base=time_base,
        )
        split = add("split")
        colours = add("palettegen", "stats_mode=single")
        # An ordered pattern stands still where the picture does; diffusion would crawl.
        used = add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        source.link_to(split)
        split.link_to(used, 0, 0)
        split.link_to(colours, 1, 0)
        colours.link_to(used, 0, 1)
        used.link_to(add("buffersink"))
        self._graph.configure()

    def give(self, picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """What is finished once `picture`, or the end, has come."""
        self._graph.push(picture)
        while True:
            try:
                yield self._graph.pull()  # type: ignore[misc]
            except (av.error.BlockingIOError, av.error.EOFError):
                return
