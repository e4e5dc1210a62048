"""What a job will need: calls of the painter, seconds, and disk space.

Seconds are estimated from earlier jobs on this machine, by a rate for each kind of work.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lib_ofgen.planning.coverage import Gap
from lib_ofgen.store.workspace import write_whole
from lib_ofgen.system import sealed_json
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import Size

__all__ = [
    "JobTiming",
    "PaintSpeed",
    "Work",
    "count_waiting_drafts",
    "disk_space",
    "estimate_work",
    "list_advice",
]

_NEWEST_SHARE = 0.5
"""0..1: share of the newest job in a rate."""
_DRAFT_BYTES = 13
"""Bytes per pixel of a draft: two places with their weights."""
_HOLES_FACTOR = 1.4
"""A draft that is all holes has 1 + this as many bytes: many frames supply it."""
_PAINT_BYTES = 4
"""Bytes per pixel of paint, or of a picture that does not compress."""
_FRAME_BYTES = 3
"""Bytes per pixel of a finished frame."""
_FILM_BYTES = 0.5
"""Bytes per pixel of a film at the default quality; doubled for every six steps below it."""
_FACTS_BYTES = 5_000
"""Bytes that are stored of a frame beside its pictures."""
_PAGE = (85_000, 0.6, 24)
"""Of a report's page: its bytes, bytes per pixel of its pictures, and most pictures."""
_PAGE_PICTURE = 360 * 360
"""Most pixels of such a picture."""
_MAX_FILE_BYTES = 1 << 20
"""Most bytes that are read of the file of rates."""
_RATE = sealed_json.number(0, 1)
"""Shape of a rate in seconds per pixel; a higher one was never measured."""
_STAGES = ("decode", "analyse", "fuse", "encode", "measure")
"""Kinds of work whose time depends only on the number of pixels of the film."""
_SIZE_FACTOR = 2.6
"""A model paints badly with more than so many times more or fewer pixels than its own size."""


class Work(NamedTuple):
    """What a job has to do."""

    frames: int
    size: Size
    whole: float
    """Number of frames that are painted whole."""
    holes: float
    """Area of holes, in frames."""
    calls: int
    """Most calls of the painter."""

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return self.frames * self.size.height * self.size.width

    @property
    def painted(self) -> float:
        """Number of pixels that are painted."""
        return (self.whole + self.holes) * self.size.height * self.size.width


class JobTiming(NamedTuple):
    """What a finished job took."""

    pixels: int
    """Pixels of all frames."""
    seconds: Mapping[str, float]
    """Seconds of each kind of work; see `Report.seconds`."""
    flow: str
    """Name of the flow estimator."""
    painted: float
    """Painted pixels, each times the strength (0..1) with which it was painted."""
    steps: int
    """Steps of the sampler."""


def estimate_work(
    frames: int, size: Size, whole: int, keys: int, gaps: Sequence[Gap], least: int
) -> Work:
    """Estimate the work of a plan.

    Args:
        frames: number of frames.
        size: their size.
        whole: number of key frames that are painted whole.
        keys: number of key frames.
        gaps: the gaps between them. A gap whose worst frame lacks less than the smallest hole
            needs no call of the painter; in other gaps each frame may need one.
        least: px of the smallest hole that is painted.
    """
    area = size.height * size.width
    between = sum(
        gap.stop - gap.start - 1 for gap in gaps if (1 - gap.coverage) * area >= max(1, least)
    )
    calls = min(frames, keys + between)
    return Work(frames, size, whole, sum(gap.holes for gap in gaps), calls)


def disk_space(
    todo: Work,
    spool: int,
    gaps: Sequence[Gap],
    *,
    waiting: int,
    matched: int,
    passes: int = 0,
    quality: int = 18,
) -> int:
    """Estimate the most bytes that the workspace and the film of a job take on the disk.

    Args:
        todo: the work of the job.
        spool: bytes of the source's frames in the workspace.
        gaps: the gaps between key frames.
        waiting: number of frames that are drafted before the first of them is finished.
        matched: number of key frames that are kept both as painted and with matched colours.
        passes: number of passes over finished frames.
        quality: CRF of x264; a lower one gives a larger film.
    """
    area = todo.size.height * todo.size.width
    frames = (1 + passes) * _FRAME_BYTES * todo.pixels
    lacking = [((gap.stop - gap.start - 1), 1 - gap.coverage) for gap in gaps]
    painted = _PAINT_BYTES * area * sum(between * share for between, share in lacking)
    draft = _DRAFT_BYTES * (1 + _HOLES_FACTOR * max((share for _, share in lacking), default=0.0))
    film = min(_PAINT_BYTES, _FILM_BYTES * 2 ** max(0.0, (18 - quality) / 6)) * todo.pixels
    page, each, most = _PAGE
    shown = page + each * min(area, _PAGE_PICTURE) * (most + min(most, todo.calls))
    waiting = min(waiting, todo.frames)
    drafts = draft * area * waiting + frames * (1 - waiting / todo.frames)
    kept = spool + painted + _FRAME_BYTES * area * matched + _FACTS_BYTES * todo.frames
    return math.ceil(kept + max(drafts, frames + shown) + film)


