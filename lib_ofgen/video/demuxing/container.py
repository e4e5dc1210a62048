"""Files opened for reading, and what their sound is.

libav is given a file's bytes and nothing else: no path, no protocol, and only formats that hold
their own data. So no file can name another one to be read in its place.
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
"""The oldest PyAV that is fit: earlier ones write beyond their memory if a format shows its streams
late, as MPEG does, and decoders are given options."""

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

Each finds all it reads in the file itself. Left out are play lists (hls, dash, concat, sdp, imf),
numbered pictures (image2), what draws text or vectors (tty, svg_pipe) and what has no signature.
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
"""How files begin that name other files."""
_HEAD = 4096
"""Bytes that are looked at to say what a file is."""
_BUFFER = 1 << 16
"""Bytes that libav asks for at a time."""


class _Contents:
    """A file's bytes as libav asks for them; closed when its container is gone."""

    def __init__(self, path: Path) -> None:
        self._file = regular_file(path)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes from where it stands; none at the end."""
        return self._file.read(size) or b""

    def seek(self, offset: int, whence: int) -> int:
        """Where it stands then; below 0, which is libav's sign of an error, if that cannot be."""
        try:
            return self._file.seek(offset, whence)
        except OSError:
            return -1

    def tell(self) -> int:
        """Where it stands."""
        return self._file.tell()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


def open_container(path: Path) -> av.container.InputContainer:
    """The file opened for reading, if it is of a format that holds its own data.

    Raises:
        VideoError: it is not there, may not be read, is no video, or its pictures are too large.
    """
    _probed(path).close()
    return _opened(path, decoder_options(), {})  # libav itself opens decoders, to find details


def decoder_options() -> dict[str, str]:
    """What a decoder is told, so that it asks for no memory for pictures over the limit.

    It counts the pixels of padded rows, hence the eighth: what it lets pass is to be checked.
    """
    return {"max_pixels": str(limits.current().pixels * 9 // 8)}


def extension_of(path: Path) -> str:
    """The extension, such as ".mp4", of the container that a file is found to be by its bytes.

    Its name is not asked, and nothing is decoded. Only what `open_container` opens has one.

    Raises:
        VideoError: it cannot be read, is no video, or its pictures are too large.
    """
    container = _probed(path)
    name = container.format.name.split(",")[0]
    container.close()
    with regular_file(path) as file:
        head = file.read(_HEAD)
    if name == "mov" and head[4:10] in (b"ftypqt", b"ftypav"):
        return ".mov" if head[8:10] == b"qt" else ".avif"
    return ".webm" if name == "matroska" and b"\x42\x82\x84webm" in head else _EXTENSIONS[name]


def _probed(path: Path) -> av.container.InputContainer:
    """The file opened by its headers alone; no decoder is opened, so it cannot ask for much.

    Raises:
        VideoError: as `open_container`.
    """
    container = _opened(path, {}, {"codec_whitelist": "none"})
    try:
        for stream in container.streams.video:
            codec = stream.codec_context
            if codec is not None and not is_cover(stream):
                limits.check_pixels(codec.width, codec.height, f"the picture of {path.name!r}")
    except VideoError:
        container.close()
        raise
    return container


def _opened(
    path: Path, options: dict[str, str], more: dict[str, str]
) -> av.container.InputContainer:
    """The file opened with options of its streams, and more of its container."""
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
    """Open no other file, whatever names one."""
    raise av.error.PermissionError(errno.EACCES, "it names another file")


def _why(head: bytes, error: Exception) -> str:
    """What a file that was refused is, and the remedy."""
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
    """Have libav's own threads write no log; to be called before a codec is opened or closed.

    A line of theirs waits for the interpreter, and closing a codec holds the interpreter until its
    threads have ended: neither goes on. They are silent by default, but importing torchvision lets
    them speak.
    """
    av.logging.set_level(None)


def _lenient() -> dict[str, Any]:
    """Have PyAV read past tags that are not UTF-8: a choice up to 18, and always so from 19."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


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
