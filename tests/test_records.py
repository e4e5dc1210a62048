"""What lies in the folders of jobs, of paces and of presets may be anything: it costs itself."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_ofgen.planning.estimate import PaintSpeed, Work
from lib_ofgen.report.model import FrameFacts
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.presets import Store
from lib_ofgen.values import Size
from lib_ofgen.webui.jobs.store import JobRecord, JobStore, uses_path
from support.reports import make_report

GOOD: dict[str, Any] = {
    "id": "ofgen-one",
    "document": {
        "input": "/films/walk.mp4",
        "settings": {"prompt": "oil", "seed": 3},
        "output": "/films/out/walk.mp4",
        "defaults": 2,
        "mask": "/films/mask.png",
        "prompts": [{"start": 0, "prompt": "a meadow"}],
    },
    "made": 1.7e9,
    "state": "done",
    "message": "",
    "told": "3 frames",
    "seed": 3,
    "repaints": [{"start": 0, "stop": 1, "seed": 9}],
}
STAYS = {**GOOD, "id": "ofgen-stays"}

WRONG: dict[str, Any] = {
    "document a list": {**GOOD, "document": []},
    "document empty": {**GOOD, "document": {}},
    "settings a text": {**GOOD, "document": {**GOOD["document"], "settings": "prompt"}},
    "input a number": {**GOOD, "document": {**GOOD["document"], "input": 3}},
    "output nowhere": {**GOOD, "document": {**GOOD["document"], "output": ""}},
    "output with a zero": {**GOOD, "document": {**GOOD["document"], "output": "/a\0b.mp4"}},
    "input no bytes": {**GOOD, "document": {**GOOD["document"], "input": "/\ud800.mp4"}},
    "mask a list": {**GOOD, "document": {**GOOD["document"], "mask": ["a"]}},
    "prompts a number": {**GOOD, "document": {**GOOD["document"], "prompts": 3}},
    "prompts without a start": {**GOOD, "document": {**GOOD["document"], "prompts": [{}]}},
    "made a text": {**GOOD, "made": "yesterday"},
    "made never": {**GOOD, "made": 1e300},
    "made before all": {**GOOD, "made": -1e18},
    "made true": {**GOOD, "made": True},
    "state unknown": {**GOOD, "state": "dancing"},
    "state a list": {**GOOD, "state": ["done"]},
    "message a number": {**GOOD, "message": 3},
    "told nothing": {**GOOD, "told": None},
    "seed a text": {**GOOD, "seed": "3"},
    "repaints a number": {**GOOD, "repaints": 1},
    "repaints of texts": {**GOOD, "repaints": ["0"]},
    "repaints without a start": {**GOOD, "repaints": [{"seed": 3}]},
    "repaints of the unknown": {**GOOD, "repaints": [{"start": 0, "colour": 3}]},
    "id of another": {**GOOD, "id": "ofgen-two"},
    "a list": [GOOD],
    "a text": "GOOD",
    "more": {**GOOD, "more": 3},
}
RAW: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "not UTF-8": json.dumps(GOOD).encode("utf-16"),
    "NaN": json.dumps({**GOOD, "made": float("nan")}).encode(),
    "infinite": json.dumps(GOOD).replace("1700000000.0", "1e999").encode(),
    "deep": b"[" * 200_000,
    "digits": b'{"id": ' + b"9" * 6000 + b"}",
    "huge": b" " * (1 << 25) + json.dumps(GOOD).encode(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ofgen-stays.json").write_text(json.dumps(STAYS), "utf-8")
    return tmp_path


def read(folder: Path) -> list[str]:
    """The ids of the records, each of them used as the tab does."""
    store = JobStore(folder)
    for record in store.all():
        time.localtime(record.created)
        assert record.workspace.name == f"{record.output.name}.ofgen"
        assert uses_path(record, record.output)
        prompt_rows.check_rows(record.request["prompts"], "rows")
        prompt_rows.check_rows(record.repaints, "rows")
        os.fsencode(record.source)
        f"{record.message}{record.summary}{record.seed:d}{record.document['settings'].get('prompt')}"
        store.put(record)
    return [record.id for record in store.all()]


def test_a_finished_film_is_summed_up_with_its_steadiness() -> None:
    record = JobRecord("ofgen-one", {})
    frames = [FrameFacts(i, (), 0.0, 1.0) for i in range(3)]
    report = make_report(frames, [0, 2], pairs=[0, 1])
    record.note_result(report)
    size = report.clip.size
    first = f"3 frames of {size}, 2 key frames, 48 s"
    assert record.summary == f"{first}; warp error 1.89 times the source's own"
    record.note_result(make_report(frames, [0, 2]))
    assert record.summary == first


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_record_costs_itself(folder: Path, what: str) -> None:
    (folder / "ofgen-one.json").write_text(json.dumps(WRONG[what]), "utf-8")
    assert read(folder) == ["ofgen-stays"]
    assert (folder / "ofgen-one.json").is_file(), "it is left to its owner"


@pytest.mark.parametrize("what", RAW)
def test_a_file_that_is_no_record_costs_itself(folder: Path, what: str) -> None:
    (folder / "ofgen-one.json").write_bytes(RAW[what])
    assert read(folder) == ["ofgen-stays"]


def test_what_is_no_file_costs_itself(folder: Path) -> None:
    (folder / "ofgen-one.json").mkdir()
    os.mkfifo(folder / "ofgen-pipe.json")
    (folder / "ofgen-loop.json").symlink_to("ofgen-loop.json")
    (folder / "ofgen-none.json").symlink_to("nowhere")
    assert read(folder) == ["ofgen-stays"]


def test_a_folder_of_jobs_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", "utf-8")
    for name in ("file", "none"):
        assert JobStore(tmp_path / name).all() == []


def test_what_ran_is_stopped_also_where_nothing_can_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ofgen-one.json").write_text(json.dumps({**GOOD, "state": "running"}), "utf-8")

    def refuses(*_: Any) -> None:
        from lib_ofgen.errors import WorkspaceError

        raise WorkspaceError("the disk is full")

    monkeypatch.setattr("lib_ofgen.webui.jobs.store.write_whole", refuses)
    assert {one.id: one.state for one in JobStore(folder).all()}["ofgen-one"] == "stopped"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a value of JSON."""
    yield path
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, part in parts:
        yield from places(part, (*path, name))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(places(GOOD))), JSON, st.booleans())
