from __future__ import annotations

import dataclasses
import json
import typing

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.fields import Settings, choices
from lib_ofgen.settings.schema import schema, table


def _values(name: str) -> st.SearchStrategy[object]:
    """Values that the setting takes."""
    choice, kind = choices()[name], str(typing.get_type_hints(Settings)[name])
    low, high = choice.low, choice.high
    if choice.options:
        return st.sampled_from(choice.options)
    if "tuple" in kind:
        return st.sets(st.integers(0, 10**6), max_size=5).map(lambda s: tuple(sorted(s)))
    if "bool" in kind:
        return st.booleans()
    if "int" in kind:
        by = 8 if name in ("width", "height", "hole_box") else 1
        top = 10**6 if high is None else int(high)
        return st.integers(-(-int(low or 0) // by), top // by).map(lambda n: n * by)
    if "float" in kind:
        return st.floats(low or 0, high if high is not None else 1e6)
    if name == "control_units":
        return st.lists(st.sampled_from(_UNITS), max_size=3).map("\n".join)
    return st.text(max_size=40)


_UNITS = ["reference_only", "canny / some model weight=0.5 end=0.75", "tile / a [0123abcd]", ""]
_NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{2,30}( \[[0-9a-f]{10}\])?", fullmatch=True)


@st.composite
def any_settings(draw: st.DrawFn, names_only: bool = False) -> Settings:
    """Settings of every kind; with `names_only` the host's things have names as the host gives."""
    names = draw(st.sets(st.sampled_from(Settings.names())))
    changes = {name: draw(_values(name)) for name in sorted(names)}
    if names_only:
        texts = [name for name, value in changes.items() if isinstance(value, str)]
        plain = [name for name in texts if not (choices()[name].options or choices()[name].long)]
        changes |= {name: draw(_NAME) for name in plain}
    if "end" in changes:
        changes["end"] = 0.0
    if "key_gap_min" in changes or "key_gap_max" in changes:
        changes |= {"key_gap_min": 1.0, "key_gap_max": 2.0}
    return Settings().replace(changes)


@given(any_settings())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_json_comes_back(one: Settings) -> None:
    assert Settings().replace(json.loads(json.dumps(one.to_json()))) == one
    assert Settings().replace(one.differences()) == one


@given(any_settings())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_texts_come_back(one: Settings) -> None:
    texts = {
        name: json.dumps(value) if isinstance(value, list | bool) else str(value)
        for name, value in one.to_json().items()
    }
    assert Settings().replace(Settings.parse(texts)) == one


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strenght": 1}, ["strenght", "strength"]),
        ({"strength": 1.5}, ["strength", "1.5", "0..1"]),
        ({"strength": float("nan")}, ["strength", "nan", "number"]),
        ({"strength": "high"}, ["strength", "high", "number"]),
        ({"steps": 2.5}, ["steps", "2.5", "whole"]),
        ({"steps": True}, ["steps", "True", "whole"]),
        ({"width": 33}, ["width", "33", "multiple of 8"]),
        ({"fit": "squeeze"}, ["fit", "squeeze", "crop"]),
        ({"key_indices": [1, "x"]}, ["key_indices", "list"]),
        ({"key_indices": [-1]}, ["key_indices", "0 and up"]),
        ({"prompt": None}, ["prompt", "None", "text"]),
        ({"keep_sound": 1}, ["keep_sound", "true or false"]),
        ({"start": 3, "end": 2}, ["end=2", "start=3"]),
        ({"key_gap_min": 5, "key_gap_max": 2}, ["key_gap_min", "key_gap_max"]),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings().replace(changes)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_choice_is_declared_whole() -> None:
    for name, choice in choices().items():
        assert choice.label, name
        assert choice.help.endswith("."), name
        assert not set(choice.label) & set(",:"), f"{name}: the host splits infotext there"
        if choice.needs:
            other, _, values = choice.needs.partition("=")
            assert other in Settings.names(), name
            assert set(values.split("|")) <= set(choices()[other].options), name
    labels = [choice.label for choice in choices().values()]
    assert len(set(labels)) == len(labels)


def test_the_schema_and_the_table_know_every_setting() -> None:
    properties = schema()["properties"]
    for item in dataclasses.fields(Settings):
        assert properties[item.name]["description"] == choices()[item.name].help
        assert f"| `{item.name}` |" in table()


def test_the_page_of_settings_is_up_to_date() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert page.endswith("\n\n" + table()), (
        "write the output of `ofgen settings` into docs/settings.md"
    )
