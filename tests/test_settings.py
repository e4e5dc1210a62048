from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.fields import Settings, choices
from lib_ofgen.settings.schema import schema, table
from support.any_settings import any_settings
from support.paths import ROOT


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
