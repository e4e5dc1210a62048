"""RAFT with seeded weights: its flow is not good, but it must be torchvision's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lib_ofgen.errors import FlowError, WeightsError
from lib_ofgen.models.flow import EstimatorOptions, check_weights, choose_estimator
from lib_ofgen.values import Frame

torch = pytest.importorskip("torch", reason="torch is not installed, so no network can run")
try:
    from torchvision.models.optical_flow import raft_large
except (ImportError, RuntimeError) as error:
    pytest.skip(f"torchvision cannot be imported: {error}", allow_module_level=True)

NAME = "raft_large_C_T_SKHT_V2-ff5fadd5.safetensors"


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(3)
    return raft_large(weights=None).eval()


@pytest.fixture(scope="module")
def folder(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import save_file

    place = tmp_path_factory.mktemp("models")
    save_file(network.state_dict(), place / NAME)
    return place


def _frames(height: int, width: int) -> list[Frame]:
    rng = np.random.default_rng(8)
    wide = cv2.GaussianBlur(rng.normal(size=(height, width + 12, 3)), ksize=(0, 0), sigmaX=2)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return [Frame(i, np.ascontiguousarray(wide[:, 4 * i : 4 * i + width])) for i in range(3)]


def test_the_flow_is_torchvisions_own(network: Any, folder: Path) -> None:
    """On sides that need no padding, on the target's grid and into the source."""
    first, second, _ = _frames(128, 136)
    estimator = choose_estimator("raft", EstimatorOptions(models=[folder])).estimator
    (flow,) = estimator.estimate([(first, second)])
    assert (flow.source, flow.target) == (0, 1)
    inputs = [
        torch.from_numpy(frame.image).permute(2, 0, 1)[None] / 127.5 - 1
        for frame in (second, first)
    ]
    with torch.inference_mode():
        want = network(*inputs, num_flow_updates=12)[-1][0].numpy()
    far = np.hypot(*want) >= 0.15  # shorter ones count as still
    assert np.abs(flow.vectors - want)[:, far].max() < 1e-3
    assert flow.confidence.min() >= 0
    assert flow.confidence.max() <= 1


def test_odd_sizes_and_batches_change_nothing(folder: Path) -> None:
    frames = _frames(90, 131)
    pairs = [(frames[0], frames[1]), (frames[2], frames[1]), (frames[1], frames[0])]
    wanted = EstimatorOptions(models=[folder])
    estimator = choose_estimator("raft", wanted).estimator
    single = [flow for pair in pairs for flow in estimator.estimate([pair])]
    from lib_ofgen.models.flow.raft import RaftEstimator

    together = list(RaftEstimator(folder / NAME, device="cpu", batch=3).estimate(pairs))
    for one, other in zip(single, together, strict=True):
        assert one.vectors.shape == (2, 90, 131)
        assert np.abs(one.vectors - other.vectors).max() < 1e-3
        assert (one.source, one.target) == (other.source, other.target)
    estimator.release()
    (again,) = estimator.estimate(pairs[:1])
    assert (again.vectors == single[0].vectors).all()


def test_a_pair_without_room_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_ofgen.models.flow import raft

    def refuse(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(raft, "_estimate", refuse)
    first, second, _ = _frames(64, 64)
    with pytest.raises(FlowError, match="no room for the flow of one pair of 64x64 px"):
        list(
            choose_estimator("raft", EstimatorOptions(models=[folder])).estimator.estimate(
                [(first, second)]
            )
        )


def test_auto_takes_raft_where_its_weights_are(folder: Path, tmp_path: Path) -> None:
    chosen = choose_estimator("auto", EstimatorOptions(models=[folder]))
    assert chosen.name == "raft"
    assert chosen.reason.startswith("pdcnet has no weights")
    assert choose_estimator("auto", EstimatorOptions(models=[tmp_path])).name == "dis"


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a.weight": torch.zeros(2)}, tmp_path / NAME)
    with pytest.raises(WeightsError, match="of another network: it lacks"):
        check_weights("raft-large", tmp_path / NAME)
