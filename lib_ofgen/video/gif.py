"""What is special about GIF: its times as browsers show them, and its 256 colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import av.error
import av.filter

from lib_ofgen.values import Size
from lib_ofgen.video.interlace import Picture, Times

__all__ = ["TIME_BASE", "PaletteFilter", "browser_rate", "browser_times", "choose_frames"]

TIME_BASE = Fraction(1, 100)
"""Seconds per unit of a GIF's times."""
SHORTEST, REPLACEMENT = 2, 10
"""Units: browsers show a picture that lasts less than the first for the second."""


def browser_rate(rate: Fraction, time_base: Fraction) -> Fraction:
    """The frame rate at which browsers show a GIF whose header has `rate`, in frames per second."""
    return rate if rate <= 1 / (SHORTEST * time_base) else 1 / (REPLACEMENT * time_base)


def browser_times(pictures: Iterator[Picture]) -> Iterator[Picture]:
    """Give a GIF's pictures the times at which browsers show them."""
    stamp = 0
    for picture in pictures:
        duration = picture.times.duration
        duration = duration if duration >= SHORTEST else REPLACEMENT
        picture.times = Times(stamp, duration)
        yield picture
        stamp += duration


def choose_frames(times: Sequence[int]) -> tuple[dict[int, int], int]:
    """Choose the frames that a GIF can show: at most 50 a second.

    `times` are when each frame begins and the last one ends, in units. Returns when each chosen
    frame begins, by its index, and when the last one ends.
    """
    chosen, last, end = {0: 0}, 0, max(times[-1], SHORTEST)
    for index in range(1, len(times) - 1):
        begin = max(times[index], last + SHORTEST)
        # A frame that would begin when the next is due is left out; the others wait a little.
        if begin < times[index + 1] and begin + SHORTEST <= end:
            chosen[index] = last = begin
    return chosen, end


class PaletteFilter:
    """Reduces each picture to 256 colours of its own, so that memory stays bounded."""

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
        """Push a picture, or None at the end, and yield those that are finished."""
        self._graph.push(picture)
        while True:
            try:
                yield self._graph.pull()  # type: ignore[misc]
            except (av.error.BlockingIOError, av.error.EOFError):
                return
