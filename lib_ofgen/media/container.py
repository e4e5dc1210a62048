"""Files opened for reading, and what their sound is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import av.logging

from lib_ofgen.errors import VideoError
from lib_ofgen.values import Sound

__all__ = [
    "TRIES", "disposition", "open_container", "packets_of", "preferred", "silence", "sound_codec",
    "sound_of", "sound_stream",
]  # fmt: skip

DEFAULT = 0x1
"""Flag of a stream that players take if nobody chooses."""


TRIES = 50
"""Reads in a row that may fail before a file counts as ended."""


def open_container(path: Path) -> av.container.InputContainer:
    """The file opened for reading.

    Raises:
        VideoError: it is not there, may not be read, or is no video.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        cause = error.strerror or str(error)
        raise VideoError(
            f"{path.name!r} cannot be read: {cause}; check the path", bad_input=True
        ) from error
    if head.startswith((b"ffconcat", b"#EXTM3U")):
        raise VideoError(
            f"{path.name!r} is a list of other files; give the video itself", bad_input=True
        )
    if not head:
        raise VideoError(f"{path.name!r} is empty (0 bytes); give a video file", bad_input=True)
    silence()
    try:
        # `file:` keeps libav from reading "a:b.mp4" as a protocol; the whitelist keeps a play
        # list under a video's name from reaching into the network.
        return av.open(
            f"file:{path.absolute()}",
            mode="r",
            container_options={"protocol_whitelist": "file", "pattern_type": "none"},
            **_lenient(),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        remedy = "give a video file such as mp4, mov, mkv, webm or gif"
        if head[4:8] == b"ftyp":
            cause = "its index (moov) is missing or damaged: the file was cut off"
            remedy = "copy or record it again"
        raise VideoError(
            f"{path.name!r} is not a video that can be read ({cause}); {remedy}", bad_input=True
        ) from error


def silence() -> None:
    """Have libav's own threads write no log; to be called before a codec is opened or closed.

    A line of theirs waits for the interpreter, and closing a codec holds the interpreter until its
    threads have ended: neither goes on. They are silent by default, but importing torchvision lets
    them speak.
    """
    av.logging.set_level(None)


def _lenient() -> dict[str, Any]:
    """Have PyAV read past tags that are not UTF-8: a choice up to 18, and always so from 19."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def packets_of(
    container: av.container.InputContainer, stream: Any, failed: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """The stream's packets, the empty one at the end too; reading goes on behind damage.

    `failed` hears of each read that fails.
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


def disposition(stream: Any) -> int:
    """Libav's flags of what a stream is for."""
    flags = getattr(stream, "disposition", 0)  # an int, or some kind of enum
    return int(getattr(flags, "value", flags))


def preferred(container: av.container.InputContainer, streams: Sequence[Any]) -> Any:
    """The stream that players take: one that is marked as default, of these libav's choice."""
    marked = [one for one in streams if disposition(one) & DEFAULT] or list(streams)
    best = container.streams.best(marked[0].type)
    return next((one for one in marked if best is not None and one.index == best.index), marked[0])


def sound_stream(container: av.container.InputContainer) -> Any:
    """The sound stream that plays, of those that can be decoded, or none."""
    streams = [
        one
        for one in container.streams.audio
        if one.codec_context is not None
        and one.codec_context.sample_rate
        and one.codec_context.channels
    ]
    return preferred(container, streams) if streams else None


def sound_of(container: av.container.InputContainer) -> Sound | None:
    """What the container's sound is, or none."""
    stream = sound_stream(container)
    if stream is None:
        return None
    codec = stream.codec_context
    return Sound(sound_codec(stream), codec.sample_rate, codec.channels)


def sound_codec(stream: Any) -> str:
    """The name of a sound stream's codec, without what is the decoder's (`mp3float`)."""
    return stream.codec_context.name.removeprefix("lib").removesuffix("float")
