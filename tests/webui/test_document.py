"""A job document beyond its settings: a mask and a list of prompts; and the report's page."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lib_ofgen.settings import prompt_rows
from support.webui.films import JOB, KEYS, LENGTH, frames_of, made_again, same_film
from support.webui.host import TITLE, Answer, Host

INSIDE = (12, 24, 52, 104)
"""Top, left, bottom, right of what the mask leaves to the painter."""
ROWS = [
    {"start": 8, "stop": 12, "prompt": "ink, rain", "negative_prompt": "sun"},
    {"start": 16, "prompt": "snow"},
]


def _picture(of: Path) -> list[np.ndarray]:
    return [frame.astype(int) for frame in frames_of(of)]


@pytest.fixture(scope="module")
def mask(host: Host) -> Path:
    """One picture, for every frame."""
    grey = np.zeros((64, 128), np.uint8)
    top, left, bottom, right = INSIDE
    grey[top:bottom, left:right] = 255
    path = host.outputs / "mask.png"
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), grey)
    return path


@pytest.fixture(scope="module")
def masked(host: Host, clip: Path, mask: Path) -> Answer:
    return host.film({"input": str(clip), "mask": str(mask), "settings": JOB}, seed=71)


@pytest.fixture(scope="module")
def worded(host: Host, clip: Path) -> Answer:
    return host.film({"input": str(clip), "prompts": ROWS, "settings": JOB})


def test_a_mask_keeps_the_background_bit_for_bit(masked: Answer, clip: Path, mask: Path) -> None:
    assert masked.film["state"] == "done"
    assert len(frames_of(masked.film["video"])) == LENGTH
    compared = made_again(masked, clip, mask)
    assert [frame["index"] for frame in compared] == list(range(LENGTH))
    for frame in compared:
        assert frame["wrong"] == 0, frame
        top, left, bottom, right = frame["changed"]
        assert top >= INSIDE[0], frame
        assert left >= INSIDE[1], frame
        assert bottom <= INSIDE[2], frame
        assert right <= INSIDE[3], frame
        painted = (bottom - top) * (right - left)
        assert painted > 0.8 * (INSIDE[2] - INSIDE[0]) * (INSIDE[3] - INSIDE[1]), frame


def test_a_mask_outside_the_folders_is_refused(host: Host, clip: Path, tmp_path: Path) -> None:
    job = {"input": str(clip), "mask": str(tmp_path / "mask.png"), "settings": JOB}
    answer = host.film(job)
    assert answer.status == 422
    assert "mask" in answer.body["detail"]
    assert "--ofgen-allow-path" in answer.body["detail"]


def test_rows_of_prompts_reach_the_painter(worded: Answer, done: Answer) -> None:
    """Keys that no row names are painted as ever; the others by what their row says."""
    facts = json.loads(Path(worded.film["report"]).read_text("utf-8"))
    words = {row["start"]: row["prompt"] for row in facts["prompts"]}
    wanted = {0: "oil painting", 8: "ink, rain", 12: "oil painting", 16: "snow"}
    assert wanted.items() <= words.items()
    one, other = (_picture(Path(film.film["video"])) for film in (worded, done))
    changed = {key: float(np.abs(one[key] - other[key]).mean()) for key in KEYS}
    assert changed[0] < 1.5
    assert all(changed[key] > 3 for key in (8, 16, 17)), changed


@pytest.mark.parametrize("kind", ["masked", "worded"])
def test_the_infotext_repeats_all_of_the_document(
    host: Host, kind: str, request: pytest.FixtureRequest
) -> None:
    first: Answer = request.getfixturevalue(kind)
    read = host.call("/sdapi/v1/png-info", {"image": first.body["images"][0]}).body
    document: dict[str, Any] = json.loads(read["parameters"][TITLE])
    assert ("mask" in document, "prompts" in document) == (kind == "masked", kind == "worded")
    if kind == "worded":
        listed = prompt_rows.check_rows(document["prompts"], "the infotext's list")
        assert {row.start: row.prompt for row in listed}[8] == "ink, rain"
        assert {row.start: row.negative_prompt for row in listed}[8] == "sun"
    document["output"] = str(host.outputs / f"again-{kind}.mp4")
    again = host.film(document, "txt2img", prompt="else", seed=1, cfg_scale=9)
    assert again.film["state"] == "done"
    assert same_film(first.film["video"], again.film["video"])


class _Seen(HTMLParser):
    """Addresses that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.loaded += [known[name] or "" for name in ("src", "href") if name in known]


def test_the_answer_and_the_job_name_the_reports_page(host: Host, done: Answer) -> None:
    page = Path(done.film["page"])
    assert page == Path(done.film["workspace"]) / "report.html"
    seen = _Seen()
    seen.feed(page.read_text("utf-8"))
    assert seen.loaded
    assert [url[:40] for url in seen.loaded if not url.startswith(("data:", "#"))] == []
    handed_out = host.call(f"/ofgen/v1/jobs/{done.film['id']}/page")
    assert handed_out.body == page.read_bytes()
