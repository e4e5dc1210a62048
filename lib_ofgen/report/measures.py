"""The measures of a film's quality: their types, and how a job takes them from its pictures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lib_ofgen.imaging import metrics
from lib_ofgen.values import Image, KeyFrame, Mask, Scene

__all__ = [
    "FilmColour",
    "Flickering",
    "KeyColour",
    "Measurement",
    "OverPainted",
    "PairError",
    "PairErrors",
    "ResultSharpness",
    "Sharpness",
    "WarpError",
    "mean_or_none",
    "measure",
]

_Pictures = Callable[[int], Image]


@dataclass(frozen=True)
class PairError:
    """Warp errors of a judged pair; None: nothing in it could be judged."""

    index: int
    """The pair is this frame and the next one."""
    result: float | None
    source: float | None
    straddles: bool
    """Whether a key frame is in the pair."""


@dataclass(frozen=True)
class WarpError:
    """Mean warp errors, images 0..1; None: no pair could be judged."""

    result: float | None
    source: float | None
    straddling: float | None
    """Of the result's pairs with a key frame in them."""
    within: float | None
    """Of the result's pairs between key frames."""
    pairs: int
    """Number of judged pairs."""
    each: tuple[PairError, ...]
    judge: str
    """The estimator whose flow judges."""


@dataclass(frozen=True)
class Flickering:
    """Mean flickering in grey levels of the judged pairs; None: nothing in them is static."""

    result: float | None
    source: float | None

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> Flickering:
        """Return the means of the values of the result and of the source, pair by pair."""
        return cls(*(mean_or_none([pair[film] for pair in pairs]) for film in (0, 1)))


@dataclass(frozen=True)
class Sharpness:
    """Mean sharpness of the result, and of its key frames alone."""

    result: float | None
    painted: float | None


@dataclass(frozen=True)
class KeyColour:
    """Grey levels by which key frames painted whole differ from what earlier ones supply there."""

    mean: float
    worst: float
    frames: int
    """Number of key frames that were compared."""


@dataclass(frozen=True)
class ResultSharpness:
    """Mean sharpness of a result, and of its source."""

    result: float | None
    source: float | None


@dataclass(frozen=True)
class FilmColour:
    """Grey levels by which a film differs from one whose every frame was painted."""

    mean: float
    worst: float
    worst_frame: int
    """Index of the frame that differs most."""


@dataclass(frozen=True)
class OverPainted:
    """Means of a result divided by those of a film whose every frame was painted; None: by 0."""

    warp_error: float | None
    flickering: float | None
    sharpness: float | None


class Measurement(NamedTuple):
    """What the pictures of a result say of its quality; see `Report`."""

    warp_error: WarpError
    flicker: float | None
    flickering: Flickering
    sharpness: Sharpness


def measure(
    source: _Pictures,
    result: _Pictures,
    repainted: Callable[[int], Mask | None],
    scenes: Sequence[Scene],
    keys: Sequence[KeyFrame],
    report_progress: Callable[[str, int, int], None],
) -> Measurement:
    """Measure warp error and flickering of the result and of its source, flicker, and sharpness.

    The judge is Farneback's flow, which no estimator of this program uses, on pictures at most
    320 px wide: it must not cost much. `ofgen evaluate` judges with more care. Flicker is the warp
    error of the pixels that were painted as holes in either frame of a pair.

    Args:
        source: picture of the source's frame of that index.
        result: picture of the finished frame of that index.
        repainted: (H, W) pixels that were painted as holes in that frame, or None.
        scenes: the scenes of the clip.
        keys: its key frames.
        report_progress: is called with the phase, the number of finished pairs, and of all pairs.
    """
    chosen = metrics.pairs(scenes)
    errors = PairErrors({key.index for key in keys})
    flicker: list[float] = []
    still: list[tuple[float, float]] = []
    shown: list[float] = []
    for i in chosen:
        here, there = (source(i), source(i + 1)), (result(i), result(i + 1))
        judgement = metrics.judge_pair(here, metrics.farneback, widest=metrics.REPORT_WIDEST)
        errors.add(i, judgement.error(there), judgement.error(here))
        still.append((metrics.flickering(there, judgement), metrics.flickering(here, judgement)))
        masks = [mask for mask in (repainted(i), repainted(i + 1)) if mask is not None]
        if masks:
            flicker.append(judgement.error(there, np.logical_or.reduce(masks)))
        shown.append(metrics.sharpness(there[0]))
        report_progress("measure", len(shown), len(chosen))
    painted = [metrics.sharpness(result(key.index)) for key in keys[:: max(1, len(keys) // 24)]]
    return Measurement(
        errors.warp_error("farneback"),
        mean_or_none(flicker),
        Flickering.of(still),
        Sharpness(mean_or_none(shown or painted), mean_or_none(painted)),
    )


class PairErrors:
    """Collects the warp errors of pairs of neighbouring frames."""

    def __init__(self, keys: Collection[int]) -> None:
        """Start without a pair; `keys` are the indices of the key frames."""
        self._keys = keys
        self._all: list[tuple[int, float, float]] = []

    def add(self, index: int, result: float, source: float) -> None:
        """Add the errors of frames `index` and `index + 1`; NaN: nothing could be judged."""
        self._all.append((index, result, source))

    def warp_error(self, judge: str) -> WarpError:
        """Return their means; `judge` is the estimator whose flow judged."""
        parts: dict[bool, list[float]] = {True: [], False: []}
        for index, result, _ in self._all:
            parts[metrics.straddles(index, self._keys)].append(result)
        return WarpError(
            result=mean_or_none([result for _, result, _ in self._all]),
            source=mean_or_none([source for _, _, source in self._all]),
            straddling=mean_or_none(parts[True]),
            within=mean_or_none(parts[False]),
            pairs=len(self._all),
            each=tuple(
                PairError(
                    index,
                    mean_or_none([result]),
                    mean_or_none([source]),
                    metrics.straddles(index, self._keys),
                )
                for index, result, source in self._all
            ),
            judge=judge,
        )


def mean_or_none(values: Sequence[float]) -> float | None:
    """Return the mean of the values that are not NaN, to 7 digits; None if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(f"{statistics.fmean(known):.7g}") if known else None
