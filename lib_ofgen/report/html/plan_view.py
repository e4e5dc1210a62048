"""A plan as HTML: the clip along its time, with cuts, key frames and what these can show.

It has no style of its own. Key frames are buttons that carry their index, so that a page that
wants can have them moved.
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

_PICTURES = 12
_WIDE = 112
"""px: width of a picture of the strip."""
_HIGH = 2 * _WIDE
"""px: the most that it is high."""
_QUALITY = 70
_MOST = 400
"""Key frames that are drawn as buttons; more could not be told apart."""


@dataclass(frozen=True)
class PlanFacts:
    """What is drawn."""

    clip: Clip
    scenes: Sequence[Scene]
    keys: Sequence[KeyFrame]
    gaps: Sequence[Gap]
    strip: Sequence[tuple[int, bytes]]
    """Frames and their small JPEG pictures, in order."""


def key_strip(clip: Clip, picture: Callable[[int], Image]) -> list[tuple[int, bytes]]:
    """Evenly spread frames of the clip, small."""
    count = min(_PICTURES, clip.length)
    places = [int((place + 0.5) * clip.length / count) for place in range(count)]
    size = images.fit_size(clip.size, Size(_HIGH, _WIDE))
    return [
        (place, images.encode_jpeg(images.resize(picture(place), size), _QUALITY))
        for place in places
    ]


def plan_html(planned: PlanFacts) -> str:
    """The strip, the key frames on it, and coverage below."""
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
        f"{_pictures(planned)}{_keys(planned)}</div>{legend}{drawn}{_listed(planned)}"
    )


def _pictures(planned: PlanFacts) -> str:
    shown = "".join(elements.image(jpeg, f"frame {index}") for index, jpeg in planned.strip)
    return f'<div class="pictures">{shown}</div>'


def _keys(planned: PlanFacts) -> str:
    """A button for each key frame, where its time is."""
    if len(planned.keys) > _MOST:
        return ""
    return "".join(
        f'<button type="button" class="key" data-index="{key.index}" '
        f'style="left:{_place(key.index, planned.clip):.4g}%" '
        f'title="{_told(key, planned.clip)}" aria-label="key frame {_told(key, planned.clip)}">'
        "</button>"
        for key in planned.keys
    )


def _place(index: int, clip: Clip) -> float:
    return 100 * (index + 0.5) / clip.length


def _told(key: KeyFrame, clip: Clip) -> str:
    return f"{key.index}, {clip.seconds(key.index):.2f} s: {escape(key.cause)}"


def _listed(planned: PlanFacts) -> str:
    """Each key frame with its reason and what follows it, for reading."""
    after = {gap.start: gap for gap in planned.gaps}
    rows = "".join(
        f"<tr><td>{key.index}</td><td>{planned.clip.seconds(key.index):.2f} s</td>"
        f"<td>{escape(key.cause)}</td><td>{_covered(after.get(key.index))}</td></tr>"
        for key in (planned.keys[place] for place in _listable(len(planned.keys)))
    )
    head = "<tr><th>frame</th><th>time</th><th>why</th><th>shown until the next</th></tr>"
    return (
        f"<details><summary>{len(planned.keys)} key frames</summary>"
        f"<table>{head}{rows}</table></details>"
    )


def _listable(count: int) -> Sequence[int]:
    return range(count) if count <= _MOST else contact_sheet.spread(count)


def _covered(gap: Gap | None) -> str:
    if gap is None or gap.stop - gap.start < 2:
        return ""
    return elements.share(gap.coverage)
