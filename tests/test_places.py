"""Where requests may read, what they may send, and what they are told: the functions behind it."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib_ofgen.errors import OfgenError, SettingsError, VideoError
from lib_ofgen.system import limits
from lib_ofgen.webui.access import uploads
from lib_ofgen.webui.access.allowed_paths import AllowedPaths, is_remote
from lib_ofgen.webui.access.error_text import remove_paths
from lib_ofgen.webui.access.request_guard import is_foreign
from lib_ofgen.webui.jobs import document
from support.videos import make_video, walking


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = limits.current()
    yield
    limits.change(f"{name}={value}" for name, value in vars(before).items())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "walk.mp4"
    return make_video(path, walking(3), rate=Fraction(12))


@pytest.fixture
def places(tmp_path: Path) -> AllowedPaths:
    return AllowedPaths(tmp_path / "out", [tmp_path / "in"], closed=[tmp_path / "in" / "gradio"])


def url_of(content: bytes) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    "path",
    [r"\\host\share\a.mp4", "//host/share/a.mp4", r"\/host\share", r"/\host/share",
     r"\\?\UNC\host\share\a.mp4", r"//?/UNC/host/share", r"\\?\C:\a.mp4", r"\\.\pipe\a",
     "//./COM1", r"\\host@SSL\DavWWWRoot\a.mp4", r"\??\UNC\host\share", "/??/C:/a.mp4",
     r"  \\host\share", '"\\\\host\\share"', "\u00a0//host/share", "\t//host/share"],
)  # fmt: skip
def test_what_windows_would_ask_another_machine_for_is_not_resolved(
    path: str, places: AllowedPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_remote(path)
    monkeypatch.setattr(Path, "resolve", lambda *_: pytest.fail("it was looked for"))
    with pytest.raises(SettingsError, match="is outside the folders"):
        places.resolve(path, "input")


@pytest.mark.parametrize(
    "path", ["a.mp4", "/a/b.mp4", r"C:\a\b.mp4", "C:/a.mp4", r"\a.mp4", "", "."]
)
def test_paths_of_this_machine_are_not_remote(path: str) -> None:
    assert not is_remote(path)


def test_a_share_that_was_allowed_is_looked_for() -> None:
    places = AllowedPaths(Path("/out"), [Path("//nas/videos")])
    with pytest.raises(SettingsError, match="outside"):
        places.resolve("//nas/other/a.mp4", "input")
    with pytest.raises(SettingsError, match="outside"):
        places.resolve("//nas/videos/../other/a.mp4", "input")


def test_a_closed_folder_is_closed_below_an_open_one(places: AllowedPaths, tmp_path: Path) -> None:
    inside = tmp_path / "in" / "a.mp4"
    assert places.resolve(str(inside), "input") == inside.resolve()
    for path in (tmp_path / "in" / "gradio" / "a.mp4", tmp_path / "in" / "x" / ".." / "gradio"):
        with pytest.raises(SettingsError, match="outside"):
            places.resolve(str(path), "input")


@pytest.mark.parametrize(
    ("site", "origin", "host", "foreign"),
    [
        (None, None, "a:7860", False),
        ("none", None, "a:7860", False),
        ("same-origin", "http://a:7860", "a:7860", False),
        (None, "http://A:7860", "a:7860", False),
        (None, "http://a", "a:80", False),
        (None, "https://a", "a", False),
        (None, "http://[::1]:7860", "[::1]:7860", False),
        ("same-site", None, "a:7860", True),
        ("cross-site", None, "a:7860", True),
        ("anything", None, "a:7860", True),
        ("", None, "a:7860", True),
        (None, "null", "a:7860", True),
        (None, "", "a:7860", True),
        (None, "http://a:7861", "a:7860", True),
        (None, "http://a.b:7860", "a:7860", True),
        (None, "http://user@a:7860.b", "a:7860", True),
        (None, "http://a:x", "a:7860", True),
        (None, "http://a:7860", "", True),
        (None, "file://", "", True),
        ("same-origin", "https://b", "a:7860", True),
    ],
)
def test_who_is_foreign(site: str | None, origin: str | None, host: str, foreign: bool) -> None:
    assert is_foreign(site, origin, host) == foreign


def test_origins_that_the_host_lets_in_are_not_foreign() -> None:
    one = ("cross-site", "https://b", "a:7860")
    assert not is_foreign(*one, allowed=["https://b"])
    assert not is_foreign(*one, pattern=r"https://[bc]")
    assert is_foreign(*one, allowed=["https://c"], pattern=r"https://")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot write '/srv/data/outputs/a b/film.mp4'", "cannot write 'outputs/a b/film.mp4'"),
        ("no '/usr/lib/x y/z.so' here", "no 'z.so' here"),
        ("no /usr/lib/z.so, /etc/passwd", "no z.so, passwd"),
        ("in '/srv/data': no", "in '': no"),
        (r"no 'C:\\Users\\ada\\clip.mp4'", "no 'clip.mp4'"),
        (r"no C:\Users\ada\clip.mp4", "no clip.mp4"),
        (r"no \\host\share\clip.mp4", "no clip.mp4"),
        ("1/2 and/or http://a.b/c/d of /ofgen", "1/2 and/or http://a.b/c/d of /ofgen"),
        ("/mine/in.mp4 is not /mine/out.mp4", "/mine/in.mp4 is not out.mp4"),
        ("two\nlines \x1b[2J \ud800", "two lines \\u001b[2J \\ud800"),
    ],
)
def test_a_line_for_strangers_holds_no_path(text: str, told: str) -> None:
    assert remove_paths(text, ["/srv/data", ""], ["/mine/in.mp4", ""]) == told


def test_a_data_url_over_the_limit_is_refused(clip: Path, tmp_path: Path) -> None:
    limits.change(["upload=1"])
    with pytest.raises(SettingsError, match="is over the limit of 1 MiB"):
        uploads.keep_url(url_of(bytes(2 << 20)), tmp_path / "kept")
    large = tmp_path / "large.mp4"
    large.write_bytes(clip.read_bytes() + bytes(1 << 20))
    with pytest.raises(SettingsError, match="upload=MIB"):
        uploads.keep(large, tmp_path / "kept", "mask")
    assert not (tmp_path / "kept").exists()


def test_a_large_data_url_is_unpacked_in_little_room(clip: Path, tmp_path: Path) -> None:
    url = url_of(clip.read_bytes() + b"\0\0\0\0free" + bytes(60 << 20))
    tracemalloc.start()
    try:
        kept = uploads.keep_url(url, tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept.stat().st_size > 60 << 20
    assert most < 24 << 20


def test_sound_and_pictures_are_no_input(tmp_path: Path) -> None:
    import wave

    from PIL import Image

    with wave.open(str(tmp_path / "a.mp4"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    Image.new("L", (64, 64)).save(tmp_path / "b.mp4", "PNG")
    with pytest.raises(VideoError, match="only sound, not a video"):
        uploads.keep(tmp_path / "a.mp4", tmp_path / "kept", "input")
    with pytest.raises(VideoError, match="a picture"):
        uploads.keep(tmp_path / "b.mp4", tmp_path / "kept", "input")
    assert uploads.keep(tmp_path / "b.mp4", tmp_path / "kept", "mask").suffix == ".png"


def test_the_sweep_leaves_what_is_needed_or_nobodys(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    one = uploads.keep(clip, folder, "input")
    other = uploads.keep_url(url_of(clip.read_bytes() + b"\0\0\0\x08free"), folder)
    mine = folder / "notes.mp4"
    mine.write_bytes(b"put here by hand")
    half = folder / f".{'0' * 32}.partial"
    half.write_bytes(b"from a process that was killed")
    uploads.delete_unused(folder, [])
    assert {one, other, mine} == set(folder.iterdir()), "they were asked for just now"
    uploads.release(one, since=0)
    uploads.delete_unused(folder, [])
    assert one.exists(), "somebody has asked for it since"
    for path in (one, other):
        uploads.release(path, since=float("inf"))
    uploads.delete_unused(folder, [one.name])
    assert {one, mine} == set(folder.iterdir())


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=8), one, max_size=3),
    max_leaves=8,
)
_PARTS = st.dictionaries(
    st.sampled_from(["input", "mask", "preset", "settings", "output", "prompts", "defaults", "x"]),
    _ANY | st.sampled_from(["data:", "data:video/mp4;base64,AA==", "\0", "~/a", "a" * 5000, "."]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(_ANY | _PARTS | _PARTS.map(json.dumps) | st.text(max_size=40))
def test_any_document_is_read_or_refused_in_one_line(places: AllowedPaths, asked: Any) -> None:
    try:
        known = document.parse(asked)
        document.read_settings(known, {})
        document.find_mask(known, places)
        document.find_input(known, places)
    except OfgenError as error:
        line = remove_paths(str(error), [])
        assert "\n" not in line
        line.encode("utf-8")


@pytest.mark.parametrize("text", ["[" * 200_000, '{"input":' * 100_000, "9" * 10_000])
def test_a_deep_or_long_document_is_one_line(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        document.parse(text)
    assert len(str(refused.value)) < 300


@settings(max_examples=200, database=None)
@given(_ANY | st.dictionaries(st.sampled_from(["name", "path", "is_file", "data"]), _ANY))
def test_whatever_a_page_says_of_a_file_is_not_believed(payload: Any) -> None:
    one = uploads.read_upload(payload)
    if one is not None:
        with pytest.raises(SettingsError, match="was not uploaded"):
            _ = one.path


def test_only_the_newest_uploads_are_remembered() -> None:
    received = uploads.StoredPaths(most=3)
    received.add(f"/{number}" for number in range(5))
    assert [f"/{number}" in received for number in range(5)] == [False, False, True, True, True]
