"""What is told of the time that a job still takes, held against the time that it takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.time_left import Clock, replayed
from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline import stopwatch
from lib_ofgen.pipeline.progress import job_progress, render_progress
from lib_ofgen.pipeline.progress.job_progress import RemainingTime
from lib_ofgen.pipeline.progress.render_progress import ExpectedWork
from lib_ofgen.pipeline.rendering.propagation import DraftProgress
from lib_ofgen.pipeline.run import Job, run_job
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image, Repaint, Step
from support.videos import make_video, walking

PIXELS = 512 * 512
SURVEY, GAP = 6.0, 10


@dataclass(frozen=True)
class Story:
    """How long each step of a job takes, in seconds; a gap's first frames are painted."""

    keys: int
    key: float
    drafts: int
    draft: float
    painted: int
    """Of the ten frames of a gap."""
    hole: float
    finish: float
    measure: float
    missing: float
    """What holes take of the frames between keys, as a survey finds it."""


STORIES = {
    "dear key frames, then cheap frames": Story(6, 8, 60, 0.5, 0, 0, 0.2, 3, 0.0),
    "cheap key frames, then dear frames": Story(6, 0.3, 60, 0.6, 10, 4.5, 0.2, 3, 0.6),
    "a checkpoint on a graphics card": Story(5, 3, 80, 0.6, 4, 3, 0.25, 4, 0.002),
    "a checkpoint on a processor": Story(5, 60, 40, 0.6, 9, 60, 0.25, 4, 0.3),
    "the brush": Story(4, 0.1, 60, 0.6, 8, 0.06, 0.2, 6, 0.2),
    "nothing but key frames": Story(40, 5, 0, 0, 0, 0, 0, 4, 0.0),
}


def _ahead(story: Story) -> ExpectedWork:
    """What is known of it before: gaps of ten frames, halved again and again."""
    steps: list[tuple[int, list[Step]]] = []
    for place in range(story.drafts):
        depth = (place % GAP + 1).bit_length() - 1
        # the keys around it, the frames above it and three earlier keys
        sources = tuple(range(2 + depth + 3))
        shares = (0.5, 0.5, *[0.0] * (depth + 3))
        steps.append((depth, [Step(story.keys + place, sources, shares)]))
    missing = {step.target: story.missing for _, (step,) in steps}
    expected = tuple(
        render_progress.expect_drafts(steps, missing, Settings().hole_min / PIXELS, at_once=8)
    )
    whole = frozenset(range(story.keys))
    return ExpectedWork(story.keys + story.drafts, PIXELS, story.keys, whole, expected, 1.0, 24)


def told(story: Story) -> Iterator[tuple[float, float | None]]:
    """Seconds since the beginning, and what is told to be left, at each step."""
    watch, remaining, now = Stopwatch(), RemainingTime(0.0), SURVEY
    length = story.keys + story.drafts
    remaining.add(now, job_progress.fraction("keys", 1, 1))
    ahead = _ahead(story)

    def step(paint: float, rest: float) -> None:
        nonlocal now
        watch.seconds["paint"] += paint
        watch.seconds["fuse"] += rest
        now += paint + rest

    def order() -> Iterator[int | DraftProgress]:
        for _ in range(story.keys):
            step(story.key, 0)
            yield DraftProgress(1, 1)
        for start in range(0, story.drafts, GAP):
            for place in range(GAP):
                step(story.hole if place < story.painted else 0, story.draft)
                yield DraftProgress(1, 1)
            for place in range(GAP):
                step(0, story.finish)
                yield story.keys + start + place

    for _, share in render_progress.measure_progress(order(), ahead, watch):
        remaining.add(now, job_progress.fraction("paint", max(1, round(share * length)), length))
        yield now, remaining.seconds()
    for pair in range(1, 11):
        now += story.measure / 10
        remaining.add(now, job_progress.fraction("measure", pair, 10))
        yield now, remaining.seconds()


@pytest.mark.parametrize("name", STORIES)
def test_what_is_left_is_told_from_a_fifth_of_the_way_on(name: str) -> None:
    """Within 30 % of what is left, or a twentieth of the whole where that is more."""
    steps = list(told(STORIES[name]))
    whole = steps[-1][0]
    wrong = [
        (round(now / whole, 2), left, whole - now)
        for now, left in steps
        if now >= 0.2 * whole
        and (left is None or abs(left - (whole - now)) > 0.3 * (whole - now) + 0.05 * whole)
    ]
    assert wrong == []


class _Slow(BrushPainter):
    """A painter that takes its time, whatever it paints."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def paint(self, jobs: list[Repaint]) -> list[Image]:
        self._clock.slept += 0.15 * len(jobs)
        return super().paint(jobs)


class _Listener:
    """A reporter that tells the time that is left, as the tab does."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.remaining = RemainingTime(clock())
        self.told: list[tuple[float, float | None]] = []

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        now = self.clock()
        self.remaining.add(now, job_progress.fraction(phase, done, of))
        if phase in ("paint", "measure"):
            self.told.append((now, self.remaining.seconds()))

    def should_stop(self) -> bool:
        return False


def test_a_real_job_tells_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_video(tmp_path / "clip.mp4", walking(30))
    settings = Settings().replace({"hole_box": 64, "key_frames": "interval", "key_interval": 10})
    clock = Clock()
    monkeypatch.setattr(stopwatch, "perf_counter", clock)
    job, listener = Job(clip, tmp_path / "o.mp4", tmp_path / "o.ofgen", settings), _Listener(clock)
    begun = clock()
    run_job(job, _Slow(clock), listener)
    whole = clock() - begun
    for part in (0.25, 0.5):
        now, left = next(one for one in listener.told if one[0] - begun >= part * whole)
        really = begun + whole - now
        assert left == pytest.approx(really, abs=0.3 * really + 0.07 * whole), part


JOBS = json.loads((Path(__file__).parent / "data" / "jobs.json").read_text())
"""Real jobs as `tests.benchmarks.time_left` records them."""


TOO_HIGH = {"a car, a second a frame": 1.0, "a film at 512 px, three seconds a frame": 0.45}
"""Jobs of which more is told, and by how much: fewer frames have holes at their end than the survey
of the clip said."""


@pytest.mark.parametrize("name", JOBS)
def test_jobs_that_were_made_tell_what_is_left(name: str) -> None:
    """Within 30 % of what is left, or a twentieth of the whole where that is more; see `TOO_HIGH`.

    With the brush, painting may begin as late as that: its first fiftieth tells nothing yet.
    """
    steps, whole = list(replayed(JOBS[name])), JOBS[name]["whole"]
    begin = max(0.2 * whole, JOBS[name]["before"][-1][0] + 0.02 * whole)
    late = [(now, left, whole - now) for now, left in steps if now >= begin]
    wrong = [
        (round(now / whole, 2), left, really)
        for now, left, really in late
        if left is None
        or really - left > 0.3 * really + 0.05 * whole
        or left - really > TOO_HIGH.get(name, 0.3) * really + 0.05 * whole
    ]
    assert len(late) > 30
    assert wrong == []
