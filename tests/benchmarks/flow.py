"""Seconds and memory of PDC-Net+ a pair, with seeded weights; then how right estimators are.

    python -m tests.benchmarks.flow [--device cuda] [--half] [--batch 8] [--threads 2]

Each size runs in a process of its own, so that its peak memory is its own: on a CPU the process's,
of which torch and the weights take about 450 MB before the first pair, else torch's on the device.
`cold` knows nothing of either frame; the further sources onto the same target find the features of
both frames and the target's filters kept. Times are those of `PDCNetEstimator.estimate`, arrays to
arrays, per pair, the best of a few; threads that wait sleep, else a busy machine makes them ten
times slower. A matrix product and a VGG-16 pass tell machines apart. The second table is that of
`tests.benchmarks.accuracy`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lib_ofgen.models.flow.pdcnet import PDCNetEstimator
from lib_ofgen.values import Frame
from support.pdcnet import seeded
from tests.benchmarks import accuracy

SIZES = ((256, 256), (512, 512), (768, 512))
ITERATIONS = ((6, 14), (3, 7))
PUBLISHED = {(256, 256): (2.34, 676), (512, 512): (10.3, 1017), (768, 512): (14.3, 1166)}
"""Seconds and MB of the published network at 6/14 on two quiet cores of another machine."""
SOURCES = 5
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="torch's name of the device")
    parser.add_argument("--half", action="store_true", help="convolutions in float16")
    parser.add_argument("--batch", type=int, default=1, help="pairs at a time")
    parser.add_argument("--threads", type=int, default=2, help="of torch on the CPU")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options, **options.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        import torch

        torch.set_num_threads(options.threads)
        checkpoint = Path(folder) / "seeded.pth"
        torch.save(seeded.state_dict(), checkpoint)
        product, pyramid = yardsticks(options.device)
        print(f"{options.device}, {options.threads} threads, batch of {options.batch}")
        print(f"product of 2048 x 2048 matrices {product:.4f} s; VGG-16, 512 x 512 {pyramid:.4f} s")
        table(options, str(checkpoint))
    print()
    accuracy.table([])


def table(options: argparse.Namespace, checkpoint: str) -> None:
    """Print a row for each size and number of iterations."""
    heads = ["h x w", "it.", "cold", *(f"source {n}" for n in range(2, SOURCES + 1)), "peak MB"]
    print(" ".join(f"{head:>9}" for head in [*heads, "cold x", "further x"]))
    for iterations in ITERATIONS:
        for size in SIZES:
            row = child({"checkpoint": checkpoint, "size": size, "iterations": iterations})
            cold, *further = row["seconds"]
            cells = [f"{size[0]}x{size[1]}", f"{iterations[0]}/{iterations[1]}"]
            cells += [f"{seconds:.3f}" for seconds in row["seconds"]] + [f"{row['peak']:.0f}"]
            if iterations == ITERATIONS[0]:
                cells += [f"{PUBLISHED[size][0] / each:.1f}" for each in (cold, max(further))]
            print(" ".join(f"{cell:>9}" for cell in cells), flush=True)


def child(what: dict[str, Any]) -> dict[str, Any]:
    """What `measured` says in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.flow", *sys.argv[1:]]
    done = subprocess.run(
        [*command, "--one", json.dumps(what)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_WAIT_POLICY": "passive"},
    )
    return json.loads(done.stdout)


def measured(
    options: argparse.Namespace, checkpoint: str, size: list[int], iterations: list[int]
) -> dict[str, Any]:
    """Best seconds a pair, cold and for each further source, and the peak in MB."""
    import torch

    torch.set_num_threads(options.threads)
    estimator = PDCNetEstimator(
        Path(checkpoint),
        global_iterations=iterations[0],
        local_iterations=iterations[1],
        half=options.half,
        device=options.device,
        batch=options.batch,
        cache_bytes=2**33,
    )
    network = estimator._on_device.network()
    frames = pictures(options.batch, (size[0], size[1]))
    targets, sources = frames[0], frames[1:]
    best = [float("inf")] * SOURCES
    for _ in range(ROUNDS):
        estimator._known.clear()
        for index, group in enumerate(sources):
            if index:
                estimator._features(network, [frame.image for frame in group])
            pairs = list(zip(group, targets, strict=True))
            best[index] = min(best[index], seconds(lambda p=pairs: list(estimator.estimate(p))))
            if not index:
                peak = peak_megabytes(options.device)
    return {"seconds": [each / options.batch for each in best], "peak": peak}


def pictures(batch: int, size: tuple[int, int]) -> list[list[Frame]]:
    """`batch` targets, then as many sources, five times: a texture that moves."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, ksize=(0, 0), sigmaX=3)
    texture = cv2.normalize(texture, dst=noise, alpha=0, beta=255, norm_type=cv2.NORM_MINMAX)
    moved = (np.roll(texture, 2 * n, axis=(0, 1)) for n in range(batch * (SOURCES + 1)))
    frames = [Frame(n, image) for n, image in enumerate(moved)]
    return [frames[start : start + batch] for start in range(0, len(frames), batch)]


def yardsticks(device: str) -> tuple[float, float]:
    """Seconds of a product of 2048 x 2048 matrices, and of VGG-16 to its fourth pooling."""
    import torch

    from lib_ofgen.models.flow._pdcnet.layers import Pyramid

    matrix = torch.rand(2048, 2048, device=device)
    picture = torch.rand(1, 3, 512, 512, device=device).to(memory_format=torch.channels_last)
    pyramid = Pyramid().to(device)

    def multiply() -> float:
        return (matrix @ matrix)[0, 0].item()

    def encode() -> float:
        with torch.inference_mode():
            return pyramid(picture, coarse=True)[1].sum().item()

    return min(seconds(multiply) for _ in range(5)), min(seconds(encode) for _ in range(5))


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_megabytes(device: str) -> float:
    """Of the process so far on a CPU, else of torch on the device."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    import resource

    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
