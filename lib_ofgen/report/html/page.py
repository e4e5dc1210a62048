"""The report of a job as a page: one HTML file that needs no other file.

It has no script, loads nothing, and follows the reader's choice of light or dark. Each number of
the report is in a `data` element, whose value has all digits of the report; the text in it may be
another way to say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from lib_ofgen.report import wording
from lib_ofgen.report.figures import ERROR_COLOURS, LARGEST_ERROR, Origin, PairView, Thumbnail
from lib_ofgen.report.html import charts, elements
from lib_ofgen.report.html.charts import TimePlot
from lib_ofgen.report.model import Report
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Clip, Size

__all__ = ["PageContent", "report_html"]

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
"""


@dataclass(frozen=True)
class PageContent:
    """What the page shows beside the report."""

    source: str
    """Name of the source's file."""
    film: str
    """Name of the film's file."""
    clip: Clip
    keys: Sequence[Thumbnail]
    worst: Sequence[PairView]


def report_html(report: Report, shown: PageContent) -> bytes:
    """Return the content of the page's file."""
    style = resources.files("lib_ofgen.report.html").joinpath("page.css").read_text("utf-8")
    body = "\n".join(
        [
            _title(report, shown),
            _numbers(report),
            _steadiness(report, shown.clip),
            _paint(report, shown.clip),
            _sheet(report, shown),
            _worst_pairs(shown.worst, shown.clip.size),
            _work(report),
        ]
    )
    title = escape(shown.film)
    text = f"{_HEAD}<title>{title}</title>\n<style>\n{style}</style>\n</head>\n"
    # Bytes of a file name that are not text come as lone surrogates.
    return f"{text}<body>\n{body}\n</body>\n</html>\n".encode("utf-8", "backslashreplace")


def _title(report: Report, shown: PageContent) -> str:
    clip = report.clip
    said = [
        f"{elements.count_of(clip.frames, 'frame')} of {clip.size}",
        f"{elements.number(clip.seconds, '{:.2f}')} s at {escape(clip.rate)} frames a second",
        elements.count_of(len(report.scenes), "scene"),
        elements.count_of(len(report.keys), "key frame"),
    ]
    return (
        f"<h1>{escape(shown.film)}</h1>\n"
        f'<p class="soft">Made of {escape(shown.source)}: {", ".join(said)}.</p>'
    )


def _numbers(report: Report) -> str:
    error, sharp, painted = report.warp_error, report.sharpness, report.painted
    mark = elements.exact
    measures = {
        "Warp error": wording.warp_error(error.result, error.source, mark),
        "Warp error at key frames": wording.at_keys(error, mark),
        "Flicker in holes": wording.in_holes(report.flicker, error, mark),
        "Flickering": wording.flickering(report.flickering, mark),
        "Colour": wording.key_colour(report.colour, mark),
        "Sharpness": wording.sharpness(
            sharp.result, sharp.painted, "that of the key frames", mark
        ),
    }  # fmt: skip
    keys, holes = elements.percentage(painted.keys), elements.percentage(painted.holes)
    return elements.tiles(
        [
            *((name, words.value, words.remark) for name, words in measures.items()),
            ("Coverage", elements.percentage(report.coverage_mean),
             "of frames between keys, supplied by painted frames"),
            ("Painted", elements.percentage(report.painted_mean),
             f"of all pixels: {keys} in whole frames, {holes} in holes"),
        ]
    )  # fmt: skip


def _time_plot(report: Report, clip: Clip) -> TimePlot:
    keys = [key.index for key in report.keys]
    return TimePlot(clip.length, clip.seconds, keys, [one.start for one in report.scenes[1:]])


def _steadiness(report: Report, clip: Clip) -> str:
    """Return the section with the warp error over time."""
    error = report.warp_error
    pairs = [
        (one, wording.error_levels(one.result), wording.error_levels(one.source))
        for one in error.each
        if one.result is not None and one.source is not None
    ]
    if not pairs:
        return elements.section("Steadiness", "There is no pair of frames that can be judged.", "")
    time = _time_plot(report, clip)
    top, ticks = charts.axis_ticks(max(max(result, source) for _, result, source in pairs))
    marks = []
    for name, values in (
        ("source", [source for _, _, source in pairs]),
        ("result", [result for _, result, _ in pairs]),
    ):
        points = [
            (one.index + 1.0, value, f"frames {one.index} and {one.index + 1}: {value:.1f} levels")
            for (one, _, _), value in zip(pairs, values, strict=True)
        ]
        marks.append(charts.line(time, [point[:2] for point in points], top, name))
        marks.append(charts.dots(time, points, top, name))
    at_keys = [(one.index + 1.0, result, "") for one, result, _ in pairs if one.straddles]
    marks.append(charts.dots(time, at_keys, top, "hollow"))
    legend = elements.legend(
        [("result", "round", "the film"), ("result", "ring", "with a key frame in the pair"),
         ("source", "round", "its source"), *_MARKS]
    )  # fmt: skip
    text = (
        "The root of the warp error of each judged pair of neighbouring frames: the grey levels by "
        f"which they differ once the source's motion, by {escape(error.judge)}, is taken out. "
        "Lower is steadier. Frames and seconds below."
    )
    drawn = charts.plot(
        time, ticks, "".join(marks), "root of the warp error over time, in grey levels"
    )
    return elements.section("Steadiness", text, f'<div class="card">{legend}{drawn}</div>')


