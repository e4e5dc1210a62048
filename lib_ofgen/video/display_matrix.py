"""How a frame is to be turned for display, whatever else it carries beside its pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

__all__ = ["display_matrix"]

UNKNOWN_KINDS = 8
"""Kinds of side data in one frame that may be newer than PyAV."""


def display_matrix(frame: av.VideoFrame) -> NDArray[np.int32] | None:
    """The nine numbers of the frame's display matrix, or none."""
    for _ in range(UNKNOWN_KINDS):
        try:
            data = frame.side_data.get("DISPLAYMATRIX")  # type: ignore[call-overload]
        except ValueError as error:  # "31 is not a valid Type": newer than PyAV
            frame = _without_side_data(frame, int(str(error).split()[0]))
        else:
            return None if data is None else np.frombuffer(data, dtype=np.int32)
    return None


def _without_side_data(frame: av.VideoFrame, kind: int) -> av.VideoFrame:
    """The frame without what it carries beside its pixels of one kind, a number of libav's."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format,
        time_base=frame.time_base or Fraction(1, 1000),
    )  # fmt: skip
    cleaner = graph.add("sidedata", f"mode=delete:type={kind}")
    sink = graph.add("buffersink")
    graph.link_nodes(source, cleaner, sink)
    graph.configure()
    graph.push(frame)
    return cast("av.VideoFrame", graph.pull())
