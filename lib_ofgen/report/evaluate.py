"""`ofgen evaluate`: a result is compared with its source, by flow that did not make it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import images, metrics
from lib_ofgen.planning.shots import CutFinder
from lib_ofgen.report.facts import PairErrors, mean_or_none
from lib_ofgen.report.model import Evaluation, ResultSharpness
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
) -> Evaluation:
    """Measure warp error by TV-L1 and sharpness of both videos, at the size of the result.

    Args:
        source: the source of the result.
        result: the film to evaluate.
        reporter: hears the progress.
        sampling: which frames of the source the result was made of.
        cut_threshold: threshold of `CutFinder`; pairs of frames across a cut are not judged.
        keys: indices of the result's key frames, for the means at and between them.

    Raises:
        LibraryError: if scikit-image, which has the judge, is missing or broken.
        VideoError: if a video cannot be read, or they have different numbers of frames.
        Stopped: if the user asked to stop.
    """
    metrics.load_tvl1()  # before minutes are spent on reading
    scenes, length = _find_scenes(source, sampling, cut_threshold, reporter)
    count = _count_frames(result)
    if count != length:
        raise VideoError(
            f"'{source}' gives {length} frames and '{result}' {count}; name the frames that "
            "the result was made of with --start, --end, --max-frames or --set every_nth=N",
            bad_input=True,
        )
    return _measure(_read_pairs(source, sampling, result), length, scenes, keys, reporter)


def _measure(
    pairs: Iterable[tuple[Frame, Frame]],
    length: int,
    scenes: Sequence[Scene],
    keys: Collection[int],
    reporter: Reporter,
) -> Evaluation:
    """Return the evaluation of pairs of a frame of the source and one of the result."""
    chosen = metrics.pairs(scenes)
    errors = PairErrors(keys)
    sharp: list[tuple[float, float]] = []
    before: tuple[Image, Image] | None = None
    for here, there in pairs:
        pair = images.resize(here.image, images.size_of(there.image)), there.image
        sharp.append((metrics.sharpness(pair[0]), metrics.sharpness(pair[1])))
        if before is not None and here.index - 1 in chosen:
            first, second = (before[0], pair[0]), (before[1], pair[1])
            judgement = metrics.judge_pair(first, metrics.tvl1)
            errors.add(here.index - 1, judgement.error(second), judgement.error(first))
        before = pair
        reporter.step("measure", here.index + 1, length)
        raise_if_stopped(reporter, _STOPPED)
    return Evaluation(
        length,
        errors.warp_error("tvl1"),
        ResultSharpness(
            result=mean_or_none([pair[1] for pair in sharp]),
            source=mean_or_none([pair[0] for pair in sharp]),
        ),
    )


def _find_scenes(
    source: Path, sampling: Sampling, threshold: float, reporter: Reporter
) -> tuple[tuple[Scene, ...], int]:
    finder, length = CutFinder(threshold), 0
    with open_video(source, sampling) as frames:
        for frame in frames:
            finder.add(frame)
            length = frame.index + 1
            reporter.step("analyse", length, max(length, frames.expected))
            raise_if_stopped(reporter, _STOPPED)
    return finder.scenes(), length


def _count_frames(path: Path) -> int:
    with open_video(path) as frames:
        return sum(1 for _ in frames)


def _read_pairs(source: Path, sampling: Sampling, result: Path) -> Iterator[tuple[Frame, Frame]]:
    """Yield the frames of both videos in pairs."""
    with open_video(source, sampling) as here, open_video(result) as there:
        yield from zip(here, there, strict=True)
