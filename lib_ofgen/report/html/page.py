"""A job's report as a page: one HTML file that needs nothing but itself.

It holds no script, loads nothing, and follows the reader's choice of light or dark. A number that
the report has stands in a `data` element with the report's own digits as its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

from lib_ofgen.report.figures import ERRORS, KEPT, MOST_ERROR, Closeup, Origin, Thumb
from lib_ofgen.report.html import charts, elements
from lib_ofgen.report.html.charts import TimePlot
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Clip, Size

__all__ = ["PageContent", "report_html"]

Facts = dict[str, Any]

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
"""


_ERROR = "{:.6f}"
"""How a warp error is shown."""


@dataclass(frozen=True)
class PageContent:
    """What the page shows beside the report's facts."""

    source: str
    """The name of the video's file, as of the film's."""
    film: str
    clip: Clip
    keys: Sequence[Thumb]
    worst: Sequence[Closeup]


def report_html(facts: Facts, shown: PageContent) -> bytes:
    """The page of a report, as a file's content."""
    style = resources.files("lib_ofgen.report.html").joinpath("page.css").read_text("utf-8")
    body = "\n".join(
        [
            _title(facts, shown),
            _numbers(facts),
            _steadiness(facts, shown.clip),
            _paint(facts, shown.clip),
            _sheet(facts, shown),
            _worst(shown.worst, shown.clip.size),
            _work(facts),
        ]
    )
    title = escape(shown.film)
    text = f"{_HEAD}<title>{title}</title>\n<style>\n{style}</style>\n</head>\n"
    # Bytes of a file's name that are no text come as lone surrogates.
    return f"{text}<body>\n{body}\n</body>\n</html>\n".encode("utf-8", "backslashreplace")


def _title(facts: Facts, shown: PageContent) -> str:
    clip = facts["clip"]
    said = [
        f"{elements.count_words(clip['frames'], 'frame')} of {Size(clip['height'], clip['width'])}",
        f"{elements.data(clip['seconds'], '{:.2f}')} s at {escape(clip['rate'])} frames a second",
        elements.count_words(len(facts["scenes"]), "scene"),
        elements.count_words(len(facts["keys"]), "key frame"),
    ]
    return (
        f"<h1>{escape(shown.film)}</h1>\n"
        f'<p class="soft">Made of {escape(shown.source)}: {", ".join(said)}.</p>'
    )


def _numbers(facts: Facts) -> str:
    error, sharp, painted = facts["warp_error"], facts["sharpness"], facts["painted"]
    beside = elements.data(error["source"], _ERROR)
    steps = [error["straddling"], error["within"]]
    at_keys, between = (elements.data(value, _ERROR) for value in steps)
    keys, holes = elements.share(painted["keys"]), elements.share(painted["holes"])
    return elements.tiles(
        [
            ("Warp error", elements.data(error["result"], _ERROR), f"the source itself: {beside}"),
            ("Warp error at key frames", at_keys, f"between key frames: {between}"),
            ("Flicker in holes", elements.data(facts["flicker"], _ERROR),
             "warp error of what was painted as holes"),
            ("Sharpness", elements.data(sharp["result"], "{:.1f}"),
             f"the key frames: {elements.data(sharp['painted'], '{:.1f}')}"),
            ("Coverage", elements.share(facts["coverage_mean"]),
             "of frames between keys, supplied by painted frames"),
            ("Painted", elements.share(facts["painted_mean"]),
             f"of all pixels: {keys} in whole frames, {holes} in holes"),
        ]
    )  # fmt: skip


def _timeline(facts: Facts, clip: Clip) -> TimePlot:
    keys = [key["index"] for key in facts["keys"]]
    return TimePlot(clip.length, clip.seconds, keys, [one["start"] for one in facts["scenes"][1:]])


