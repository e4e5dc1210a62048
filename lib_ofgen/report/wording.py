"""The measures in words, for the page, the command line and the tab.

A warp error means little to a reader, so it is said as a multiple of one that it belongs beside.
Each function takes `mark`, which may lay the exact number behind the text that stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from lib_ofgen.report.measures import FilmColour, Flickering, KeyColour, OverPainted, WarpError
from lib_ofgen.report.model import Evaluation, Report

__all__ = [
    "Mark",
    "Words",
    "at_keys",
    "error_levels",
    "evaluation_lines",
    "film_colour",
    "flickering",
    "in_holes",
    "key_colour",
    "report_lines",
    "sharpness",
    "warp_error",
]

Mark = Callable[[float, str], str]
"""From a number and the text that stands for it, the text to show."""


class Words(NamedTuple):
    """A measure in words."""

    value: str
    """The number with its unit; `none` if there is no number."""
    remark: str
    """The rest of the sentence; why there is no number."""

    @property
    def has_number(self) -> bool:
        """Whether there is a number."""
        return self.value != _NONE

    @property
    def line(self) -> str:
        """Both as one text."""
        return f"{self.value} {self.remark}" if self.has_number else f"{_NONE}: {self.remark}"


_NONE = "none"
_STILL = 0.05
"""Grey levels: a warp error below it is too small for a multiple of it to make sense."""
_OWN = "the source's own"


def _plain(_: float, text: str) -> str:
    return text


def _multiple(value: float, base: float, base_name: str, mark: Mark) -> Words:
    """Return `1.03 times BASE_NAME`."""
    return Words(f"{mark(value, f'{value / base:.2f}')} times", mark(base, base_name))


def _beside(
    error: float | None, base: float | None, base_name: str, lack: str, mark: Mark
) -> Words:
    """Return a warp error beside another one, which is named; in levels if that is almost none.

    Without one of both, `lack` is the reason.
    """
    if error is None or base is None:
        return Words(_NONE, lack)
    if error_levels(base) >= _STILL:
        return _multiple(error, base, base_name, mark)
    here, there = (mark(one, f"{error_levels(one):.1f}") for one in (error, base))
    return Words(f"{here} levels", f"once motion is taken out; {base_name} {there}")


def error_levels(error: float) -> float:
    """Return the root of a mean squared difference (images 0..1), in grey levels 0..255."""
    return 255 * math.sqrt(error)


def sharpness(value: float | None, base: float | None, name: str, mark: Mark = _plain) -> Words:
    """Return a sharpness beside another one, which is named."""
    if value is None or base is None:
        return Words(_NONE, "no frame was measured")
    return _multiple(value, base, name, mark) if base else Words(_NONE, f"{name} is 0")


def warp_error(result: float | None, source: float | None, mark: Mark = _plain) -> Words:
    """Return a warp error beside that of the source."""
    return _beside(result, source, _OWN, "no pair could be judged", mark)


def flickering(measured: Flickering, mark: Mark = _plain) -> Words:
    """Return the flickering of the result beside that of the source."""
    if measured.result is None or measured.source is None:
        return Words(_NONE, "nothing in the picture stands still")
    result, source = (mark(one, f"{one:.1f}") for one in (measured.result, measured.source))
    return Words(f"{result} levels", f"where nothing moves; the source {source}")


def key_colour(measured: KeyColour | None, mark: Mark = _plain) -> Words:
    """Return by how much key frames that were painted whole differ from earlier paint."""
    if measured is None:
        return Words(_NONE, "no key frame was compared with earlier paint")
    return _levels_off(measured.mean, measured.worst, f"of {measured.frames} key frames", mark)


def film_colour(measured: FilmColour | None, mark: Mark = _plain) -> Words:
    """Return by how much a film differs from one whose every frame was painted."""
    if measured is None:
        return Words(_NONE, "give a film with every frame painted, by --painted")
    return _levels_off(measured.mean, measured.worst, f"in frame {measured.worst_frame}", mark)


def _levels_off(mean: float, worst: float, where: str, mark: Mark) -> Words:
    mean_text, worst_text = (mark(one, f"{one:.1f}") for one in (mean, worst))
    return Words(f"{mean_text} levels", f"off on the mean, {worst_text} at worst, {where}")


def at_keys(error: WarpError, mark: Mark = _plain) -> Words:
    """Return the warp error of pairs with a key frame beside that of the other pairs."""
    lack = "no pairs of both kinds are known"
    return _beside(error.straddling, error.within, "that between them", lack, mark)


def in_holes(flicker: float | None, error: WarpError, mark: Mark = _plain) -> Words:
    """Return the warp error of what was painted as holes beside that of the whole film."""
    return _beside(flicker, error.result, "the film's warp error", "no hole was judged", mark)


def report_lines(report: Report) -> list[str]:
    """Return a line for each measure of a finished job."""
    error, sharp = report.warp_error, report.sharpness
    return _lines(
        {
            "warp error": warp_error(error.result, error.source),
            "flickering": flickering(report.flickering),
            "colour": key_colour(report.colour),
            "sharpness": sharpness(sharp.result, sharp.painted, "that of the key frames"),
        }
    )


def evaluation_lines(found: Evaluation) -> list[str]:
    """Return a line for each measure of an evaluation."""
    error, sharp = found.warp_error, found.sharpness
    said = {
        "warp error": warp_error(error.result, error.source),
        "flickering": flickering(found.flickering),
        "colour": film_colour(found.colour),
        "sharpness": sharpness(sharp.result, sharp.source, _OWN),
    }
    if error.straddling is not None:
        said["at keys"] = at_keys(error)
    if found.over_painted:
        said["painted"] = _over_painted(found.over_painted)
    return _lines(said)


def _over_painted(over: OverPainted) -> Words:
    shares = {
        "warp error": over.warp_error,
        "flickering": over.flickering,
        "sharpness": over.sharpness,
    }
    known = [f"{name} {share:.2f}" for name, share in shares.items() if share is not None]
    if not known:
        return Words(_NONE, "nothing of the film with every frame painted could be judged")
    return Words(", ".join(known), "times that with every frame painted")


def _lines(said: Mapping[str, Words]) -> list[str]:
    return [f"{name:10}  {words.line}" for name, words in said.items()]
