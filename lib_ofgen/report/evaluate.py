"""`ofgen evaluate`: a result is held against its source, by a judge that had no part in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import images, metrics
from lib_ofgen.planning.shots import CutFinder
from lib_ofgen.report.facts import Errors, mean_or_none
from lib_ofgen.system.stopping import raise_if_stopped
from lib_ofgen.values import Frame, Image, Reporter, Sampling, Scene
from lib_ofgen.video.reader import open_video

__all__ = ["evaluate"]

_STOPPED = "stopped; nothing was written"


def evaluate(
    source: Path,
    result: Path,
    reporter: Reporter,
    *,
    sampling: Sampling,
    cut_threshold: float,
    keys: Collection[int] = (),
) -> dict[str, Any]:
    """Warp error by TV-L1 and sharpness, of both videos, at the result's size.

    The source's frames are those that `sampling` takes. With the indices
    of the result's key frames, the error of pairs with one in them stands apart.

    Raises:
        LibraryError: if scikit-image, which has the judge, is missing or broken.
        VideoError: if a video cannot be read, or they are not of one length.
        Stopped: if the user asked to stop.
    """
    metrics.load_tvl1()  # before minutes are spent on reading
    scenes, length = _scenes(source, sampling, cut_threshold, reporter)
    count = _count(result)
    if count != length:
        raise VideoError(
            f"'{source}' gives {length} frames and '{result}' {count}; name the frames that "
            "the result was made of with --start, --end, --max-frames or --set every_nth=N",
            bad_input=True,
        )
    chosen = metrics.pairs(scenes)
    errors = Errors(keys)
    sharp: list[tuple[float, float]] = []
    before: tuple[Image, Image] | None = None
    for here, there in _together(source, sampling, result):
        pair = images.resize(here.image, images.size_of(there.image)), there.image
        sharp.append((metrics.sharpness(pair[0]), metrics.sharpness(pair[1])))
        if before is not None and here.index - 1 in chosen:
            first, second = (before[0], pair[0]), (before[1], pair[1])
            judgement = metrics.judge_pair(first, metrics.tvl1)
            errors.add(here.index - 1, judgement.error(second), judgement.error(first))
        before = pair
        reporter.step("measure", here.index + 1, length)
        raise_if_stopped(reporter, _STOPPED)
    return {
        "frames": length,
        "warp_error": {**errors.facts(), "judge": "tvl1"},
        "sharpness": {
            "result": mean_or_none([pair[1] for pair in sharp]),
            "source": mean_or_none([pair[0] for pair in sharp]),
        },
    }


def _scenes(
    source: Path, sampling: Sampling, threshold: float, reporter: Reporter
) -> tuple[tuple[Scene, ...], int]:
    finder, length = CutFinder(threshold), 0
    with open_video(source, sampling) as frames:
        for frame in frames:
            finder.see(frame)
            length = frame.index + 1
            reporter.step("analyse", length, max(length, frames.expected))
            raise_if_stopped(reporter, _STOPPED)
    return finder.scenes(), length


def _count(path: Path) -> int:
    with open_video(path) as frames:
        return sum(1 for _ in frames)


def _together(source: Path, sampling: Sampling, result: Path) -> Iterator[tuple[Frame, Frame]]:
    """Frames of both videos side by side."""
    with open_video(source, sampling) as here, open_video(result) as there:
        yield from zip(here, there, strict=True)
