"""The logistic models of a flow's confidence, fitted to true flow.

    python -m tests.benchmarks.calibrate [MODELS_DIR]...

Features are `confidence.features` of DIS both ways on MPI-Sintel's pairs (the round trip's miss,
and the difference in the target's light), and those of `global_motion` where that confidence is
under `UNSURE`; fitted is the chance that a vector errs by at most 1 px where light allows all of
it. Printed are the coefficients from each sequence alone and from both, weighted equally, and how
often vectors are right, by tenth of what is promised: said/true. The same of the confidence of
every estimator whose weights are in one of the folders, as it is, on all pixels; and of how many
pixels the light takes half or more of the confidence, and how many of those vectors are right.

The dominant motion's constant in use is lower than the fitted one: a guess that is taken because it
says that it is surer than the estimate says so too readily. It was lowered until
`tests.benchmarks.accuracy` found more vectors right on every sequence, and the confidence as
telling as before (AUSE within 0.01).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import OfgenError
from lib_ofgen.imaging import flow_io, images, warp
from lib_ofgen.models.flow import (
    ESTIMATORS,
    EstimatorOptions,
    choose_estimator,
    confidence,
    global_motion,
)
from lib_ofgen.models.flow.confidence import View
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.values import Frame, Size

Floats = NDArray[np.float64]
SEQUENCES = ("alley_1", "cave_2")
UNSURE = 0.4
"""Confidence below which the dominant motion is asked; the default of the setting `confidence`."""


def pairs(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Target, source and true flow of every pair of frames that has all three."""
    for target in sorted(folder.glob("*/frame_*.png")):
        source = target.with_name(f"frame_{int(target.stem[-4:]) + 1:04}.png")
        truth = folder / "flow" / f"{target.stem}.flo"
        if target.parent.name in ("clean", "final") and source.is_file() and truth.is_file():
            yield target, source, truth


def _samples(folder: Path) -> list[tuple[Floats, NDArray[np.bool_]]]:
    """Rows (N, 3), a constant and two features, and whether the vector is right: of both models."""
    agreeing: list[tuple[Floats, NDArray[np.bool_]]] = []
    guessed: list[tuple[Floats, NDArray[np.bool_]]] = []
    for paths in pairs(folder):
        target, source = (images.decode_png(path.read_bytes()) for path in paths[:2])
        truth = flow_io.from_flo(paths[2].read_bytes())
        pair, vectors, back, _, scale = DisEstimator().search(source, target)
        judged = confidence.features(pair, vectors, back, scale)
        tenth = np.random.default_rng(0).random(truth.shape[1:]) < 0.1
        inputs = judged.missed, judged.different
        agreeing.append(_right(vectors, truth, inputs, tenth, judged.allowed == 1))
        sure = confidence.confidence(judged)
        found = global_motion.estimate_global_motion(vectors, sure, scale)
        if found is not None:
            both = found.following, found.apart
            asked = (sure < UNSURE) & (_allowed(pair, found.vectors) == 1)
            guessed.append(_right(found.vectors, truth, both, tenth, asked))
    return [
        (np.concatenate([rows for rows, _ in model]), np.concatenate([right for _, right in model]))
        for model in (agreeing, guessed)
    ]


def _allowed(pair: tuple[View, View], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) 0..1: how far light allows the vectors, if every one of them is sure."""
    sure = np.ones(vectors.shape[1:], np.float32)
    return confidence.compare(pair, vectors, sure, confidence.fit_light(pair, vectors, sure))[1]


def _right(
    vectors: NDArray[np.float32],
    truth: NDArray[np.float32],
    features: tuple[NDArray[np.float32], NDArray[np.float32]],
    sample: NDArray[np.bool_],
    judged: NDArray[np.bool_],
) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows of the sampled pixels that stay within the source, and whether their vectors are right.

    Vectors, features and what is `judged` are on the grid of the search; truth and sample are not.
    """
    size = Size(*sample.shape)
    vectors = warp.resize_flow(vectors, size)
    taken = sample & warp.inside(vectors, size)
    taken &= images.enlarge(judged.astype(np.float32), size) == 1
    larger = (images.enlarge(each, size) for each in features)
    rows = np.stack([np.ones(taken.sum()), *(each[taken] for each in larger)], axis=1)
    return rows, np.hypot(*(vectors - truth))[taken] <= 1


def _fitted(rows: Floats, right: NDArray[np.bool_], weights: Floats) -> Floats:
    """The coefficients of greatest likelihood, by Newton's method."""
    found = np.zeros(rows.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-rows @ found))
        slope = rows.T @ (weights * (right - chance))
        curve = (rows * (weights * chance * (1 - chance))[:, None]).T @ rows
        found += np.linalg.solve(curve, slope)
    return found


