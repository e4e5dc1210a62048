"""`ofgen evaluate`: a result is compared with its source, by flow that did not make it."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import images, metrics
from lib_ofgen.planning.shots import CutFinder
from lib_ofgen.report.measures import (
    FilmColour,
    Flickering,
    OverPainted,
    PairErrors,
    ResultSharpness,
    mean_or_none,
)
from lib_ofgen.report.model import Evaluation
from lib_ofgen.system.stopping import raise_if_stopped
from lib_ofgen.values import Image, Reporter, Sampling, Scene, Size
from lib_ofgen.video.reader import open_video

__all__ = ["evaluate"]

_STOPPED = "stopped; nothing was written"

_Pictures = tuple[Image, ...]
"""The same frame of each film."""
_SOURCE, _RESULT, _PAINTED = range(3)
"""The films; the last one only if it is given."""


def evaluate(
    source: Path,
    result: Path,
    reporter: Reporter,
    *,
    sampling: Sampling,
    cut_threshold: float,
    keys: Collection[int] = (),
    painted: Path | None = None,
) -> Evaluation:
    """Measure a result and its source, at the size of the result; TV-L1 judges.

    Args:
        source: the source of the result.
        result: the film to evaluate.
        reporter: hears the progress.
        sampling: which frames of the source the result was made of.
        cut_threshold: threshold of `CutFinder`; pairs of frames across a cut are not judged.
        keys: indices of the result's key frames, for the means at and between them.
        painted: a film of the same frames with every frame painted, to compare the result with.

    Raises:
        LibraryError: if scikit-image, which has the judge, is missing or broken.
        VideoError: if a video cannot be read, or they have different numbers of frames, or result
            and painted film different sizes.
        Stopped: if the user asked to stop.
    """
    metrics.load_tvl1()  # before minutes are spent on reading
    scenes, length = _find_scenes(source, sampling, cut_threshold, reporter)
    _check_films(source, length, result, painted)
    taken = _Measures()
    chosen = set(metrics.pairs(scenes))
    before: _Pictures = ()
    for index, pictures in enumerate(_read_films(source, sampling, result, painted)):
        taken.add_frame(pictures)
        if index - 1 in chosen:
            taken.add_pair(index - 1, before, pictures)
        before = pictures
        reporter.step("measure", index + 1, length)
        raise_if_stopped(reporter, _STOPPED)
    return taken.evaluation(length, keys)


class _Measures:
    """Collects the measures of the films frame by frame and pair by pair.

    Each entry has the values of the source, of the result and, if there is one, of the painted
    film.
    """

    def __init__(self) -> None:
        """Start without a frame."""
        self._sharpness: list[tuple[float, ...]] = []
        self._errors: dict[int, tuple[float, ...]] = {}
        self._flickering: list[tuple[float, ...]] = []
        self._colour: list[float] = []

    def add_frame(self, pictures: _Pictures) -> None:
        """Add a frame of each film."""
        self._sharpness.append(tuple(metrics.sharpness(image) for image in pictures))
        if len(pictures) > _PAINTED:
            self._colour.append(metrics.colour_difference(pictures[_RESULT], pictures[_PAINTED]))

    def add_pair(self, index: int, before: _Pictures, pictures: _Pictures) -> None:
        """Add the frames `index` and `index + 1` of each film."""
        pairs = list(zip(before, pictures, strict=True))
        judgement = metrics.judge_pair(pairs[_SOURCE], metrics.tvl1)
        self._errors[index] = tuple(judgement.error(pair) for pair in pairs)
        self._flickering.append(tuple(metrics.flickering(pair, judgement) for pair in pairs))

    def evaluation(self, length: int, keys: Collection[int]) -> Evaluation:
        """Return the evaluation of films of so many frames."""
        errors = PairErrors(keys)
        for index, values in self._errors.items():
            errors.add(index, values[_RESULT], values[_SOURCE])
        source, result = (_means(self._sharpness, film) for film in (_SOURCE, _RESULT))
        return Evaluation(
            length,
            errors.warp_error("tvl1"),
            Flickering(*(_means(self._flickering, film) for film in (_RESULT, _SOURCE))),
            ResultSharpness(result=result, source=source),
            *self._beside_painted(),
        )

    def _beside_painted(self) -> tuple[FilmColour | None, OverPainted | None]:
        """Return what the painted film tells of the result."""
        if not self._colour:
            return None, None
        worst = max(self._colour)
        mean = statistics.fmean(self._colour)
        shares = (list(self._errors.values()), self._flickering, self._sharpness)
        return (
            FilmColour(round(mean, 4), round(worst, 4), self._colour.index(worst)),
            OverPainted(*map(_over_painted, shares)),
        )


def _means(rows: Sequence[tuple[float, ...]], film: int) -> float | None:
    """Return the mean of the values of one film."""
    return mean_or_none([row[film] for row in rows])


def _over_painted(rows: Sequence[tuple[float, ...]]) -> float | None:
    """Return the mean of the result divided by that of the painted film."""
    result, painted = _means(rows, _RESULT), _means(rows, _PAINTED)
    return None if result is None or not painted else round(result / painted, 4)


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


def _check_films(source: Path, length: int, result: Path, painted: Path | None) -> None:
    """Check that the films have as many frames as the source, and both the same size.

    Raises:
        VideoError: if they have not, or cannot be read.
    """
    count, size = _read_form(result)
    if count != length:
        raise VideoError(
            f"'{source}' gives {length} frames and '{result}' {count}; name the frames that "
            "the result was made of with --start, --end, --max-frames or --set every_nth=N",
            bad_input=True,
        )
    if painted is not None and (form := _read_form(painted)) != (count, size):
        raise VideoError(
            f"'{painted}' has {form[0]} frames of {form[1]} and '{result}' {count} of {size}; give "
            "a film of the same frames at the same size, made like the result but with "
            "--set key_frames=every",
            bad_input=True,
        )


def _read_form(path: Path) -> tuple[int, Size]:
    """Return number and size of the frames of a video."""
    with open_video(path) as frames:
        return frames.measure().length, frames.size


def _read_films(
    source: Path, sampling: Sampling, result: Path, painted: Path | None
) -> Iterator[_Pictures]:
    """Yield the pictures of each frame; that of the source at the size of the result."""
    with ExitStack() as stack:
        films = [stack.enter_context(open_video(source, sampling))]
        films += [stack.enter_context(open_video(path)) for path in (result, painted) if path]
        for here, *others in zip(*films, strict=True):
            shown = [other.image for other in others]
            yield (images.resize(here.image, images.size_of(shown[0])), *shown)
