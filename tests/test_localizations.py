"""The translations name what the tab shows, all of it, in each language."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lib_ofgen.settings.fields import choices
from support.paths import ROOT

FILES = sorted((ROOT / "localizations").glob("*.json"))
THEIRS = {
    "Prompt", "Negative prompt", "Seed", "CFG scale", "Sampler", "Checkpoint", "Styles", "Generate",
    "Save", "Delete", "Name", "Look",
}  # fmt: skip
"""Words that the host has too, whose translation is its own affair, and what nobody sees."""


def _ours() -> set[str]:
    """The texts of the tab's controls."""
    texts = {choice.group for choice in choices().values()} - {"Video"}  # that one is "Output"
    for choice in choices().values():
        texts |= {f"{choice.label} ({choice.unit})" if choice.unit else choice.label, choice.help}
    for path in (ROOT / "lib_ofgen" / "webui").rglob("*.py"):
        source = re.sub(r'"\s*\n\s*"', "", path.read_text("utf-8"))
        texts |= set(re.findall(r'\b(?:label|info|tooltip)="([^"]+)"', source))
        texts |= set(re.findall(r'gr\.(?:Button|Tab|Accordion)\(\s*"([^"]+)"', source))
    return texts - THEIRS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_text_of_the_tab_is_translated(path: Path) -> None:
    known = json.loads(path.read_text("utf-8"))
    assert sorted(_ours() - known.keys()) == []
    assert all(isinstance(text, str) and text for text in known.values())
    assert known.keys().isdisjoint(THEIRS)
    same = [text for text, other in known.items() if text == other]
    assert same == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_differs_has_its_place_in_each_translation(path: Path) -> None:
    known = json.loads(path.read_text("utf-8"))
    assert [text for text, other in known.items() if text.count("{}") != other.count("{}")] == []


def test_both_languages_say_the_same_things() -> None:
    names = [set(json.loads(path.read_text("utf-8"))) for path in FILES]
    assert [path.stem for path in FILES] == ["ja_JP", "zh_CN"]
    assert names[0] == names[1]
