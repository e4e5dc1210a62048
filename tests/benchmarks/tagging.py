"""Pictures a second of the tagger, side by side with bare onnxruntime on the same model.

    python -m tests.benchmarks.tagging [--model FOLDER] [--device auto|cuda|cpu] [--pictures 16]

Without --model the network is a random one of about 13 GMACs a picture, a fraction of a published
tagger's work, with its 448 px and its 9083 outputs. Bare is `InferenceSession.run` on pictures that
lie ready as the network wants them, in batches of our own size; ours is `WD14Tagger.tag`, from
640x360 frames to sorted tags. The two take turns in changing order; what counts is the median of
the rounds' ratios, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from lib_ofgen.imaging import images
from lib_ofgen.models.tagger import MODEL, WD14Tagger

SIDE, COUNT, LIMIT = 448, 9083, 0.10
BATCH = 8
FRAME = (360, 640, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="folder of a tagger")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--pictures", type=int, default=16, help="a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or made(Path(folder) / "random")
        bare, ours, provider = measured(model, options.device, options.pictures, options.rounds)
    ratio = statistics.median(a / b for a, b in zip(bare, ours, strict=True))
    print(f"{provider}, rounds of {options.pictures}, {options.rounds} of them")
    for name, seconds in (("bare onnxruntime", bare), ("our tagger", ours)):
        print(f"{name:16} {options.pictures / statistics.median(seconds):8.3f} pictures a second")
    print(f"ours is {ratio:.1%} of bare")
    if ratio < 1 - LIMIT:
        raise SystemExit(f"more than {LIMIT:.0%} slower")


def measured(
    model: Path, device: str, count: int, rounds: int
) -> tuple[list[float], list[float], str]:
    """Seconds a round of bare onnxruntime and of ours, by round, and what both ran on."""
    import onnxruntime

    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, FRAME, dtype=np.uint8) for _ in range(count)]
    tagger = WD14Tagger(model, device)
    tagger.tag(frames[:1])
    session = onnxruntime.InferenceSession(str(model / MODEL), providers=[tagger.provider])
    given, gives = session.get_inputs()[0], session.get_outputs()[0]
    ready = np.stack([images.to_tagger_input(frame, given.shape[1]) for frame in frames])
    once = given.shape[0] if isinstance(given.shape[0], int) else BATCH

    def run() -> None:
        for start in range(0, count, once):
            session.run([gives.name], {given.name: ready[start : start + once]})

    calls = (run, lambda: tagger.tag(frames))
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            begun = time.perf_counter()
            calls[which]()
            if turn:  # the first one warms up
                spent[which].append(time.perf_counter() - begun)
    return *spent, tagger.provider


def made(folder: Path) -> Path:
    """A random convolutional network, as a tagger."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from support import tiny_tagger

    rng, nodes, weights = np.random.default_rng(1), [], []
    nodes.append(helper.make_node("Transpose", ["input"], ["x0"], perm=[0, 3, 1, 2]))
    channels = (3, 96, 192, 384, 768)
    sizes = [(3, 96, 4, 4), *((a, b, 2, 2) for a, b in pairwise(channels[1:]))]
    depth = 0

    def convolve(inner: int, outer: int, kernel: int, stride: int) -> None:
        nonlocal depth
        shape = (outer, inner, kernel, kernel)
        scale = (inner * kernel * kernel) ** -0.5
        values = rng.normal(0, scale, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{depth}"))
        pads = [(kernel - 1) // 2] * 4 if stride == 1 else [0] * 4
        nodes.append(
            helper.make_node(
                "Conv", [f"x{depth}", f"w{depth}"], [f"c{depth}"], strides=[stride] * 2, pads=pads
            )
        )
        nodes.append(helper.make_node("Relu", [f"c{depth}"], [f"x{depth + 1}"]))
        depth += 1

    for inner, outer, kernel, stride in sizes:
        convolve(inner, outer, kernel, stride)
        for _ in range(3):
            convolve(outer, outer, 3, 1)
    last = rng.normal(0, 0.01, (channels[-1], COUNT)).astype(np.float32)
    weights.append(numpy_helper.from_array(last, "last"))
    nodes += [
        helper.make_node("GlobalAveragePool", [f"x{depth}"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "last"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["output"]),
    ]
    kinds = (("input", ["N", SIDE, SIDE, 3]), ("output", ["N", COUNT]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in kinds]
    graph = helper.make_graph(nodes, "tagger", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    folder.mkdir()
    onnx.save(model, str(folder / MODEL))
    tiny_tagger.write_labels(folder, COUNT)
    return folder


if __name__ == "__main__":
    main()
