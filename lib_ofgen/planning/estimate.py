"""What a job will take: calls of the painter, seconds on this machine, room on the disk.

Seconds follow from the jobs that this machine has done before, a rate for each stage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lib_ofgen.planning.coverage import Gap
from lib_ofgen.store.workspace import write_whole
from lib_ofgen.system import sealed_json
from lib_ofgen.system.regular_file import regular_file
from lib_ofgen.values import Size

__all__ = ["PaintSpeed", "Work", "advice", "drafts_in_memory", "room", "work"]

_NEWS = 0.5
"""Share of the newest job in a rate."""
_DRAFT = 13
"""Bytes a pixel of a draft: two places with their weights."""
_HOLED = 1.4
"""Times as many more in a draft that is all holes: these are lent by many frames."""
_PAINT = 4
"""Bytes a pixel of paint, or of a picture that does not pack at all."""
_FRAME = 3
"""Bytes a pixel of a finished frame."""
_FILM = 0.5
"""Bytes a pixel of a film at the default quality; as many again for each six steps below it."""
_FACTS = 5_000
"""Bytes that are kept of a frame beside its pictures."""
_PAGE = (85_000, 0.6, 24)
"""Bytes of a report's page, those a pixel of its pictures, and how many of these it has at most."""
_SHOWN = 360 * 360
"""px of such a picture, at most."""
_LARGEST = 1 << 20
"""Bytes of the file of paces that are read."""
_RATE = sealed_json.number(0, 1)
"""Seconds per pixel; what is slower was never measured."""
_STAGES = ("decode", "analyse", "fuse", "encode", "measure")
"""Stages whose time goes by the film's pixels alone."""
_FAR = 2.6
"""How many times more or fewer pixels than the model's own size take it out of its ground."""


class Work(NamedTuple):
    """What there is to do."""

    frames: int
    size: Size
    whole: float
    """Frames painted whole."""
    holes: float
    """Hole area, in frames."""
    calls: int
    """Calls of the painter, at most."""

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.frames * self.size.height * self.size.width

    @property
    def painted(self) -> float:
        """Pixels to be painted."""
        return (self.whole + self.holes) * self.size.height * self.size.width


def work(frames: int, size: Size, whole: int, keys: int, gaps: Sequence[Gap], least: int) -> Work:
    """The work of a plan: `whole` of `keys` are painted whole, holes of `least` px and up.

    A gap whose worst frame lacks less than a hole needs no call; of another each frame may.
    """
    area = size.height * size.width
    between = sum(
        gap.stop - gap.start - 1 for gap in gaps if (1 - gap.coverage) * area >= max(1, least)
    )
    calls = min(frames, keys + between)
    return Work(frames, size, whole, sum(gap.holes for gap in gaps), calls)


def room(
    todo: Work,
    spool: int,
    gaps: Sequence[Gap],
    *,
    waiting: int,
    passes: int = 0,
    quality: int = 18,
) -> int:
    """Bytes that a job takes on the disk at its peak: its workspace and its film.

    `spool` are the bytes of its source's frames, `waiting` is how many frames are drafted before
    the first of them is finished, `passes` how often finished frames are worked over, and `quality`
    the film's, as x264 counts it.
    """
    area = todo.size.height * todo.size.width
    frames = (1 + passes) * _FRAME * todo.pixels
    lacking = [((gap.stop - gap.start - 1), 1 - gap.coverage) for gap in gaps]
    painted = _PAINT * area * sum(between * share for between, share in lacking)
    draft = _DRAFT * (1 + _HOLED * max((share for _, share in lacking), default=0.0))
    film = min(_PAINT, _FILM * 2 ** max(0.0, (18 - quality) / 6)) * todo.pixels
    page, each, most = _PAGE
    shown = page + each * min(area, _SHOWN) * (most + min(most, todo.calls))
    waiting = min(waiting, todo.frames)
    drafts = draft * area * waiting + frames * (1 - waiting / todo.frames)
    kept = spool + painted + _FACTS * todo.frames
    return math.ceil(kept + max(drafts, frames + shown) + film)


