"""Colour and flickering: known pictures, their means in a report, and `evaluate --painted`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lib_ofgen.imaging import metrics
from lib_ofgen.report import facts, wording
from lib_ofgen.report.measures import Flickering, KeyColour, measure
from lib_ofgen.report.model import FrameFacts
from lib_ofgen.values import DraftRecord, Image, Scene, Size
from support.command import Command
from support.reports import make_report
from support.videos import make_video, walking

SIZE = Size(64, 96)


@pytest.fixture
def ofgen(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def flat(level: int, size: Size = SIZE) -> Image:
    return np.full((*size, 3), level, np.uint8)


# colour


def test_colour_is_the_mean_difference_in_levels() -> None:
    assert metrics.colour_difference(flat(100), flat(100)) == 0
    assert metrics.colour_difference(flat(100), flat(103)) == pytest.approx(3)
    assert metrics.colour_difference(flat(103), flat(100)) == pytest.approx(3)
    blue = flat(100)
    blue[..., 2] += 6
    assert metrics.colour_difference(blue, flat(100)) == pytest.approx(2)


def test_colour_counts_areas_and_not_detail() -> None:
    board = flat(100)
    board[::2, ::2] = board[1::2, 1::2] = 140
    assert metrics.colour_difference(board, flat(120)) < 0.01
    wide = Size(128, 256)
    half = flat(100, wide)
    half[:, 128:] = 110
    assert metrics.colour_difference(half, flat(100, wide)) == pytest.approx(5, abs=0.01)


def test_colour_of_opposite_areas_does_not_cancel() -> None:
    wide = Size(128, 256)
    both = flat(110, wide)
    both[:, 128:] = 90
    assert metrics.colour_difference(both, flat(100, wide)) > 9


# flickering


def judgement(widest: int = SIZE.width) -> metrics.Judgement:
    """The right half moves by 0.6 px, the left one by 0.4 px; the top cannot be judged."""
    forward = np.zeros((2, *SIZE), np.float32)
    forward[1, :, :48], forward[0, :, 48:] = 0.4, 0.6
    seen = np.ones(SIZE, np.bool_)
    seen[:16] = False
    return metrics.Judgement(forward, seen, widest)


def test_flickering_is_the_difference_of_static_pixels_in_levels() -> None:
    second = flat(200)
    second[16:, :48] = 104
    assert metrics.flickering((flat(100), second), judgement()) == pytest.approx(4)
    assert metrics.flickering((second, flat(100)), judgement()) == pytest.approx(4)
    second[16:40, :48] = 96
    assert metrics.flickering((flat(100), second), judgement()) == pytest.approx(4)


def test_flickering_is_taken_at_the_size_of_the_judgement() -> None:
    large = Size(2 * SIZE.height, 2 * SIZE.width)
    second = flat(100, large)
    second[::2, ::2], second[1::2, 1::2] = 110, 110
    assert metrics.flickering((flat(100, large), second), judgement()) == pytest.approx(5)


def test_where_everything_moves_there_is_no_flickering() -> None:
    moving = judgement()
    moving.forward[0] = 1
    assert np.isnan(metrics.flickering((flat(100), flat(104)), moving))


def test_a_report_has_flickering_beside_the_sources(rng: np.random.Generator) -> None:
    """The source has noise of one level; the film's brightness also jumps by three levels."""
    still = walking(1)[0].astype(int)
    source = [still + rng.integers(-1, 2, still.shape) for _ in range(5)]
    film = [np.clip(image + 3 * (i % 2), 0, 255).astype(np.uint8) for i, image in enumerate(source)]
    plain = [np.clip(image, 0, 255).astype(np.uint8) for image in source]

    def measured(scenes: Sequence[Scene]) -> Flickering:
        return measure(
            lambda i: plain[i], lambda i: film[i], lambda _: None, scenes, [], lambda *_: None
        ).flickering

    found = measured([Scene(0, 5)])
    assert found.result == pytest.approx(3, abs=0.2)
    assert found.source == pytest.approx(8 / 9, abs=0.1)
    assert measured([Scene(i, i + 1) for i in range(5)]) == Flickering(None, None)


def test_the_colour_of_a_report_is_that_of_the_keys_that_were_compared() -> None:
    def record(colour: float | None) -> DraftRecord:
        return DraftRecord("a", "b", whole=True, coverage=0, share=1, stage="keys", colour=colour)

    assert facts.summarise_colour({0: record(None)}) is None
    made = {0: record(None), 9: record(1.0), 18: record(2.5), 27: record(0.0)}
    assert facts.summarise_colour(made) == KeyColour(1.1667, 2.5, 3)


