"""Checks of a job before its work begins."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lib_ofgen.errors import VideoError
from lib_ofgen.pipeline.job import Job
from lib_ofgen.pipeline.stage_options import make_phrasing, open_source
from lib_ofgen.store import masks
from lib_ofgen.store.workspace import check_writable
from lib_ofgen.video.writer import FrameFolder, check_output

__all__ = ["check_apart", "check_inputs", "check_names"]


def check_names(job: Job) -> None:
    """Check that the results can be written and that none of them replaces an input.

    Raises:
        VideoError: if the output has no known format, or if a result would replace an input or
            another result.
    """
    check_output(job.output)
    check_apart([job.source, *filter(None, [job.mask])], [job.output, job.report, job.frames])
    check_apart([job.output], [job.report, job.frames])
    check_apart([*filter(None, [job.report])], [job.frames])


def check_inputs(job: Job) -> None:
    """Check that everything can be read and that the folder of frames can take the pictures.

    Raises:
        SettingsError: if a line of the tag rules is invalid.
        VideoError: if the source or the mask cannot be read, or the folder holds other pictures.
        WorkspaceError: if the report cannot be written.
    """
    make_phrasing(job.settings)
    with open_source(job.source, job.settings) as video:
        shown, expected = video.display_size, video.expected
    if job.mask is not None:
        masks.check(job.mask, shown)
    if job.report is not None:
        check_writable(job.report)
    if job.frames is not None:
        FrameFolder(job.frames).check(expected)


def check_apart(kept: Sequence[Path], written: Sequence[Path | None]) -> None:
    """Check that no file that is to be kept would be written over.

    Raises:
        VideoError: if one would be replaced; the message names it.
    """
    for path in written:
        for other in kept:
            if path is not None and _is_same_file(path, other):
                raise VideoError(
                    f"'{path}' would be written over '{other}'; give it another name",
                    bad_input=True,
                )


def _is_same_file(path: Path, other: Path) -> bool:
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist or may not be seen, so it is not written over
        return False
