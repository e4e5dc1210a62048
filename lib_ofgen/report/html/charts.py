"""Plots over time. Marks are SVG, which stretches; labels are HTML, which keeps its size.

So a plot can be read on a phone too. Frame `i` covers `i` to `i + 1` of the axis; a pair of frames
is at their border. Colours come from the page's style sheet, by class.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["Span", "TimePlot", "area", "axis_ticks", "dots", "group_spans", "line", "plot"]

_WIDTH, _HEIGHT = 1000, 100
"""Units of the SVG, which is stretched to the width of the page."""
_KEY_MARK_HEIGHT = 7
"""Height of the mark of a key frame."""
_MAX_SPANS = 500
"""Most spans of a plot; with more frames, several share a span."""
_TICKS = 6


class TimePlot(NamedTuple):
    """The time axis that all plots of a film share."""

    length: int
    """Number of frames."""
    seconds: Callable[[int], float]
    """Seconds at which a frame begins."""
    keys: Sequence[int]
    cuts: Sequence[int]
    """The first frame of each scene but the first."""

    def x(self, place: float) -> str:
        """Return a place, in frames, in units of the SVG."""
        return f"{_WIDTH * place / self.length:.4g}"


class Span(NamedTuple):
    """The value of frames `start` to `stop - 1`."""

    start: int
    stop: int
    value: float


def group_spans(
    values: Sequence[float | None], worst: Callable[[Sequence[float]], float]
) -> list[Span]:
    """Return the values of all frames in a limited number of spans.

    Each span has the `worst` of its frames' values; frames without a value do not count.
    """
    step = max(1, math.ceil(len(values) / _MAX_SPANS))
    found = []
    for start in range(0, len(values), step):
        stop = min(start + step, len(values))
        known = [value for value in values[start:stop] if value is not None]
        if known:
            found.append(Span(start, stop, worst(known)))
    return found


def axis_ticks(top: float) -> tuple[float, list[tuple[float, str]]]:
    """Return a round end, at least `top`, of an axis from 0, and its ticks with their labels."""
    if top <= 0:
        return 1.0, [(0.0, "0")]
    step = _round_step(top / 4)
    count = math.ceil(top / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return step * count, [
        (step * i, f"{step * i:.{digits}f}" if i else "0") for i in range(count + 1)
    ]


def plot(time: TimePlot, ticks: Sequence[tuple[float, str]], marks: str, label: str) -> str:
    """Return a plot as HTML: `marks`, key frames, cuts and both axes; the last tick is the top."""
    top = ticks[-1][0] or 1.0
    lines = "".join(f"M0 {_y(value, top)}h{_WIDTH}" for value, _ in ticks)
    keys = "".join(
        f"M{x} -{_KEY_MARK_HEIGHT + 2}v{_KEY_MARK_HEIGHT}"
        for x in _distinct_places(time, [key + 0.5 for key in time.keys])
    )
    cuts = "".join(f"M{x} 0v{_HEIGHT}" for x in _distinct_places(time, time.cuts))
    heights = "".join(
        f'<span class="y" style="bottom:{100 * value / top:.4g}%">{text}</span>'
        for value, text in ticks
    )
    return (
        f'<div class="plot"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{html.escape(label)}"><path class="grid" d="{lines}"/>'
        f'{marks}<path class="cuts" d="{cuts}"/><path class="keys" d="{keys}"/></svg>'
        f"{heights}{''.join(_time_ticks(time))}</div>"
    )


def line(time: TimePlot, points: Sequence[tuple[float, float]], top: float, kind: str) -> str:
    """Return a line through points (place in frames, value), in class `kind`, broken at cuts."""
    path: list[str] = []
    scene = None
    for place, value in points:
        now = sum(cut < place for cut in time.cuts)
        path.append(f"{'L' if now == scene else 'M'}{time.x(place)} {_y(value, top)}")
        scene = now
    return f'<path class="line {kind}" d="{"".join(path)}"/>'


def dots(time: TimePlot, points: Sequence[tuple[float, float, str]], top: float, kind: str) -> str:
    """Return dots at points (place in frames, value, tooltip), in class `kind`."""
    return "".join(
        f'<path class="dot {kind}" d="M{time.x(place)} {_y(value, top)}h0">'
        f"<title>{html.escape(text)}</title></path>"
        for place, value, text in points
    )


def area(time: TimePlot, values: Sequence[Span], top: float, kind: str) -> str:
    """Return filled steps from 0 to the value of each span, in class `kind`."""
    path = "".join(
        f"M{time.x(one.start)} {_HEIGHT}V{_y(one.value, top)}H{time.x(one.stop)}V{_HEIGHT}"
        for one in values
        if one.value > 0
    )
    return f'<path class="area {kind}" d="{path}"/>'


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT * (1 - value / top):.4g}"


def _distinct_places(time: TimePlot, places: Sequence[float]) -> list[str]:
    """Return the places in units of the SVG, each once."""
    return list(dict.fromkeys(str(round(_WIDTH * place / time.length)) for place in places))


def _time_ticks(time: TimePlot) -> Iterator[str]:
    """Yield the ticks of the time axis: a frame's index, and its seconds below."""
    step = max(1, round(_round_step(time.length / _TICKS)))
    for index in range(0, time.length, step):
        where = 100 * (index + 0.5) / time.length
        yield (
            f'<span class="x" style="left:{where:.4g}%">{index}'
            f"<small>{time.seconds(index):.{2 if step < 10 else 1}f} s</small></span>"
        )


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2 or 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
