"""Our tab in Chromium, driven by playwright where both are installed.

`OFGEN_CHROMIUM` names the browser's program where it is not on the path.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from support.paths import ROOT
from support.server import PATIENCE

PROGRAM = (
    os.environ.get("OFGEN_CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chrome")
    or shutil.which("google-chrome")
)
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
TITLE = re.compile(
    "|".join(
        json.loads(path.read_text("utf-8"))["Optical Flow Animation"]
        for path in (ROOT / "localizations").glob("*.json")
    )
    + "|Optical Flow Animation"
)
"""Our tab's, in any language."""
LONG = PATIENCE * 1000
"""Milliseconds."""


def why_missing() -> str:
    """Why there is no browser to drive; empty where there is one."""
    if find_spec("playwright") is None:
        return "playwright is not installed: pip install '.[test]'"
    return "" if PROGRAM else "no Chromium on the path, and OFGEN_CHROMIUM names none"


NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_missing()), reason=why_missing()),
]
"""Marks of tests that drive a browser."""
LOOKED = """async (times) => {
    const at = () => document.querySelector("#ofgen_beat [data-beat]")?.dataset.beat;
    for (let turn = 0; turn < times; turn++) {
        const before = at();
        document.getElementById("ofgen_look").click();
        while (at() === before) await new Promise((done) => setTimeout(done, 2));
    }
}"""
"""Press the button that asks for what is new, and wait for the answer, so many times."""


_STIRRED = """() => {
    Object.defineProperty(document, "hidden", {value: true, configurable: true});
    const tab = document.getElementById("tab_ofgen"), mark = document.createElement("i");
    window.stirring = setInterval(() => mark.isConnected ? mark.remove() : tab.append(mark), 300);
}"""


@contextlib.contextmanager
def unwatched(page: Any) -> Iterator[None]:
    """The page looks only when it is told to, so that no look is under way while one measures.

    Yet it is never still, as a page that looks every 0.6 s: hosts hold elements until it is.
    """
    page.evaluate(_STIRRED)
    yield
    page.evaluate("() => { clearInterval(window.stirring); delete document.hidden; }")


SETTLED = 100
"""Milliseconds from an answer until gradio has taken away what tells that it is waited for."""


class Memory:
    """Nodes of the page's documents and KiB of its scripts, after a collection of garbage."""

    def __init__(self, page: Any) -> None:
        """Nothing is measured yet."""
        self._page, self._tools = page, page.context.new_cdp_session(page)

    def __call__(self) -> tuple[int, float]:
        """The least of five looks apart: a picture on its way comes and goes, a leak stays."""
        found = []
        for _ in range(5):
            self._page.evaluate(LOOKED, 10)
            self._page.wait_for_timeout(SETTLED)
            found.append(self._now())
        return min(nodes for nodes, _ in found), min(size for _, size in found)

    def _now(self) -> tuple[int, float]:
        for _ in range(3):
            self._tools.send("HeapProfiler.collectGarbage")
        nodes = self._tools.send("Memory.getDOMCounters")["nodes"]
        return nodes, self._tools.send("Runtime.getHeapUsage")["usedSize"] / 1024


@contextlib.contextmanager
def started() -> Iterator[Any]:
    """The browser."""
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def tab_of(browser: Any, port: int, query: str = "", **options: Any) -> Iterator[Any]:
    """Our tab; in the end the browser has told of no error but of what it could not fetch."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 1000}, **options})
    told: list[str] = []
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("console", lambda line: told.append(line.text) if line.type == "error" else None)
    page.goto(f"http://127.0.0.1:{port}/{query}", wait_until="domcontentloaded")
    opened(page)
    yield page
    page.close()
    # The webui's own page asks for a font and a script from outside.
    assert [line for line in told if "net::ERR" not in line] == []


def opened(page: Any) -> None:
    """Choose our tab."""
    page.locator("#tabs button", has_text=TITLE).first.click()
    page.locator("#ofgen_generate").wait_for()


def reloaded(page: Any) -> None:
    """Load the page anew, and choose our tab."""
    page.reload(wait_until="domcontentloaded")
    opened(page)


def fill(page: Any, **values: object) -> None:
    """Write into the fields of settings."""
    for name, value in values.items():
        field = page.locator(f"#ofgen_{name}").locator("textarea, input").first
        field.fill(str(value))
        field.press("Tab")


def expect(element: Any) -> Any:
    """Playwright's own, which waits."""
    from playwright import sync_api

    return sync_api.expect(element)


def width(page: Any) -> tuple[int, int]:
    """How wide the page is, and how wide the window."""
    return tuple(
        page.evaluate("(({scrollWidth, clientWidth}) => [scrollWidth, clientWidth])"
                      "(document.documentElement)")
    )  # fmt: skip
