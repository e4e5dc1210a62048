"""Finished frames as a video file with the source's sound, or as a folder of pictures.

Nothing appears under the output's name before it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import av
import av.error
import av.filter
import PIL.Image

from lib_ofgen.errors import VideoError
from lib_ofgen.soundtrack import Soundtrack
from lib_ofgen.values import Clip, Frame, check

__all__ = ["FrameFolder", "Writer", "check_output", "write_video"]

BT709 = 1
LIMITED = 1


class Kind(NamedTuple):
    """How a file of one extension is written."""

    container: str
    codec: str
    options: dict[str, str]
    kept_sounds: frozenset[str] | None
    """Sound codecs that are copied as they are; None: all of them."""
    sound_codec: str
    """What other sound becomes; empty: it is left out."""


MP4_SOUNDS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus"})
MOV_SOUNDS = (MP4_SOUNDS - {"opus"}) | {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}
H264 = {"preset": "medium"}
VP9 = {"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}

KINDS = {
    ".mp4": Kind("mp4", "libx264", H264, MP4_SOUNDS, "aac"),
    ".m4v": Kind("mp4", "libx264", H264, MP4_SOUNDS, "aac"),
    ".mov": Kind("mov", "libx264", H264, MOV_SOUNDS, "aac"),
    ".mkv": Kind("matroska", "libx264", H264, None, "aac"),
    ".webm": Kind("webm", "libvpx-vp9", VP9, frozenset({"opus", "vorbis"}), "libopus"),
    ".gif": Kind("gif", "gif", {}, frozenset(), ""),
}

REMEDIES = {
    errno.ENOSPC: "free some space or choose another folder",
    errno.EFBIG: "choose a folder without that limit",
    errno.ENOENT: "create the folder first",
    errno.EACCES: "choose a folder that may be written",
    errno.EPERM: "choose a folder that may be written",
    errno.EROFS: "choose a folder that may be written",
}


def check_output(path: Path) -> None:
    """Nothing, if a video can be written to `path`; its folder is tried out.

    Raises:
        VideoError: the extension is unknown, or the folder cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        known = ", ".join(KINDS)
        raise VideoError(f"{path.name!r} has no extension of a video that can be written; use one of {known}")
    if path.is_dir():
        raise VideoError(f"{path.name!r} cannot be written: it is a folder; choose another name")
    partial = _partial(path)
    with _told(path):
        partial.touch()
        partial.unlink()


def write_video(
    path: Path, clip: Clip, *, sound_from: Path | None = None, crf: int = 18
) -> Writer:
    """A sink for the clip's frames; the file appears once all are written and the sink is left.

    Container by extension, times from the clip, sound from the same range of `sound_from`.
    `crf` is x264's: 0 lossless .. 51.
    """
    return Writer(Path(path), clip, sound_from=sound_from, crf=crf)


class Writer:
    """A video file in the making: a context manager whose `write` takes the frames in order.

    Leaving it with all frames written puts the file in place; leaving it otherwise, or by an
    exception, leaves nothing behind and what was there before untouched.
    """

    def __init__(self, path: Path, clip: Clip, *, sound_from: Path | None, crf: int) -> None:
        """Remember what is to be written; nothing is opened yet."""
        check_output(path)
        self.path = path
        self._clip = clip
        self._sound_from = sound_from
        self._kind = KINDS[path.suffix.lower()]
        self._crf = crf
        self._next = 0
        self._output: Any = None
        self._palette: _Palette | None = None
        self._sound: Soundtrack | None = None
        ends = (*clip.ticks[1:], clip.end)
        times = [self._pts(tick) for tick in (*clip.ticks, clip.end)]
        if self._kind.container == "gif":
            for place in range(1, len(times)):
                times[place] = max(times[place], times[place - 1] + 1)
        self._times = times
        self._lengths = {a: b - a for a, b in zip(times, times[1:], strict=False)}
        del ends
