"""Finished frames as a video file with the source's sound, or as a folder of pictures.

A file appears under its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import PIL.Image
import PIL.PngImagePlugin

from lib_ofgen.errors import VideoError
from lib_ofgen.system import files
from lib_ofgen.values import Clip, Frame, check_shape
from lib_ofgen.video import gif, png_marks
from lib_ofgen.video.demuxing.container import silence
from lib_ofgen.video.formats import KINDS, Kind
from lib_ofgen.video.soundtrack import Soundtrack, open_soundtrack

__all__ = ["FrameFolder", "Writer", "check_output", "count_left_out", "write_video"]

_PICTURE = re.compile(r"([0-9]{6}|[1-9][0-9]{6,})\.png")
"""Names of the frames in a folder."""
BT709 = 1
LIMITED = 1

ROOM = "free some space or choose another folder"
FOLDER = "choose a folder that may be written"
REMEDIES = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: ROOM,
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "choose another folder",
    errno.EISDIR: "choose another name",
    errno.EACCES: FOLDER,
    errno.EPERM: FOLDER,
    errno.EROFS: FOLDER,
}


def check_output(path: Path) -> None:
    """Check that a video can be written to `path`, by creating a file in its folder.

    Raises:
        VideoError: if the extension is unknown, or the folder cannot be written.
    """
    if path.suffix.lower() not in KINDS:
        known = ", ".join(KINDS)
        raise VideoError(
            f"{path.name!r} is not a video file name; end it in {known}",
            bad_input=True,
        )
    with _explain_errors(path):
        files.Partial(path).drop()


def count_left_out(path: Path, clip: Clip) -> int:
    """Return how many of the clip's frames a file of that name cannot show.

    A GIF shows at most 50 frames a second. The name has passed `check_output`.
    """
    return clip.length - len(_schedule(clip, KINDS[path.suffix.lower()])[0])


def _schedule(clip: Clip, kind: Kind) -> tuple[dict[int, int], int, Fraction]:
    """Return when each shown frame begins, when the last one ends, and the seconds per unit."""
    ticks = (*clip.ticks, clip.end)
    if kind.container != "gif":
        # Whole units: containers have no time base such as 1001/30000.
        times = [tick * clip.time_base.numerator for tick in ticks]
        return dict(enumerate(times[:-1])), times[-1], Fraction(1, clip.time_base.denominator)
    times = [round(tick * clip.time_base / gif.TIME_BASE) for tick in ticks]
    return *gif.choose_frames(times), gif.TIME_BASE


def write_video(
    path: Path,
    clip: Clip,
    *,
    sound_from: Path | None = None,
    crf: int = 18,
    copied_codecs: frozenset[str] | None = None,
) -> Writer:
    """Return a writer of the clip's frames; the file appears when all are written.

    The container follows from the extension, the times from the clip, and the sound from the same
    range of `sound_from`. `crf` is x264's scale, from 0, lossless, to 51. `copied_codecs` names the
    sound codecs that are copied (None: all that the container can hold); others are encoded again.

    Raises:
        VideoError: if the extension is unknown, or the folder cannot be written.
    """
    return Writer(Path(path), clip, sound_from=sound_from, crf=crf, copied_codecs=copied_codecs)


class Writer:
    """An unfinished video file: a context manager whose `write` takes the frames in order.

    Leaving it with all frames written puts the file in place. Otherwise, or after an exception,
    the unfinished file is deleted and an existing one is not changed.
    """

    def __init__(
        self,
        path: Path,
        clip: Clip,
        *,
        sound_from: Path | None,
        crf: int,
        copied_codecs: frozenset[str] | None,
    ) -> None:
        """Check the output; the file is begun on entering."""
        check_output(path)
        self.path = path
        self._clip = clip
        self._sound_from = sound_from
        self._crf = crf
        self._kind = KINDS[path.suffix.lower()]
        self._copied_codecs = self._kind.copied_codecs if copied_codecs is None else copied_codecs
        self._shown, end, self._time_base = _schedule(clip, self._kind)
        self._times = [*self._shown.values(), end]
        self._written = 0
        self._output: Any = None
        self._stream: Any = None
        self._palette: gif.PaletteFilter | None = None
        self._sound: Soundtrack | None = None
        self._partial: files.Partial | None = None

    def __enter__(self) -> Writer:
        """Begin the file under a temporary name."""
        try:
            with _explain_errors(self.path):
                self._begin()
        except BaseException:
            self._abandon()
            raise
        return self

    def write(self, frame: Frame) -> None:
        """Append one frame.

        Raises:
            VideoError: if it is not the next one, or cannot be written.
        """
        if frame.index != self._written or self._written >= self._clip.length:
            raise VideoError(
                f"frame {frame.index} came for {self.path.name!r} where frame {self._written} of"
                f" {self._clip.length} is due; write each frame once, in order"
            )
        check_shape(frame.image, f"{self._clip.size.height} {self._clip.size.width} 3", "frame")
        self._written += 1
        if frame.index not in self._shown:
            return
        with _explain_errors(self.path):
            picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24")
            picture.time_base = self._time_base
            picture.pts = self._shown[frame.index]
            for shown in self._convert(picture):
                self._encode(shown)
            if self._sound is not None:
                self._sound.give(picture.pts * self._time_base)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the file in place, if every frame was written."""
        if kind is not None:
            self._abandon()
            return
        try:
            if self._written != self._clip.length:
                raise VideoError(
                    f"{self.path.name!r} got {self._written} of {self._clip.length} frames and was"
                    " not written; finish the missing frames"
                )
            with _explain_errors(self.path):
                self._finish()
        except BaseException:
            self._abandon()
            raise

    def _begin(self) -> None:
        """Open the temporary file with its streams."""
        kind, clip = self._kind, self._clip
        options = self._container_options()
        silence()
        self._partial = files.Partial(self.path)
        self._output = av.open(
            f"file:{self._partial.path.absolute()}",
            mode="w",
            format=kind.container,
            options=options,
        )
        self._stream = self._output.add_stream(kind.codec, rate=clip.rate)
        codec = self._stream.codec_context
        codec.width, codec.height = clip.size.width, clip.size.height
        codec.time_base = self._stream.time_base = self._time_base
        if kind.container == "gif":
            codec.pix_fmt = "pal8"
            self._palette = gif.PaletteFilter(clip.size, self._time_base)
        else:
            codec.pix_fmt = "yuv420p"
            codec.colorspace = codec.color_primaries = codec.color_trc = BT709
            codec.color_range = LIMITED
            codec.options = self._options()
        if self._sound_from is not None and kind.sound_codec:
            self._sound = open_soundtrack(
                self._sound_from, self._output, clip, kind, self._copied_codecs
            )

    def _container_options(self) -> dict[str, str]:
        """Return the options of the container."""
        if self._kind.container not in ("mp4", "mov"):
            return {}
        # Lengths are stored in this scale; the default of milliseconds would round them.
        scale = self._time_base.denominator
        scale *= -(-10_000 // scale)
        return {"movflags": "+faststart", "movie_timescale": str(min(scale, 1_000_000))}

    def _options(self) -> dict[str, str]:
        """Return the options of the encoder."""
        options = dict(self._kind.options)
        if self._kind.codec == "libx264":
            options["crf"] = str(self._crf)
            # x264's AVX-512 code for macroblock trees reads outside the picture at some widths, so
            # that the same frames could become another film.
            options["x264-params"] = "mbtree=0"
            steps = {b - a for a, b in zip(self._times, self._times[1:], strict=False)}
            if len(steps) > 1:
                # The times of reordered frames would not add up to the clip's.
                options["bf"] = "0"
        else:
            options["crf"] = str(min(63, self._crf + 12))  # looks like x264's on VP9's 0..63
        return options

    def _convert(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Convert a picture to the encoder's format; a GIF's comes one frame later."""
        if self._palette is not None:
            yield from self._palette.give(picture)
            return
        yield picture.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        """Encode a picture, or flush the encoder with None, and write the packets."""
        if picture is not None:
            picture.pict_type = 0  # the encoder's choice, not the source's
        for packet in self._stream.encode(picture):
            place = bisect_left(self._times, packet.pts)
            packet.duration = self._times[place + 1] - self._times[place]
            self._output.mux(packet)

    def _finish(self) -> None:
        """Flush everything, close the file and give it its name."""
        if self._palette is not None:
            for picture in self._palette.give(None):
                self._encode(picture)
        self._encode(None)
        silence()
        if self._sound is not None:
            self._sound.give(self._clip.duration)
            self._sound.close()
        self._output.close()
        if self._partial is not None:
            self._partial.put()

    def _abandon(self) -> None:
        """Close everything and delete the unfinished file."""
        silence()
        for part in (self._sound, self._output):
            with contextlib.suppress(av.error.FFmpegError, OSError):
                if part is not None:
                    part.close()
        if self._partial is not None:
            self._partial.drop()


class FrameFolder:
    """Writes the frames as PNG pictures: 000000.png, 000001.png, ..."""

    def __init__(self, folder: Path, texts: Mapping[int, str] | None = None) -> None:
        """Make the folder if it is missing; `texts` are the infotexts of some of the frames."""
        self.folder, self._texts = folder, texts or {}
        with _explain_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def check(self, length: int) -> None:
        """Check that none of so many pictures would overwrite a file that was not written here.

        Raises:
            VideoError: if one would; the message names it.
        """
        for index, path in self._list_pictures():
            if index < length and not png_marks.has_mark(path, index):
                raise self._refusal(path)

    def write(self, frame: Frame) -> None:
        """Write one picture; it appears when it is complete.

        Raises:
            VideoError: if a file that was not written here has its name, or it cannot be written.
        """
        check_shape(frame.image, "H W 3", "frame")
        path = self.folder / f"{frame.index:06d}.png"
        if os.path.lexists(path) and not png_marks.has_mark(path, frame.index):
            raise self._refusal(path)
        kept = PIL.PngImagePlugin.PngInfo()
        if frame.index in self._texts:
            # Bytes of the command line that are not text come as lone surrogates.
            text = self._texts[frame.index].encode("utf-8", "backslashreplace").decode()
            kept.add_text("parameters", text)
        file = io.BytesIO()
        PIL.Image.fromarray(frame.image).save(file, format="PNG", compress_level=1, pnginfo=kept)
        with _explain_errors(path):
            files.write_file(path, png_marks.add_mark(file.getvalue(), frame.index))

    def end(self, length: int) -> None:
        """Delete pictures of a longer film that were written here before."""
        for index, path in self._list_pictures():
            if index >= length and png_marks.has_mark(path, index):
                with _explain_errors(path):
                    path.unlink(missing_ok=True)

    def _list_pictures(self) -> list[tuple[int, Path]]:
        """List all files with the name of a frame's picture, with their index."""
        with _explain_errors(self.folder):
            found = [one for one in self.folder.iterdir() if _PICTURE.fullmatch(one.name)]
        return sorted((int(one.stem), one) for one in found)

    def _refusal(self, path: Path) -> VideoError:
        return VideoError(
            f"'{path}' is not as ofgen wrote it, or another's, and would be written over; give "
            "--frames an empty folder",
            bad_input=True,
        )


@contextlib.contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system and libav into one line."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        remedy = REMEDIES.get(getattr(error, "errno", None) or 0, "try another name or folder")
        raise VideoError(
            f"{path.name!r} cannot be written in {path.parent}: {cause}; {remedy}"
        ) from error
