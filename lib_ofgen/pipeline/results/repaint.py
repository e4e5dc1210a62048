"""Repaint some frames of a finished job with another seed.

What is painted in these frames, and what depends on that paint, is made again. Everything else
keeps its digest.
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
"""Largest number of frames that a message names."""


def make_seed_row(report: Report, first: object, last: object, seed: object) -> PromptRow:
    """Return the row by which frames `first` to `last` are painted with another seed.

    `report` is that of the job. The other arguments are whole numbers or their text as a user
    typed it. For a seed of -1 the row gets a random seed.

    Raises:
        SettingsError: if the clip has no such frames, if nothing is painted in them, or if the
            seed is not valid.
    """
    end = report.clip.frames - 1
    start, stop = (
        _parse_whole_number(first, "from frame", 0, end),
        _parse_whole_number(last, "to frame", 0, end),
    )
    if stop < start:
        raise SettingsError(
            f"the frames begin at {start} and end at {stop}; give the earlier one first"
        )
    chosen = _parse_whole_number(seed, "seed", DRAW_SEED, _SEEDS - 1)
    row = PromptRow(
        start, stop + 1, "", "", secrets.randbelow(_SEEDS) if chosen == DRAW_SEED else chosen
    )
    if not _paint_share(report, row):
        others = _name_sources(report, row)
        why = f"their pixels come from {others}; choose a range with such a frame in it"
        source = "they show the source as it is; choose others"
        raise SettingsError(
            f"nothing is painted in {frames_to_repaint(row)}: {why if others else source}"
        )
    return row


def describe_change(report: Report, row: PromptRow) -> str:
    """Return a line that says what a repaint of the row's frames changes."""
    share, others = _paint_share(report, row), _name_sources(report, row)
    rest = f"; the others come from elsewhere, such as {others}" if others else ""
    return (
        f"{frames_to_repaint(row)}, seed {row.seed}: {100 * share:.1f} % of the pixels were "
        f"painted there and are painted anew{rest}"
    )


def frames_to_repaint(row: PromptRow) -> str:
    """Return words for the row's frames; a row without a stop goes to the end."""
    if row.stop is None:
        return f"frames from {row.start} on"
    if row.stop == row.start + 1:
        return f"frame {row.start}"
    return f"frames {row.start} to {row.stop - 1}"


def _parse_whole_number(value: object, name: str, low: int, high: int) -> int:
    """Return the whole number that a user gave.

    Raises:
        SettingsError: if it is not a whole number from `low` to `high`.
    """
    text = "" if value is None else str(value).strip()
    if not re.fullmatch(r"-?[0-9]{1,10}", text) or not low <= int(text) <= high:
        shown = repr(text[:40]) if text else "empty"
        raise SettingsError(f"{name} is {shown}; give a whole number from {low} to {high}")
    return int(text)


def _paint_share(report: Report, row: PromptRow) -> float:
    """Return the share 0..1 of the row's frames that was painted there, also by a second pass."""
    shares = [max(one.painted, one.second or 0.0) for one in _row_frames(report, row)]
    return sum(shares) / len(shares)


def _name_sources(report: Report, row: PromptRow) -> str:
    """Return words for the other frames from which the row's frames take their pixels.

    Only key frames are named if there are some; the text is empty if there are no such frames.
    """
    keys = {key.index for key in report.keys}
    shown = Counter(index for one in _row_frames(report, row) for index in one.sources)
    others = [index for index, _ in shown.most_common() if not row.holds(index)]
    whole = [index for index in others if index in keys]
    return f"key {_format_frames(whole)}" if whole else _format_frames(others)


def _row_frames(report: Report, row: PromptRow) -> Sequence[FrameFacts]:
    return report.frames[row.start : row.stop]


def _format_frames(indices: Sequence[int]) -> str:
    """Return words for the first frames of the list, in ascending order; empty if there is none."""
    named = [str(index) for index in sorted(indices[:_NAMED])]
    if len(indices) > _NAMED:
        named.append(f"{len(indices) - _NAMED} more")
    if len(named) < 2:
        return "".join(f"frame {one}" for one in named)
    return f"frames {', '.join(named[:-1])} and {named[-1]}"
