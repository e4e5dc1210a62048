"""A tagger of the WD14 family's shape that the tests make: any picture, a few hundred tags.

The confidence of tag i depends on the mean of one of three channels over one of four quarters, so
it can be worked out by hand.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
COUNT = 300
NAMED = {
    4: "1girl", 5: "o_o", 6: "long_hair", 7: "^_^", 8: "smile_(expression)", 9: "\\m/",
    200: "hatsune_miku", 201: "saber_(fate)",
}  # fmt: skip


def labels(count: int = COUNT) -> list[tuple[str, int]]:
    """Name and category of each tag: four ratings, general ones, characters from 200 on."""
    ratings = ["general", "sensitive", "questionable", "explicit"]
    named = [(name, 9) for name in ratings]
    for place in range(4, count):
        named.append((NAMED.get(place, f"tag_{place}"), 4 if place >= 200 else 0))
    return named


def features(given: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 12): the mean of each quarter's channels, 0..1."""
    count, side = given.shape[0], given.shape[1]
    halves = given.reshape(count, 2, side // 2, 2, side // 2, 3)
    return halves.mean(axis=(2, 4)).reshape(count, 12) / np.float32(255)


def gains(count: int = COUNT) -> NDArray[np.float32]:
    """(12, count): each tag listens to one feature, some to its contrary."""
    found = np.zeros((12, count), np.float32)
    for place in range(count):
        found[place % 12, place] = 12 if place // 12 % 2 else -12
    return found


def offsets(count: int = COUNT) -> NDArray[np.float32]:
    places = np.arange(count)
    return np.where(places // 12 % 2, -6.0, 6.0).astype(np.float32) - (places % 7).astype("f4") / 2


def expected(given: NDArray[np.float32], count: int = COUNT) -> NDArray[np.float64]:
    """The confidences of prepared pictures, by numpy."""
    return 1 / (1 + np.exp(-(features(given).astype(float) @ gains(count) + offsets(count))))


def make(
    folder: Path,
    *,
    batch: int | str = "batch",
    side: int = SIDE,
    channels: int = 3,
    count: int = COUNT,
    named: int = COUNT,
    sigmoid: bool = True,
) -> Path:
    """The model's two files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes: list[Any] = [
        helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["pooled"], kernel_shape=[side // 2] * 2,
            strides=[side // 2] * 2,
        ),
        helper.make_node("Transpose", ["pooled"], ["back"], perm=[0, 2, 3, 1]),
        helper.make_node("Flatten", ["back"], ["flat"]),
        helper.make_node("Gemm", ["flat", "gains", "offsets"], ["sums"]),
        helper.make_node("Sigmoid" if sigmoid else "Identity", ["sums"], ["output"]),
    ]  # fmt: skip
    weights = np.zeros((4 * channels, count), np.float32)
    weights[: min(12, 4 * channels)] = gains(count)[: 4 * channels] / 255
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, side, side, channels])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, count])],
        [
            numpy_helper.from_array(weights, "gains"),
            numpy_helper.from_array(offsets(count), "offsets"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    write_labels(folder, named)
    return folder


def write_labels(folder: Path, named: int) -> None:
    """The table of so many labels."""
    with (folder / "selected_tags.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["tag_id", "name", "category", "count"])
        writer.writerows([i, name, kind, 1] for i, (name, kind) in enumerate(labels(named)))