def drafts_in_memory(frames: int, whole: int, keys: int, gaps: Sequence[Gap], reach: int) -> int:
    """How many frames are drafted, at most, before the first of them is finished.

    Key frames that are moved there from others wait for the gaps around them; `reach` is the number
    of frames on each side that steady a frame.
    """
    longest = max((gap.stop - gap.start - 1 for gap in gaps), default=0)
    return min(frames, max(0, keys - whole) + longest + 2 * reach)


class PaintSpeed:
    """Seconds that the stages took before, kept as a small JSON file."""

    def __init__(self, path: Path) -> None:
        """The file need not be there."""
        self._path = path

    def learn(self, facts: Mapping[str, Any], painter: str) -> None:
        """Take in a report of a job that found nothing done before; `painter` names who painted."""
        known = self._read()
        for name, rate in _rates(facts, painter).items():
            before = known.get(name, rate)
            known[name] = before + _NEWS * (rate - before)
        write_whole(self._path, json.dumps(known, indent=1, sort_keys=True).encode())

    def seconds(
        self, todo: Work, *, flow: str, painter: str, steps: int, strengths: tuple[float, float]
    ) -> float | None:
        """How long the work will take; None where a stage of it was never measured here.

        `strengths` are those of key frames and of holes.
        """
        known = self._read()
        wanted = {name: float(todo.pixels) for name in (*_STAGES, f"flow {flow}")}
        frames = todo.whole * strengths[0] + todo.holes * strengths[1]
        wanted[f"paint {painter}"] = frames * todo.size.height * todo.size.width * steps
        if any(name not in known for name, amount in wanted.items() if amount):
            return None
        return sum(known[name] * amount for name, amount in wanted.items() if amount)

    def _read(self) -> dict[str, float]:
        """The rates that are some: the file may be missing, or anybody's."""
        try:
            with regular_file(self._path) as file:
                found = json.loads(file.read(_LARGEST).decode("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        known = found.items() if isinstance(found, dict) else ()
        return {name: float(rate) for name, rate in known if _RATE(rate)}


def _rates(facts: Mapping[str, Any], painter: str) -> dict[str, float]:
    """Seconds per pixel by stage; of paint, per pixel and step of the sampler."""
    clip, seconds, settings = facts["clip"], facts["seconds"], facts["settings"]
    pixels = clip["frames"] * clip["width"] * clip["height"]
    rates = {stage: seconds[stage] / pixels for stage in _STAGES}
    rates[f"flow {facts['flow']['estimator']}"] = seconds["flow"] / pixels
    painted = pixels * sum(
        (facts["painted"][part] or 0.0) * settings[strength]
        for part, strength in (("keys", "strength"), ("holes", "hole_strength"))
    )
    if painted:
        rates[f"paint {painter}"] = seconds["paint"] / (painted * settings["steps"])
    return rates


def advice(size: Size, native: int, free: int, needed: int) -> list[str]:
    """What a person should know before painting, a line each, with the remedy.

    `native` is the side in px of the square pictures that the model was made for; `free` and
    `needed` are bytes on the disk.
    """
    lines: list[str] = []
    area = size.height * size.width
    if not native**2 / _FAR <= area <= native**2 * _FAR:
        kind = "small" if area < native**2 else "large"
        better = math.sqrt(native**2 / area)
        width, height = (max(8, round(side * better / 64) * 64) for side in reversed(size))
        lines.append(
            f"{size} is {kind} for a model made for {native}x{native}; a width of {width} and a "
            f"height of {height} would suit it"
        )
    if size.height % 64 or size.width % 64:
        lines.append(
            f"{size} is no multiple of 64 on both sides; some models leave a seam at the edge, so "
            "crop or pad to multiples of 64 if you see one"
        )
    if needed > free:
        lines.append(
            f"the disk has {free / 1e9:.1f} GB free and about {needed / 1e9:.1f} GB are needed; "
            "delete earlier jobs, or take a smaller size or fewer frames"
        )
    return lines
