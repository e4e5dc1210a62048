"""How right estimators are on true flow, and how well their confidence knows it.

    python -m tests.benchmarks.accuracy [--models-dir DIR]...

On MPI-Sintel's pairs of OFGEN_DATA/flow (default ../shared/data/flow), by estimator and sequence:
the mean end-point error in px, the share of vectors within 1 px, and the area under the
sparsification error (AUSE; Ilg et al. 2018, section 5.1): pixels are taken away from the least
confident on, the mean error of the rest is plotted against the share taken away, over the error of
all; from that curve the oracle's, which takes away by true error, is subtracted, and the area
between is printed. 0 is a confidence that knows; a random one has about the oracle's own gain.
Estimators whose weights or libraries are not here are named.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import OfgenError
from lib_ofgen.imaging import flow_io, images
from lib_ofgen.models.flow import ESTIMATORS, EstimatorOptions, choose_estimator
from lib_ofgen.values import FlowEstimator, Frame
from tests.benchmarks.calibrate import SEQUENCES, pairs

STEPS = 50


def sparsification(error: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean error of what is left after each step, over that of all; `order`: first to go first."""
    left = np.cumsum(error[order][::-1])[::-1] / np.arange(len(error), 0, -1)
    places = (np.arange(STEPS) * len(error)) // STEPS
    return left[places] / error.mean()


def ause(error: NDArray[np.float64], confidence: NDArray[np.float64]) -> float:
    """The area between the confidence's sparsification curve and the oracle's."""
    said = sparsification(error, np.argsort(confidence, kind="stable"))
    best = sparsification(error, np.argsort(-error, kind="stable"))
    return float((said - best).mean())


def judged(estimator: FlowEstimator, folder: Path, kind: str) -> tuple[float, float, float]:
    """EPE, share within 1 px and AUSE, the mean over a sequence's pairs of one kind."""
    rows = []
    for target, source, truth in pairs(folder):
        if target.parent.name != kind:
            continue
        views = [images.decode_png(path.read_bytes()) for path in (source, target)]
        (flow,) = estimator.estimate([(Frame(0, views[0]), Frame(1, views[1]))])
        mask = folder / "invalid" / target.name
        kept = np.ones(flow.confidence.shape, np.bool_)
        if mask.is_file():
            kept = images.decode_png(mask.read_bytes())[..., 0] == 0
        error = np.hypot(*(flow.vectors - flow_io.from_flo(truth.read_bytes())))[kept].astype(float)
        sure = flow.confidence[kept].astype(float)
        rows.append((error.mean(), (error <= 1).mean(), ause(error, sure)))
    return tuple(np.mean(rows, axis=0).tolist())


def table(models: list[Path]) -> None:
    """Print it."""
    root = Path(os.environ.get("OFGEN_DATA", "../shared/data")) / "flow"
    print(f"{'estimator':12}{'sequence':20}{'EPE px':>9}{'<= 1 px':>9}{'AUSE':>8}")
    for name in ESTIMATORS:
        try:
            estimator = choose_estimator(name, EstimatorOptions(models=models)).estimator
        except OfgenError as error:
            print(f"{name:12}not here: {str(error).partition(':')[0]}")
            continue
        for sequence in SEQUENCES:
            for kind in ("clean", "final"):
                epe, near, area = judged(estimator, root / sequence, kind)
                print(f"{name:12}{sequence + ' ' + kind:20}{epe:9.3f}{near:9.3f}{area:8.3f}")


def main() -> None:
    """Judge all that can run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.accuracy")
    parser.add_argument("--models-dir", type=Path, action="append", default=[])
    table(parser.parse_args().models_dir)


if __name__ == "__main__":
    main()
