"""The report as types and as JSON: what is written is what is read, old reports too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_ofgen.report import facts
from lib_ofgen.report.measures import Flickering, KeyColour
from lib_ofgen.report.model import FrameFacts, Report, SoundFacts
from lib_ofgen.system import sealed_json
from lib_ofgen.values import PromptRow
from support.reports import make_report

MEMBERS = [
    "clip", "scenes", "keys", "frames", "kept", "painted_mean", "painted", "coverage_mean",
    "warp_error", "flicker", "flickering", "colour", "sharpness", "seconds", "settings",
    "versions", "prompts", "tagger", "seed", "flow", "painter", "left_out",
]  # fmt: skip
LATER = ["flickering", "colour", "left_out"]
"""Members that the first reports lacked."""
FRAMES = [FrameFacts(0, (), 0.0, 1.0), FrameFacts(1, (0, 2), 0.9, 0.1, 0.25),
          FrameFacts(2, (), 0.0, 1.0)]  # fmt: skip
REPORT = make_report(FRAMES, [0, 2], pairs=[0, 1])


def read(report: Report) -> Any:
    return json.loads(facts.to_bytes(report))


def test_the_members_stand_in_their_order() -> None:
    assert list(REPORT.to_json()) == MEMBERS
    assert list(read(REPORT)) == [*MEMBERS, "seal"]


def test_a_member_that_most_frames_lack_is_left_out_there() -> None:
    first, second, _ = REPORT.to_json()["frames"]
    assert first == {"index": 0, "sources": [], "coverage": 0.0, "painted": 1.0}
    assert second["second"] == 0.25
    rows = (PromptRow(0, 1, "a", ""), PromptRow(1, 3, "b", "", 7))
    listed = replace(REPORT, prompts=rows).to_json()["prompts"]
    assert listed == [
        {"start": 0, "stop": 1, "prompt": "a", "negative_prompt": ""},
        {"start": 1, "stop": 3, "prompt": "b", "negative_prompt": "", "seed": 7},
    ]
    assert REPORT.to_json()["clip"]["sound"] is None


@given(
    st.lists(st.integers(0, 99), max_size=3),
    st.none() | st.floats(0, 1e9),
    st.none() | st.builds(SoundFacts, st.text(), st.integers(1, 10**6)),
    st.none() | st.builds(KeyColour, st.floats(0, 255), st.floats(0, 255), st.integers(1)),
    st.text(),
)
def test_what_is_written_is_read(
    sources: list[int],
    mean: float | None,
    sound: SoundFacts | None,
    colour: KeyColour | None,
    painter: str,
) -> None:
    report = replace(
        REPORT,
        frames=(replace(FRAMES[1], sources=tuple(sources)), *FRAMES[1:]),
        flicker=mean, coverage_mean=mean, painter=painter, colour=colour,
        flickering=Flickering(mean, None),
        clip=replace(REPORT.clip, sound=sound), left_out=3,
    )  # fmt: skip
    assert Report.from_json(read(report)) == report


def test_the_report_of_an_older_program_is_read(tmp_path: Path) -> None:
    """One without later members, and with a member that this program does not know."""
    value = REPORT.to_json()
    for name in LATER:
        del value[name]
    value["clip"]["codec"] = "h264"
    (tmp_path / "report.json").write_bytes(sealed_json.seal("report.json", {**value, "mood": 1}))
    old = replace(REPORT, flickering=Flickering(None, None), colour=None, left_out=0)
    assert facts.read_report(tmp_path) == old


def _without(*path: str | int) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        *way, last = path
        for name in way:
            value = value[name]
        del value[last]

    return change


def _with(new: object, *path: str | int) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        *way, last = path
        for name in way:
            value = value[name]
        value[last] = new

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(_without(name) for name in MEMBERS if name not in LATER),
        _with([], "frames"), _with([], "keys"), _with(0, "clip", "frames"),
        _with("../x", "kept", "frames", 0), _with(2, "frames", 0, "painted"),
        _with(None, "seed"), _with(-1, "seed"), _with([], "settings"),
        _with(1.5, "keys", 0, "index"),
        _with("a", "warp_error", "each", 0, "result"), _with("dis", "flow"),
        _with(None, "flickering"), _with("0.8", "flickering", "result"),
        _with({"mean": 1.0}, "colour"), _with(1.5, "colour"), _with("0", "left_out"),
        _with({"decode": "1"}, "seconds"), _with(True, "clip", "width"),
    ],
)  # fmt: skip
def test_what_fails_the_shape_counts_as_missing(
    tmp_path: Path, change: Callable[[Any], None]
) -> None:
    value = json.loads(json.dumps(REPORT.to_json()))
    change(value)
    (tmp_path / "report.json").write_bytes(sealed_json.seal("report.json", value))
    assert facts.read_report(tmp_path) is None


def test_a_missing_or_unsealed_report_counts_as_missing(tmp_path: Path) -> None:
    assert facts.read_report(tmp_path) is None
    (tmp_path / "report.json").write_text(json.dumps(REPORT.to_json()), encoding="utf-8")
    assert facts.read_report(tmp_path) is None


@pytest.mark.parametrize("text", ["{}", "[]", "7", '{"keys": 7}', '{"keys": [{"index": "a"}]}'])
def test_key_frames_are_read_of_a_report_only(text: str) -> None:
    with pytest.raises(ValueError, match="not a report"):
        facts.read_key_indices(text.encode())
    assert facts.read_key_indices(b'{"keys": [{"index": 3}, {"index": 8}]}') == {3, 8}
    assert facts.read_key_indices(facts.to_bytes(REPORT)) == {0, 2}
