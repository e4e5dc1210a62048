"""Masks of the subject, read beside the clip: white is animated, black is background.

A mask is a video, a folder of pictures or one picture. It is framed as the clip is, and kept in the
workspace as a spool of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np

from lib_ofgen import images
from lib_ofgen.errors import Stopped, VideoError
from lib_ofgen.media import framing
from lib_ofgen.reading import regular_file
from lib_ofgen.survey import Spool
from lib_ofgen.values import Image, Reporter, Size
from lib_ofgen.video import open_video
from lib_ofgen.workspace import digest, file_digest

__all__ = ["check", "read"]

_READER = 1
"""Goes up when the pixels that are read change, so that old spools are read anew."""
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_ASPECT = 0.02
"""Share by which the aspects of mask and clip may differ; the rest is rounding."""
_RATE = 0.01
"""Share by which their frame rates may differ."""


def check(path: Path, shown: Size) -> None:
    """Nothing, if `path` can be the mask of a source that is `shown` px large.

    Raises:
        VideoError: it cannot be read, or has another aspect.
    """
    if path.is_dir() or _is_picture(path):
        _picture(_listed(path)[0], shown)
        return
    with open_video(path) as source:
        _agree(path, source.shown, shown)


def read(
    path: Path, spool: Spool, sampling: dict[str, Any], shown: Size, reporter: Reporter
) -> Spool:
    """The masks of the clip's frames, grey pictures at its size, as a spool.

    `sampling` (keywords of `open_video`) is that of the clip, and `shown` its source's size. Of a
    folder, each picture belongs to a frame of the source, in natural order of the names.

    Raises:
        VideoError: the mask cannot be read, is too short, or of another aspect or rate.
        Stopped: the user asked to stop.
    """
    clip, workspace = spool.clip, spool.workspace
    key = digest("mask", _READER, _content(path), spool.key)
    if workspace.clip(key) is None:
        count = 0
        for image in islice(_framed(path, spool, sampling, shown), clip.length):
            grey = np.rint(images.luma(image)).astype(np.uint8)
            workspace.save_source(key, count, np.repeat(grey[..., None], 3, axis=2))
            count += 1
            reporter.step("decode", count, clip.length, image)
            if reporter.stopped():
                raise Stopped("stopped; run the same command again to go on")
        if count < clip.length:
            raise VideoError(
                f"the mask '{path}' ends after {count} of the clip's {clip.length} frames; give "
                "one that is as long, or a part of the clip with --max-frames",
                bad_input=True,
            )
        workspace.save_clip(key, {"ticks": list(range(count))})
    return Spool(workspace, key, clip)


def _framed(
    path: Path, spool: Spool, sampling: dict[str, Any], shown: Size
) -> Iterator[Image]:  # fmt: skip
    """The mask's pictures for the clip's frames, as many as there are, at the clip's size."""
    size, fit = spool.clip.size, sampling["fit"]
    if not (path.is_dir() or _is_picture(path)):
        yield from _decoded(path, spool, sampling, shown)
        return
    taken: Iterator[Path] = repeat(path)
    if path.is_dir():
        nth = sampling["every_nth"]
        first = math.ceil(round(sampling["start"] * float(spool.clip.rate * nth), 3))
        taken = islice(_listed(path), first, None, nth)
    for file in taken:
        yield framing.fitted(_picture(file, shown), 1.0, size, fit)


def _decoded(path: Path, spool: Spool, sampling: dict[str, Any], shown: Size) -> Iterator[Image]:
    """Those of a video."""
    size, rate = spool.clip.size, spool.clip.rate
    fit = sampling["fit"] if sampling["fit"] != "fit" else "stretch"
    asked = {**sampling, "width": size.width, "height": size.height, "fit": fit}
    with open_video(path, **asked) as source:
        _agree(path, source.shown, shown)
        if abs(source.rate / rate - 1) > Fraction(_RATE):
            raise VideoError(
                f"the mask '{path}' has {float(source.rate):.4g} frames a second and the clip "
                f"{float(rate):.4g}; give a frame for each of the clip's, or a folder of pictures",
                bad_input=True,
            )
        for frame in source:
            yield frame.image


def _agree(path: Path, size: Size, shown: Size) -> None:
    """Nothing, if a mask of `size` has the aspect of the source."""
    ratio = (size.width * shown.height) / (size.height * shown.width)
    if abs(ratio - 1) > _ASPECT:
        raise VideoError(
            f"the mask '{path}' is {size} and the video {shown}: another aspect; give a mask that "
            "shows the video's whole frame, at any size",
            bad_input=True,
        )


def _picture(path: Path, shown: Size) -> Image:
    try:
        image = images.read_picture(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    _agree(path, images.size_of(image), shown)
    return image


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
