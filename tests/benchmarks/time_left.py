"""The time that jobs were told to take still, held against the time that they took.

    python -m tests.benchmarks.time_left CLIP... [--slow 1.0] [--mask FILE] [--set key=value]
    python -m tests.benchmarks.time_left --replay TRACE...

A line a job: the worst and the median error of what was told, in parts of what was left, from a
fifth of the way on until a twentieth of the job is left, and for which share of the steps it was
within 30 %. `--slow` is how many seconds the painter takes for a whole frame; a region takes its
share of three quarters of that. Times are CPU seconds, so that other programs on the machine do
not count, and nobody sleeps. `--traces FOLDER` keeps what happened, as JSON; `--replay` tries the
estimator of today on that, with what was known when it was recorded.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline import run, stage_options, stopwatch
from lib_ofgen.pipeline.progress import job_progress, render_progress
from lib_ofgen.pipeline.rendering.propagation import DraftProgress
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image, Repaint

Trace = dict[str, Any]
"""What happened in a job, and when, in seconds since its beginning.

`ahead`: what was known before frames were made; `before`, `after`: (when, phase, done, of), as a
reporter hears before and after that; `made`: (when, seconds of paint, of other making, step), where
a step is (frames, made) of drafts or the index of a finished frame; `whole`: the end.
"""
FROM, UNTIL = 0.2, 0.95
"""Shares of the job between which what is told is judged."""
RIGHT = 0.3
"""By how much what is told may be wrong, of what is left."""


class Clock:
    """CPU seconds of the thread that asks, and what the painter is said to have slept."""

    slept = 0.0

    def __call__(self) -> float:
        return time.thread_time() + self.slept


class _Slow(BrushPainter):
    """The brush, which takes as long as a model."""

    def __init__(self, seconds: float, area: int, clock: Clock) -> None:
        super().__init__()
        self._each, self._area, self._clock = seconds, area, clock

    def paint(self, jobs: list[Repaint]) -> list[Image]:
        areas = [job.image.shape[0] * job.image.shape[1] for job in jobs]
        self._clock.slept += self._each * sum(0.25 + 0.75 * area / self._area for area in areas)
        return super().paint(jobs)


class _Listener:
    """A reporter that writes down what it hears, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._begun = clock, clock()
        self.heard: list[tuple[float, str, int, int]] = []

    def now(self) -> float:
        return round(self._clock() - self._begun, 3)

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        self.heard.append((self.now(), phase, done, of))

    def should_stop(self) -> bool:
        return False


def record(clip: Path, settings: Settings, slow: float, mask: Path | None) -> Trace:
    """A job in a workspace of its own, in this process."""
    clock = Clock()
    stopwatch.perf_counter = clock  # the stopwatch's
    cv2.setNumThreads(1)
    with stage_options.open_source(clip, settings) as video:
        area = video.size.height * video.size.width
    listener, made, known = _Listener(clock), list[Any](), list[render_progress.ExpectedWork]()
    genuine = render_progress.measure_progress

    def watched(order: Any, ahead: render_progress.ExpectedWork, watch: Stopwatch) -> Iterator[Any]:
        known.append(ahead)

        def noted() -> Iterator[Any]:
            for step in order:
                paint = watch.seconds["paint"]
                made.append((listener.now(), paint, watch.rendering - paint, step))
                yield step

        return genuine(noted(), ahead, watch)

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.mp4")
        job = run.Job(clip, output, output.with_suffix(".ofgen"), settings, mask=mask)
        render_progress.measure_progress = watched
        try:
            run.run_job(job, _Slow(slow, area, clock), listener)
        finally:
            render_progress.measure_progress = genuine
    heard = [one for one in listener.heard if one[1] != "paint"]
    return {
        "ahead": dataclasses.asdict(known[0]) | {"whole": sorted(known[0].whole)},
        "before": [one for one in heard if one[0] <= made[0][0]],
        "made": made,
        "after": [one for one in heard if one[0] > made[0][0]],
        "whole": listener.now(),
    }


def replayed(trace: Trace) -> Iterator[tuple[float, float | None]]:
    """Seconds since the beginning, and what is told to be left, at each step from painting on."""
    ahead, watch, remaining, now = trace["ahead"], Stopwatch(), job_progress.RemainingTime(0.0), 0.0
    for at, phase, done, of in trace["before"]:
        remaining.add(at, job_progress.fraction(phase, done, of))
    drafts = tuple(render_progress.ExpectedDraft(*draft) for draft in ahead["drafts"])
    known = render_progress.ExpectedWork(
        **{**ahead, "whole": frozenset(ahead["whole"]), "drafts": drafts}
    )

    def order() -> Iterator[int | DraftProgress]:
        nonlocal now
        for at, paint, rest, step in trace["made"]:
            now, watch.seconds["paint"], watch.seconds["fuse"] = at, paint, rest
            yield step if isinstance(step, int) else DraftProgress(*step)

    length = known.length
    for _, share in render_progress.measure_progress(order(), known, watch):
        remaining.add(now, job_progress.fraction("paint", max(1, round(share * length)), length))
        yield now, remaining.seconds()
    for at, phase, done, of in trace["after"]:
        remaining.add(at, job_progress.fraction(phase, done, of))
        yield at, remaining.seconds()


def _line(name: str, trace: Trace) -> str:
    """How well a job was told."""
    whole = trace["whole"]
    judged = [one for one in replayed(trace) if FROM * whole <= one[0] <= UNTIL * whole]
    errors = [left / (whole - now) - 1 for now, left in judged if left is not None]
    if not errors:
        return f"{name:30}{whole:8.1f} s  nothing was told"
    right = sum(abs(error) <= RIGHT for error in errors) / len(errors)
    median = statistics.median(map(abs, errors))
    return (
        f"{name:30}{whole:8.1f} s  worst {min(errors):+5.0%} {max(errors):+5.0%}  "
        f"median {median:4.0%}  within {RIGHT:.0%}: {right:4.0%} of {len(errors)} steps, "
        f"{len(judged) - len(errors)} told nothing"
    )


def main() -> None:
    """Make a job of each clip, or read what was recorded, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.time_left")
    parser.add_argument("paths", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--slow", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs")
    parser.add_argument("--traces", type=Path, metavar="FOLDER")
    parser.add_argument("--replay", action="store_true", help="the paths are traces")
    options = parser.parse_args()
    settings = Settings().replace(Settings.parse(dict(p.split("=", 1) for p in options.pairs)))
    for path in options.paths:
        if options.replay:
            trace = json.loads(path.read_text())
        else:
            trace = record(path, settings, options.slow, options.mask)
        if options.traces:
            (options.traces / f"{path.stem}.json").write_text(json.dumps(trace))
        print(_line(path.stem, trace), flush=True)


if __name__ == "__main__":
    main()