def test_a_job_ends_with_its_measures_in_words() -> None:
    report = make_report([FrameFacts(i, (), 0.0, 1.0) for i in range(3)], [0, 2], pairs=[0, 1])
    assert wording.report_lines(report) == [
        "warp error  1.89 times the source's own",
        "flickering  0.8 levels where nothing moves; the source 0.7",
        "colour      1.5 levels off on the mean, 3.0 at worst, of 2 key frames",
        "sharpness   1.01 times that of the key frames",
    ]


# evaluate


@pytest.fixture(scope="module")
def real(data: Path) -> Path:
    return data / "clips" / "asl_walk_256.mp4"


def test_evaluate_compares_a_film_with_one_of_which_every_frame_was_painted(
    ofgen: Command, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    part = ("--quiet", "--max-frames", "6", "--set", "width=128")
    for name, keys in (("few.mp4", "interval"), ("every.mp4", "every")):
        words = ("--flow", "dis", "--set", f"key_frames={keys}")
        assert ofgen("animate", real, "-o", name, *part, *words).status == 0

    def evaluate(result: str, *more: str) -> dict[str, dict[str, float]]:
        return json.loads(ofgen("evaluate", real, result, "--json", *part, *more).out)

    alone, found = evaluate("few.mp4"), evaluate("few.mp4", "--painted", "every.mp4")
    every = evaluate("every.mp4", "--painted", "every.mp4")
    assert not {"colour", "over_painted"} & alone.keys()
    assert {name: found[name] for name in alone} == alone
    assert 0 < alone["flickering"]["source"] < every["flickering"]["result"]
    assert 0 < found["colour"]["mean"] < found["colour"]["worst"] < 20
    assert found["colour"]["worst_frame"] in range(1, 6)
    assert every["colour"] == {"mean": 0, "worst": 0, "worst_frame": 0}
    assert every["over_painted"] == {"warp_error": 1, "flickering": 1, "sharpness": 1}
    for name, share in found["over_painted"].items():
        assert share == pytest.approx(found[name]["result"] / every[name]["result"], abs=1e-4)
    assert found["over_painted"]["warp_error"] < 0.8
    said = ofgen("evaluate", real, "few.mp4", *part, "--painted", "every.mp4").out
    colour = found["colour"]
    assert (
        f"colour      {colour['mean']:.1f} levels off on the mean, {colour['worst']:.1f} at worst, "
        f"in frame {colour['worst_frame']}\n"
    ) in said
    assert f"painted     warp error {found['over_painted']['warp_error']:.2f}, flickering" in said


def test_evaluate_finds_the_frame_of_another_colour(ofgen: Command, tmp_path: Path) -> None:
    pictures = walking(4)
    source = make_video(tmp_path / "source.mp4", pictures)
    pictures[2] = np.clip(pictures[2].astype(int) + 12, 0, 255).astype(np.uint8)
    film = make_video(tmp_path / "film.mp4", pictures)
    said = ofgen("evaluate", source, film, "--json", "--quiet", "--painted", source)
    colour = json.loads(said.out)["colour"]
    assert colour["worst_frame"] == 2
    assert colour["worst"] == pytest.approx(12, abs=1.5)
    assert colour["mean"] == pytest.approx(3, abs=1)


@pytest.mark.parametrize(
    ("length", "shape", "told"),
    [
        (3, None, "3 frames of 128x64 and '.*film.mp4' 4 of 128x64"),
        (4, (32, 64), "4 frames of 64x32 and '.*film.mp4' 4 of 128x64"),
    ],
)
def test_evaluate_refuses_a_painted_film_of_another_form(
    ofgen: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    length: int,
    shape: tuple[int, int] | None,
    told: str,
) -> None:
    monkeypatch.setattr(metrics, "judge_pair", None)  # told before anything is measured
    film = make_video(tmp_path / "film.mp4", walking(4))
    other = [image[: shape[0], : shape[1]] if shape else image for image in walking(length)]
    painted = make_video(tmp_path / "painted.mp4", other)
    said = ofgen("evaluate", film, film, "--quiet", "--painted", painted)
    assert said.status == 2
    assert re.search(rf"{told}; give a film .*key_frames=every", said.refusal)


def test_evaluate_refuses_a_painted_film_that_is_not_there(ofgen: Command, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", walking(2))
    said = ofgen("evaluate", film, film, "--quiet", "--painted", tmp_path / "no.mp4")
    assert said.status == 2
    assert "no.mp4" in said.refusal