def _reliability(rows: Floats, right: NDArray[np.bool_], found: Floats) -> str:
    """Said/true for each tenth of the scale that one vector in a thousand falls into."""
    return _tenths(1 / (1 + np.exp(-rows @ found)), right)


def _tenths(said: Floats, right: NDArray[np.bool_]) -> str:
    tenth = np.minimum((said * 10).astype(int), 9)
    parts = [tenth == place for place in range(10)]
    shown = [part for part in parts if part.mean() > 0.001]
    return " ".join(f"{said[part].mean():.2f}/{right[part].mean():.2f}" for part in shown)


def _said(name: str, models: Sequence[Path], folder: Path) -> str:
    """Said/true of the confidence that an estimator gives as it is."""
    estimator = choose_estimator(name, EstimatorOptions(models=models)).estimator
    said: list[Floats] = []
    right: list[NDArray[np.bool_]] = []
    for paths in pairs(folder):
        target, source = (images.decode_png(path.read_bytes()) for path in paths[:2])
        (flow,) = estimator.estimate([(Frame(0, source), Frame(1, target))])
        error = np.hypot(*(flow.vectors - flow_io.from_flo(paths[2].read_bytes())))
        inside = warp.inside(flow.vectors, images.size_of(target))
        said.append(flow.confidence[inside].astype(float))
        right.append(error[inside] <= 1)
    estimator.release()
    return _tenths(np.concatenate(said), np.concatenate(right))


def _doubted(folder: Path) -> str:
    """Of how many pixels light takes half or more, and how many of those vectors are right.

    Only pixels whose vector stays within the source count.
    """
    allowed: list[NDArray[np.float32]] = []
    right: list[NDArray[np.bool_]] = []
    for paths in pairs(folder):
        target, source = (images.decode_png(path.read_bytes()) for path in paths[:2])
        size = images.size_of(target)
        pair, found, *_ = DisEstimator().search(source, target)
        vectors = warp.resize_flow(found, size)
        inside = warp.inside(vectors, size)
        allowed.append(images.enlarge(_allowed(pair, found), size)[inside])
        error = np.hypot(*(vectors - flow_io.from_flo(paths[2].read_bytes())))
        right.append(error[inside] <= 1)
    doubted = np.concatenate(allowed) <= 0.5
    return f"{doubted.mean():.4f} of the pixels, {np.concatenate(right)[doubted].mean():.3f} right"


def _fits(known: dict[str, tuple[Floats, NDArray[np.bool_]]], used: tuple[float, ...]) -> None:
    """Fit each sequence alone and both together, and hold each fit against each sequence."""
    for names in [*((name,) for name in SEQUENCES), SEQUENCES]:
        rows = np.concatenate([known[name][0] for name in names])
        right = np.concatenate([known[name][1] for name in names])
        counts = [len(known[name][1]) for name in names]
        found = _fitted(rows, right, np.repeat([1 / count for count in counts], counts))
        print(f"fitted on {' and '.join(names)}:", ", ".join(f"{value:.3f}" for value in found))
        for other, (held, truth) in known.items():
            print(f"  on {other:8} {_reliability(held, truth, found)}")
    print("in use:", ", ".join(f"{value:.3f}" for value in used))
    for other, (held, truth) in known.items():
        print(f"  on {other:8} {_reliability(held, truth, np.array(used))}")


def main() -> None:
    """Fit both models, and hold every estimator's confidence against the truth."""
    root = Path(os.environ.get("OFGEN_DATA", "../shared/data")) / "flow"
    models = [Path(folder) for folder in sys.argv[1:]]
    known = {name: _samples(root / name) for name in SEQUENCES}
    agreeing = (confidence.BIAS, confidence.ROUND_TRIP, confidence.SAMENESS)
    guessing = (global_motion.BIAS, global_motion.FOLLOWING, global_motion.APART)
    for place, (what, used) in enumerate((("agreement", agreeing), ("dominant motion", guessing))):
        print(f"{what}:")
        _fits({name: both[place] for name, both in known.items()}, used)
    print("half or more taken by light:")
    for name in SEQUENCES:
        print(f"  on {name:8} {_doubted(root / name)}")
    for name in ESTIMATORS:
        try:
            lines = [f"  on {other:8} {_said(name, models, root / other)}" for other in SEQUENCES]
        except OfgenError as error:
            lines = [f"  not here: {str(error).partition(':')[0]}"]
        print(f"{name}, as it is:", *lines, sep="\n")


if __name__ == "__main__":
    main()
