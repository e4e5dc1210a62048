"""Masks of the subject, read beside the clip: white is animated, black is background.

A mask is a video, a folder of pictures or one picture. It is framed as the clip is, and kept in the
workspace as a spool of its own. Alpha belongs to it: what is transparent is background, and of a
cut-out, whose pixels are no mask but the subject itself, alpha is all of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import images
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.store.workspace import digest, file_digest
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.system.stopping import report_step
from lib_ofgen.values import Clip, Reporter, Sampling, Size
from lib_ofgen.video.reader import Source, open_video

__all__ = ["check", "read"]

_READER = 2
"""Goes up when the pixels that are read change, so that old spools are read anew."""
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_ASPECT = 0.02
"""Share by which the aspects of mask and clip may differ; the rest is rounding."""
_LENGTH = 0.01
"""Share by which the lengths may differ of a mask and a clip that have as many frames."""
_COLOURFUL = 32
"""Levels by which red, green and blue of a pixel differ that belongs to no mask."""
_ALL = Sampling()
_CUT_OUT = 0.02
"""Share of the visible pixels that are colourful in a cut-out."""


def check(path: Path, shown: Size) -> None:
    """Do nothing if `path` can be the mask of a source that is `shown` px large.

    Raises:
        VideoError: if it cannot be read, or has another aspect.
    """
    file = _listed(path)[0]
    with _opened(file) as source:
        _agree(path, source.shown, shown)


def read(
    path: Path, spool: FrameStore, sampling: Sampling, shown: Size, reporter: Reporter
) -> FrameStore:
    """The masks of the clip's frames, grey pictures at its size, as a spool.

    `sampling` is that of the clip, and `shown` its source's size. Of a
    folder, each picture belongs to a frame of the source, in natural order of the names; of a
    video, each frame to those of the clip that are shown at its time.

    Raises:
        VideoError: if the mask cannot be read, is not as long as the clip, or of another aspect.
        Stopped: if the user asked to stop.
    """
    clip, workspace = spool.clip, spool.workspace
    key = digest("mask", _READER, _content(path), spool.key)
    if workspace.clip(key) is None:
        count = 0
        grey = _Grey()
        for image in islice(_framed(path, spool, sampling, shown), clip.length):
            mask = np.repeat(grey.of(image)[..., None], 3, axis=2)
            workspace.save_source(key, count, mask)
            count += 1
            report_step(reporter, "decode", count, clip.length, mask)
        if count < clip.length:
            raise VideoError(
                f"the mask '{path}' ends after {count} of the clip's {clip.length} frames; give "
                "one that is as long, or a part of the clip with --max-frames",
                bad_input=True,
            )
        workspace.save_clip(key, {"ticks": list(range(count))})
    return FrameStore(workspace, key, clip)


class _Grey:
    """How much of each pixel is animated; whether a file holds cut-outs is seen once."""

    def __init__(self) -> None:
        self._cut_out: bool | None = None

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) 0..255 of an (H, W, 4) picture, RGB over black and alpha."""
        alpha = image[..., 3]
        if self._cut_out is None and alpha.any() and not alpha.all():
            self._cut_out = _is_cut_out(image)
        if self._cut_out:
            return np.ascontiguousarray(alpha)
        return np.rint(images.luma(np.ascontiguousarray(image[..., :3]))).astype(np.uint8)


def _is_cut_out(image: NDArray[np.uint8]) -> bool:
    """Whether the visible pixels are those of a film, or black: a mask's are grey."""
    visible = image[image[..., 3] > 0][:, :3].astype(np.int16)
    if not visible.any():
        return True
    colourful = visible.max(axis=1) - visible.min(axis=1) > _COLOURFUL
    return bool(colourful.mean() > _CUT_OUT)


def _framed(
    path: Path, spool: FrameStore, sampling: Sampling, shown: Size
) -> Iterator[NDArray[np.uint8]]:
    """The mask's pictures for the clip's frames, as many as there are, at the clip's size."""
    size = spool.clip.size
    fit = sampling.fit if sampling.fit != "fit" else "stretch"
    one = Sampling(width=size.width, height=size.height, fit=fit)
    if not (path.is_dir() or _is_picture(path)):
        framed = replace(sampling, width=size.width, height=size.height, fit=fit)
        yield from _decoded(path, spool.clip, framed, shown)
        return
    taken: Iterator[Path] = repeat(path)
    if path.is_dir():
        _check_count(path, spool.clip, sampling)
        nth = sampling.every_nth
        first = math.ceil(round(sampling.start * float(spool.clip.rate * nth), 3))
        taken = islice(_listed(path), first, None, nth)
    for file in taken:
        with _opened(file, one) as source:
            _agree(path if path.is_file() else file, source.shown, shown)
            yield next(iter(source)).image


