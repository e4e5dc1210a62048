"""The visible part of a Matroska or WebM file's pictures, which PyAV does not report.

Elements and their numbers: RFC 9559, sections 5.1.4.1.28 (Video) and RFC 8794 (EBML).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import IO, NamedTuple

__all__ = ["VisiblePart", "read_visible_parts"]

_SEGMENT, _TRACKS, _TRACK, _VIDEO, _CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675
_KIND, _VIDEO_KIND = 0x83, 1
_WIDTH, _HEIGHT, _SHOWN_WIDTH, _SHOWN_HEIGHT, _UNIT = 0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2
_TOP, _LEFT, _BOTTOM, _RIGHT = 0x54BB, 0x54CC, 0x54AA, 0x54DD
_UNKNOWN_UNIT = 4
_LARGEST = 1 << 24
"""Bytes of the list of tracks; a larger one is not read."""


class VisiblePart(NamedTuple):
    """The visible part of a track's pictures, and the shape of its pixels."""

    top: int
    """px that are cut off."""
    left: int
    bottom: int
    right: int
    width: int
    """px of the whole picture."""
    height: int
    aspects: tuple[Fraction, ...]
    """Width of a pixel over its height: by the standard, and by muxers that do not change the
    display size when they crop. Empty if the file has none."""

    @property
    def cuts(self) -> bool:
        """Whether anything is cut off, and something is left."""
        inside = self.left + self.right < self.width and self.top + self.bottom < self.height
        return inside and any((self.top, self.left, self.bottom, self.right))


def read_visible_parts(file: IO[bytes]) -> list[VisiblePart]:
    """Read the visible part of each video track, in order; empty if not Matroska, or damaged."""
    try:
        file.seek(0)
        return [_visible_part(video) for video in _videos(file)]
    except (OSError, ValueError, IndexError):
        return []


def _videos(file: IO[bytes]) -> Iterator[dict[int, bytes]]:
    """Yield the elements of each video track's description."""
    for track in _children(_tracks(file)):
        if track[0] == _TRACK:
            parts = dict(_children(track[1]))
            if _number(parts.get(_KIND, b"")) == _VIDEO_KIND:
                yield dict(_children(parts.get(_VIDEO, b"")))


def _tracks(file: IO[bytes]) -> bytes:
    """Read the list of tracks; only the headers of earlier elements are read."""
    while True:
        head = file.read(12)
        name, start = _vint(head, 0, marked=True)
        size, start = _vint(head, start, marked=False)
        file.seek(start - len(head), 1)
        if name == _TRACKS:
            if size > _LARGEST:
                raise ValueError(f"a list of tracks of {size} bytes")
            return file.read(size)
        if name == _CLUSTER:
            raise ValueError("pictures begin before the list of tracks")
        if name != _SEGMENT:
            file.seek(size, 1)


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the consecutive elements in `data`."""
    place = 0
    while place < len(data):
        name, place = _vint(data, place, marked=True)
        size, place = _vint(data, place, marked=False)
        yield name, data[place : place + size]
        place += size


def _vint(data: bytes, place: int, *, marked: bool) -> tuple[int, int]:
    """Read a number of variable length; return it and the place after it.

    With `marked`, the number keeps its length mark.
    """
    length = 9 - data[place].bit_length()
    if length > 8 or place + length > len(data):
        raise ValueError("not a number of EBML")
    value = int.from_bytes(data[place : place + length], "big")
    return value if marked else value & ((1 << 7 * length) - 1), place + length


def _number(data: bytes) -> int:
    return int.from_bytes(data[:8], "big")


def _visible_part(parts: dict[int, bytes]) -> VisiblePart:
    numbers = {name: _number(data) for name, data in parts.items()}
    width, height = numbers.get(_WIDTH, 0), numbers.get(_HEIGHT, 0)
    top, left, bottom, right = (numbers.get(one, 0) for one in (_TOP, _LEFT, _BOTTOM, _RIGHT))
    wide, high = numbers.get(_SHOWN_WIDTH, 0), numbers.get(_SHOWN_HEIGHT, 0)
    inner = (width - left - right, height - top - bottom)
    aspects: tuple[Fraction, ...] = ()
    if min(wide, high, *inner) > 0 and numbers.get(_UNIT, 0) != _UNKNOWN_UNIT:
        aspects = tuple(Fraction(wide * h, high * w) for w, h in (inner, (width, height)))
    return VisiblePart(top, left, bottom, right, width, height, aspects)
