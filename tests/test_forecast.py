"""What a plan promises: work, time by earlier jobs, room, and what to say beforehand."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline import run
from lib_ofgen.pipeline.run import Job, run_job
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning import estimate
from lib_ofgen.planning.coverage import Gap
from lib_ofgen.planning.estimate import JobTiming, PaintSpeed
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Image, Size
from support.jobs import pictures
from support.videos import make_video, walking

SIZE = Size(48, 80)
STAGES = {"decode": 1, "analyse": 2, "flow": 8, "paint": 20, "fuse": 4, "encode": 1, "measure": 1}


def timing(**seconds: float) -> JobTiming:
    """Of 10 frames, two of them in keys at half strength, one in holes at a quarter."""
    pixels = 10 * 80 * 48
    painted = pixels * (0.2 * 0.5 + 0.1 * 0.25)
    return JobTiming(pixels, {**STAGES, **seconds}, "dis", painted, steps=10)


def foretold(pace: PaintSpeed, frames: int = 10, **changes: Any) -> float | None:
    todo = estimate.Work(frames, SIZE, 0.2 * frames, 0.1 * frames, 3)
    asked = {"flow": "dis", "painter": "a", "steps": 10, "strengths": (0.5, 0.25), **changes}
    return pace.seconds(todo, **asked)


def test_the_same_job_again_takes_the_same_time(tmp_path: Path) -> None:
    pace = PaintSpeed(tmp_path / "pace.json")
    assert foretold(pace) is None
    pace.learn(timing(), "a")
    assert foretold(pace) == pytest.approx(sum(STAGES.values()))
    assert foretold(pace, 20) == pytest.approx(2 * sum(STAGES.values()))
    assert foretold(pace, steps=20) == pytest.approx(sum(STAGES.values()) + 20)


def test_what_was_never_measured_is_not_guessed(tmp_path: Path) -> None:
    pace = PaintSpeed(tmp_path / "pace.json")
    pace.learn(timing(), "a")
    assert foretold(pace, painter="another") is None
    assert foretold(pace, flow="raft") is None
    (tmp_path / "pace.json").write_text("[1]", encoding="utf-8")
    assert foretold(pace) is None


def test_a_slower_job_moves_the_rate_towards_it(tmp_path: Path) -> None:
    pace = PaintSpeed(tmp_path / "pace.json")
    pace.learn(timing(), "a")
    pace.learn(timing(paint=40), "a")
    assert foretold(PaintSpeed(tmp_path / "pace.json")) == pytest.approx(sum(STAGES.values()) + 10)


def test_only_gaps_that_lack_a_hole_are_painted() -> None:
    gaps = [Gap(0, 4, 0.5, 0.5), Gap(4, 9, 0.999, 0.0)]
    todo = estimate.estimate_work(10, SIZE, whole=1, keys=3, gaps=gaps, least=100)
    assert todo.calls == 3 + 3
    assert todo.painted == 1.5 * 48 * 80


@pytest.mark.parametrize(
    ("size", "native", "free", "told"),
    [
        (Size(512, 512), 512, 100, []),
        (Size(272, 640), 512, 100, ["64"]),
        (Size(128, 256), 512, 100, ["small"]),
        (Size(1088, 1920), 512, 100, ["large"]),
        (Size(512, 512), 1024, 100, ["small"]),
        (Size(512, 512), 512, 5, ["disk"]),
    ],
)
def test_what_needs_a_remedy_is_told(size: Size, native: int, free: int, told: list[str]) -> None:
    lines = estimate.list_advice(size, native, free * 10**9, 10 * 10**9)
    assert len(lines) == len(told)
    assert all(word in line for word, line in zip(told, lines, strict=True))


# room on the disk

FRAMES = 12


def _noise(length: int) -> list[Image]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (64, 128, 3), np.uint8) for _ in range(length)]


CLIPS: dict[str, list[Image]] = {
    "noise": _noise(FRAMES),
    "still": walking(1) * FRAMES,
    "black": [np.zeros((64, 128, 3), np.uint8)] * FRAMES,
    "many holes": walking(FRAMES),
    "pan": [one[:64, :128] for one in pictures(FRAMES)],
}


def _taken(folder: Path) -> int:
    """Bytes of the files there now."""
    taken = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            taken += path.stat().st_size if path.is_file() else 0
    return taken


class _Scale:
    """A reporter that weighs the folder at every step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.most = folder, 0

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        self.most = max(self.most, _taken(self.folder))

    def should_stop(self) -> bool:
        return False


@pytest.mark.parametrize(
    "changes",
    [{}, {"key_frames": "interval", "key_interval": 4, "key_agreement": "independent"},
     {"second_pass": 0.3, "deflicker": 0.5}],
    ids=["default", "interval", "passes"],
)  # fmt: skip
@pytest.mark.parametrize("name", CLIPS)
def test_a_job_takes_no_more_room_than_was_told(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    """Nor less than a third of it, its drafts before they are dropped and its film included."""
    told, most = _told_and_taken(tmp_path, CLIPS[name], changes)
    assert most <= told <= 3 * most, (told, most)


@pytest.mark.parametrize("agreement", ["independent", "canvas"])
def test_the_room_for_keys_that_are_kept_as_painted_too_is_told(
    tmp_path: Path, agreement: str
) -> None:
    """Half of the frames are keys, and the frames are large beside the rest of what is kept."""
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (192, 384 + 2 * FRAMES, 3)), (0, 0), sigmaX=1)
    wide = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    shown = [wide[:, 2 * place : 2 * place + 384] for place in range(FRAMES)]
    changes = {"key_frames": "interval", "key_interval": 2, "key_agreement": agreement,
               "track_reach": 0}  # fmt: skip
    told, most = _told_and_taken(tmp_path, shown, changes)
    assert most <= told, (told, most)


def _told_and_taken(
    tmp_path: Path, shown: Sequence[Image], changes: dict[str, Any]
) -> tuple[int, int]:
    """Bytes that a plan tells of a job, and the most that the job takes."""
    clip = make_video(tmp_path / "clip.mp4", shown, options={"crf": "0"})
    settings = Settings().replace({"hole_box": 64, **changes})
    folder = tmp_path / "made"
    workspace, scale = Workspace(folder / "out.ofgen"), _Scale(folder)
    known = run.analyse_source(clip, workspace, settings, scale, Stopwatch())
    gaps = run.estimate_gaps(known, settings, scale)
    whole, size = run.count_whole_frames(known, settings), known.frames.clip.size
    keys = len(known.keys)
    told = estimate.disk_space(
        estimate.estimate_work(FRAMES, size, whole, keys, gaps, settings.hole_min),
        _taken(workspace.folder / "spool"),
        gaps,
        waiting=estimate.count_waiting_drafts(FRAMES, whole, keys, gaps, settings.track_reach),
        matched=run.count_matched_frames(known, settings),
        passes=bool(settings.second_pass) + bool(settings.deflicker),
        quality=settings.quality,
    )
    run_job(Job(clip, folder / "out.mp4", workspace.folder, settings), BrushPainter(), scale)
    scale.step("measure", 1, 1)
    return told, scale.most
