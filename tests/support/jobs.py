"""Jobs on small clips, a painter that counts, and what is kept of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from lib_ofgen.errors import PainterError
from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline.run import Job, JobResult, run_job
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image, PromptRow, Repaint, Size, Stage
from lib_ofgen.video.reader import open_video

SIZE = Size(96, 160)
BASE: dict[str, object] = {
    "key_frames": "interval",
    "key_interval": 6,
    "key_agreement": "independent",
    "hole_min": 20,
    "hole_box": 64,
}


def pictures(length: int, seed: int = 3) -> list[Image]:
    """A panning texture, and a block before it that goes the other way and uncovers it."""
    rng = np.random.default_rng(seed)
    wide = cv2.GaussianBlur(rng.normal(0, 1, (SIZE.height, 320, 3)), (0, 0), sigmaX=2)
    wide = cv2.normalize(wide, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)
    block = cv2.normalize(
        cv2.GaussianBlur(rng.normal(0, 1, (40, 36, 3)), (0, 0), sigmaX=1.5),
        None, 0, 255, cv2.NORM_MINMAX,
    ).astype(np.uint8)  # fmt: skip
    shown = []
    for index in range(length):
        image = wide[:, 2 * index : 2 * index + SIZE.width].copy()
        left = 110 - 5 * index
        image[30:70, left : left + 36] = block
        shown.append(image)
    return shown


@dataclass
class Counting(BrushPainter):
    """The brush, and what was asked of it."""

    jobs: list[Repaint] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    fails: bool = False

    @contextlib.contextmanager
    def stage(self, kind: Stage) -> Iterator[None]:
        self.stages.append(f"enter {kind}")
        try:
            yield
        finally:
            self.stages.append(f"leave {kind}")

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        if self.fails and any(job.mask is not None for job in jobs):
            raise PainterError("the painter is out of paint")
        self.jobs += jobs
        return super().paint(jobs)

    @property
    def whole(self) -> list[int]:
        """Frames that were painted whole."""
        return [job.target for job in self.jobs if job.mask is None]

    @property
    def holes(self) -> set[int]:
        """Frames of which a part was painted."""
        return {job.target for job in self.jobs if job.mask is not None}


@dataclass
class Patience:
    """A reporter that says stop after so many steps of a stage."""

    stage: str = ""
    after: int = 0
    heard: int = 0

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        assert 0 < done <= of
        self.heard += phase == self.stage

    def should_stop(self) -> bool:
        return bool(self.stage) and self.heard >= self.after


def run(
    clip: Path,
    folder: Path,
    painter: Counting | None = None,
    reporter: Patience | None = None,
    **changes: object,
) -> JobResult:
    """The film of `clip` at folder/out.mp4, its workspace beside it."""
    output = folder / "out.mp4"
    frames = changes.pop("frames", None)
    settings = Settings().replace({**BASE, **changes})
    job = Job(clip, output, folder / "out.mp4.ofgen", settings, frames=frames)
    return run_job(job, painter or Counting(), reporter or Patience())


def decoded(path: Path) -> list[Image]:
    with open_video(path) as source:
        return [frame.image for frame in source]


def kept(folder: Path, *parts: str) -> dict[str, tuple[int, int]]:
    """Every file that is kept of a job, and when it was written."""
    space = folder / "out.mp4.ofgen"
    files = [path for part in parts for path in (space / part).rglob("[!.]*.*")]
    return {str(p.relative_to(space)): (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def differing(one: Sequence[Image], other: Sequence[Image]) -> list[int]:
    """The frames in which two films differ."""
    assert len(one) == len(other)
    return [i for i, pair in enumerate(zip(one, other, strict=True)) if (pair[0] != pair[1]).any()]


def run_prompted(
    clip: Path,
    folder: Path,
    painter: Counting | None = None,
    rows: Sequence[PromptRow] = (),
    reporter: Patience | None = None,
    frames: Path | None = None,
    models: Sequence[Path] = (),
    **changes: object,
) -> JobResult:
    """The film of `clip` at folder/out.mp4, its workspace beside it."""
    settings = Settings().replace({**BASE, **changes})
    output, space = folder / "out.mp4", folder / "out.mp4.ofgen"
    job = Job(
        clip, output, space, settings, frames=frames, models=tuple(models), prompts=tuple(rows)
    )
    return run_job(job, painter or Counting(), reporter or Patience())
