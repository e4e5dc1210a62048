"""The tab alone in a browser: gradio and the fake host, no webui.

`OFGEN_GRADIO_PYTHON` names the interpreter of an environment as `fake_host/requirements.txt` tells,
gradio as the webui has it; `OFGEN_GRADIO4_PYTHON` one as `fake_host/requirements-4.txt` tells,
gradio as Forge has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from support import browser
from support.browser import expect, fill
from support.fake_host import FakeHost, interpreter
from support.paths import ROOT
from support.server import waited, watched
from support.videos import make_video, walking

LENGTH = 18
LONG = 60_000
"""Milliseconds, for what takes two seconds on a machine that is not busy."""
PHONE = (390, 800)
BUSY = "#tab_ofgen [data-busy]"
QUICK = {"steps": 1}
SLOW = {"steps": 60}
"""A call of the painter then takes half a second, so that one can see the middle of a job."""

pytestmark = browser.NEEDS_BROWSER


@pytest.fixture(scope="module", params=["OFGEN_GRADIO_PYTHON", "OFGEN_GRADIO4_PYTHON"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    started = FakeHost(interpreter(request.param), tmp_path_factory.mktemp("data"))
    with watched(started) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.started() as program:
        yield program


@pytest.fixture
def tab(chromium: Any, host: FakeHost) -> Iterator[Any]:
    with browser.tab_of(chromium, host.port) as page:
        yield page


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "walk.mp4"
    return make_video(path, walking(LENGTH), rate=Fraction(12), sound="aac", click=0.5)


def drop(page: Any, path: Path) -> None:
    """Hand the video in, and wait until the page says what it is."""
    page.set_input_files("#ofgen_upload input[type=file]", path)
    page.locator("#ofgen_source", has_text="128x64").first.wait_for(timeout=LONG)


def shown(page: Any, name: str) -> Any:
    """The element of ours of that name."""
    return page.locator(f"#ofgen_{name}").first


def panel(page: Any, name: str) -> None:
    """Show one of the panels."""
    buttons = page.locator("#ofgen_tabs button[role=tab], #ofgen_tabs .tab-nav button")
    buttons.nth(("Plan", "Film", "History").index(name)).click()


def frames(path: Path) -> int:
    with av.open(str(path)) as film:
        return sum(1 for _ in film.decode(video=0))


def begun(page: Any) -> str:
    """Press Generate; the job's id."""
    told = page.locator("#ofgen_told [data-job]").first
    before = told.get_attribute("data-job") if told.count() else ""
    page.click("#ofgen_generate")
    job = page.locator(f"#ofgen_told [data-job]:not([data-job='{before}'])").first
    job.wait_for(state="attached", timeout=LONG)
    return job.get_attribute("data-job")


def finished(page: Any, host: FakeHost, job: str) -> Path:
    """The film of the job, when it is shown."""
    waited(lambda: host.job(job)["state"] not in ("waiting", "running"), "film")
    told = host.job(job)
    assert told["state"] == "done", told
    film = host.outputs / "ofgen" / told["output"]
    player = page.locator(f"#ofgen_film video[src*='{film.name}']").first
    player.wait_for(state="attached", timeout=LONG)
    return film


def choose(page: Any, job: str) -> None:
    """Choose the job in the history."""
    panel(page, "History")
    page.locator("#ofgen_history_choice input").first.click()
    page.locator("ul.options li", has_text=job).first.click()
    expect(shown(page, "history_told")).to_contain_text("Delete frees", timeout=LONG)


def test_a_film_is_planned_made_watched_and_compared(tab: Any, host: FakeHost, clip: Path) -> None:
    drop(tab, clip)
    fill(tab, prompt="a walk in oil", **SLOW)
    _plan(tab)
    job = begun(tab)
    tab.locator("#ofgen_live .legend li").first.wait_for(timeout=LONG)
    expect(shown(tab, "progress")).to_contain_text("painting, frame", timeout=LONG)
    tab.click("#ofgen_pause")
    expect(shown(tab, "progress")).to_contain_text("paused, ", timeout=LONG)
    browser.reloaded(tab)
    expect(shown(tab, "progress")).to_contain_text("paused, ", timeout=LONG)
    panel(tab, "Film")
    tab.click("#ofgen_play")
    _plays(tab.locator("#ofgen_so_far video").first)
    tab.locator("#ofgen_pause", has_text="Resume").click()
    assert frames(finished(tab, host, job)) == LENGTH
    _plays(tab.locator("#ofgen_film video").first)
    _compare(tab)


