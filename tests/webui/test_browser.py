"""The tab in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import browser
from support.browser import LONG, LOOKED, expect, fill
from support.videos import make_video, walking
from support.webui.films import LENGTH, RATE, frames_of
from support.webui.host import Host

BUSY = "#tab_ofgen [data-busy]"
MANY = 16
"""Passages of a clip whose film is not done while a page looks 1200 times."""

pytestmark = browser.NEEDS_BROWSER


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.started() as program:
        yield program


@pytest.fixture
def tab(chromium: Any, host: Host) -> Iterator[Any]:
    with browser.tab_of(chromium, host.port) as page:
        yield page


@pytest.mark.usefixtures("restored")
def test_a_film_takes_one_click_after_dropping_a_video(tab: Any, host: Host, clip: Path) -> None:
    fill(tab, prompt="a walk by night")
    tab.set_input_files("#ofgen_upload input[type=file]", clip)
    tab.locator("#ofgen_source.prose", has_text="18 frames of 128x64").wait_for(timeout=LONG)
    tab.click("#ofgen_generate")
    tab.locator("#ofgen_progress.prose [data-busy]").wait_for(timeout=LONG)
    browser.reloaded(tab)
    tab.locator("#ofgen_film.prose video").wait_for(state="attached", timeout=LONG)
    film = host.outputs / "ofgen" / host.call("/ofgen/v1/jobs").body[-1]["output"]
    assert len(frames_of(film)) == LENGTH
    tab.locator("#ofgen_tabs button", has_text="Film").click()
    assert tab.locator("#ofgen_film.prose video").evaluate("film => film.error") is None
    slider = tab.locator("#ofgen_compare.prose input")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowLeft")
    figure = tab.locator("#ofgen_compare.prose figure")
    assert figure.evaluate("one => one.style.getPropertyValue('--at')") == "47%"
    tab.click("#ofgen_beside_play")
    pair = tab.locator("#ofgen_beside.prose video")
    pair.wait_for(timeout=LONG)
    expect(pair).to_have_js_property("readyState", 4, timeout=LONG)
    assert pair.evaluate("film => [film.videoWidth, film.videoHeight]") == [128 * 2 + 8, 64]
    pair.evaluate("film => { film.loop = true; film.playbackRate = 8; return film.play(); }")
    tab.wait_for_function("document.querySelector('#ofgen_beside video').played.length > 0")
    tab.click("#ofgen_send_img2img")
    tab.locator("#img2img_image img").wait_for(timeout=LONG)
    expect(tab.locator("#img2img_prompt textarea")).to_have_value("a walk by night", timeout=LONG)


@pytest.mark.usefixtures("restored")
def test_a_picture_sends_what_it_was_painted_by(tab: Any) -> None:
    tab.locator("#tabs > .tab-nav button").first.click()
    tab.locator("#txt2img_steps input[type=number]").fill("3")
    tab.locator("#txt2img_prompt textarea").fill("a fox in snow")
    tab.click("#txt2img_generate")
    tab.locator("#txt2img_gallery img").first.wait_for(timeout=LONG)
    tab.click("#ofgen_from_txt2img")
    tab.locator("#ofgen_generate").wait_for(timeout=LONG)
    expect(tab.locator("#ofgen_prompt textarea")).to_have_value("a fox in snow")
    expect(tab.locator("#ofgen_steps input[type=number]")).to_have_value("3")


def test_key_frames_of_a_plan_are_moved_by_hand(tab: Any, clip: Path) -> None:
    fill(tab, path=clip)
    tab.click("#ofgen_plan")
    keys = tab.locator("#ofgen_plan_view button.key")
    keys.first.wait_for(timeout=LONG)
    shown = tab.locator("#ofgen_plan_keys textarea")
    before = shown.input_value().split(", ")
    assert keys.count() == len(before)
    tab.locator("#ofgen_plan_view .strip").scroll_into_view_if_needed()
    box = tab.locator("#ofgen_plan_view .strip").bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 6.5 / LENGTH, box["y"] + 20)
    assert "6" in shown.input_value().split(", ")
    tab.keyboard.press("ArrowRight")
    assert shown.input_value().split(", ") == sorted([*before, "7"], key=int)
    tab.keyboard.press("Delete")
    assert shown.input_value().split(", ") == before
    chosen = tab.locator("#ofgen_key_indices textarea")
    expect(chosen).to_have_value(", ".join(before), timeout=LONG)
    expect(tab.locator(BUSY)).to_have_count(0, timeout=LONG)


@pytest.mark.usefixtures("restored")
def test_frames_are_repainted_and_that_is_undone(tab: Any, clip: Path) -> None:
    fill(tab, path=clip, end=0.25, seed=71)
    tab.click("#ofgen_generate")
    tab.locator("#ofgen_film.prose", has_text="3 frames of").wait_for(timeout=LONG)
    player = tab.locator("#ofgen_film.prose video")
    film = player.get_attribute("src") or ""
    tab.locator("#ofgen_repaints", has_text="Repaint frames").click()
    undo = tab.locator("#ofgen_repaint_undo")
    assert not undo.is_visible()
    fill(tab, repaint_first=0, repaint_last=0, repaint_seed=9)
    tab.click("#ofgen_repaint")
    listed = tab.locator("#ofgen_repaint_list.prose li")
    expect(listed).to_have_text("frame 0: seed 9", timeout=LONG)
    expect(player).not_to_have_attribute("src", film, timeout=LONG)
    film = player.get_attribute("src") or ""
    undo.click()
    expect(listed).to_have_count(0, timeout=LONG)
    undo.wait_for(state="hidden", timeout=LONG)
    expect(player).not_to_have_attribute("src", film, timeout=LONG)
    fill(tab, repaint_last=99)
    tab.click("#ofgen_repaint")
    told = tab.locator("#ofgen_repaint_told.prose [role=alert]")
    expect(told).to_contain_text("to frame", timeout=LONG)


def test_what_is_refused_is_told_beside_the_button(tab: Any) -> None:
    fill(tab, path="/etc/passwd")
    tab.click("#ofgen_generate")
    told = tab.locator("#ofgen_told.prose [role=alert]")
    told.wait_for(timeout=LONG)
    assert "outside" in told.inner_text()
    fill(tab, path="")
    tab.click("#ofgen_generate")
    expect(told).to_contain_text("Drop a video first, or give a path", timeout=LONG)


def test_the_keyboard_begins_a_job(tab: Any) -> None:
    tab.locator("#ofgen_prompt textarea").focus()
    tab.keyboard.press("Control+Enter")
    told = tab.locator("#ofgen_told.prose")
    expect(told).to_contain_text("Drop a video first", timeout=LONG)


@pytest.mark.usefixtures("restored")
def test_the_keyboard_stops_a_job(tab: Any, clip: Path) -> None:
    fill(tab, path=clip, steps=60)
    tab.locator("#ofgen_prompt textarea").focus()
    tab.keyboard.press("Control+Enter")
    tab.locator("#ofgen_progress.prose [data-busy]").wait_for(timeout=LONG)
    tab.keyboard.press("Escape")
    told = tab.locator("#ofgen_progress.prose")
    expect(told).to_contain_text("stopped", timeout=LONG)


@pytest.mark.usefixtures("restored")
def test_a_page_left_open_does_not_grow(tab: Any, host: Host, clip: Path) -> None:
    """A page that a job runs under: to its last look there are new pictures."""
    longer = make_video(clip.with_name("long.mp4"), walking(14) * MANY, rate=RATE)
    tab.locator("#ofgen_group_advanced .label-wrap").first.click()
    fill(tab, path=longer, steps=60, track_reach=1)
    tab.click("#ofgen_generate")
    tab.locator("#ofgen_live.prose .legend li").first.wait_for(timeout=LONG)
    measure = browser.Memory(tab)
    with browser.unwatched(tab):
        tab.evaluate(LOOKED, 200)
        shown, before = _shown(tab), measure()
        tab.evaluate(LOOKED, 1000)
        nodes, kilobytes = measure()
    assert host.call("/ofgen/v1/jobs").body[-1]["state"] == "running"
    assert _shown(tab) != shown, "the page saw no new picture"
    assert nodes <= before[0] + 50
    assert kilobytes <= 1.03 * before[1]
    tab.keyboard.press("Escape")
    expect(tab.locator(BUSY)).to_have_count(0, timeout=LONG)


def _shown(page: Any) -> str:
    """The picture of the newest frame."""
    return page.locator("#ofgen_live.prose img").first.get_attribute("src")


def test_nothing_sticks_out_on_a_phone(tab: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    wide, window = browser.width(tab)
    assert wide <= window
