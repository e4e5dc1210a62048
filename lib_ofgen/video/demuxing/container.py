"""Files opened for reading, and the format of their sound.

libav gets only the file's bytes: no path, no protocol, and only formats that contain their own
data. So a file cannot make libav read another file.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import av.logging

from lib_ofgen.errors import VideoError
from lib_ofgen.system import limits
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import Sound
from lib_ofgen.video.demuxing.streams import is_cover, sound_stream

__all__ = [
    "LEAST",
    "decoder_options",
    "extension_of",
    "open_container",
    "silence",
    "sound_codec",
    "sound_of",
]

LEAST = (17, 1)
"""The oldest safe PyAV: earlier ones write out of bounds if a format reveals its streams late, as
MPEG does, and decoders are given options."""

_EXTENSIONS = {
    "mov": ".mp4",
    "matroska": ".mkv",
    "avi": ".avi",
    "asf": ".wmv",
    "flv": ".flv",
    "mpegts": ".ts",
    "mpeg": ".mpg",
    "ogg": ".ogv",
    "mxf": ".mxf",
    "nut": ".nut",
    "ivf": ".ivf",
    "rm": ".rm",
    "dv": ".dv",
    "yuv4mpegpipe": ".y4m",
    "h264": ".h264",
    "hevc": ".hevc",
    "vvc": ".vvc",
    "av1": ".obu",
    "obu": ".obu",
    "m4v": ".m4v",
    "mpegvideo": ".m2v",
    "h263": ".h263",
    "vc1": ".vc1",
    "mjpeg": ".mjpeg",
    "gif": ".gif",
    "apng": ".apng",
    "png_pipe": ".png",
    "jpeg_pipe": ".jpg",
    "webp_pipe": ".webp",
    "webp_anim": ".webp",
    "bmp_pipe": ".bmp",
    "tiff_pipe": ".tiff",
    "jpegxl_pipe": ".jxl",
    "jpegxl_anim": ".jxl",
    "aac": ".aac",
    "flac": ".flac",
    "mp3": ".mp3",
    "wav": ".wav",
}
"""The first name of each demuxer that may be used, and the extension of its files.

Each finds all its data in the file itself. Left out are play lists (hls, dash, concat, sdp, imf),
numbered pictures (image2), renderers of text or vectors (tty, svg_pipe), and formats without a
signature.
"""

_LISTS = {
    "HLS": rb"\s*#EXTM3U",
    "DASH": rb"(?s).*<(\w+:)?MPD[\s>]",
    "concat": rb"\s*(ffconcat\b|(file|stream)\s+\S)",
    "SDP": rb"\s*v=0\s",
    "PLS": rb"(?i)\s*\[playlist\]",
    "ASX": rb"(?i)\s*(<asx\b|\[reference\])",
    "SMIL": rb"(?is).*<smil\b",
    "IMF": rb"(?s).*<(\w+:)?(CompositionPlaylist|AssetMap)[\s>]",
    "Smooth Streaming": rb"(?s).*<SmoothStreamingMedia[\s>]",
}
"""Beginnings of files that name other files."""
_HEAD = 4096
"""Bytes that are read to recognise a file."""
_BUFFER = 1 << 16
"""Bytes that libav reads at a time."""


class _Contents:
    """A file's bytes as libav reads them; closed when its container is deleted."""

    def __init__(self, path: Path) -> None:
        self._file = regular_file(path)

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes from the current position; none at the end."""
        return self._file.read(size) or b""

    def seek(self, offset: int, whence: int) -> int:
        """Seek and return the new position; -1, which is an error for libav, if it fails."""
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return -1

    def tell(self) -> int:
        """Return the current position."""
        return self._file.tell()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file for reading, if its format contains its own data.

    Raises:
        VideoError: if it is missing, unreadable or not a video, or its pictures are too large.
    """
    _probe(path).close()
    return _open(path, decoder_options(), {})  # libav opens decoders itself, to find details


