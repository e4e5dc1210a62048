"""The page of a report: whole, harmless, small, and true to the report."""

from __future__ import annotations

import base64
import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_ofgen.imaging import images
from lib_ofgen.report.figures import (
    PAINT_COLOUR,
    FilmPictures,
    Thumbnail,
    find_worst_pairs,
    make_thumbnails,
    view_worst_pairs,
)
from lib_ofgen.report.html import charts
from lib_ofgen.report.html.charts import Span, TimePlot
from lib_ofgen.report.html.page import PageContent, report_html
from lib_ofgen.report.measures import Flickering, PairError, PairErrors, Sharpness
from lib_ofgen.report.model import FrameFacts, Report
from lib_ofgen.values import Image, KeyFrame, Mask, Scene, Size
from support.html_reader import Reader
from support.reports import make_report
from support.videos import plain_clip

SMALL = Size(48, 80)
LOADS = {"src", "href", "xlink:href", "srcset", "poster", "data", "action", "background"}


def facts_of(
    length: int = 30,
    scenes: Sequence[Scene] = (Scene(0, 12), Scene(12, 30)),
    keys: Sequence[int] = (0, 12, 24),
    pairs: Sequence[int] = (0, 4, 11, 13, 23, 28),
    **changes: object,
) -> Report:
    """A job's report."""
    frames = [
        FrameFacts(i, (), 0.0, 1.0) if i in keys else FrameFacts(i, (0,), 0.93, 0.1)
        for i in range(length)
    ]
    return make_report(frames, keys, scenes, pairs, **changes)


def film(size: Size = SMALL, holes: int = 9) -> FilmPictures:
    """A film of noise, another one each frame; all but one corner comes from frame 0."""

    def picture(index: int) -> Image:
        return np.random.default_rng(index).integers(0, 256, (*size, 3)).astype(np.uint8)

    def repainted(index: int) -> Mask | None:
        mask = np.zeros(size, np.bool_)
        mask[:holes, :holes] = True
        return mask if holes else None

    def origins(index: int) -> np.ndarray:
        found = np.zeros(size, np.int32)
        found[:holes, :holes] = index
        return found

    return FilmPictures(picture, picture, repainted, origins)


def page_of(
    facts: Report,
    shown: FilmPictures | None = None,
    names: tuple[str, str] = ("walk.mp4", "out.mp4"),
) -> bytes:
    """The page of a report, with pictures of `shown`."""
    shown, clip = shown or film(), plain_clip(facts.clip.frames)
    keys = [KeyFrame(key.index, 0.0, "interval") for key in facts.keys]
    whole = {frame.index for frame in facts.frames if not frame.sources}
    close = view_worst_pairs(shown, facts.warp_error.each, whole)
    return report_html(
        facts, PageContent(*names, clip, make_thumbnails(keys, clip, shown.result), close)
    )


def test_the_page_is_whole_and_loads_nothing() -> None:
    content = page_of(facts_of())
    read = Reader(content)
    assert not read.tags.keys() & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert read.tags["img"] == 3 + 6 * 4
    for tag, attributes in read.attributes:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in LOADS or value.startswith("data:image/jpeg;base64,"), (tag, value)
            assert "url(" not in value
    assert b"http:" not in content
    assert b"https:" not in content
    assert b"@import" not in content
    assert b"prefers-color-scheme: dark" in content
    policy = next(one for one in read.of("meta") if "http-equiv" in one)
    assert policy["content"].startswith("default-src 'none'; img-src data:")
    for image in read.of("img"):
        assert images.decode_png(base64.b64decode(image["src"].partition(",")[2])).std() > 1


HARMFUL = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    st.sampled_from(
        ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'&lt;", "]]>"]
    ),
)


@settings(max_examples=40, deadline=None)
@given(HARMFUL, HARMFUL, HARMFUL)
def test_no_name_and_no_prompt_becomes_markup(name: str, prompt: str, painter: str) -> None:
    facts = replace(facts_of(pairs=(), prompt="calm", seed=1), painter="calm")
    still = Reader(page_of(facts))
    told = facts_of(pairs=(), prompt=prompt or "calm", seed=1)
    told = replace(told, painter=painter, flow=replace(told.flow, reason=painter))
    read = Reader(page_of(told, names=(name, name)))
    assert read.tags == still.tags
    assert [sorted(one) for _, one in read.attributes] == [
        sorted(one) for _, one in still.attributes
    ]
    assert not name or name in read.text
    assert not prompt or prompt in read.text
    assert not painter or painter in read.text


