"""One small film with the source on the left and the finished film on the right.

As they are one file, they are always in step.
"""

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
"""Version of the layout; part of the name, so that a change makes old films again."""
_WIDEST = 960
"""px: largest side of each of the two pictures."""
_BETWEEN = 8
"""px: width of the black bar between them."""
_CRF = 20
"""Constant rate factor of the encoder."""
_SOUNDS = frozenset({"aac", "mp3", "opus"})
"""Codecs of sound that browsers play in MP4; other sound is encoded again."""


def side_by_side_file(frames: ResultFrames) -> Path:
    """Return the path of the film in the workspace; other frames give another name."""
    return side_by_side_path(
        frames.folder, digest("beside", _FORM, dataclasses.asdict(frames.facts.kept))
    )


def write_side_by_side(frames: ResultFrames, film: Path) -> Iterator[int]:
    """Write the film to `side_by_side_file`; yield the number of frames written, after each frame.

    The sound is that of `film` if that file exists. The result exists when the iterator ends; then
    films of other frames are deleted.

    Raises:
        WorkspaceError: if a frame is missing, or if the same film is being written elsewhere.
        VideoError: if the file cannot be written.
    """
    path, clip = side_by_side_file(frames), frames.clip
    shrunk = min(1.0, _WIDEST / max(clip.size))
    size = Size(*(max(8, round(side * shrunk / 8) * 8) for side in clip.size))
    border = np.zeros((size.height, _BETWEEN, 3), np.uint8)
    # The film begins at 0, also if the job begins later in the source.
    both = dataclasses.replace(
        clip, size=Size(size.height, 2 * size.width + _BETWEEN), start=Fraction(0), damaged=0
    )
    sound = film if film.is_file() else None
    with (
        claim_outputs([path]),
        write_video(path, both, sound_from=sound, crf=_CRF, copied_codecs=_SOUNDS) as sink,
    ):
        for index in range(len(frames)):
            before, after = (
                images.resize(one, size) for one in (frames.source(index), frames.result(index))
            )
            sink.write(Frame(index, np.hstack([before, border, after])))
            yield index + 1
    for old in path.parent.glob(side_by_side_path(path.parent, "*").name):
        if old != path:
            with contextlib.suppress(OSError):  # an old film only takes space
                old.unlink(missing_ok=True)
