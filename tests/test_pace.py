"""How far a job is, and how long it will still take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep

import pytest

from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline.progress import job_progress
from lib_ofgen.pipeline.progress.job_progress import Pace, RemainingTime
from lib_ofgen.pipeline.run import Job, run_job
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image
from support.videos import make_video, walking

COUNTS = {"key": 4, "draft": 14, "finish": 14}
GUESSES = {"key": 1.0, "draft": 1.0, "finish": 0.1}


def _shares(pace: Pace, seconds: dict[str, float]) -> Iterator[tuple[float, float]]:
    """Seconds passed and the fraction, after each step of keys, then of two gaps."""
    passed = 0.0
    order = ["key"] * 4 + (["draft"] * 7 + ["finish"] * 7) * 2
    for kind in order:
        passed += seconds[kind]
        yield passed, pace.add(kind, 1, 1, seconds[kind])


@pytest.mark.parametrize(
    "seconds",
    [
        {"key": 3.0, "draft": 2.0, "finish": 0.001},
        {"key": 3.0, "draft": 0.02, "finish": 0.2},
        {"key": 0.1, "draft": 6.0, "finish": 0.2},
    ],
)
def test_the_fraction_is_that_of_the_time(seconds: dict[str, float]) -> None:
    told = list(_shares(Pace(COUNTS, GUESSES), seconds))
    whole = told[-1][0]
    assert told[-1][1] == 1
    assert [share for _, share in told] == sorted(share for _, share in told)
    # From the first gap's end on, every kind has been timed.
    assert all(share == pytest.approx(passed / whole, abs=0.1) for passed, share in told[18:])


def test_what_is_found_done_counts_and_says_nothing_of_the_time() -> None:
    found, fresh = Pace(COUNTS, GUESSES), Pace(COUNTS, GUESSES)
    for _ in range(4):
        assert found.add("key", 1, 0, 0) == pytest.approx(fresh.add("key", 1, 1, 5))
    assert found.fraction > 0.2
    assert found.add("draft", 1, 1, 2) == pytest.approx(fresh.add("draft", 1, 1, 5))


def test_steps_done_at_once_share_their_time() -> None:
    one, other = Pace(COUNTS, GUESSES), Pace(COUNTS, GUESSES)
    for _ in range(4):
        one.add("key", 1, 1, 2)
    assert other.add("key", 4, 4, 8) == pytest.approx(one.fraction)
    for seconds in (0, 0, 3, 1):
        one.add("draft", 1, int(seconds > 0), seconds)
    assert other.add("draft", 4, 2, 4) == pytest.approx(one.fraction)


def test_a_step_that_takes_long_takes_nothing_back() -> None:
    pace = Pace({"draft": 4, "finish": 4}, {"draft": 1.0, "finish": 1.0})
    before = [pace.add("draft", 1, 1, 1), pace.add("finish", 1, 1, 1)]
    assert pace.add("finish", 1, 1, 1) > before[-1]
    high = pace.fraction
    assert pace.add("draft", 1, 1, 0.001) >= high
    assert pace.add("draft", 1, 1, 90) >= high


def test_what_was_found_done_says_nothing_of_what_is_left() -> None:
    remaining = RemainingTime(100.0)
    assert remaining.seconds() is None
    for step in range(1, 51):  # a job that goes on finds its first half at once
        remaining.add(100 + 0.001 * step, 0.01 * step)
    assert remaining.seconds() is None
    remaining.add(101.05, 0.51)
    assert remaining.seconds() is None, "too little to tell"
    for second in range(1, 20):
        remaining.add(101.05 + second, 0.51 + 0.01 * second)
        assert remaining.seconds() == pytest.approx(49 - second)
    remaining.add(200.0, 1.0)
    assert remaining.seconds() == 0


def test_a_steady_job_is_told_what_is_left_from_the_first_step() -> None:
    remaining = RemainingTime(0.0)
    for second in range(1, 50):
        remaining.add(float(second), second / 50)
        assert remaining.seconds() == pytest.approx(50 - second, rel=0.01)
        remaining.add(second + 0.001, second / 50)  # the same step told twice
        assert remaining.seconds() == pytest.approx(50 - second, rel=0.01)


class _Listener:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        self.told.append((phase, done, of))

    def should_stop(self) -> bool:
        return False


def test_a_whole_job_only_goes_forward_and_has_words_for_each_stage(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", walking(8))
    settings = Settings().replace({"hole_box": 64})
    listener = _Listener()
    run_job(
        Job(clip, tmp_path / "out.mp4", tmp_path / "out.ofgen", settings), BrushPainter(), listener
    )
    phases = list(dict.fromkeys(phase for phase, _, _ in listener.told))
    assert phases == ["decode", "analyse", "keys", "paint", "measure"]
    shares = [job_progress.fraction(*told) for told in listener.told]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert all(job_progress.words(phase) != phase for phase in [*phases, "tag"])


def test_what_is_no_stage_stands_for_itself() -> None:
    assert job_progress.words("starting") == "starting"


def test_a_phase_inside_itself_counts_once() -> None:
    stopwatch, begun = Stopwatch(), perf_counter()
    with stopwatch("flow"), stopwatch("flow"):
        sleep(0.02)
    assert 0.02 <= stopwatch.seconds["flow"] <= perf_counter() - begun
    with stopwatch("flow"):
        pass
    assert stopwatch.rendering == stopwatch.seconds["flow"]
