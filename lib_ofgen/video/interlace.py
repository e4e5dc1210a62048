"""Deinterlacing, and the pictures that a decoder returns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
import av.error
import av.filter

__all__ = ["Deinterlacer", "Picture", "Times"]

LEAST = 4
"""px: bwdif does not accept smaller pictures."""


class Times(NamedTuple):
    """When a frame begins and how long it lasts, by the file, in ticks of the stream."""

    stamp: int | None
    duration: int
    """0 if the file has none."""


class Picture:
    """A decoded frame and its times; whoever has used the frame frees its memory."""

    def __init__(self, frame: av.VideoFrame, times: Times) -> None:
        """Keep the frame."""
        self._frame: av.VideoFrame | None = frame
        self.times = times

    @property
    def frame(self) -> av.VideoFrame:
        """The frame, until it is freed."""
        if self._frame is None:
            raise RuntimeError("a frame is used after it was freed")
        return self._frame

    @property
    def stamp(self) -> int | None:
        """When it begins, in ticks."""
        return self.times.stamp

    def free(self) -> None:
        """Free the frame: generators may still hold its picture."""
        self._frame = None


class Deinterlacer:
    """Deinterlaces frames with bwdif; their number and times do not change.

    Before the first interlaced frame, frames are passed on unchanged and without delay.
    """

    def __init__(self, time_base: Fraction) -> None:
        """Prepare for a stream of that time base."""
        self._time_base = time_base
        self._graph: av.filter.Graph | None = None
        self._form: tuple[int, int, str] | None = None
        self._waiting: deque[Picture] = deque()

    def give(self, picture: Picture) -> Iterator[Picture]:
        """Push a picture and yield those that are finished."""
        form = (picture.frame.width, picture.frame.height, picture.frame.format.name)
        if self._graph is not None and form != self._form:
            yield from self.flush()
        if self._graph is None:
            frame = picture.frame
            if not frame.interlaced_frame or min(frame.width, frame.height) < LEAST:
                yield picture
                return
            self._graph, self._form = self._build(picture.frame), form
        graph = self._graph
        self._waiting.append(picture)
        # Times bypass the filter: it doubles the time base and guesses missing ones.
        picture.frame.pts = None
        graph.push(picture.frame)
        yield from self._pull()

    def flush(self) -> Iterator[Picture]:
        """Yield the pictures that are still in the filter."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
        yield from self._waiting
        self._waiting.clear()
        self._graph = None

    def _build(self, frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
        )
        filters = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = graph.add("buffersink")
        graph.link_nodes(source, filters, sink)
        graph.configure()
        return graph

    def _pull(self) -> Iterator[Picture]:
        while self._graph is not None and self._waiting:
            try:
                frame: Any = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield Picture(frame, self._waiting.popleft().times)
