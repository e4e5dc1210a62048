"""Masks of the subject, read beside the clip: white is animated, black is background.

A mask is a video, a folder of pictures or one picture. It is cropped and resized as the clip is,
and stored in the workspace like a clip. Transparent pixels are background; in a cut-out, whose
pixels are the subject itself and not a mask, only alpha counts.
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
"""Version of the pixels that are read; a new one makes masks be read again."""
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_ASPECT = 0.02
"""Share by which the aspects of mask and clip may differ, because of rounding."""
_LENGTH = 0.01
"""Share by which the lengths of mask and clip may differ if both have as many frames."""
_COLOURFUL = 32
"""Levels by which red, green and blue differ in a pixel that is not a mask's."""
_ALL = Sampling()
_CUT_OUT = 0.02
"""Share of the visible pixels that are colourful in a cut-out."""


def check(path: Path, shown: Size) -> None:
    """Check that `path` can be the mask of a source whose display size is `shown`.

    Raises:
        VideoError: if it cannot be read, or has another aspect.
    """
    file = _list_pictures(path)[0]
    with _open(file) as source:
        _check_aspect(path, source.display_size, shown)


def read(
    path: Path, store: FrameStore, sampling: Sampling, shown: Size, reporter: Reporter
) -> FrameStore:
    """Read the masks of the clip's frames into the workspace: grey pictures at its size.

    `sampling` is that of the clip, and `shown` its source's display size. In a folder, each picture
    belongs to a frame of the source, in natural order of the names; in a video, each frame belongs
    to those frames of the clip that are shown at its time.

    Raises:
        VideoError: if the mask cannot be read, or has another length or aspect than the clip.
        Stopped: if the user asked to stop.
    """
    clip, workspace = store.clip, store.workspace
    key = digest("mask", _READER, _content(path), store.key)
    if workspace.clip(key) is None:
        count = 0
        grey = _Grey()
        for image in islice(_read_pictures(path, store, sampling, shown), clip.length):
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
    """Converts pictures to masks; decides once whether a file holds cut-outs."""

    def __init__(self) -> None:
        self._cut_out: bool | None = None

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the mask, (H, W) 0..255, of an (H, W, 4) picture: RGB over black, and alpha."""
        alpha = image[..., 3]
        if self._cut_out is None and alpha.any() and not alpha.all():
            self._cut_out = _is_cut_out(image)
        if self._cut_out:
            return np.ascontiguousarray(alpha)
        return np.rint(images.luma(np.ascontiguousarray(image[..., :3]))).astype(np.uint8)


def _is_cut_out(image: NDArray[np.uint8]) -> bool:
    """Whether the visible pixels are coloured or black; those of a mask are grey."""
    visible = image[image[..., 3] > 0][:, :3].astype(np.int16)
    if not visible.any():
        return True
    colourful = visible.max(axis=1) - visible.min(axis=1) > _COLOURFUL
    return bool(colourful.mean() > _CUT_OUT)


def _read_pictures(
    path: Path, store: FrameStore, sampling: Sampling, shown: Size
) -> Iterator[NDArray[np.uint8]]:
    """Yield the mask's pictures for the clip's frames, at the clip's size."""
    size = store.clip.size
    fit = sampling.fit if sampling.fit != "fit" else "stretch"
    one = Sampling(width=size.width, height=size.height, fit=fit)
    if not (path.is_dir() or _is_picture(path)):
        framed = replace(sampling, width=size.width, height=size.height, fit=fit)
        yield from _read_video(path, store.clip, framed, shown)
        return
    taken: Iterator[Path] = repeat(path)
    if path.is_dir():
        _check_count(path, store.clip, sampling)
        nth = sampling.every_nth
        first = math.ceil(round(sampling.start * float(store.clip.rate * nth), 3))
        taken = islice(_list_pictures(path), first, None, nth)
    for file in taken:
        with _open(file, one) as source:
            _check_aspect(path if path.is_file() else file, source.display_size, shown)
            yield next(iter(source)).image


def _check_count(path: Path, clip: Clip, sampling: Sampling) -> None:
    """Check that a folder does not hold more pictures than the whole clip has frames.

    Raises:
        VideoError: if it holds more.
    """
    partly = sampling.start or sampling.end or sampling.max_frames
    count, frames = len(_list_pictures(path)), clip.length * sampling.every_nth
    if not partly and count > frames:
        raise VideoError(
            f"the mask '{path}' has {count} pictures and the video {frames} frames; give one "
            "picture for each frame",
            bad_input=True,
        )


def _read_video(
    path: Path, clip: Clip, sampling: Sampling, shown: Size
) -> Iterator[NDArray[np.uint8]]:
    """Yield, for each of the clip's frames, the mask video's picture at its time."""
    with _open(path, sampling) as source:
        _check_aspect(path, source.display_size, shown)
        places = _match_frames(path, source.measure(), clip)
    with _open(path, sampling) as source:
        frames = iter(source)
        frame = next(frames)
        for place in places:
            while frame.index < place:
                frame = next(frames)
            yield frame.image


def _match_frames(path: Path, mask: Clip, clip: Clip) -> list[int]:
    """Find which of the mask's frames belongs to each of the clip's, in order.

    If numbers of frames and lengths are equal, it is the frame of the same number. Otherwise it is
    the nearest in time, within half a frame of the clip.

    Raises:
        VideoError: if the lengths differ by more than 1.5 frames, or a clip's frame has none.
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


def _open(path: Path, sampling: Sampling = _ALL) -> Source:
    """Open the mask, or one picture of it, with its alpha.

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


def _check_aspect(path: Path, size: Size, shown: Size) -> None:
    """Check that a mask of `size` has the aspect of the source."""
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


def _list_pictures(path: Path) -> list[Path]:
    """List a folder's pictures, in natural order of their names; or the one picture."""
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
    """Return a sorting key with which 2 comes before 10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _PICTURES


def _content(path: Path) -> str:
    """Return a digest of all files that the mask's pixels depend on."""
    try:
        for item in _list_pictures(path):
            regular_file(item).close()  # reading a pipe would never end
        if path.is_dir():
            return digest([file_digest(item) for item in _list_pictures(path)])
        return file_digest(path)
    except OSError as error:
        raise _unreadable(Path(error.filename or path), error) from error