def _steadiness(facts: Facts, clip: Clip) -> str:
    """Warp error over time."""
    error = facts["warp_error"]
    pairs = [one for one in error["each"] if None not in (one["result"], one["source"])]
    if not pairs:
        return elements.section("Steadiness", "There is no pair of frames that can be judged.", "")
    time = _timeline(facts, clip)
    top, ticks = charts.levels(max(max(one["result"], one["source"]) for one in pairs))
    marks = []
    for name in ("source", "result"):
        points = [(one["index"] + 1.0, one[name]) for one in pairs]
        told = [f"frames {one['index']} and {one['index'] + 1}: {one[name]:.6f}" for one in pairs]
        marks.append(charts.line(time, points, top, name))
        labelled = [(*point, text) for point, text in zip(points, told, strict=True)]
        marks.append(charts.dots(time, labelled, top, name))
    at_keys = [(one["index"] + 1.0, one["result"], "") for one in pairs if one["straddles"]]
    marks.append(charts.dots(time, at_keys, top, "hollow"))
    legend = elements.legend(
        [("result", "round", "the film"), ("result", "ring", "with a key frame in the pair"),
         ("source", "round", "its source"), *_MARKS]
    )  # fmt: skip
    text = (
        "Warp error of each judged pair of neighbouring frames: the mean squared difference "
        "(images 0 to 1) once the source's motion, by "
        f"{escape(error['judge'])}, is taken out. Lower is steadier. Frames and seconds below."
    )
    drawn = charts.plot(time, ticks, "".join(marks), "warp error over time")
    return elements.section("Steadiness", text, f'<div class="card">{legend}{drawn}</div>')


_MARKS = [("key", "thin", "key frame"), ("cut", "broken", "cut")]


def _paint(facts: Facts, clip: Clip) -> str:
    """Coverage and painted share over time."""
    time, frames = _timeline(facts, clip), facts["frames"]
    painted = charts.spans([one["painted"] for one in frames], max)
    covered = charts.spans([one["coverage"] if one["sources"] else None for one in frames], min)
    points = [((one.start + one.stop) / 2, one.value) for one in covered]
    marks = charts.area(time, painted, 1.0, "painted")
    marks += charts.line(time, points, 1.0, "coverage")
    ticks = [(part / 4, f"{part * 25} %") for part in range(5)]
    legend = elements.legend(
        [("painted", "", "painted fresh"), ("coverage", "", "coverage"), *_MARKS]
    )
    text = (
        "The share of each frame that was painted fresh, and the share that painted frames "
        "could supply. A key frame that was painted whole has no coverage."
    )
    drawn = charts.plot(time, ticks, marks, "painted share and coverage over time")
    return elements.section("Paint", text, f'<div class="card">{legend}{drawn}</div>')


def _sheet(facts: Facts, shown: PageContent) -> str:
    count, cuts = len(facts["keys"]), {one["start"] for one in facts["scenes"][1:]}
    text = f"{len(shown.keys)} of {count}, spread evenly. " if len(shown.keys) < count else ""
    text += "Each with its index, its time and why it is one."
    if cuts:
        text += " A yellow frame marks the first after a cut."
    figures = "\n".join(
        f"<figure{_kind(one.frame in cuts)}>{elements.image(one.jpeg, f'key frame {one.frame}')}"
        f"<figcaption>{one.frame} · {one.seconds:.2f} s · {escape(one.cause)}</figcaption></figure>"
        for one in shown.keys
    )
    return elements.section("Key frames", text, f'<div class="sheet">\n{figures}\n</div>')


def _kind(begins: bool) -> str:
    return ' class="new"' if begins else ""


def _worst(closeups: Sequence[Closeup], size: Size) -> str:
    if not closeups:
        return ""
    text = (
        "The judged pairs whose warp error is the largest beside that of the source, to which one "
        f"grey level, squared, is added. The film is {size}."
    )
    return elements.section("Worst frames", text, "\n".join(_closeup(one) for one in closeups))


