"""The logistic model of a flow's confidence, fitted to true flow.

    python -m tests.benchmarks.calibrate [MODELS_DIR]...

Features are `agreement.features` of DIS both ways on MPI-Sintel's pairs; fitted is the chance that
a vector errs by at most 1 px. Printed are the coefficients from each sequence alone and from both,
weighted equally, and how often those right are right, by tenth of what is promised: said/true.
The same of the confidence of every estimator whose weights are in one of the folders, as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib_ofgen import images, warp
from lib_ofgen.errors import OfgenError
from lib_ofgen.flow import ESTIMATORS, Wanted, agreement, choose, flo
from lib_ofgen.flow.dis import both_ways
from lib_ofgen.values import Frame

Floats = NDArray[np.float64]
SEQUENCES = ("alley_1", "cave_2")


def pairs(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Target, source and true flow of every pair of frames that has all three."""
    for target in sorted(folder.glob("*/frame_*.png")):
        source = target.with_name(f"frame_{int(target.stem[-4:]) + 1:04}.png")
        truth = folder / "flow" / f"{target.stem}.flo"
        if target.parent.name in ("clean", "final") and source.is_file() and truth.is_file():
            yield target, source, truth


def _samples(folder: Path) -> tuple[Floats, NDArray[np.bool_]]:
    """(N, 3) constant and features, and whether the vector is right, of a tenth of the pixels."""
    rows: list[Floats] = []
    right: list[NDArray[np.bool_]] = []
    for paths in pairs(folder):
        target, source = (images.decode_png(path.read_bytes()) for path in paths[:2])
        vectors, back = both_ways(source, target)
        miss, difference = agreement.features((source, target), vectors, back)
        truth = flo.from_flo(paths[2].read_bytes())
        error = np.hypot(*(vectors - truth))
        taken = warp.inside(vectors, images.size_of(target))
        taken &= np.random.default_rng(0).random(taken.shape) < 0.1
        rows.append(np.stack([np.ones(taken.sum()), miss[taken], difference[taken]], axis=1))
        right.append(error[taken] <= 1)
    return np.concatenate(rows), np.concatenate(right)


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
    estimator = choose(name, Wanted(models=models)).estimator
    said: list[Floats] = []
    right: list[NDArray[np.bool_]] = []
    for paths in pairs(folder):
        target, source = (images.decode_png(path.read_bytes()) for path in paths[:2])
        (flow,) = estimator.estimate([(Frame(0, source), Frame(1, target))])
        error = np.hypot(*(flow.vectors - flo.from_flo(paths[2].read_bytes())))
        inside = warp.inside(flow.vectors, images.size_of(target))
        said.append(flow.confidence[inside].astype(float))
        right.append(error[inside] <= 1)
    estimator.release()
    return _tenths(np.concatenate(said), np.concatenate(right))


def main() -> None:
    """Fit each sequence alone and both together, and hold each fit against each sequence."""
    root = Path(os.environ.get("OFGEN_DATA", "../shared/data")) / "flow"
    models = [Path(folder) for folder in sys.argv[1:]]
    known = {name: _samples(root / name) for name in SEQUENCES}
    for names in [*((name,) for name in SEQUENCES), SEQUENCES]:
        rows = np.concatenate([known[name][0] for name in names])
        right = np.concatenate([known[name][1] for name in names])
        counts = [len(known[name][1]) for name in names]
        found = _fitted(rows, right, np.repeat([1 / count for count in counts], counts))
        print(f"fitted on {' and '.join(names)}:", ", ".join(f"{value:.3f}" for value in found))
        for other, (held, truth) in known.items():
            print(f"  on {other:8} {_reliability(held, truth, found)}")
    now = (agreement.BIAS, agreement.ROUND_TRIP, agreement.SAMENESS)
    print("in use:", ", ".join(f"{value:.3f}" for value in now))
    for other, (held, truth) in known.items():
        print(f"  on {other:8} {_reliability(held, truth, np.array(now))}")
    for name in ESTIMATORS:
        try:
            lines = [f"  on {other:8} {_said(name, models, root / other)}" for other in SEQUENCES]
        except OfgenError as error:
            lines = [f"  not here: {str(error).partition(':')[0]}"]
        print(f"{name}, as it is:", *lines, sep="\n")


if __name__ == "__main__":
    main()
