"""Frames of a finished job are to be painted again, with another seed.

What is painted there, and what depends on that paint, is made anew; all else keeps its digest.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Sequence

from lib_ofgen.errors import SettingsError
from lib_ofgen.report.model import FrameFacts, Report
from lib_ofgen.settings.fields import DRAW_SEED
from lib_ofgen.values import PromptRow

__all__ = ["describe_change", "frames_to_repaint", "make_seed_row"]

_SEEDS = 2**32
_NAMED = 4
"""Frames that a line names at most."""


def make_seed_row(report: Report, first: object, last: object, seed: object) -> PromptRow:
    """The row that has frames `first` to `last` painted with another seed.

    `report` is the job's; the others are numbers, or text as somebody typed it. A seed of -1
    is drawn here.

    Raises:
        SettingsError: the clip has no such frames, nothing is painted in them, or the seed is none.
    """
    end = report.clip.frames - 1
    start, stop = _whole(first, "from frame", 0, end), _whole(last, "to frame", 0, end)
    if stop < start:
        raise SettingsError(
            f"the frames begin at {start} and end at {stop}; give the earlier one first"
        )
    chosen = _whole(seed, "seed", DRAW_SEED, _SEEDS - 1)
    row = PromptRow(
        start, stop + 1, "", "", secrets.randbelow(_SEEDS) if chosen == DRAW_SEED else chosen
    )
    if not _share(report, row):
        others = _lenders(report, row)
        why = f"their pixels come from {others}; choose a range with such a frame in it"
        source = "they show the source as it is; choose others"
        raise SettingsError(
            f"nothing is painted in {frames_to_repaint(row)}: {why if others else source}"
        )
    return row


def describe_change(report: Report, row: PromptRow) -> str:
    """What a repaint of the row's frames changes, in a line."""
    share, others = _share(report, row), _lenders(report, row)
    rest = f"; the others come from elsewhere, such as {others}" if others else ""
    return (
        f"{frames_to_repaint(row)}, seed {row.seed}: {100 * share:.1f} % of the pixels were "
        f"painted there and are painted anew{rest}"
    )


def frames_to_repaint(row: PromptRow) -> str:
    """The row's frames by their first and last; one without a stop holds to the end."""
    if row.stop is None:
        return f"frames from {row.start} on"
    if row.stop == row.start + 1:
        return f"frame {row.start}"
    return f"frames {row.start} to {row.stop - 1}"


def _whole(value: object, name: str, low: int, high: int) -> int:
    """The whole number that somebody gave."""
    text = "" if value is None else str(value).strip()
    if not re.fullmatch(r"-?[0-9]{1,10}", text) or not low <= int(text) <= high:
        shown = repr(text[:40]) if text else "empty"
        raise SettingsError(f"{name} is {shown}; give a whole number from {low} to {high}")
    return int(text)


def _share(report: Report, row: PromptRow) -> float:
    """The share 0..1 of the row's frames that was painted there, by a second pass too."""
    shares = [max(one.painted, one.second or 0.0) for one in _held(report, row)]
    return sum(shares) / len(shares)


def _lenders(report: Report, row: PromptRow) -> str:
    """The other frames whose paint the row's show, key frames where there are some; or nothing."""
    keys = {key.index for key in report.keys}
    shown = Counter(index for one in _held(report, row) for index in one.sources)
    others = [index for index, _ in shown.most_common() if not row.holds(index)]
    whole = [index for index in others if index in keys]
    return f"key {_listed(whole)}" if whole else _listed(others)


def _held(report: Report, row: PromptRow) -> Sequence[FrameFacts]:
    return report.frames[row.start : row.stop]


def _listed(indices: Sequence[int]) -> str:
    """Those first in the list by name, in the order of showing; nothing where none is."""
    named = [str(index) for index in sorted(indices[:_NAMED])]
    if len(indices) > _NAMED:
        named.append(f"{len(indices) - _NAMED} more")
    if len(named) < 2:
        return "".join(f"frame {one}" for one in named)
    return f"frames {', '.join(named[:-1])} and {named[-1]}"