def test_any_value_in_any_place_costs_at_most_its_record(
    place: tuple[Any, ...], value: Any, drops: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ofgen-stays.json").write_text(json.dumps(STAYS), "utf-8")
        (folder / "ofgen-one.json").write_text(json.dumps(_put(place, value, drops)), "utf-8")
        assert "ofgen-stays" in read(folder)


def _put(place: tuple[Any, ...], value: Any, drops: bool) -> Any:
    """The good record with something else there, or nothing."""
    whole: Any = {"root": copy.deepcopy(GOOD)}
    *way, last = ("root", *place)
    inner = whole
    for name in way:
        inner = inner[name]
    inner[last] = value
    if drops and way:
        del inner[last]
    return whole["root"]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 400), st.binary(max_size=12))
def test_any_bytes_cost_at_most_their_record(at: int, data: bytes) -> None:
    good = json.dumps(GOOD).encode()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "ofgen-one.json").write_bytes(good[:at] + data + good[at + len(data) :])
        read(Path(name))


# ofgen-pace.json

RATES = {"decode": 1e-7, "analyse": 1e-7, "flow dis": 1e-7, "fuse": 1e-7, "encode": 1e-7,
         "measure": 1e-7, "paint a": 1e-7}  # fmt: skip
WORK = Work(10, Size(48, 80), 2, 1, 3)


def foretold(path: Path) -> float | None:
    return PaintSpeed(path).seconds(WORK, flow="dis", painter="a", steps=10, strengths=(0.5, 0.5))


@pytest.mark.parametrize(
    "wrong", ["fast", None, [], {}, True, -1e-7, 1e300, 10**400, float("nan"), float("inf")]
)
def test_a_wrong_rate_is_as_one_that_is_unknown(tmp_path: Path, wrong: Any) -> None:
    path = tmp_path / "ofgen-pace.json"
    path.write_text(json.dumps(RATES), "utf-8")
    assert foretold(path) == pytest.approx(sum(RATES.values()) * 38400, rel=1)
    path.write_text(json.dumps({**RATES, "fuse": wrong}), "utf-8")
    assert foretold(path) is None


@pytest.mark.parametrize("what", RAW)
def test_a_file_of_no_paces_is_as_none(tmp_path: Path, what: str) -> None:
    path = tmp_path / "ofgen-pace.json"
    path.write_bytes(RAW[what])
    assert foretold(path) is None


def test_what_is_no_file_of_paces_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert foretold(tmp_path / "folder") is foretold(tmp_path / "pipe") is None


# presets

PRESET = {
    "ofgen": 1,
    "name": "soft",
    "settings": {"strength": 0.25},
    "description": "",
    "defaults": 2,
}


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(list(places(PRESET))[1:]), JSON)
def test_any_value_in_a_preset_costs_at_most_that_preset(
    place: tuple[Any, ...], value: Any
) -> None:
    wrong: Any = copy.deepcopy(PRESET)
    inner = wrong
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "good.json").write_text(json.dumps({**PRESET, "name": "good"}), "utf-8")
        (folder / "wrong.json").write_text(json.dumps(wrong), "utf-8")
        assert "good" in Store(folder).all()


@pytest.mark.parametrize("what", RAW)
def test_what_is_no_preset_costs_itself(tmp_path: Path, what: str) -> None:
    (tmp_path / "good.json").write_text(json.dumps(PRESET), "utf-8")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "wrong.json").write_bytes(RAW[what])
    assert list(Store(tmp_path).all()) == ["soft"]
    assert len(Store(tmp_path).faults()) == 1
