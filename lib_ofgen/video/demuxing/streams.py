"""The film and sound streams of a file, chosen as players do, and their packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import av.container
import av.error

from lib_ofgen.errors import VideoError

__all__ = ["TRIES", "film_stream", "is_cover", "packets_of", "sound_stream"]

DEFAULT, COVER, THUMBNAIL, STILL = 0x1, 0x400, 0x800, 0x100000
"""Flags of a stream's disposition; players take a default stream if the user does not choose."""
TRIES = 50
"""Failed reads in a row after which a file counts as ended."""
LOOKED_AT = 200
"""Packets that are read to distinguish films from stills if there are several streams."""


def film_stream(
    container: av.container.InputContainer,
    name: str,
    again: Callable[[], av.container.InputContainer],
) -> Any:
    """Choose the stream of moving pictures: not a cover, nor a still beside a film.

    `again` opens the same file once more; `name` is for messages.

    Raises:
        VideoError: if there is none, or none that can be decoded.
    """
    films = [one for one in container.streams.video if not _flags(one) & (COVER | THUMBNAIL)]
    if not films:
        only = ", only sound" if container.streams.audio else ""
        raise VideoError(
            f"{name} has no video stream{only}; give a file with pictures", bad_input=True
        )
    films = [one for one in films if one.codec_context is not None]
    if not films:
        raise VideoError(
            f"{name} has a video stream that this build of libav cannot decode;"
            " convert it to H.264 first",
            bad_input=True,
        )
    if len(films) > 1:
        with again() as other:
            films = _find_moving(films, other)
    return _choose(container, films)


def _find_moving(films: list[Any], other: av.container.InputContainer) -> list[Any]:
    """Return those of several streams that have more than one picture; all if none has."""
    counts = dict.fromkeys((one.index for one in films), 0)
    same = [other.streams[index] for index in counts]
    for packet in islice(packets_of(other, same), LOOKED_AT):
        counts[packet.stream.index] += packet.size > 0
    moving = [one for one in films if counts[one.index] > 1]
    moving = [one for one in moving if not _flags(one) & STILL] or moving
    return moving or films


def sound_stream(container: av.container.InputContainer) -> Any:
    """Choose the sound stream, of those that can be decoded, or None."""
    streams = [
        one
        for one in container.streams.audio
        if one.codec_context is not None
        and one.codec_context.sample_rate
        and one.codec_context.channels
    ]
    return _choose(container, streams) if streams else None


def _choose(container: av.container.InputContainer, streams: Sequence[Any]) -> Any:
    """Choose a stream as players do: libav's choice of those that are marked as default."""
    marked = [one for one in streams if _flags(one) & DEFAULT] or list(streams)
    best = container.streams.best(marked[0].type)
    return next((one for one in marked if best is not None and one.index == best.index), marked[0])


def is_cover(stream: Any) -> bool:
    """Whether a video stream is a cover picture."""
    return bool(_flags(stream) & COVER)


def _flags(stream: Any) -> int:
    """Return libav's flags of a stream's disposition."""
    flags = getattr(stream, "disposition", 0)  # an int, or some kind of enum
    return int(getattr(flags, "value", flags))


def packets_of(
    container: av.container.InputContainer, stream: Any, failed: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """Yield the stream's packets, and an empty one at the end; damaged parts are skipped.

    `failed` is called for each read that fails.
    """
    tries = 0
    while tries < TRIES:
        try:
            for packet in container.demux(stream):
                tries = 0
                yield packet
            return
        except av.error.FFmpegError:
            tries += 1
            failed()