def test_a_name_that_is_no_text_is_shown_all_the_same() -> None:
    content = page_of(facts_of(), names=("a\udce9.mp4", "out.mp4"))
    assert "a\\udce9.mp4" in "".join(Reader(content).text)


def test_its_numbers_are_the_reports() -> None:
    facts = facts_of()
    assert facts.colour is not None
    read = Reader(page_of(facts))
    error = facts.warp_error
    told = [error.result, error.source, error.straddling, error.within]
    told += [facts.flicker, *vars(facts.sharpness).values(), facts.coverage_mean]
    told += [*vars(facts.flickering).values(), facts.colour.mean, facts.colour.worst]
    told += [facts.painted_mean, *vars(facts.painted).values(), *facts.seconds.values()]
    told += [value for one in error.each for value in (one.result, one.source)]
    assert not Counter(told) - Counter(read.numbers)
    assert {"dis (asked: auto; the best there is)", "brush 1", *facts.versions.values()} <= {
        *read.text
    }


def tiles_of(facts: Report) -> dict[str, tuple[str, str]]:
    """Value and remark of each large number on the page of a report, as a person reads them."""
    found: dict[str, tuple[str, str]] = {}
    for tile in page_of(facts).decode().partition("<dl")[2].partition("</dl>")[0].split("</div>"):
        name, *texts = re.findall(r"<d[td][^>]*>(.*?)</d[td]>", tile) or [""]
        if name:
            value, remark = (html.unescape(re.sub(r"<[^>]+>", "", text)) for text in texts)
            found[name] = (value, remark)
    return found


def test_its_numbers_are_said_as_a_person_reads_them() -> None:
    facts = facts_of()
    errors = replace(
        facts.warp_error, result=0.000206, source=0.0002, straddling=0.0003, within=0.0002
    )
    tiles = tiles_of(replace(facts, warp_error=errors, flicker=0.000412))
    assert tiles["Warp error"] == ("1.03 times", "the source's own")
    assert tiles["Warp error at key frames"] == ("1.50 times", "that between them")
    assert tiles["Flicker in holes"] == ("2.00 times", "the film's warp error")
    assert tiles["Flickering"] == ("0.8 levels", "where nothing moves; the source 0.7")
    assert tiles["Colour"] == ("1.5 levels", "off on the mean, 3.0 at worst, of 2 key frames")
    assert tiles["Sharpness"] == ("1.01 times", "that of the key frames")
    assert len(tiles) == 8


def test_what_was_not_measured_says_why() -> None:
    facts = facts_of()
    nothing = PairErrors(()).warp_error("farneback")
    facts = replace(
        facts, warp_error=nothing, flicker=None, flickering=Flickering(None, None), colour=None
    )
    tiles = tiles_of(facts)
    assert tiles["Warp error"] == ("none", "no pair could be judged")
    assert tiles["Warp error at key frames"] == ("none", "no pairs of both kinds are known")
    assert tiles["Flicker in holes"] == ("none", "no hole was judged")
    assert tiles["Flickering"] == ("none", "nothing in the picture stands still")
    assert tiles["Colour"] == ("none", "no key frame was compared with earlier paint")


def test_a_source_without_motion_is_no_measure_of_its_film() -> None:
    facts = facts_of()
    errors = replace(facts.warp_error, result=(2 / 255) ** 2, source=1e-9)
    tiles = tiles_of(replace(facts, warp_error=errors))
    assert tiles["Warp error"] == (
        "2.0 levels", "once motion is taken out; the source's own 0.0",
    )  # fmt: skip


def test_an_error_of_nought_is_known_and_not_missing() -> None:
    facts, three = facts_of(), (3 / 255) ** 2
    still = replace(
        facts.warp_error, result=0.0, source=0.0, straddling=three, within=0.0,
    )  # fmt: skip
    tiles = tiles_of(replace(facts, warp_error=still, flicker=0.0))
    assert tiles["Warp error"][0] == "0.0 levels"
    assert tiles["Warp error at key frames"] == (
        "3.0 levels", "once motion is taken out; that between them 0.0",
    )  # fmt: skip
    assert tiles["Flicker in holes"] == (
        "0.0 levels", "once motion is taken out; the film's warp error 0.0",
    )  # fmt: skip
    moving = replace(facts.warp_error, straddling=0.0)
    tiles = tiles_of(replace(facts, warp_error=moving, flicker=0.0))
    assert tiles["Warp error at key frames"] == ("0.00 times", "that between them")
    assert tiles["Flicker in holes"] == ("0.00 times", "the film's warp error")


