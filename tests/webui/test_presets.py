"""Presets in the page and under `/ofgen/v1`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lib_ofgen.settings import presets
from support.webui.host import TITLE, Host
from support.webui.page import Page

SEA = 'a "quiet", blue: sea\nwith two lines \U0001f30a'


@pytest.fixture
def store(host: Host) -> Iterator[presets.Store]:
    """The webui's own folder of presets, empty before and after."""
    store = presets.Store(host.data / "ofgen-presets")
    assert store.all() == {}
    yield store
    for name in store.all():
        store.delete(name)


def _press(page: Page, button: str, **values: Any) -> dict[str, Any]:
    return {
        name: value["value"] if isinstance(value, dict) and "value" in value else value
        for name, value in page.press(
            f"ofgen_{button}", **{f"ofgen_{name}": value for name, value in values.items()}
        ).items()
        if not (isinstance(value, dict) and "value" not in value and "__type__" in value)
    }


def test_presets_are_put_got_and_deleted(host: Host, store: presets.Store) -> None:
    mine = presets.make_preset("mein Ölbild", {"strength": 0.55, "prompt": SEA}, "Ink.")
    route = f"/ofgen/v1/presets/{quote(mine.name)}"
    document = json.loads(presets.dump(mine))
    assert host.call(route).status == 404
    assert host.call(route, document, method="PUT").body == document
    assert host.call(route).body == document
    assert store.get(mine.name) == mine
    assert host.call(route, document, method="PUT").status == 409
    again = {**document, "settings": {"steps": 7}}
    assert host.call(f"{route}?replace=true", again, method="PUT").status == 200
    (told,) = [one for one in host.call("/ofgen/v1/presets").body if not one["bundled"]]
    assert told["settings"] == {"steps": 7}
    assert presets.from_link(told["link"]).settings == {"steps": 7}
    for bad in ({}, {"ofgen": 1, "settings": {"checkpoint": "/etc/x"}}, {"ofgen": 9}):
        answer = host.call("/ofgen/v1/presets/other", bad, method="PUT")
        assert answer.status == 422
        assert answer.body["detail"]
    assert host.call("/ofgen/v1/presets/steady", document, method="PUT").status in (409, 422)
    assert host.call("/ofgen/v1/presets/steady", method="DELETE").status == 404
    assert host.call(route, method="DELETE").status == 200
    assert host.call(route, method="DELETE").status == 404


def test_the_tab_saves_shares_and_applies(host: Host, store: presets.Store) -> None:
    page = Page(host.port)
    told = _press(page, "preset_save", preset_name="<b>mine</b>")
    assert "path" in told["ofgen_preset_told"]
    assert "<b>" not in told["ofgen_preset_told"]
    told = _press(page, "preset_save", preset_name="mine", strength=0.55, prompt=SEA, end=3.0)
    assert told["ofgen_preset"] == "mine"
    kept = store.get("mine")
    assert kept is not None
    assert (kept.settings["strength"], kept.settings["prompt"]) == (0.55, SEA)
    assert "end" not in kept.settings
    assert "already" in _press(page, "preset_save", preset_name="mine")["ofgen_preset_told"]
    shared = _press(page, "preset_share", preset_name="mine", strength=0.55, prompt=SEA)
    assert presets.from_link(shared["ofgen_preset_text"]) == kept
    file = shared["ofgen_preset_file"]
    assert presets.load(Path(file["name"]).read_bytes()) == kept
    for given in (shared["ofgen_preset_text"], presets.to_infotext(kept), presets.dump(kept)):
        shown = _press(Page(host.port), "preset_take", preset_text=given)
        assert (shown["ofgen_strength"], shown["ofgen_prompt"]) == (0.55, SEA)
        assert "ofgen_end" not in shown
    shown = _press(page, "preset", preset="faithful", prompt="typed")
    assert shown["ofgen_strength"] == 0.25
    assert "ofgen_prompt" not in shown
    assert "there is no preset; paste a link" in _press(page, "preset_take")["ofgen_preset_told"]
    assert _press(page, "preset_delete", preset="mine")["ofgen_preset"] == ""
    assert store.all() == {}


def test_the_script_takes_a_preset_of_the_user(host: Host, store: presets.Store) -> None:
    store.save(presets.make_preset("mine", {"strength": 0.55}))
    document = _press(Page(host.port), "txt2img_preset", txt2img_preset="mine")
    assert json.loads(document["ofgen_txt2img_job"]) == {"input": "", "preset": "mine"}
    answer = host.call(
        "/sdapi/v1/txt2img",
        {"script_name": TITLE, "script_args": [{"input": "no.mp4", "preset": "none such"}]},
    )
    assert answer.status == 422
    assert "mine" in answer.body["detail"]


def test_infotext_is_pasted_into_the_job_document(host: Host) -> None:
    preset = presets.make_preset("", {"prompt": SEA, "strength": 0.55, "seed": 7})
    page = Page(host.port)
    pasted = page.press("paste", txt2img_prompt=presets.to_infotext(preset))
    document = json.loads(pasted["ofgen_txt2img_job"]["value"])
    assert document["settings"] == preset.settings
    assert pasted["txt2img_prompt"]["value"] == SEA