def _check_count(path: Path, clip: Clip, sampling: Sampling) -> None:
    """Do nothing if a folder does not hold more pictures than a clip of all frames has frames.

    Raises:
        VideoError: if it does.
    """
    partly = sampling.start or sampling.end or sampling.max_frames
    count, frames = len(_listed(path)), clip.length * sampling.every_nth
    if not partly and count > frames:
        raise VideoError(
            f"the mask '{path}' has {count} pictures and the video {frames} frames; give one "
            "picture for each frame",
            bad_input=True,
        )


def _decoded(
    path: Path, clip: Clip, sampling: Sampling, shown: Size
) -> Iterator[NDArray[np.uint8]]:
    """Those of a video: for each of the clip's frames the one that is shown at its time."""
    with _opened(path, sampling) as source:
        _agree(path, source.shown, shown)
        places = _matched(path, source.measure(), clip)
    with _opened(path, sampling) as source:
        frames = iter(source)
        frame = next(frames)
        for place in places:
            while frame.index < place:
                frame = next(frames)
            yield frame.image


def _matched(path: Path, mask: Clip, clip: Clip) -> list[int]:
    """Which of the mask's frames belongs to each of the clip's, in order.

    With as many frames in the same length, the one of the same number. Else the one that is nearest
    in time, within half a frame of the clip.

    Raises:
        VideoError: if the lengths differ by more than a frame, or a frame of the clip has none.
    """
    longer = mask.duration - clip.duration
    if mask.length == clip.length and abs(longer) <= _LENGTH * clip.duration:
        return list(range(clip.length))
    step = 1 / clip.rate
    if abs(longer) > step * Fraction(3, 2):
        raise VideoError(
            f"the mask '{path}' has {mask.length} frames and lasts {float(mask.duration):.3f} s, "
            f"and the clip has {clip.length} and lasts {float(clip.duration):.3f} s; give one that "
            "is as long, or a part of the clip with --start, --end or --max-frames",
            bad_input=True,
        )
    times = np.array([mask.seconds(index) for index in range(mask.length)])
    own = np.array([clip.seconds(index) for index in range(clip.length)])
    order = np.searchsorted(times, own)
    before, after = np.clip(order - 1, 0, None), np.clip(order, None, mask.length - 1)
    nearest = np.where(own - times[before] <= times[after] - own, before, after)
    apart = np.abs(times[nearest] - own)
    if apart.max() > float(step) / 2:
        worst = int(apart.argmax())
        raise VideoError(
            f"the mask '{path}' has {mask.length} frames and the clip {clip.length}: none is shown "
            f"with the clip's frame {worst}, at {own[worst]:.3f} s; give a frame for each of the "
            "clip's, or a folder of pictures",
            bad_input=True,
        )
    return nearest.tolist()


def _opened(path: Path, sampling: Sampling = _ALL) -> Source:
    """The mask, or one picture of it, with its alpha.

    Raises:
        VideoError: if it cannot be read.
    """
    try:
        return open_video(path, sampling, alpha=True)
    except VideoError as error:
        if _is_picture(path):
            raise VideoError(f"cannot read the mask: {error}, or PNG or JPEG files",
                             bad_input=True) from error  # fmt: skip
        raise


def _agree(path: Path, size: Size, shown: Size) -> None:
    """Nothing, if a mask of `size` has the aspect of the source."""
    ratio = (size.width * shown.height) / (size.height * shown.width)
    if abs(ratio - 1) > _ASPECT:
        raise VideoError(
            f"the mask '{path}' is {size} and the video {shown}: another aspect; give a mask that "
            "shows the video's whole frame, at any size",
            bad_input=True,
        )


def _unreadable(path: Path, error: Exception) -> VideoError:
    cause = getattr(error, "strerror", None) or error
    return VideoError(
        f"cannot read the mask '{path}': {cause}; give a video, or PNG or JPEG files",
        bad_input=True,
    )


def _listed(path: Path) -> list[Path]:
    """A folder's pictures, in natural order of their names; or the one picture."""
    if not path.is_dir():
        return [path]
    found = [item for item in path.iterdir() if _is_picture(item) and item.name[0] != "."]
    if not found:
        raise VideoError(
            f"the mask folder '{path}' holds no picture; put a PNG or JPEG file there for each "
            "frame of the video",
            bad_input=True,
        )
    return sorted(found, key=lambda item: (_natural(item.name), item.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """By which 2 comes before 10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURES


def _content(path: Path) -> str:
    """The digest of all that the mask's pixels depend on."""
    try:
        for item in _listed(path):
            regular_file(item).close()  # a pipe would be waited for
        if path.is_dir():
            return digest([file_digest(item) for item in _listed(path)])
        return file_digest(path)
    except OSError as error:
        raise _unreadable(Path(error.filename or path), error) from error