def test_flat_key_frames_are_no_measure_of_sharpness_but_were_measured() -> None:
    flat, missing = (
        tiles_of(replace(facts_of(), sharpness=Sharpness(2.0, painted))) for painted in (0.0, None)
    )
    assert flat["Sharpness"] == ("none", "that of the key frames is 0")
    assert missing["Sharpness"] == ("none", "no frame was measured")


def test_only_what_differs_from_the_defaults_is_listed() -> None:
    plain, changed = (Reader(page_of(facts_of(**c))) for c in ({}, {"key_interval": 7}))
    assert "key_interval" not in plain.text
    assert "None." in plain.text
    assert changed.text[changed.text.index("key_interval") + 1] == "7"


def test_each_judged_pair_is_a_point_of_the_film_and_of_its_source() -> None:
    facts = facts_of()
    read = Reader(page_of(facts))
    pairs = facts.warp_error.each
    assert len(read.of("path", "result")) - 1 == len(read.of("path", "source")) - 1 == len(pairs)
    straddling = [one for one in pairs if one.straddles]
    assert len(read.of("path", "hollow")) == len(straddling) == 3
    titles = [text for text in read.text if text.startswith("frames ")]
    assert "frames 4 and 5: 9.1 levels" in titles
    assert read.of("path", "line")[0]["d"].count("M") == len(facts.scenes)


def test_keys_and_cuts_are_marked_in_both_plots() -> None:
    read = Reader(page_of(facts_of()))
    for kind, count in (("keys", 3), ("cuts", 1)):
        assert [one["d"].count("M") for one in read.of("path", kind)] == [count, count]
    assert len(read.of("figure", "new")) == 1


@pytest.mark.parametrize("length", [1, 2])
def test_a_clip_with_nothing_to_judge_has_a_page(length: int) -> None:
    facts = facts_of(length, [Scene(i, i + 1) for i in range(length)], range(length), ())
    read = Reader(page_of(facts))
    assert "There is no pair of frames that can be judged." in read.text
    assert read.tags["img"] == length
    assert len(read.of("path", "painted")) == 1


def test_a_film_without_holes_has_a_page() -> None:
    facts = facts_of()
    frames = tuple(replace(one, painted=float(not one.sources)) for one in facts.frames)
    facts = replace(facts, flicker=None, frames=frames)
    read = Reader(page_of(facts, film(holes=0)))
    assert read.tags["img"] == 3 + 6 * 4
    assert "none" in read.text


def test_pairs_of_which_nothing_was_seen_are_no_points() -> None:
    facts = facts_of()
    each = list(facts.warp_error.each)
    each[1] = replace(each[1], result=None)
    facts = replace(facts, warp_error=replace(facts.warp_error, each=tuple(each)))
    read = Reader(page_of(facts))
    assert len(read.of("path", "source")) - 1 == len(facts.warp_error.each) - 1


def test_a_long_film_of_noise_has_a_small_page() -> None:
    """Noise is what JPEG packs worst; every frame is a key, and every 10th a scene's first."""
    scenes = [Scene(i, i + 10) for i in range(0, 1000, 10)]
    facts = facts_of(1000, scenes, range(1000), range(0, 999, 42))
    content = page_of(facts, film(Size(360, 640)))
    assert Reader(content).tags["img"] == 24 + 6 * 4
    assert len(content) < 3e6


# its plots


def test_many_frames_share_a_span_that_shows_the_worst() -> None:
    values = [0.25] * 2000
    values[1234] = 1.0
    found = charts.group_spans(values, max)
    assert len(found) <= 500
    assert [one for one in found if one.value == 1.0] == [Span(1232, 1236, 1.0)]
    assert charts.group_spans([None, 0.5, None], min) == [Span(1, 2, 0.5)]


@pytest.mark.parametrize("top", [3e-7, 0.00053, 0.0021, 0.9, 7.0])
def test_an_axis_ends_at_a_round_number_above_all_values(top: float) -> None:
    end, ticks = charts.axis_ticks(top)
    assert top <= end <= 2 * top
    assert [value for value, _ in ticks] == pytest.approx([float(text) for _, text in ticks])
    assert 3 <= len(ticks) <= 6


