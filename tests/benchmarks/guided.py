"""How much steadier guidance makes a clip, and what sharpness that costs.

    python -m tests.benchmarks.guided [CLIP]... [--set key=value]...

Each clip is made twice by the brush with one seed, at most 640 px wide: every frame painted, and
guided by a key frame every 24 frames and the last. Both are judged as `ofgen evaluate` judges;
printed is the second's warp error and sharpness over the first's.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from pathlib import Path

from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline import run as pipeline
from lib_ofgen.report.evaluate import evaluate
from lib_ofgen.report.model import Evaluation
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image
from lib_ofgen.video.reader import open_video

CLIPS = ("mpi_sintel_alley1_f16-25_1024x436.mp4", "asl_walk_256.mp4")
WIDEST = 640
RUNS: dict[str, dict[str, object]] = {
    "every": {"key_frames": "every"},
    "guided": {"key_frames": "interval", "key_interval": 24, "key_last": True},
}


class Silent:
    """A reporter that says nothing and never stops."""

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None: ...

    def should_stop(self) -> bool:
        return False


def _judged(clip: Path, settings: Settings, folder: Path) -> Evaluation:
    """What `ofgen evaluate` says of the film that these settings make."""
    output = folder / "out.mp4"
    job = pipeline.Job(clip, output, folder / "workspace", settings)
    pipeline.run_job(job, BrushPainter(), Silent())
    return evaluate(clip, output, Silent(), sampling={}, cut_threshold=settings.cut_threshold)


def compare(clip: Path, changes: dict[str, object]) -> tuple[float, float]:
    """Guided over every-frame: warp error, sharpness."""
    with open_video(clip) as source:
        width = WIDEST if source.size.width > WIDEST else 0
    found: dict[str, Evaluation] = {}
    for name, run in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings().replace({**run, "width": width, **changes})
            found[name] = _judged(clip, settings, Path(folder))
    guided, every = found["guided"], found["every"]
    return (
        (guided.warp_error.result or 0.0) / (every.warp_error.result or math.nan),
        (guided.sharpness.result or 0.0) / (every.sharpness.result or math.nan),
    )


def main() -> None:
    """Compare each clip, and print a line for it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.guided")
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs")
    options = parser.parse_args()
    changes = Settings.parse(dict(pair.split("=", 1) for pair in options.pairs))
    root = Path(os.environ.get("OFGEN_DATA", "../shared/data"))
    print(f"{'clip':40}{'warp error':>12}{'sharpness':>12}   (guided / every frame painted)")
    for clip in options.clips or [root / "clips" / name for name in CLIPS]:
        steady, sharp = compare(clip, changes)
        print(f"{clip.name:40}{steady:12.3f}{sharp:12.3f}", flush=True)


if __name__ == "__main__":
    main()
