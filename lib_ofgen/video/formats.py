"""Container, codec and sound codecs of each extension of a video file."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["KINDS", "Kind"]


class Kind(NamedTuple):
    """How a file of one extension is written."""

    container: str
    codec: str
    options: dict[str, str]
    copied_codecs: frozenset[str] | None
    """Sound codecs that are copied as they are; None: all of them."""
    sound_codec: str
    """Codec of other sound; empty: it is left out."""


MP4_SOUNDS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus"})
MOV_SOUNDS = (MP4_SOUNDS - {"opus"}) | {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}
H264 = {"preset": "faster"}
VP9 = {"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}

KINDS = {
    ".mp4": Kind("mp4", "libx264", H264, MP4_SOUNDS, "aac"),
    ".m4v": Kind("mp4", "libx264", H264, MP4_SOUNDS, "aac"),
    ".mov": Kind("mov", "libx264", H264, MOV_SOUNDS, "aac"),
    ".mkv": Kind("matroska", "libx264", H264, None, "aac"),
    ".webm": Kind("webm", "libvpx-vp9", VP9, frozenset({"opus", "vorbis"}), "libopus"),
    ".gif": Kind("gif", "gif", {}, frozenset(), ""),
}
