"""Seconds per frame by stage, and peak memory, of the main job on a clip.

    python -m tests.benchmarks.pipeline CLIP [--key-frames interval] [--set key=value] [--loop 10]

Each run is a process of its own, held to one core where the system can, with OpenCV's threads off.
Times are CPU seconds, so that other programs on the machine do not count. The clip looped is
measured for its peak memory, which must not grow with the clip's length.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline import run, stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Frame, Image
from lib_ofgen.video.reader import open_video
from lib_ofgen.video.writer import write_video

STAGES = ("decode", "analyse", "flow", "fuse", "paint", "encode", "measure")


class _Silent:
    """A reporter that says nothing and never stops."""

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None: ...

    def should_stop(self) -> bool:
        return False


def _measure(clip: Path, settings: Settings) -> dict[str, Any]:
    """CPU seconds by stage, frames and peak memory (MiB) of one job in this process."""
    import resource

    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # the stopwatch's clock: CPU time of its own thread
    stopwatch.perf_counter = time.thread_time
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out.mp4")
        job = run.Job(clip, output, output.with_suffix(".ofgen"), settings)
        begun = time.process_time()
        facts = run.run_job(job, BrushPainter(), _Silent()).facts
        total = time.process_time() - begun
    # Kilobytes on Linux; macOS counts bytes.
    unit = 1 << (20 if sys.platform == "darwin" else 10)
    return {
        "frames": facts.clip.frames,
        "size": str(facts.clip.size),
        "keys": len(facts.keys),
        "seconds": {**facts.seconds, "total": total},
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
    }


def _looped(clip: Path, path: Path, times: int) -> None:
    """The clip, `times` times over, without sound."""
    with open_video(clip) as source:
        for _ in source:
            pass
        once = source.clip
    ticks = tuple(tick + turn * once.end for turn in range(times) for tick in once.ticks)
    whole = dataclasses.replace(once, ticks=ticks, end=once.end * times, sound=None)
    with write_video(path, whole) as sink:
        for turn in range(times):
            with open_video(clip) as source:
                for frame in source:
                    sink.write(Frame(frame.index + turn * once.length, frame.image))


def _child(clip: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What a fresh process measures."""
    command = [sys.executable, "-m", "tests.benchmarks.pipeline", str(clip), "--measure"]
    done = subprocess.run(
        [*command, json.dumps(settings)], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _rest(found: dict[str, Any]) -> float:
    """Milliseconds per frame of all but painting and flow."""
    seconds = found["seconds"]
    return 1000 / found["frames"] * (seconds["total"] - seconds["flow"] - seconds["paint"])


def _table(found: dict[str, Any]) -> None:
    """Milliseconds per frame by stage."""
    each = 1000 / found["frames"]
    spent = {stage: each * found["seconds"].get(stage, 0.0) for stage in STAGES}
    total = each * found["seconds"]["total"]
    print(f"{found['frames']} frames of {found['size']}, {found['keys']} keys; one core, CPU time")
    for stage, value in spent.items():
        print(f"{stage:28}{value:9.1f} ms a frame")
    print(f"{'other':28}{total - sum(spent.values()):9.1f} ms a frame")
    print(f"{'total':28}{total:9.1f} ms a frame")
    print(f"{'all but painting and flow':28}{_rest(found):9.1f} ms a frame")


def main() -> None:
    """Measure the clip once, and looped, and print both."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.pipeline")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--key-frames", default="interval")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs")
    parser.add_argument("--loop", type=int, default=10, help="0: only the clip as it is")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measure(options.clip, Settings().replace(json.loads(options.measure)))))
        return
    said = {"key_frames": options.key_frames, **dict(pair.split("=", 1) for pair in options.pairs)}
    settings = Settings().replace(Settings.parse(said)).differences()
    once = _child(options.clip, settings)
    _table(once)
    print(f"{'peak memory':28}{once['memory']:9.1f} MiB")
    if options.loop:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "looped.mp4")
            _looped(options.clip, path, options.loop)
            more = _child(path, settings)
        print(f"looped {options.loop} times, so that what a job costs but once counts less:")
        print(f"{'all but painting and flow':28}{_rest(more):9.1f} ms a frame")
        print(f"{'peak memory':28}{more['memory']:9.1f} MiB")
        print(f"{'ratio':28}{more['memory'] / once['memory']:9.3f}")


if __name__ == "__main__":
    main()
