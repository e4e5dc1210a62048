"""Presets: documents, links, infotext, the user's own, and what they must never do."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import string
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from lib_ofgen.errors import SettingsError, WorkspaceError
from lib_ofgen.settings import presets
from lib_ofgen.settings.fields import DEFAULTS_VERSION, Settings
from lib_ofgen.settings.presets import Preset, Store
from lib_ofgen.webui.jobs import document as jobs
from lib_ofgen.webui.tab import preset_choice
from support.any_settings import any_settings
from support.command import Command
from support.jobs import pictures
from support.videos import make_video

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEA = 'a "quiet", blue: sea\nof ink \U0001f30a'
MINE = presets.make_preset("mein Ölbild", {"strength": 0.55, "prompt": SEA, "seed": 0})


def refused(content: str | bytes) -> str:
    """The one line in which a content is refused; empty where a preset is read from it."""
    try:
        preset = presets.take(content)
    except SettingsError as error:
        told = str(error)
        assert "\n" not in told
        assert 10 < len(told) < 2500, told
        return told
    assert presets.load(presets.dump(preset)) == preset
    assert Settings().replace(preset.settings)
    return ""


# what is no preset


@given(st.text())
@example("")
@example("{" * 100_000)
@example('{"ofgen":' + "[" * 900 + "]" * 900 + "}")
@example('{"ofgen": 1, "settings": {"steps": ' + "9" * 5000 + "}}")
@example('{"ofgen": 1, "settings": {"steps": 1e999}}')
@example('{"ofgen": 1, "settings": {"key_indices": [[[[[[[[]]]]]]]]}}')
@SLOW
def test_any_text_is_read_or_refused(text: str) -> None:
    for content in (text, "{" + text, f"ofgen:preset:1:{text}", f"Optical Flow Animation: {text}"):
        refused(content)


@given(st.binary())
@SLOW
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"{", b"\x89PNG\r\n\x1a\n", b"\xff\xfe{\0", b"\xef\xbb\xbf{"):
        refused(start + data)


_WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
_NEAR = st.fixed_dictionaries(
    {"ofgen": st.just(1) | _WILD},
    optional={
        "name": st.text() | _WILD,
        "description": st.text() | _WILD,
        "defaults": st.integers(0, 4) | _WILD,
        "settings": st.dictionaries(st.sampled_from(Settings.names()) | st.text(), _WILD) | _WILD,
        "command": _WILD,
    },
)


@given(_NEAR | _WILD)
@SLOW
def test_any_document_is_read_or_refused(document: object) -> None:
    refused(json.dumps(document))
    quoted = json.dumps(json.dumps(document))
    refused(f"Steps: 2, Optical Flow Animation: {quoted}")


@given(st.data())
@SLOW
def test_a_link_with_a_fault_is_refused(data: st.DataObject) -> None:
    link = presets.to_link(MINE)
    place = data.draw(st.integers(len("ofgen:preset:1:"), len(link) - 1))
    sign = data.draw(st.sampled_from(string.ascii_letters + string.digits + "-_"))
    for other in (link[:place] + sign + link[place + 1 :], link[:place] + link[place + 1 :]):
        told = refused(other)
        assert "damaged" in told or presets.from_link(other) == MINE  # the last bits are idle


def test_a_small_link_of_a_large_document_is_refused() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b" " * (1 << 28)) + packer.flush()
    code = base64.urlsafe_b64encode(b"\0" * 6 + packed).decode()
    assert "damaged" in refused(f"ofgen:preset:1:{code}")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"ofgen": 2}, ["ofgen version is 2", "update ofgen"]),
        ({"ofgen": 1, "defaults": 99}, ["defaults version is 99", "update ofgen"]),
        (
            {"ofgen": 1, "settings": {"strenght": 1, "aura": 2, "steps": 1}},
            ["'strenght' (did you mean strength?)", "'aura'", "update ofgen"],
        ),
        (
            {"ofgen": 3, "defaults": 9, "tint": 1, "hue": 2, "settings": {"aura": 2, "halo": 1}},
            ["ofgen version is 3", "defaults version is 9", "'hue', 'tint'", "'aura', 'halo'"],
        ),
        ({"ofgen": 1, "settings": {f"x{i}": 1 for i in range(10**4)}}, ["and 9988 more"]),
        ({"ofgen": 1, "defaults": 0}, ["defaults=0 is not a version"]),
        ({"ofgen": 1, "defaults": True}, ["defaults=True is not a version"]),
        ({"ofgen": "1"}, ["ofgen='1' is not a version"]),
        ({"ofgen": 1, "name": 7}, ["name is 7"]),
        ({"ofgen": 1, "name": "a/b"}, ["name", "path"]),
        ({"ofgen": 1, "name": ".."}, ["name", "path"]),
        ({"ofgen": 1, "name": "C:x"}, ["name", "path"]),
        ({"ofgen": 1, "name": "x" * 61}, ["at most 60"]),
        ({"ofgen": 1, "name": "a\nb"}, ["is not a line"]),
        ({"ofgen": 1, "name": "a\u202eb"}, ["is not a line"]),
        ({"ofgen": 1, "description": "two\nlines"}, ["is not a line"]),
        ({"ofgen": 1, "settings": {"steps": "x" * 10**5}}, ["steps=", "whole number"]),
    ],
)
def test_what_cannot_be_read_is_told(document: dict[str, Any], words: list[str]) -> None:
    told = refused(json.dumps(document))
    assert [word for word in words if word not in told] == [], told


@pytest.mark.parametrize("setting", ["checkpoint", "inpaint_checkpoint", "sampler", "scheduler"])
@pytest.mark.parametrize(
    "place",
    [
        "/etc/passwd", "../model", "C:\\models\\a.ckpt", "a/b.safetensors", "\\\\host\\share",
        "~/x", "http://example.org/a.ckpt", "file:///a", "..", "d:a", "a\0b", "a\nb", "x" * 300,
    ],
)  # fmt: skip
def test_no_path_and_no_address_is_taken(setting: str, place: str) -> None:
    document = {"ofgen": 1, "settings": {setting: place}}
    assert setting in refused(json.dumps(document))
    with pytest.raises(SettingsError, match=setting):
        presets.make_preset("mine", {setting: place})


def test_prompts_are_prose() -> None:
    prompt = "and/or <lora:ink:0.8>, see https://example.org $(rm -rf ~) {{x}} C:\\ ../"
    assert presets.make_preset("mine", {"prompt": prompt}).settings == {"prompt": prompt}


# older ones


def test_an_older_preset_keeps_the_defaults_it_was_made_against() -> None:
    old = {"ofgen": 1, "defaults": 1, "settings": {"strength": 0.6}}
    was = {"key_frames": "edges", "key_agreement": "independent", "hole_min": 100}
    assert presets.load(json.dumps(old)).settings == {**was, "strength": 0.6}
    assert presets.load(json.dumps({**old, "defaults": 2})).settings == {"strength": 0.6}
    del old["defaults"]
    assert presets.load(json.dumps(old)).settings == {**was, "strength": 0.6}
    said = {"ofgen": 1, "settings": {"key_frames": "coverage"}}
    assert presets.load(json.dumps(said)).settings == {**was, "key_frames": "coverage"}


def test_an_older_job_document_keeps_its_defaults_too() -> None:
    job = {"input": "clip.mp4", "settings": {"strength": 0.6}}
    assert jobs.read_settings(jobs.parse({**job, "defaults": 1}), {}).key_frames == "edges"
    assert jobs.read_settings(jobs.parse(job), {}).key_frames == Settings().key_frames
    for version in (0, "1", DEFAULTS_VERSION + 1):
        with pytest.raises(SettingsError, match="defaults"):
            jobs.read_settings(jobs.parse({**job, "defaults": version}), {})


# there and back


@given(any_settings(names_only=True), st.text(string.printable.replace("/", ""), max_size=80))
@SLOW
def test_every_form_comes_back(one: Settings, words: str) -> None:
    words = " ".join(part for part in words.split() if "\\" not in part)
    preset = presets.make_preset("mine", one.differences(), words[:80])
    assert presets.load(presets.dump(preset)) == preset
    link = presets.to_link(preset)
    assert presets.from_link(link) == preset
    pasted = presets.from_infotext(presets.to_infotext(preset), clip=True)
    assert pasted.settings == preset.settings


@pytest.mark.parametrize(
    "form",
    [
        "{}", "  {}\n", "<{}>", '"{}"', "`{}`", "\u201c{}\u201d.", "look: {} nice, no?", "({})",
        "> {}", "{}\u200b", "see {}, {}",
    ],
)  # fmt: skip
def test_a_link_is_found_in_what_a_chat_makes_of_it(form: str) -> None:
    link = presets.to_link(MINE)
    assert presets.from_link(form.replace("{}", link)) == MINE
    broken = f"{link[:40]}\n> {link[40:90]}\r\n{link[90:]}"
    assert presets.from_link(form.replace("{}", broken)) == MINE


def test_links_of_version_1_stay_readable() -> None:
    link = "ofgen:preset:1:AqtyOJlqw6I9My8bjwYUJ5mheby2FgA"
    assert presets.from_link(link) == presets.make_preset("ink", {"strength": 0.6, "hole_box": 512})
    assert "version 2" in refused(link.replace(":1:", ":2:"))
    assert len(presets.to_link(presets.bundled_presets()["seeds-original"])) < 500


@pytest.mark.parametrize("quoted", [False, True], ids=["latin-1", "unicode"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_the_infotext_in_a_picture_is_read(tmp_path: Path, quoted: bool, packed: bool) -> None:
    prompt = 'a "sea", with: commas\nand lines' + (" \U0001f30a" if quoted else "")
    text = presets.to_infotext(presets.make_preset("x", {"prompt": prompt, "steps": 7, "end": 3.0}))
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "none")
    info.add_text("parameters", text, zip=packed)
    if quoted:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("parameters", text, zip=packed)
    kept = io.BytesIO()
    Image.new("RGB", (64, 64)).save(kept, "png", pnginfo=info)
    whole = kept.getvalue()
    assert presets.take(whole).settings == {"prompt": prompt, "steps": 7}
    assert presets.take(whole, clip=True).settings["end"] == 3.0
    (tmp_path / "sheet.png").write_bytes(whole)
    assert presets.find(str(tmp_path / "sheet.png")).settings["steps"] == 7
    for cut in range(0, whole.index(b"IDAT"), 7):
        refused(whole[:cut])
    Image.new("RGB", (64, 64)).save(tmp_path / "bare.png")
    assert "no infotext" in refused((tmp_path / "bare.png").read_bytes())


@pytest.mark.parametrize("kind", ["zTXt", "iTXt"])
def test_a_text_that_unpacks_to_much_is_refused_before_the_pixels(kind: str) -> None:
    text = presets.to_infotext(presets.make_preset("x", {"steps": 7}))
    info = PngImagePlugin.PngInfo()
    add = info.add_itxt if kind == "iTXt" else info.add_text
    add("parameters", text + " " * (64 << 20), zip=True)
    kept = io.BytesIO()
    Image.new("RGB", (64, 64)).save(kept, "png", pnginfo=info)
    assert "too large" in refused(kept.getvalue())


def test_the_infotext_of_a_picture_with_damaged_pixels_is_read() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", presets.to_infotext(presets.make_preset("x", {"steps": 7})))
    kept = io.BytesIO()
    Image.new("RGB", (64, 64)).save(kept, "png", pnginfo=info)
    before = kept.getvalue().partition(b"IDAT")[0]
    assert presets.take(before + b"IDAT" + b"\xff" * 50).settings == {"steps": 7}


@pytest.mark.filterwarnings("ignore:Invalid APNG")  # Pillow says so, and reads on
@given(st.binary(max_size=60), st.sampled_from(["tEXt", "zTXt", "iTXt", "iCCP", "gAMA", "acTL"]))
@settings(deadline=None)
def test_any_chunk_before_the_pixels_is_read_or_refused(content: bytes, kind: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(kind.encode(), content)
    kept = io.BytesIO()
    Image.new("RGB", (8, 8)).save(kept, "png", pnginfo=info)
    refused(kept.getvalue())


def test_a_prompt_that_quotes_an_infotext_is_not_taken_for_it() -> None:
    inner = presets.to_infotext(presets.make_preset("", {"steps": 99}))
    outer = presets.to_infotext(presets.make_preset("", {"steps": 5, "prompt": inner}))
    assert presets.from_infotext(outer).settings["steps"] == 5


def test_what_an_infotext_says_of_a_clip_stays_there() -> None:
    named = {
        "key_frames": "chosen", "key_indices": [0, 5], "start": 1.0, "end": 2.0, "max_frames": 9,
        "checkpoint": "anime/ink.safetensors [0a1b2c3d]", "strength": 0.6,
    }  # fmt: skip
    field = json.dumps(json.dumps({"input": "/home/me/clip.mp4", "settings": named}))
    text = f"a sea\nSteps: 20, Optical Flow Animation: {field}, Version: v1.10.1"
    bare = {"checkpoint": "ink.safetensors [0a1b2c3d]", "strength": 0.6}
    assert presets.from_infotext(text).settings == bare
    assert presets.from_infotext(text, clip=True).settings == {**named, **bare}


# the user's own


def test_names_that_look_alike_are_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "presets")
    name = "Café 1"
    store.save(presets.make_preset(name, {"steps": 5}))
    for other in (
        "café 1",
        "CAFÉ 1",
        unicodedata.normalize("NFD", name),
        "Café  \uff11",
        " café 1",
    ):
        assert store.get(other) == presets.make_preset(name, {"steps": 5}), other
        with pytest.raises(SettingsError, match="already"):
            store.save(presets.make_preset(other, {}))
    store.save(presets.make_preset("CAFÉ 1", {"steps": 6}), replace=True)
    assert list(store.all()) == ["CAFÉ 1"]
    assert len(list(store.folder.iterdir())) == 1
    store.delete("café 1")
    assert store.all() == {}
    with pytest.raises(SettingsError, match="is not in"):
        store.delete("café 1")


@given(st.lists(st.text(min_size=1, max_size=60), max_size=4))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(["CON", "nul.txt", "aux. ", "-rf", "a:b", "*?|<>", "\u0130", ".hidden", "ß"])
def test_any_name_is_kept_or_refused(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "any"
    shutil.rmtree(folder, ignore_errors=True)
    store, kept = Store(folder), {}
    for name in names:
        told = refused(json.dumps({"ofgen": 1, "name": name}))
        if told or not name.strip() or presets.fold_name(name) in presets.bundled_presets():
            with pytest.raises(SettingsError):
                store.save(presets.make_preset(name, {}))
            continue
        preset = presets.make_preset(name, {"steps": len(kept) + 1})
        path = store.save(preset, replace=True)
        assert path.parent == folder
        assert set(path.name) <= set(string.ascii_lowercase + string.digits + "-.")
        assert path.name.split(".")[0] not in ("con", "nul", "aux")
        kept[presets.fold_name(name)] = preset
    assert {presets.fold_name(name): one for name, one in store.all().items()} == kept


def test_bundled_names_cannot_be_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(SettingsError, match="bundled"):
        store.save(presets.make_preset("Steady", {}))
    with pytest.raises(SettingsError, match="bundled"):
        store.delete("steady")
    with pytest.raises(SettingsError, match="needs a name"):
        store.save(presets.make_preset("", {}))
    (tmp_path / "by hand.json").write_text('{"ofgen": 1, "name": "STEADY", "defaults": 2}')
    assert presets.get_preset("steady", store).settings
    assert "STEADY" not in presets.list_presets(store)


def test_what_lies_in_the_folder_is_read_and_faults_are_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "anything.json").write_text('{"ofgen": 1, "name": "by hand"}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "nameless.json").write_text('{"ofgen": 1}')
    (tmp_path / "folder.json").mkdir()
    assert list(store.all()) == ["by hand"]
    assert [line.split("'")[1].rpartition("/")[2] for line in store.faults()] == [
        "broken.json", "nameless.json"
    ]  # fmt: skip
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot keep the preset"):
        Store(tmp_path / "file" / "presets").save(MINE)


def test_bundled_presets_are_good() -> None:
    found = presets.bundled_presets()
    assert set(found) == {
        "camera move", "every frame", "fast preview", "faithful", "lines", "portrait",
        "seeds-original", "steady", "strong style",
    }  # fmt: skip
    for name, preset in found.items():
        assert preset.name == name
        assert preset.description.endswith(".")
        assert len(preset.description) < 100
    seed = found["seeds-original"].settings
    assert (seed["key_frames"], seed["key_threshold"], seed["every_nth"]) == ("edges", 24, 3)
    assert (seed["width"], seed["height"], seed["seed"]) == (512, 768, 1234)
    assert (seed["strength"], seed["hole_strength"], seed["confidence"]) == (0.4, 0.4, 0.95)


# the command line: one machine and another


@pytest.fixture
def ofgen(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.mp4", pictures(6))


def test_a_preset_goes_from_one_machine_to_another(ofgen: Command, clip: Path, place: Path) -> None:
    one, other = ("--presets-dir", place / "one"), ("--presets-dir", place / "other")
    pairs = ("--set", "strength=0.55", "--set", 'prompt=é, "x"\nline', "--set", "seed=0")
    pairs = (*pairs, "--set", "key_frames=interval", "--set", "key_interval=3")
    assert ofgen("presets", "save", "mine", *pairs, *one).status == 0
    assert ofgen("presets", "export", "mine", "-o", "mine.json", *one).status == 0
    assert "no preset 'mine'" in ofgen("presets", "show", "mine", *other).refusal
    assert ofgen("presets", "import", "mine.json", *other).status == 0
    link = ofgen("presets", "link", "mine", *one).out
    infotext = ofgen("presets", "infotext", "mine", *one).out
    (place / "film.txt").write_text(infotext, "utf-8")
    assert ofgen("presets", "import", f"<{link.strip()}>", "--name", "third", *other).status == 0
    assert ofgen("presets", "import", "film.txt", *other).status == 0
    told = []
    for number, (name, where) in enumerate(
        [("mine", one), ("mine", other), ("third", other), ("film", other), (link, one)]
    ):
        output = f"{number}.mp4"
        job = ("animate", clip, "-o", output, "--preset", name, *where, "--quiet")
        assert ofgen(*job, "--set", "hole_box=64").status == 0
        told.append(json.loads((place / f"{output}.ofgen" / "report.json").read_text())["settings"])
    assert told[0]["strength"] == 0.55
    assert told[0]["prompt"] == 'é, "x"\nline'
    assert all(settings == told[0] for settings in told[1:])
    assert "already" in ofgen("presets", "import", "mine.json", *other).refusal
    assert ofgen("presets", "import", "mine.json", "--replace", *other).status == 0
    assert ofgen("presets", "delete", "Mine", *other).status == 0
    assert "(yours)" not in ofgen("presets", "list", *place_of("none")).out
    listed = ofgen("presets", "list", *other).out
    assert "third (yours)" in listed
    assert "mine (yours)" not in listed


def place_of(folder: str) -> tuple[str, str]:
    return "--presets-dir", folder


def test_a_preset_comes_by_standard_input(
    ofgen: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"here: {presets.to_link(MINE)}"))
    assert ofgen("presets", "import", "-", *place_of("mine")).status == 0
    assert Store(place / "mine").get(MINE.name) == MINE
    monkeypatch.setattr("sys.stdin", io.StringIO("nothing of ours"))
    assert ofgen("presets", "import", "-", *place_of("mine")).status == 2


def test_the_seeds_own_run_runs(ofgen: Command, clip: Path, place: Path) -> None:
    small = ("--set", "width=96", "--set", "height=40", "--set", "hole_box=96", "--quiet")
    job = ("animate", clip, "-o", "out.mp4", "--preset", "seeds-original", *small)
    assert ofgen(*job).status == 0
    report = json.loads((place / "out.mp4.ofgen" / "report.json").read_text())
    assert report["clip"]["frames"] == 2
    assert report["seed"] == 1234


# the webui's side of it


def test_a_job_document_names_a_preset_of_the_user(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(MINE)
    job = jobs.parse({"input": "x.mp4", "preset": MINE.name, "settings": {"steps": 9}})
    host = {"strength": 0.9, "seed": 5, "prompt": "host's"}
    found = jobs.read_settings(job, host, store)
    assert (found.strength, found.seed, found.steps) == (0.55, 0, 9)
    assert found.prompt == MINE.settings["prompt"]
    with pytest.raises(SettingsError, match="no preset"):
        jobs.read_settings(job, host, Store(tmp_path / "other"))
    original = jobs.parse({"input": "x.mp4", "preset": "seeds-original"})
    assert jobs.read_settings(original, {"strength": 0.75, "steps": 20}).strength == 0.4


def _on_controls(settings: Settings) -> dict[str, Any]:
    return {
        name: preset_choice.to_control_value(value) for name, value in settings.to_json().items()
    }


def test_a_preset_on_the_controls_leaves_what_is_the_films() -> None:
    first = Settings().replace({"seed": -1})
    typed = {"prompt": "mine", "end": 3.0, "strength": 0.7, "seed": 8}
    now = _on_controls(first.replace(typed))
    ours = presets.bundled_presets()
    steady, _ = preset_choice.apply_preset(ours["steady"], now, {}, first, {})
    assert steady["strength"] == 0.35
    assert not {"prompt", "end", "seed"} & set(steady)
    fast, _ = preset_choice.apply_preset(ours["fast preview"], now, {}, first, {})
    assert fast["max_frames"] == 96
    now |= fast
    back, _ = preset_choice.apply_preset(
        ours["steady"], now, ours["fast preview"].settings, first, {}
    )
    assert back["max_frames"] == 0
    assert back["width"] == 0
    nothing, _ = preset_choice.apply_preset(Preset("", {}), {**now, **back}, {}, first, {})
    shown = {**now, **back, **nothing}
    assert shown == {**_on_controls(first), "prompt": "mine", "end": 3.0, "seed": 8}


def test_a_checkpoint_is_found_where_it_lies_here() -> None:
    first = Settings()
    lists = {"checkpoint": ["", "other.ckpt", "anime/ink.safetensors"], "sampler": ["", "Euler"]}
    preset = presets.make_preset(
        "x", {"checkpoint": "ink.safetensors [0a1b2c3d]", "sampler": "Heun"}
    )
    changes, notes = preset_choice.apply_preset(preset, _on_controls(first), {}, first, lists)
    assert changes["checkpoint"] == "anime/ink.safetensors"
    assert "sampler" not in changes
    assert notes == ["there is no sampler 'Heun' here; it is left out"]


@given(any_settings(names_only=True))
@SLOW
def test_what_controls_show_comes_back_from_a_preset(one: Settings) -> None:
    first = Settings().replace({"seed": -1})
    preset = preset_choice.make_preset("mine", {**one.differences(), "seed": one.seed}, clip=True)
    assert preset.settings["strength"] == one.strength
    changes, notes = preset_choice.apply_preset(preset, _on_controls(first), {}, first, {})
    assert notes == []
    assert {**_on_controls(first), **changes} == _on_controls(one)


def test_what_is_of_the_clip_is_kept_only_when_asked() -> None:
    named = {"key_frames": "chosen", "key_indices": [3], "start": 1.0, "strength": 0.5}
    assert not {"start", "key_indices", "key_frames"} & set(
        preset_choice.make_preset("x", named, clip=False).settings
    )
    assert preset_choice.make_preset("x", named, clip=True).settings["key_indices"] == [3]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_preset_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.json")
    with pytest.raises(SettingsError, match="it is a pipe or a device"):
        presets.find(str(tmp_path / "p.json"))
