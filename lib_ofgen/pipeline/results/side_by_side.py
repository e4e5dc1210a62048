"""A finished film beside its source, as one small film: what is one file is always in step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from lib_ofgen.imaging import images
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.store.workspace import digest, side_by_side_path
from lib_ofgen.system.files import claim_outputs
from lib_ofgen.values import Frame, Size
from lib_ofgen.video.writer import write_video

__all__ = ["side_by_side_file", "write_side_by_side"]

_FORM = 1
"""Goes up when the film comes out otherwise, so that old ones are made anew."""
_WIDEST = 960
"""px: the most that each of the two has on a side."""
_BETWEEN = 8
"""px of black."""
_CRF = 20
_SOUNDS = frozenset({"aac", "mp3", "opus"})
"""What browsers play in MP4; other sound is encoded anew."""


def side_by_side_file(reel: ResultFrames) -> Path:
    """Where the workspace keeps it; another name for other frames."""
    return side_by_side_path(
        reel.folder, digest("beside", _FORM, dataclasses.asdict(reel.facts.kept))
    )


def write_side_by_side(reel: ResultFrames, film: Path) -> Iterator[int]:
    """Write it to its `place`, the source on the left, and give how many frames it has, one by one.

    The sound is that of `film`, if that is still there. The file is there once the iterator ends;
    those of other frames are deleted then.

    Raises:
        WorkspaceError: a frame is missing, or the same film is being written elsewhere.
        VideoError: the file cannot be written.
    """
    path, clip = side_by_side_file(reel), reel.clip
    shrunk = min(1.0, _WIDEST / max(clip.size))
    size = Size(*(max(8, round(side * shrunk / 8) * 8) for side in clip.size))
    border = np.zeros((size.height, _BETWEEN, 3), np.uint8)
    # The film begins at 0, wherever in the source it was taken.
    both = dataclasses.replace(
        clip, size=Size(size.height, 2 * size.width + _BETWEEN), start=Fraction(0), damaged=0
    )
    sound = film if film.is_file() else None
    with (
        claim_outputs([path]),
        write_video(path, both, sound_from=sound, crf=_CRF, sounds=_SOUNDS) as sink,
    ):
        for index in range(len(reel)):
            before, after = (
                images.resize(one, size) for one in (reel.source(index), reel.result(index))
            )
            sink.write(Frame(index, np.hstack([before, border, after])))
            yield index + 1
    for old in path.parent.glob(side_by_side_path(path.parent, "*").name):
        if old != path:
            with contextlib.suppress(OSError):  # it costs its room, and nothing else
                old.unlink(missing_ok=True)
