"""The network against outputs of the published one, with seeded weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pdcnet import seeded

torch = pytest.importorskip("torch", reason="torch is not installed, so no network can run")

from lib_ofgen.flow._pdcnet import Estimate, PDCNet  # noqa: E402 - it imports torch


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    # On a busy machine several threads wait for each other, at ten times the price.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    return seeded.state_dict()


def network(weights: dict[str, Any], dtype: Any = torch.float32, *, half: bool = False) -> PDCNet:
    made = PDCNet()
    made.load_state_dict(weights, strict=True)
    return made.to(dtype).prepare(half=half)


@pytest.fixture(scope="module")
def single(weights: dict[str, Any]) -> PDCNet:
    return network(weights)


@pytest.fixture(scope="module")
def case() -> dict[str, Any]:
    with np.load(seeded.HERE / "case_256.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def kit(data: Path) -> Path:
    folder = data.parent / "pdcnet"
    if not folder.is_dir():
        pytest.skip("the parity kit is not beside the data folder; name that with OFGEN_DATA")
    return folder


def picture(image: Any) -> Any:
    """1 x 3 x H x W."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


def run(
    net: PDCNet, source: Any, target: Any, iterations: tuple[int, int]
) -> tuple[dict[str, Any], Estimate]:
    """Each level's maps by the reference's names, and the estimate."""
    from_, onto = net.features(source), net.features(target)
    filters = net.filters(onto, iterations[1])
    levels = net.levels(from_, onto, filters, iterations[0])
    size = (source.shape[-2], source.shape[-1])
    estimate = net.estimate(from_, onto, filters, iterations=iterations[0], size=size)
    found = {}
    for index, level in zip((4, 3, 2, 1), levels, strict=True):
        found[f"flow{index}"] = level.flow
        found[f"log_var{index}"] = level.log_variance
        found[f"weight{index}"] = level.logits
    return found, estimate


def whole(estimate: Estimate) -> dict[str, Any]:
    """The full-size maps by the reference's names."""
    return {
        "flow": estimate.flow,
        "log_var_map": estimate.log_variance[:, 1:],
        "weight_map": estimate.logits,
        "p_r": estimate.probability_within(1.0),
    }


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Absolute, of every map that both have; full-size maps may be stored at every fifth pixel."""
    off = {}
    for name in found.keys() & wanted.keys():
        here, there = found[name][0].double().numpy(), wanted[name].astype(float)
        there = there[1:] if len(there) > len(here) else there
        here = here[..., ::5, ::5] if here.shape != there.shape else here
        off[name] = np.abs(here - there)
    return off


def stored(case: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        key.removeprefix(prefix): value for key, value in case.items() if key.startswith(prefix)
    }


def test_every_key_of_the_checkpoint_has_its_place() -> None:
    state = {key: tuple(value.shape) for key, value in PDCNet().state_dict().items()}
    assert len(state) == 501
    assert state == seeded.shapes()


def test_double_precision_agrees_with_the_published_network(
    weights: dict[str, Any], case: dict[str, Any]
) -> None:
    net = network(weights, torch.float64)
    levels, estimate = run(net, picture(case["source"]), picture(case["target"]), (6, 14))
    assert levels["flow1"].dtype == torch.float64
    off = differences(levels | whole(estimate), stored(case, "out64/"))
    assert len(off) == 16
    assert {name: error.max() for name, error in off.items() if error.max() > 1e-6} == {}


def test_single_precision_agrees_at_few_iterations(single: PDCNet, case: dict[str, Any]) -> None:
    levels, estimate = run(single, picture(case["source"]), picture(case["target"]), (3, 3))
    off = differences(levels | whole(estimate), stored(case, "outit3/"))
    assert len(off) == 16
    assert {name: error.max() for name, error in off.items() if error.max() > 1e-3} == {}


def test_single_precision_agrees_on_average_at_many_iterations(
    single: PDCNet, case: dict[str, Any]
) -> None:
    # The optimiser is chaotic here: the published network differs as much from itself.
    _, estimate = run(single, picture(case["source"]), picture(case["target"]), (6, 14))
    off = differences(whole(estimate), stored(case, "out/"))
    assert off["flow"].mean() < 0.02
    assert off["flow"].max() < 0.5
    assert off["p_r"].mean() < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["double", "single"])
def test_sizes_that_are_no_multiple_of_8(
    weights: dict[str, Any], kit: Path, precision: str
) -> None:
    double = precision == "double"
    net = network(weights, torch.float64 if double else torch.float32)
    given = np.load(kit / "in_odd300x420.npz")
    wanted = np.load(kit / f"{'out64' if double else 'outit3'}_odd300x420.npz")
    iterations = (6, 14) if double else (3, 3)
    levels, estimate = run(net, picture(given["source"]), picture(given["target"]), iterations)
    off = differences(levels | whole(estimate), wanted)
    assert len(off) == 16
    assert max(error.max() for error in off.values()) < (1e-6 if double else 1e-3)


def test_a_batch_gives_what_its_pairs_give_alone(single: PDCNet, case: dict[str, Any]) -> None:
    one, two = picture(case["source"]), picture(case["target"])
    pairs = [(one, two), (two, one), (one.flip(3), two)]
    sources, targets = (torch.cat(each) for each in zip(*pairs, strict=True))
    _, together = run(single, sources, targets, (3, 3))
    for index, (source, target) in enumerate(pairs):
        _, alone = run(single, source, target, (3, 3))
        assert (together.flow[index] - alone.flow[0]).abs().max() < 1e-3
        assert (together.logits[index] - alone.logits[0]).abs().max() < 1e-3


def test_half_precision_stays_within_a_tenth_of_a_pixel(
    weights: dict[str, Any], single: PDCNet, case: dict[str, Any]
) -> None:
    source, target = picture(case["source"]), picture(case["target"])
    _, exact = run(single, source, target, (3, 3))
    _, half = run(network(weights, half=True), source, target, (3, 3))
    assert half.flow.dtype == half.log_variance.dtype == torch.float32
    assert (half.flow - exact.flow).abs().mean() < 0.1


@pytest.mark.parametrize(("height", "width"), [(40, 67), (261, 131)])
def test_small_and_odd_pictures_get_a_flow_of_their_own_size(
    single: PDCNet, case: dict[str, Any], height: int, width: int
) -> None:
    wide = np.concatenate([case["target"], case["source"]])
    source, target = picture(wide[:height, :width]), picture(wide[3 : height + 3, :width])
    _, estimate = run(single, source, target, (1, 1))
    assert estimate.flow.shape == (1, 2, height, width)
    assert torch.isfinite(estimate.flow).all()
    sure = estimate.probability_within(1.0)
    assert sure.shape == (1, 1, height, width)
    assert sure.min() >= 0
    assert sure.max() <= (1 - np.exp(-np.sqrt(2))) ** 2 + 1e-6
