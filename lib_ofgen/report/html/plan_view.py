"""A plan as HTML: a strip of the clip with its cuts and key frames, and their coverage.

It has no style of its own. Key frames are buttons with their index, so that a page can let users
move them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from lib_ofgen.imaging import images
from lib_ofgen.planning.coverage import Gap
from lib_ofgen.report import contact_sheet
from lib_ofgen.report.html import charts, elements
from lib_ofgen.report.html.charts import Span, TimePlot
from lib_ofgen.values import Clip, Image, KeyFrame, Scene, Size

__all__ = ["PlanFacts", "key_strip", "plan_html"]

_MAX_PICTURES = 12
_PICTURE_WIDTH = 112
"""px: width of a picture in the strip."""
_MAX_PICTURE_HEIGHT = 2 * _PICTURE_WIDTH
"""px: its greatest height."""
_QUALITY = 70
_MAX_KEYS = 400
"""Most key frames that are drawn as buttons; more could not be distinguished."""


@dataclass(frozen=True)
class PlanFacts:
    """What the view shows."""

    clip: Clip
    scenes: Sequence[Scene]
    keys: Sequence[KeyFrame]
    gaps: Sequence[Gap]
    strip: Sequence[tuple[int, bytes]]
    """Indices of frames and their small JPEG pictures, in order."""


def key_strip(clip: Clip, picture: Callable[[int], Image]) -> list[tuple[int, bytes]]:
    """Return small JPEG pictures of evenly spaced frames of the clip, with their indices."""
    count = min(_MAX_PICTURES, clip.length)
    places = [int((place + 0.5) * clip.length / count) for place in range(count)]
    size = images.fit_size(clip.size, Size(_MAX_PICTURE_HEIGHT, _PICTURE_WIDTH))
    return [
        (place, images.encode_jpeg(images.resize(picture(place), size), _QUALITY))
        for place in places
    ]


def plan_html(planned: PlanFacts) -> str:
    """Return the view: the strip with the key frames, the coverage below, and a table."""
    clip, cuts = planned.clip, [scene.start for scene in planned.scenes[1:]]
    time = TimePlot(clip.length, clip.seconds, [key.index for key in planned.keys], cuts)
    covered = [Span(gap.start, gap.stop, gap.coverage) for gap in planned.gaps]
    ticks = [(part / 2, f"{part * 50} %") for part in range(3)]
    drawn = charts.plot(
        time, ticks, charts.area(time, covered, 1.0, "coverage"), "coverage between key frames"
    )
    legend = elements.legend(
        [
            ("coverage", "", "least share that the key frames around can show"),
            ("key", "thin", "key frame"),
            ("cut", "broken", "cut"),
        ]
    )
    return (
        f'<div class="strip" data-length="{clip.length}" data-rate="{float(clip.rate):.6g}">'
        f"{_pictures(planned)}{_keys(planned)}</div>{legend}{drawn}{_key_table(planned)}"
    )


def _pictures(planned: PlanFacts) -> str:
    shown = "".join(elements.image(jpeg, f"frame {index}") for index, jpeg in planned.strip)
    return f'<div class="pictures">{shown}</div>'


def _keys(planned: PlanFacts) -> str:
    """Return a button for each key frame, at its place in time."""
    if len(planned.keys) > _MAX_KEYS:
        return ""
    return "".join(
        f'<button type="button" class="key" data-index="{key.index}" '
        f'style="left:{_percent_of_length(key.index, planned.clip):.4g}%" '
        f'title="{_key_text(key, planned.clip)}" '
        f'aria-label="key frame {_key_text(key, planned.clip)}">'
        "</button>"
        for key in planned.keys
    )


def _percent_of_length(index: int, clip: Clip) -> float:
    return 100 * (index + 0.5) / clip.length


def _key_text(key: KeyFrame, clip: Clip) -> str:
    return f"{key.index}, {clip.seconds(key.index):.2f} s: {escape(key.cause)}"


def _key_table(planned: PlanFacts) -> str:
    """Return the key frames as a table, with their causes and the coverage after each."""
    after = {gap.start: gap for gap in planned.gaps}
    rows = "".join(
        f"<tr><td>{key.index}</td><td>{planned.clip.seconds(key.index):.2f} s</td>"
        f"<td>{escape(key.cause)}</td><td>{_coverage_cell(after.get(key.index))}</td></tr>"
        for key in (planned.keys[place] for place in _table_places(len(planned.keys)))
    )
    head = "<tr><th>frame</th><th>time</th><th>why</th><th>shown until the next</th></tr>"
    return (
        f"<details><summary>{len(planned.keys)} key frames</summary>"
        f"<table>{head}{rows}</table></details>"
    )


def _table_places(count: int) -> Sequence[int]:
    return range(count) if count <= _MAX_KEYS else contact_sheet.pick_evenly(count)


def _coverage_cell(gap: Gap | None) -> str:
    if gap is None or gap.stop - gap.start < 2:
        return ""
    return elements.percentage(gap.coverage)
