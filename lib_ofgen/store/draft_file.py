"""Drafts of unfinished frames, as bytes."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import warp
from lib_ofgen.values import Box, Contribution, Draft, Origin

__all__ = ["pack", "unpack"]


def pack(draft: Draft) -> bytes:
    """Return the bytes of a draft: a line of JSON, then arrays. `unpack` reads them."""
    head: dict[str, Any] = {"size": draft.holes.shape, "parts": []}
    arrays: list[NDArray[Any]] = [np.packbits(draft.holes, axis=None)]
    for one in draft.contributions:
        fine = max(1 / warp.FINEST, float(np.abs(one.vectors).max()) / 32767)
        head["parts"].append([_to_number(one.origin), one.box, fine])
        arrays.append(np.rint(one.vectors / np.float32(fine)).astype("<i2"))
        arrays.append(np.rint(one.weight * 255).astype(np.uint8))
    return b"".join([json.dumps(head).encode(), b"\n", *(array.tobytes() for array in arrays)])


def unpack(data: bytes) -> Draft:
    """Return the draft from which `pack` made these bytes."""
    line, _, rest = data.partition(b"\n")
    head = json.loads(line)
    place, size = 0, tuple(head["size"])

    def take(kind: str, count: int) -> NDArray[Any]:
        nonlocal place
        array = np.frombuffer(rest, kind, count, place)
        place += array.nbytes
        return array

    holes = np.unpackbits(take("u1", -(-math.prod(size) // 8)), count=math.prod(size))
    parts: list[Contribution] = []
    for origin, sides, fine in head["parts"]:
        box = Box(*sides)
        vectors = take("<i2", 2 * math.prod(box.size)).reshape(2, *box.size)
        weight = take("u1", math.prod(box.size)).reshape(box.size)
        exact = vectors.astype(np.float32) * np.float32(fine)
        share = weight.astype(np.float32) * np.float32(1 / 255)
        parts.append(Contribution(_from_number(origin), box, exact, share))
    return Draft(tuple(parts), holes.reshape(size).astype(np.bool_))


def _to_number(origin: Origin) -> int:
    """Return the origin as files have it: the frame, or its bitwise complement for a background."""
    return origin.frame if origin.layer == "subject" else ~origin.frame


def _from_number(number: int) -> Origin:
    """Return the origin that `_to_number` wrote."""
    return Origin(number) if number >= 0 else Origin(~number, "background")