def test_a_line_goes_through_its_points() -> None:
    time = TimePlot(10, lambda index: index / 25, [0], [5])
    drawn = charts.line(time, [(1.0, 0.0), (4.0, 2.0), (6.0, 1.0)], 2.0, "result")
    assert 'd="M100 100L400 0M600 50"' in drawn


# its pictures


def pair(index: int, result: float | None, source: float) -> PairError:
    """A judged pair, as the report has it."""
    return PairError(index, result, source, straddles=False)


def test_the_worst_pairs_are_the_worst_beside_the_source() -> None:
    pairs = [pair(i, 0.001 * (i + 1), 0.001) for i in range(9)]
    pairs += [pair(9, 0.008, 0.01), pair(10, None, 0.0), pair(11, 1e-6, 0.0)]
    assert [one.index for one in find_worst_pairs(pairs)] == [8, 7, 6, 5, 4, 3]


def test_a_closeup_shows_holes_origins_and_where_the_error_is() -> None:
    size = Size(64, 96)
    ramp = np.add.outer(np.arange(64) * 2.0, np.arange(96)) + 20
    still = np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8)
    popped = still.copy()
    popped[40:60, 60:80] += 60
    fresh = np.zeros(size, np.bool_)
    fresh[8:24, 8:24] = True
    origins = np.repeat([[0] * 24 + [9] * 24], 32, axis=0).astype(np.int32)
    origins[4:12, 4:12] = 3
    shown = FilmPictures(
        lambda _: still, lambda i: popped if i == 4 else still, lambda _: fresh, lambda _: origins
    )
    (close,) = view_worst_pairs(shown, [pair(3, 0.01, 0.0)], {0, 9})
    assert (close.frame, close.whole, close.size) == (3, False, size)
    assert close.painted == pytest.approx(fresh.mean())
    assert [one.frames for one in close.legend] == [(9,), (0,), (3,)]
    assert [one.share for one in close.legend] == pytest.approx([0.5, 0.5 - 1 / 24, 1 / 24])
    result, holes, mapped, error = (
        images.decode_png(one).astype(int)
        for one in (close.result, close.holes, close.origins, close.error)
    )
    apart = np.abs(holes - result).mean(axis=2)
    assert apart[10:22, 10:22].min() > 20
    assert apart[:, 40:].max() < 8
    colours = {one.frames[0]: np.array(one.colour) for one in close.legend}
    assert tuple(colours[3]) == PAINT_COLOUR
    for frame, place in ((0, (50, 20)), (9, (30, 80)), (3, (16, 16))):
        lit = mapped[place] / np.linalg.norm(mapped[place])
        assert lit @ (colours[frame] / np.linalg.norm(colours[frame])) > 0.97
    assert error[45:55, 65:75].mean() > 4 * error[5:30, 50:90].mean()


def test_a_frame_that_was_painted_whole_leaves_its_place_to_its_neighbour() -> None:
    one, both = (
        view_worst_pairs(film(), [pair(3, 0.01, 0.0)], whole)[0] for whole in ({3}, {3, 4})
    )
    assert (one.frame, one.whole) == (4, False)
    assert (both.frame, both.whole) == (3, True)


def test_sources_beyond_the_palette_share_an_entry() -> None:
    many = np.repeat(np.arange(20, dtype=np.int32)[None], 4, axis=0)
    shown = film()._replace(origins=lambda _: many)
    (close,) = view_worst_pairs(shown, [pair(3, 0.01, 0.0)], set())
    assert sum(one.share for one in close.legend) == pytest.approx(1)
    assert sorted(index for one in close.legend for index in one.frames) == list(range(20))
    assert len({one.colour for one in close.legend}) == len(close.legend) <= 9


def test_no_picture_is_larger_than_it_may_be() -> None:
    (close,) = view_worst_pairs(film(Size(720, 400)), [pair(3, 0.01, 0.0)], set())
    assert close.size == Size(360, 200)
    assert all(
        images.size_of(images.decode_png(data)) == close.size
        for data in (close.result, close.holes, close.origins, close.error)
    )
    keys = [KeyFrame(i, 0.0, "every") for i in range(100)]
    found = make_thumbnails(keys, plain_clip(100), film().result)
    assert len(found) == 24
    assert found[0] == Thumbnail(0, 0.0, "every", found[0].jpeg)
    assert found[-1].frame == 99