def _closeup(one: Closeup) -> str:
    index = one.pair["index"]
    key = ", with a key frame" if one.pair["straddles"] else ""
    error, source = (elements.data(one.pair[name], _ERROR) for name in ("result", "source"))
    holes = "it was painted whole" if one.whole else f"painted fresh: {elements.share(one.painted)}"
    legend = "".join(_origin(origin, one) for origin in one.legend)
    ramp = ", ".join(elements.rgb(colour) for colour in ERRORS)
    figures = [
        (one.result, f"Frame {one.frame}", ""),
        (one.holes, f"Holes of frame {one.frame}", f"; {holes}"),
        (one.origins, "Where its pixels were painted", f'<ul class="legend">{legend}</ul>'),
        (one.error, f"Difference from frame {index} to {index + 1}",
         f'; grey: not judged<span class="ramp" style="background:linear-gradient(90deg, {ramp})">'
         f'</span><span class="ends"><span>0</span><span>{MOST_ERROR} grey levels</span></span>'),
    ]  # fmt: skip
    shown = "\n".join(
        f"<figure>{elements.image(jpeg, text, one.size)}"
        f"<figcaption>{text}{more}</figcaption></figure>"
        for jpeg, text, more in figures
    )
    return (
        f'<div class="card pair"><h3>Frames {index} and {index + 1}{key}</h3>\n'
        f'<span class="soft">Warp error {error}, of the source {source}</span>\n'
        f'<div class="pictures">\n{shown}\n</div></div>'
    )


def _origin(origin: Origin, one: Closeup) -> str:
    """A line of an origin map's legend."""
    first, *more = origin.frames
    named = f"{len(origin.frames)} other frames" if more else f"frame {first}"
    if origin.frames == (KEPT,):
        named = "the source, kept"
    if origin.frames == (one.frame,):
        named += " itself"
    swatch = f'<i class="swatch" style="background:{elements.rgb(origin.colour)}"></i>'
    share = f"{100 * origin.share:.1f}" if origin.share >= 0.001 else "under 0.1"
    return f"<li>{swatch}{named}: {share}&nbsp;%</li>"


def _seeds(facts: Facts) -> str:
    """The job's seed, and the frames that had others."""
    spans: list[list[int]] = []
    for row in facts["prompts"]:
        if "seed" not in row:
            continue
        if spans and spans[-1][1:] == [row["start"], row["seed"]]:
            spans[-1][1] = row["stop"]
        else:
            spans.append([row["start"], row["stop"], row["seed"]])
    others = [f"frames {start} to {stop - 1}: {seed}" for start, stop, seed in spans]
    return "; ".join([str(facts["seed"]), *others])


def _work(facts: Facts) -> str:
    """Seconds by stage, and what was used."""
    seconds = facts["seconds"]
    longest = max([*seconds.values(), 1e-9])
    stages = "".join(
        f'<tr><th>{escape(stage)}</th><td class="number">{elements.data(spent, "{:.1f}")} s</td>'
        f'<td class="bar"><i style="width:{100 * spent / longest:.1f}%"></i></td></tr>'
        for stage, spent in seconds.items()
    )
    flow = facts["flow"]
    used = {
        "flow": f"{flow['estimator']} (asked: {flow['asked']}; {flow['reason']})",
        "painter": facts["painter"],
        "seed": _seeds(facts),
        **facts["versions"],
    }
    changed = Settings().replace(facts["settings"]).differences()
    tables = [
        (
            "Seconds",
            f"<table>{stages}</table><small>Encoding runs beside the other stages.</small>",
        ),
        ("Settings that differ from the defaults", elements.table(changed) if changed else "None."),
        ("Made with", elements.table(used)),
    ]
    cards = "\n".join(f'<div class="card"><h3>{name}</h3>{body}</div>' for name, body in tables)
    text = "The report as data, with every frame and every setting, is report.json."
    return elements.section("The work", text, f'<div class="two">\n{cards}\n</div>')