def count_waiting_drafts(
    frames: int, whole: int, keys: int, gaps: Sequence[Gap], reach: int
) -> int:
    """Return the most frames that are drafted before the first of them is finished.

    Key frames that take pixels from others wait for the gaps around them. `reach` is the number of
    frames on each side that a frame is stabilised by.
    """
    longest = max((gap.stop - gap.start - 1 for gap in gaps), default=0)
    return min(frames, max(0, keys - whole) + longest + 2 * reach)


class PaintSpeed:
    """Rates of earlier jobs, in seconds per pixel, stored as a small JSON file."""

    def __init__(self, path: Path) -> None:
        """Use the file `path`, which may be missing."""
        self._path = path

    def learn(self, timing: JobTiming, painter: str) -> None:
        """Add what a job took; `painter` names the painter.

        The job must have found nothing that was finished before.
        """
        known = self._read()
        for name, rate in _rates(timing, painter).items():
            before = known.get(name, rate)
            known[name] = before + _NEWEST_SHARE * (rate - before)
        write_whole(self._path, json.dumps(known, indent=1, sort_keys=True).encode())

    def seconds(
        self, todo: Work, *, flow: str, painter: str, steps: int, strengths: tuple[float, float]
    ) -> float | None:
        """Estimate the seconds of the work; None if a part of it was never measured here.

        `strengths` (0..1) are those of key frames and of holes.
        """
        known = self._read()
        wanted = {name: float(todo.pixels) for name in (*_STAGES, f"flow {flow}")}
        frames = todo.whole * strengths[0] + todo.holes * strengths[1]
        wanted[f"paint {painter}"] = frames * todo.size.height * todo.size.width * steps
        if any(name not in known for name, amount in wanted.items() if amount):
            return None
        return sum(known[name] * amount for name, amount in wanted.items() if amount)

    def _read(self) -> dict[str, float]:
        """Return the valid rates of the file, which may be missing or not ours."""
        try:
            with regular_file(self._path) as file:
                found = json.loads(file.read(_MAX_FILE_BYTES).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        known = found.items() if isinstance(found, dict) else ()
        return {name: float(rate) for name, rate in known if _RATE(rate)}


def _rates(timing: JobTiming, painter: str) -> dict[str, float]:
    """Seconds per pixel by kind of work; of paint, per pixel and step of the sampler."""
    seconds = timing.seconds
    rates = {name: seconds[name] / timing.pixels for name in _STAGES}
    rates[f"flow {timing.flow}"] = seconds["flow"] / timing.pixels
    if timing.painted:
        rates[f"paint {painter}"] = seconds["paint"] / (timing.painted * timing.steps)
    return rates


def list_advice(size: Size, native: int, free: int, needed: int) -> list[str]:
    """Return what a user should know before painting: one line each, with the remedy.

    `native` is the side in px of the square pictures that the model was trained on; `free` and
    `needed` are bytes on the disk.
    """
    lines: list[str] = []
    area = size.height * size.width
    if not native**2 / _SIZE_FACTOR <= area <= native**2 * _SIZE_FACTOR:
        kind = "small" if area < native**2 else "large"
        better = math.sqrt(native**2 / area)
        width, height = (max(8, round(side * better / 64) * 64) for side in reversed(size))
        lines.append(
            f"{size} is {kind} for a model made for {native}x{native}; a width of {width} and a "
            f"height of {height} would suit it"
        )
    if size.height % 64 or size.width % 64:
        lines.append(
            f"{size} is not a multiple of 64 on both sides; some models leave a seam at the edge, "
            "so crop or pad to multiples of 64 if you see one"
        )
    if needed > free:
        lines.append(
            f"the disk has {free / 1e9:.1f} GB free and about {needed / 1e9:.1f} GB are needed; "
            "delete earlier jobs, or take a smaller size or fewer frames"
        )
    return lines