def _plan(page: Any) -> None:
    """Draw a plan, and put more key frames into it, by the pointer and in words."""
    page.click("#ofgen_plan")
    keys = page.locator("#ofgen_plan_view button.key")
    keys.first.wait_for(timeout=LONG)
    strip = page.locator("#ofgen_plan_view .strip")
    strip.scroll_into_view_if_needed()
    box = strip.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 6.5 / LENGTH, box["y"] + 20)
    chosen = page.locator("#ofgen_key_indices textarea, #ofgen_key_indices input").first
    expect(chosen).to_have_value("0, 6, 17", timeout=LONG)
    expect(page.locator(BUSY)).to_have_count(0, timeout=LONG)
    fill(page, plan_keys="0, 3, 6, 9, 12, 17")
    page.click("#ofgen_plan_take")
    expect(keys).to_have_count(6, timeout=LONG)
    expect(page.locator(BUSY)).to_have_count(0, timeout=LONG)


_MOVES = """async film => {
    film.muted = true;
    await film.play();
    const at = film.currentTime;
    await new Promise(done => setTimeout(done, 400));
    film.pause();
    return film.currentTime > at;
}"""


def _plays(video: Any) -> None:
    """The video can be seen, and time goes on in it."""
    video.wait_for(timeout=LONG)
    assert video.evaluate(_MOVES)


def _compare(page: Any) -> None:
    """Move the border, look at another frame, and send it on."""
    slider = page.locator("#ofgen_compare .compare input").first
    slider.focus()
    for _ in range(3):
        slider.press("ArrowLeft")
    figure = page.locator("#ofgen_compare figure").first
    assert figure.evaluate("one => one.style.getPropertyValue('--at')") == "47%"
    frame = page.locator("#ofgen_frame input[type=range]").first
    frame.focus()
    frame.press("ArrowRight")
    expect(shown(page, "compare")).to_contain_text("Frame 1", timeout=LONG)
    page.click("#ofgen_send_img2img")
    page.locator("#img2img_image img").first.wait_for(timeout=LONG)


def test_a_stopped_film_goes_on_from_the_history(tab: Any, host: FakeHost, clip: Path) -> None:
    drop(tab, clip)
    fill(tab, seed=2, **SLOW)
    job = begun(tab)
    expect(shown(tab, "progress")).to_contain_text("painting, frame", timeout=LONG)
    tab.click("#ofgen_interrupt")
    expect(shown(tab, "progress")).to_contain_text("stopped", timeout=LONG)
    assert host.job(job)["state"] == "stopped"
    choose(tab, job)
    tab.click("#ofgen_history_resume")
    expect(shown(tab, "history_told")).to_contain_text("it goes on", timeout=LONG)
    assert frames(finished(tab, host, job)) == LENGTH


def test_films_queue_and_are_deleted(tab: Any, host: FakeHost, clip: Path) -> None:
    drop(tab, clip)
    fill(tab, seed=3, **SLOW)
    first = begun(tab)
    shown(tab, "progress").locator("[data-busy]").first.wait_for(timeout=LONG)
    fill(tab, seed=4, **QUICK)
    second = begun(tab)
    expect(shown(tab, "queue")).to_contain_text("1 waiting", timeout=LONG)
    film = finished(tab, host, second)
    assert host.job(first)["state"] == "done"
    expect(shown(tab, "queue")).to_have_text("", timeout=LONG)
    choose(tab, second)
    tab.locator("#ofgen_history_film input").check()
    tab.once("dialog", lambda asked: asked.dismiss())
    tab.click("#ofgen_history_delete")
    expect(shown(tab, "history_told")).to_contain_text("nothing is deleted", timeout=LONG)
    tab.once("dialog", lambda asked: asked.accept())
    tab.click("#ofgen_history_delete")
    expect(shown(tab, "history_told")).to_contain_text("free again", timeout=LONG)
    assert not film.exists()
    assert not film.with_name(f"{film.name}.ofgen").exists()