_MARKS = [("key", "thin", "key frame"), ("cut", "broken", "cut")]


def _paint(report: Report, clip: Clip) -> str:
    """Return the section with coverage and painted share over time."""
    time, frames = _time_plot(report, clip), report.frames
    painted = charts.group_spans([one.painted for one in frames], max)
    covered = charts.group_spans([one.coverage if one.sources else None for one in frames], min)
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


def _sheet(report: Report, shown: PageContent) -> str:
    count, cuts = len(report.keys), {one.start for one in report.scenes[1:]}
    text = f"{len(shown.keys)} of {count}, spread evenly. " if len(shown.keys) < count else ""
    text += "Each with its index, its time and why it is one."
    if cuts:
        text += " A yellow frame marks the first after a cut."
    figures = "\n".join(
        f"<figure{_cut_class(one.frame in cuts)}>"
        f"{elements.image(one.jpeg, f'key frame {one.frame}')}"
        f"<figcaption>{one.frame} · {one.seconds:.2f} s · {escape(one.cause)}</figcaption></figure>"
        for one in shown.keys
    )
    return elements.section("Key frames", text, f'<div class="sheet">\n{figures}\n</div>')


def _cut_class(begins: bool) -> str:
    return ' class="new"' if begins else ""


def _worst_pairs(views: Sequence[PairView], size: Size) -> str:
    if not views:
        return ""
    text = (
        "The judged pairs whose warp error is the largest beside that of the source, to which one "
        f"grey level, squared, is added. The film is {size}."
    )
    return elements.section("Worst frames", text, "\n".join(_pair_card(one) for one in views))


def _pair_card(one: PairView) -> str:
    index = one.pair.index
    key = ", with a key frame" if one.pair.straddles else ""
    error = wording.warp_error(one.pair.result, one.pair.source, elements.exact).line
    holes = (
        "it was painted whole"
        if one.whole
        else f"painted fresh: {elements.percentage(one.painted)}"
    )
    legend = "".join(_legend_line(origin, one) for origin in one.legend)
    ramp = ", ".join(elements.css_colour(colour) for colour in ERROR_COLOURS)
    figures = [
        (one.result, f"Frame {one.frame}", ""),
        (one.holes, f"Holes of frame {one.frame}", f"; {holes}"),
        (one.origins, "Where its pixels were painted", f'<ul class="legend">{legend}</ul>'),
        (one.error, f"Difference from frame {index} to {index + 1}",
         f'; grey: not judged<span class="ramp" style="background:linear-gradient(90deg, {ramp})">'
         '</span><span class="ends"><span>0</span>'
         f"<span>{LARGEST_ERROR} grey levels</span></span>"),
    ]  # fmt: skip
    shown = "\n".join(
        f"<figure>{elements.image(jpeg, text, one.size)}"
        f"<figcaption>{text}{more}</figcaption></figure>"
        for jpeg, text, more in figures
    )
    return (
        f'<div class="card pair"><h3>Frames {index} and {index + 1}{key}</h3>\n'
        f'<span class="soft">Warp error: {error}</span>\n'
        f'<div class="pictures">\n{shown}\n</div></div>'
    )


def _legend_line(origin: Origin, one: PairView) -> str:
    """Return a line of the legend of origins."""
    if not origin.frames:
        named = "the source, kept"
    elif origin.frames == (one.frame,):
        named = f"frame {one.frame} itself"
    else:
        first, *more = origin.frames
        named = f"{len(origin.frames)} other frames" if more else f"frame {first}"
    swatch = f'<i class="swatch" style="background:{elements.css_colour(origin.colour)}"></i>'
    share = f"{100 * origin.share:.1f}" if origin.share >= 0.001 else "under 0.1"
    return f"<li>{swatch}{named}: {share}&nbsp;%</li>"


def _seed_text(report: Report) -> str:
    """Return the seed of the job, and the frames with other seeds."""
    spans: list[tuple[int, int, int]] = []
    for row in report.prompts:
        if row.seed is None:
            continue
        stop = report.clip.frames if row.stop is None else row.stop
        if spans and spans[-1][1:] == (row.start, row.seed):
            spans[-1] = (spans[-1][0], stop, row.seed)
        else:
            spans.append((row.start, stop, row.seed))
    others = [f"frames {start} to {stop - 1}: {seed}" for start, stop, seed in spans]
    return "; ".join([str(report.seed), *others])


def _work(report: Report) -> str:
    """Return the section with the seconds of each kind of work, settings and versions."""
    seconds = report.seconds
    longest = max([*seconds.values(), 1e-9])
    stages = "".join(
        f'<tr><th>{escape(stage)}</th><td class="number">{elements.number(spent, "{:.1f}")} s</td>'
        f'<td class="bar"><i style="width:{100 * spent / longest:.1f}%"></i></td></tr>'
        for stage, spent in seconds.items()
    )
    flow = report.flow
    used = {
        "flow": f"{flow.estimator} (asked: {flow.asked}; {flow.reason})",
        "painter": report.painter,
        "seed": _seed_text(report),
        **report.versions,
    }
    changed = Settings().replace(report.settings).differences()
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
