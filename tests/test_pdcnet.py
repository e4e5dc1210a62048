"""The network against outputs of the published one, with seeded weights; and its estimator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.pdcnet import seeded

torch = pytest.importorskip("torch", reason="torch is not installed, so no network can run")

from lib_ofgen.errors import FlowError, WeightsError  # noqa: E402
from lib_ofgen.imaging import images, warp  # noqa: E402
from lib_ofgen.models.flow import confidence  # noqa: E402
from lib_ofgen.models.flow._pdcnet import Estimate, PDCNet  # noqa: E402 - it imports torch  # noqa: E402 - it imports torch
from lib_ofgen.models.flow.pdcnet import PDCNetEstimator  # noqa: E402  # noqa: E402
from lib_ofgen.values import Frame, Size  # noqa: E402


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
    _, exact = run(single, source, target, (3, 7))
    _, half = run(network(weights, half=True), source, target, (3, 7))
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


def test_the_hosts_tf32_is_as_before(single: PDCNet, case: dict[str, Any]) -> None:
    switch = torch.backends.cuda.matmul
    before = switch.allow_tf32
    try:
        switch.allow_tf32 = True
        single.features(picture(case["source"]))
        assert switch.allow_tf32
    finally:
        switch.allow_tf32 = before


@pytest.fixture(scope="module")
def checkpoint(weights: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "PDCNet_plus_m.pth.tar"
    torch.save({"state_dict": weights}, path)
    return path


@pytest.fixture(scope="module")
def frames(case: dict[str, Any]) -> list[Frame]:
    return [Frame(7, case["source"]), Frame(9, case["target"]), Frame(11, case["target"][::-1])]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which parts of the network ran, and on how many frames."""
    ran: list[str] = []
    for name in ("features", "filters", "estimate"):
        real = getattr(PDCNet, name)

        def call(net: PDCNet, first: Any, *rest: Any, _of: Any = (name, real), **more: Any) -> Any:
            count = len(first) if _of[0] == "features" else len(first.c1)
            ran.append(f"{_of[0]} {count}")
            return _of[1](net, first, *rest, **more)

        monkeypatch.setattr(PDCNet, name, call)
    return ran


def test_the_estimator_gives_the_networks_flow(
    checkpoint: Path, single: PDCNet, case: dict[str, Any], frames: list[Frame]
) -> None:
    estimator = PDCNetEstimator(checkpoint, global_iterations=3, local_iterations=3, device="cpu")
    (flow,) = estimator.estimate([(frames[0], frames[1])])
    _, wanted = run(single, picture(case["source"]), picture(case["target"]), (3, 3))
    assert (flow.source, flow.target, flow.radius) == (7, 9, 1.0)
    vectors = wanted.flow[0].numpy()
    moves = np.hypot(*vectors) > 0.2
    assert np.abs(flow.vectors - vectors)[:, moves].max() < 1e-3
    assert flow.confidence.dtype == np.float32
    inside = flow.confidence > 0
    sure = wanted.probability_within(1.0)[0, 0].numpy() / (1 - np.exp(-np.sqrt(2))) ** 2
    sure = sure.astype(np.float32)
    pair = frames[0].image, frames[1].image
    assert (flow.confidence <= sure + 1e-3).all()
    assert inside.any()
    size = Size(*sure.shape)
    half = confidence.half(size)
    views = confidence.view(pair[0], half), confidence.view(pair[1], half)
    small = warp.resize_flow(vectors, half), images.resize(sure, half)
    _, followed = confidence.compare(views, *small, confidence.fit_light(views, *small))
    followed = images.enlarge(followed, size)
    assert np.abs(flow.confidence - sure * followed)[inside].max() < 1e-3
    x = np.arange(256) + flow.vectors[0]
    assert not flow.confidence[x < 0].any()


def test_each_frame_is_encoded_once_and_each_target_filtered_once(
    checkpoint: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = counted(monkeypatch)
    estimator = PDCNetEstimator(checkpoint, global_iterations=1, local_iterations=1, device="cpu")
    one, two, three = frames
    flows = list(estimator.estimate([(one, two), (three, two), (two, one)]))
    assert [(flow.source, flow.target) for flow in flows] == [(7, 9), (11, 9), (9, 7)]
    assert ran.count("features 1") == 3
    assert ran.count("filters 1") == 2
    ran.clear()
    list(estimator.estimate([(one, two)]))
    assert ran == ["estimate 1"]
    estimator.release()
    list(estimator.estimate([(one, two)]))
    assert ran.count("features 1") == 2


def test_what_is_kept_of_frames_is_bounded(checkpoint: Path, frames: list[Frame]) -> None:
    limit = 12 * 2**20
    estimator = PDCNetEstimator(
        checkpoint, global_iterations=1, local_iterations=1, device="cpu", cache_bytes=limit
    )
    known = estimator._known
    for pair in [(frames[0], frames[1]), (frames[2], frames[1]), (frames[1], frames[0])]:
        list(estimator.estimate([pair]))
        held = sum(t.numel() * t.element_size() for each in known._kept.values() for t in each)
        assert 0 < held == known._bytes <= limit


def test_a_batch_that_does_not_fit_is_halved_and_tried_again(
    checkpoint: Path,
    frames: list[Frame],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real, room = PDCNet.estimate, [1]

    def estimate(net: PDCNet, source: Any, *rest: Any, **more: Any) -> Estimate:
        if len(source.c1) > room[0]:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(net, source, *rest, **more)

    monkeypatch.setattr(PDCNet, "estimate", estimate)
    make = partial(PDCNetEstimator, checkpoint, global_iterations=1, local_iterations=1)
    pairs = [(one, two) for one in frames for two in frames if one is not two][:4]
    small = make(device="cpu", batch=4)
    together = list(small.estimate(pairs))
    assert [flow.target for flow in together] == [two.index for _, two in pairs]
    assert caplog.text.count("short of memory") == 2
    assert "1 pairs at a time" in caplog.text
    for pair, flow in zip(pairs, together, strict=True):
        (alone,) = make(device="cpu").estimate([pair])
        assert np.abs(alone.vectors - flow.vectors).max() < 1e-3
    room[0] = 0
    with pytest.raises(FlowError, match="no room for the flow of one pair of 256x256 px"):
        list(small.estimate(pairs))


def test_an_estimator_says_all_that_changes_its_flow(checkpoint: Path) -> None:
    make = partial(PDCNetEstimator, checkpoint)
    kinds = [
        make(), make(2.0), make(half=True), make(global_iterations=6), make(local_iterations=14),
    ]  # fmt: skip
    assert len({kind.identity for kind in kinds}) == len(kinds)
    assert make(batch=3, device="cpu").identity == make().identity


def test_weights_of_another_network_are_refused(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=r"another network: it lacks pyramid.* and 496 more"):
        list(PDCNetEstimator(path).estimate([(frames[0], frames[1])]))