def test_a_preset_is_imported_and_a_bad_one_is_refused(tab: Any, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    preset = {"ofgen": 1, "name": "soft", "settings": {"strength": 0.25, "steps": 12}}
    good.write_text(json.dumps(preset), encoding="utf-8")
    bad.write_text(json.dumps({**preset, "settings": {"strenght": 0.25}}), encoding="utf-8")
    tab.locator("#ofgen_preset_keep").get_by_text("Keep and share").click()
    told = shown(tab, "preset_told")
    _import(tab, bad)
    expect(told.locator("[role=alert]")).to_contain_text("did you mean strength?", timeout=LONG)
    tab.locator("#ofgen_preset_file").get_by_role("button", name="Clear").first.click()
    _import(tab, good)
    strength = tab.locator("#ofgen_strength input").first
    expect(strength).to_have_value("0.25", timeout=LONG)
    expect(tab.locator("#ofgen_steps input").first).to_have_value("12")
    expect(tab.locator("#ofgen_preset_name textarea, #ofgen_preset_name input")).to_have_value(
        "soft"
    )


def test_a_video_that_lacks_is_marked_until_it_is_there(tab: Any, clip: Path) -> None:
    marked = tab.locator("#ofgen_upload.ofgen-lacks, #ofgen_path.ofgen-lacks")
    for button, line in (("generate", "told"), ("plan", "plan_told")):
        tab.click(f"#ofgen_{button}")
        expect(shown(tab, line)).to_contain_text("Drop a video first", timeout=LONG)
        expect(tab.locator("#ofgen_upload").first).to_have_class(re.compile("ofgen-lacks"))
        field = tab.locator("#ofgen_path textarea, #ofgen_path input").first
        expect(field).to_have_attribute("aria-invalid", "true")
        field.fill("/x")
        expect(marked).to_have_count(0)
        field.fill("")
    drop(tab, clip)


def test_a_film_that_grows_is_in_view_and_its_page_does_not_grow(
    chromium: Any, host: FakeHost, tmp_path: Path
) -> None:
    longer = make_video(tmp_path / "long.mp4", walking(14) * 8, rate=Fraction(12))
    with browser.tab_of(chromium, host.port, viewport={"width": 1400, "height": 1000}) as page:
        drop(page, longer)
        fill(page, seed=6, **SLOW)
        job = begun(page)
        page.locator("#ofgen_live .legend li").first.wait_for(timeout=LONG)
        picture = page.locator("#ofgen_live img").first
        box = page.locator("#ofgen_live .pictures").first.bounding_box()
        assert page.evaluate("window.scrollY") == 0
        assert box["y"] + box["height"] <= 1000
        measure, before = browser.Memory(page), picture.get_attribute("src")
        with browser.unwatched(page):
            page.evaluate(browser.LOOKED, 30)
            nodes, kilobytes = measure()
            page.evaluate(browser.LOOKED, 160)
            now = measure()
        expect(picture).not_to_have_attribute("src", before, timeout=LONG)
        assert host.job(job)["state"] == "running"
        assert now[0] <= nodes + 50
        assert now[1] <= 1.03 * kilobytes
        page.click("#ofgen_interrupt")
        expect(shown(page, "progress")).to_contain_text("stopped", timeout=LONG)


def _import(page: Any, path: Path) -> None:
    page.set_input_files("#ofgen_preset_file input[type=file]", path)
    # The name alone is there before the file has arrived.
    page.locator(f"#ofgen_preset_file a[href*='{path.name}']").first.wait_for(timeout=LONG)
    page.click("#ofgen_preset_take")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", "Drop a video first, or give a path"),
        ("/etc/passwd", "outside"),
        ("DATA/outputs/none.mp4", "is not a file"),
        ("DATA/outputs/text.mp4", "text.mp4"),
    ],
)
def test_a_wrong_input_is_one_line(tab: Any, host: FakeHost, path: str, line: str) -> None:
    outputs = host.data / "outputs"
    outputs.mkdir(exist_ok=True)
    (outputs / "text.mp4").write_text("no video", encoding="utf-8")
    fill(tab, path=path.replace("DATA", str(host.data)))
    told = "told" if line != "text.mp4" else "progress"
    tab.locator("#ofgen_prompt textarea").press("Control+Enter")
    alert = shown(tab, told).locator("[role=alert]").first
    expect(alert).to_contain_text(line, timeout=LONG)
    assert shown(tab, told).locator("[role]").count() == 1


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("", PHONE),
        ("?__theme=dark", PHONE),
        ("?__theme=dark", (1280, 1000)),
        ("?localization=ja_JP", PHONE),
        ("?localization=zh_CN", PHONE),
    ],
)
def test_nothing_sticks_out(
    chromium: Any, host: FakeHost, clip: Path, query: str, size: tuple[int, int]
) -> None:
    viewport = {"width": size[0], "height": size[1]}
    with browser.tab_of(chromium, host.port, query, viewport=viewport) as page:
        drop(page, clip)
        fill(page, seed=5, **QUICK)
        expect(page.locator("#ofgen_plan")).to_have_text(_translated("Plan", query))
        titles = page.locator("#ofgen_settings .label-wrap > span:first-child").all_inner_texts()
        assert titles
        assert "localization" not in query or not any(title.isascii() for title in titles), titles
        page.click("#ofgen_plan")
        page.locator("#ofgen_plan_view button.key").first.wait_for(timeout=LONG)
        wide = [browser.width(page)]
        finished(page, host, begun(page))
        for name in ("Film", "History"):
            panel(page, name)
            wide.append(browser.width(page))
        assert all(whole <= window for whole, window in wide), wide


def _translated(text: str, query: str) -> str:
    """The text in the language that the page's address names."""
    language = query.partition("localization=")[2]
    words = ROOT / "localizations" / f"{language}.json"
    return json.loads(words.read_text("utf-8"))[text] if language else text
