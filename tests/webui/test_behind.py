"""The tab behind a login and under a sub path, on a webui that listens to all; in Japanese."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from support.browser import LONG, NEEDS_BROWSER, expect, fill, started
from support.paths import ROOT
from support.webui.films import walk
from support.webui.host import TITLE, Host
from support.webui.proxy import Proxy

USER, PASSWORD = "ada", "one:two"
pytestmark = NEEDS_BROWSER

WORDS = json.loads((ROOT / "localizations" / "ja_JP.json").read_text("utf-8"))
NAMES = {
    "walk", "aac", "dis", "DIS", "pdcnet", "raft", "ofgen", "weights", "list", "first", "last",
    "steps", "PNG",
}  # fmt: skip
"""Of files, settings, their values, and a command: these are the same in every language."""
TEXTS = """
() => {
    const panels = [...document.querySelectorAll("#tab_ofgen .prose")];
    panels.forEach((one) => one.querySelectorAll(".ofgen-path").forEach((path) => path.remove()));
    const parts = panels.flatMap((one) => [...one.querySelectorAll("*")]);
    const nodes = parts.flatMap((one) => [...one.childNodes]);
    return nodes.filter((one) => one.nodeType === Node.TEXT_NODE).map((one) => one.data);
}
"""


@pytest.fixture(scope="module")
def behind(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A webui with those flags."""
    flags = ("--listen", "--subpath", "studio/flow", "--gradio-auth", f"{USER}:{PASSWORD}")
    folder = tmp_path_factory.mktemp("behind")
    running = Host(folder, models, *flags, localization="ja_JP")
    try:
        yield running.ready("Model loaded in")
        assert running.faults() == []
    finally:
        running.close()


@pytest.fixture(scope="module")
def proxy(behind: Host) -> Iterator[Proxy]:
    """What a person's browser sees of it."""
    with Proxy("studio/flow", behind.port) as server:
        yield server
        server.shutdown()


@pytest.fixture
def page(proxy: Proxy) -> Iterator[Any]:
    with started() as browser:
        opened = browser.new_page(viewport={"width": 1280, "height": 1000})
        told: list[str] = []
        opened.on("pageerror", lambda error: told.append(str(error)))
        yield opened
    assert told == []


def test_a_film_is_made_behind_a_login_and_under_a_sub_path(
    page: Any, proxy: Proxy, behind: Host
) -> None:
    clip = walk(behind)
    answers: dict[str, int] = {}
    page.on("response", lambda answer: answers.update({answer.url: answer.status}))
    page.goto(proxy.address, wait_until="domcontentloaded")
    page.get_by_label("username").fill(USER)
    page.get_by_label("password").fill(PASSWORD)
    page.get_by_role("button", name="Login").click()
    page.locator("#tabs button", has_text=WORDS[TITLE]).click(timeout=LONG)
    fill(page, end=0.4, steps=40)  # slow enough to be seen at work
    page.set_input_files("#ofgen_upload input[type=file]", clip)
    page.locator("#ofgen_source.prose", has_text="128x64").wait_for(timeout=LONG)
    page.click("#ofgen_plan")
    page.locator("#ofgen_plan_view button.key").first.wait_for(timeout=LONG)
    page.click("#ofgen_generate")
    told = page.locator("#ofgen_progress.prose [data-busy]")
    told.filter(has_text=WORDS["painting"]).wait_for(timeout=LONG)
    page.locator("#ofgen_film.prose video").wait_for(timeout=LONG)
    page.click("#ofgen_beside_play")
    page.locator("#ofgen_beside.prose video").wait_for(timeout=LONG)
    for player in ("#ofgen_film", "#ofgen_beside"):
        film = page.locator(f"{player} video")
        expect(film).to_have_js_property("readyState", 4, timeout=LONG)
        place = film.evaluate("film => film.currentSrc").partition("#")[0]
        assert place.startswith(f"{proxy.address}file=")
        assert answers[place] in (200, 206)
        with pytest.raises(HTTPError, match="401"):
            urlopen(place, timeout=30)
    page.locator("#ofgen_tabs > .tab-nav button").last.click()
    picture = page.locator("#ofgen_history img").first
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") > 0
    assert set(proxy.asked_outside) <= {"/favicon.ico"}
    assert _english(page) == set()


def _english(page: Any) -> set[str]:
    """Words in our panels that are no names."""
    texts = page.evaluate(TEXTS)
    assert len(texts) > 30
    return set(re.findall(r"[A-Za-z]{3,}", "\n".join(texts))) - NAMES
