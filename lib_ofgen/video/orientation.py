"""The display matrix of a frame, and pictures turned by it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

__all__ = ["orient", "read_display_matrix"]

UNKNOWN_KINDS = 8
"""Most kinds of side data in one frame that PyAV may not know."""


def read_display_matrix(frame: av.VideoFrame) -> NDArray[np.int32] | None:
    """Return the nine numbers of the frame's display matrix, or None if it has none."""
    for _ in range(UNKNOWN_KINDS):
        try:
            data = frame.side_data.get("DISPLAYMATRIX")  # type: ignore[call-overload]
        except ValueError as error:  # "31 is not a valid Type": newer than PyAV
            frame = _without_side_data(frame, int(str(error).split()[0]))
        else:
            return None if data is None else np.frombuffer(data, dtype=np.int32)
    return None


def orient(image: NDArray[Any], matrix: NDArray[np.int32]) -> NDArray[Any]:
    """Turn and mirror a picture as its display matrix says; exact, by transposes and flips.

    `matrix` is the container's nine numbers (ISO 14496-12, 6.2.2): the source's (x, y) is shown
    at (a x + c y, b x + d y). Angles are rounded to right angles.
    """
    a, b, _, c, d = (int(number) for number in matrix[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = np.swapaxes(image, 0, 1)
        upside_down, mirrored = b < 0, c < 0
    else:
        upside_down, mirrored = d < 0, a < 0
    return image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def _without_side_data(frame: av.VideoFrame, kind: int) -> av.VideoFrame:
    """Return the frame without its side data of one kind, given by libav's number of the kind."""
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
