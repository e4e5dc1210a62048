"""Frames of a finished film are painted with another seed, in the tab and by the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.settings.fields import Settings
from support.webui.film_requests import SMALL, Pressed
from support.webui.films import JOB, KEYS, LENGTH
from support.webui.host import Host, waited
from support.webui.page import Page

STEADIED = Settings().track_reach


class Repainted:
    """A finished film in the tab, and what repaints make of it."""

    def __init__(self, host: Host, clip: Path) -> None:
        self.pressed, self._host = Pressed(host, clip, seed=61), host
        self.film = self.pressed.film()
        self.workspace = self.film.with_name(f"{self.film.name}.ofgen")

    def press(self, button: str, **values: Any) -> str:
        """The line that a press of the button gives."""
        given = {f"ofgen_repaint_{name}": value for name, value in values.items()}
        return self.pressed.page.press(button, **given)["ofgen_repaint_told"]

    def ended(self) -> dict[str, Any]:
        """What the page shows once the film is made anew."""

        def shown() -> Any:
            seen = self.pressed.page.press("ofgen_look")
            assert self.pressed.job()["state"] in ("waiting", "running", "done")
            return seen if isinstance(seen["ofgen_film"], str) else None

        return waited(shown, "film made anew")

    def frames(self) -> list[str]:
        """Under which digests the film's frames are kept."""
        return ResultFrames(self.workspace).facts.kept.frames

    def state(self) -> tuple[str, bytes, list[str]]:
        """All that must not change where nothing begins."""
        return self.pressed.job()["state"], self.film.read_bytes(), self.frames()


@pytest.fixture(scope="module")
def made(host: Host, clip: Path) -> Iterator[Repainted]:
    made = Repainted(host, clip)
    before = made.state()
    yield made
    assert made.state() == before, "what was repainted was not taken back"


@pytest.mark.usefixtures("restored")
def test_a_range_is_repainted_and_taken_back(host: Host, made: Repainted) -> None:
    film, before, reel = made.film.read_bytes(), made.frames(), ResultFrames(made.workspace)
    told = made.press("ofgen_repaint", first=8, last=9, seed="99")
    assert "frames 8 to 9, seed 99: " in told
    seen = made.ended()
    assert "frames 8 to 9: seed 99" in seen["ofgen_repaint_list"]
    assert (seen["ofgen_frame"]["value"], seen["ofgen_repaint_told"]) == (8, "")
    assert "Frame 8" in seen["ofgen_compare"]
    assert seen["ofgen_repaint_undo"]["visible"] is True
    after = made.frames()
    changed = {index for index in range(LENGTH) if before[index] != after[index]}
    assert 8 in changed
    assert changed <= set(range(1, 16)), "frames 0, 16 and 17 are other key frames"
    other = ResultFrames(made.workspace)
    assert np.abs(reel.result(8).astype(int) - other.result(8)).mean() > 2
    for index in set(range(LENGTH)) - changed:
        assert np.array_equal(reel.result(index), other.result(index))
    assert made.film.read_bytes() != film
    start = len(host.log())
    assert "taken back" in made.press("ofgen_repaint_undo")
    seen = made.ended()
    assert host.sampled(start) == 0, "what was painted was painted again"
    assert made.film.read_bytes() == film
    assert seen["ofgen_repaint_list"] == ""
    assert seen["ofgen_repaint_undo"]["visible"] is False


@pytest.mark.usefixtures("restored")
def test_a_drawn_seed_is_written_down_and_repaints_pile_up(host: Host, made: Repainted) -> None:
    told = made.press("ofgen_repaint", first=16, last=17, seed="-1")
    drawn = re.search(r"frames 16 to 17, seed (\d+): 100.0 %", told)
    assert drawn, told
    made.ended()
    start = len(host.log())
    made.press("ofgen_repaint", first=17, last=17, seed="5")
    assert "under way" in made.press("ofgen_repaint", first=17, last=17, seed="6")
    seen = made.ended()
    assert host.sampled(start) == 1, "frame 17 alone is painted, whole"
    first, second = re.findall("<li>([^<]+)</li>", seen["ofgen_repaint_list"])
    assert (first, second) == (f"frames 16 to 17: seed {drawn[1]}", "frame 17: seed 5")
    keys = ResultFrames(made.workspace).facts.keys
    assert [key.seed for key in keys] == [61, 61, int(drawn[1]), 5]
    job = f"[{made.pressed.id}]"
    opened = Page(host.port).press("ofgen_history_open", ofgen_history_choice=job)
    assert "frame 17: seed 5" in opened["ofgen_repaint_list"]
    start = len(host.log())
    for _ in range(2):
        made.press("ofgen_repaint_undo")
        made.ended()
    assert host.sampled(start) == 0
    assert [key.seed for key in ResultFrames(made.workspace).facts.keys] == [61] * len(KEYS)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"first": 9, "last": 3, "seed": "7"}, "begin at 9 and end at 3"),
        ({"first": 9, "last": 18, "seed": "7"}, "a whole number from 0 to 17"),
        ({"last": 3, "seed": "7"}, "from frame is empty"),
        ({"first": 0, "last": 3, "seed": "red"}, "seed is &#x27;red&#x27;"),
        ({"first": 0, "last": 3, "seed": ""}, "seed is empty"),
    ],
)
def test_what_cannot_be_repainted_is_one_line(
    host: Host, made: Repainted, values: dict[str, Any], said: str
) -> None:
    before, start = made.state(), len(host.log())
    told = made.press("ofgen_repaint", **values)
    assert said in told
    assert told.count("role=") == 1
    assert made.state() == before
    assert host.sampled(start) == 0


def test_where_nothing_is_painted_nothing_begins(host: Host, made: Repainted) -> None:
    frames = ResultFrames(made.workspace).facts.frames
    bare = next(one for one in frames if one.painted == 0)
    before = made.state()
    told = made.press("ofgen_repaint", first=bare.index, last=bare.index, seed="7")
    assert f"nothing is painted in frame {bare.index}: " in told
    assert "come from key frame" in told
    assert any(str(key) in told.partition("come from")[2] for key in KEYS)
    assert made.state() == before
    assert "seed" not in str(made.pressed.page.press("ofgen_look")["ofgen_repaint_list"])


@pytest.mark.usefixtures("restored")
def test_the_api_repaints_by_the_documents_rows(host: Host, clip: Path) -> None:
    settings = {**JOB, **SMALL, "seed": 62}
    job = {"input": str(clip), "settings": settings}
    film = host.film(job).film
    before = ResultFrames(Path(film["workspace"])).facts.kept.frames
    start = len(host.log())
    other = host.film({**job, "prompts": [{"start": 17, "seed": 3}]}).film
    assert other["workspace"] == film["workspace"]
    assert host.sampled(start) == 1
    after = ResultFrames(Path(other["workspace"])).facts.kept.frames
    whole = [*range(17 - STEADIED), 16]
    assert [before[index] for index in whole] == [after[index] for index in whole]
    assert before[17] != after[17]
    start = len(host.log())
    assert host.film(job).film["workspace"] == film["workspace"]
    assert host.sampled(start) == 0, "without the row the earlier paint is found again"
    assert ResultFrames(Path(film["workspace"])).facts.kept.frames == before