def decoder_options() -> dict[str, str]:
    """Return options for decoders, so that they allocate no memory for pictures over the limit.

    libav counts the pixels of padded rows, hence the additional eighth: check the pictures again.
    """
    return {"max_pixels": str(limits.current().pixels * 9 // 8)}


def extension_of(path: Path) -> str:
    """Return the extension, such as ".mp4", of a file's container, by its bytes.

    Its name is not used, and nothing is decoded. Files that `open_container` refuses have none.

    Raises:
        VideoError: if it cannot be read, is not a video, or its pictures are too large.
    """
    container = _probe(path)
    name = container.format.name.split(",")[0]
    container.close()
    with regular_file(path) as file:
        head = file.read(_HEAD)
    if name == "mov" and head[4:10] in (b"ftypqt", b"ftypav"):
        return ".mov" if head[8:10] == b"qt" else ".avif"
    return ".webm" if name == "matroska" and b"\x42\x82\x84webm" in head else _EXTENSIONS[name]


def _probe(path: Path) -> av.container.InputContainer:
    """Open a file by its headers alone; no decoder is opened, so little memory can be used.

    Raises:
        VideoError: if `open_container` raises it.
    """
    container = _open(path, {}, {"codec_whitelist": "none"})
    try:
        for stream in container.streams.video:
            codec = stream.codec_context
            if codec is not None and not is_cover(stream):
                limits.check_pixels(codec.width, codec.height, f"the picture of {path.name!r}")
    except VideoError:
        container.close()
        raise
    return container


def _open(path: Path, options: dict[str, str], more: dict[str, str]) -> av.container.InputContainer:
    """Open a file with options for its streams, and more options for its container."""
    name = repr(path.name)
    if tuple(int(part) for part in av.__version__.split(".")[:2]) < LEAST:
        raise VideoError(
            f"PyAV {av.__version__} is too old to read {name} safely; install "
            f"av>={LEAST[0]}.{LEAST[1]} with pip"
        )
    try:
        contents = _Contents(path)
        head = contents.read(_HEAD)
        contents.seek(0, os.SEEK_SET)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise VideoError(
            f"{name} cannot be read: {cause}; check the path", bad_input=True
        ) from error
    if not head:
        raise VideoError(f"{name} is empty (0 bytes); give a video file", bad_input=True)
    silence()
    try:
        return av.open(
            contents,
            mode="r",
            options=options,
            container_options={
                "format_whitelist": ",".join(_EXTENSIONS),
                "protocol_whitelist": "none",
                **more,
            },
            io_open=_refuse,
            buffer_size=_BUFFER,
            **_lenient(),
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{name} {_why(head, error)}", bad_input=True) from error


def _refuse(url: str, flags: int, options: dict[str, str]) -> Any:
    """Refuse to open another file."""
    raise av.error.PermissionError(errno.EACCES, "it names another file")


def _why(head: bytes, error: Exception) -> str:
    """Say why a file was refused, with the remedy."""
    for kind, pattern in _LISTS.items():
        if re.match(pattern, head.removeprefix(b"\xef\xbb\xbf")):
            return f"is a playlist ({kind}) that names other files; give the video itself"
    remedy = "give a video file such as mp4, mov, mkv, webm or gif"
    if head[4:8] == b"ftyp":
        cause = "its index (moov) is missing or damaged: the file was cut off"
        remedy = "copy or record it again"
    elif not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        cause = "it is a text"
    else:
        cause = getattr(error, "strerror", None) or str(error)
    return f"is not a video that can be read ({cause}); {remedy}"


def silence() -> None:
    """Turn off the log of libav's threads; call this before a codec is opened or closed.

    A thread that logs waits for the interpreter lock, and closing a codec holds that lock until the
    codec's threads have ended: a deadlock. The log is off by default, but importing torchvision
    turns it on.
    """
    av.logging.set_level(None)


def _lenient() -> dict[str, Any]:
    """Return options with which PyAV accepts tags that are not UTF-8; PyAV 19 always does."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def sound_of(container: av.container.InputContainer) -> Sound | None:
    """Return the format of the container's sound, or None."""
    stream = sound_stream(container)
    if stream is None:
        return None
    codec = stream.codec_context
    return Sound(sound_codec(stream), codec.sample_rate, codec.channels)


def sound_codec(stream: Any) -> str:
    """Return the name of a sound stream's codec, without the decoder's part (`mp3float`)."""
    return stream.codec_context.name.removeprefix("lib").removesuffix("float")
