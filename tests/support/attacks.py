"""What strangers try at the doors of a webui: the same at the fake host and at a real one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.server import Server, waited
from support.webui.page import Page

SMALL = {"ofgen_steps": 1, "ofgen_end": 0.25, "ofgen_seed": 5}
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" '
    'minBufferTime="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="v" '
    'bandwidth="1000" codecs="avc1.64000d"><BaseURL>file:{film}</BaseURL><SegmentBase/>'
    "</Representation></AdaptationSet></Period></MPD>"
)
SCRIPTS = {
    "page.html": b"<!doctype html><script>alert(document.domain)</script>",
    "picture.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "page.xhtml": b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>",
    "code.js": b"alert(document.domain)",
    "style.css": b"body { background: url(//example.org) }",
    "page.pdf": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj",
    "page.mht": b"MIME-Version: 1.0\nContent-Type: text/html\n\n<script>alert(1)</script>",
    "list.m3u8": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
    "list.ffconcat": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    "nothing.mp4": b"",
}
"""What a browser would run, or libav would follow."""
BROKEN_URLS = {
    "not ASCII": "data:video/mp4;base64,AAAA\u00e9AAA",
    "a long s": "data:video/mp4;ba\u017fe64,AAAA",
    "white space": "data:video/mp4;base64,AAAA AAAA",
    "a line end": "data:video/mp4;base64,AAAA\nAAAA",
    "percent": "data:video/mp4;base64,AAAA%2BAA",
    "address letters": "data:video/mp4;base64,AA-_AAAA",
    "charset": "data:video/mp4;charset=utf-8;base64,AAAA",
    "no base64": "data:video/mp4,AAAA",
    "short padding": "data:video/mp4;base64,AAAAA",
    "long padding": "data:video/mp4;base64,AAAA====",
    "padding inside": "data:video/mp4;base64,AA==AAAA",
    "nothing": "data:video/mp4;base64,",
    "half a character": "data:video/mp4;base64,AAAA\ud800",
    "another kind": "data:text/html;base64,AAAA",
    "scheme alone": "data:",
}
OUTSIDE = [
    "/etc/hostname", "/etc/no-such-file", "/proc/self/environ", "//host/share/a.mp4",
    r"\\host\share\a.mp4", r"\\?\UNC\host\share\a.mp4", r"\\.\PhysicalDrive0", r"\??\C:\a.mp4",
    "{outputs}/../../../../etc/hostname", "{outputs}/way-out/etc/hostname",
]  # fmt: skip
FOREIGN: list[dict[str, str]] = [
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Origin": "https://example.org"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://[broken"},
    {"Origin": "http://127.0.0.1.example.org:{port}"},
    {"Sec_Fetch_Site": "same-origin", "Origin": "https://example.org"},
    {"Sec_Fetch_Site": "cross-site", "Origin": "http://127.0.0.1:{port}"},
]
AT_HOME: list[dict[str, str]] = [
    {},
    {"Sec_Fetch_Site": "none"},
    {"Sec_Fetch_Site": "same-origin"},
    {"Sec_Fetch_Site": "same-origin", "Origin": "http://127.0.0.1:{port}"},
]
NO_PRESETS = {
    "no JSON": b"{",
    "no UTF-8": b'{"ofgen": 1, "name": "\xff"}',
    "deep": b'{"ofgen": 1, "settings": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a list": b"[1, 2]",
    "nothing": b"",
    "settings": b'{"ofgen": 1, "settings": 7}',
    "not a number": b'{"ofgen": 1, "settings": {"strength": NaN}}',
    "without end": b'{"ofgen": 1, "settings": {"start": Infinity}}',
    "a long number": b'{"ofgen": 1, "settings": {"steps": ' + b"9" * 5000 + b"}}",
    "a path": b'{"ofgen": 1, "settings": {"checkpoint": "../../etc/passwd"}}',
    "half a character": b'{"ofgen": 1, "settings": {"sampler": "\\ud800"}}',
    "an unknown half": b'{"ofgen": 1, "settings": {"\\ud800": 1}}',
}


def data_url(content: bytes, kind: str = "mp4") -> str:
    return f"data:video/{kind};base64,{base64.b64encode(content).decode()}"


def lines(told: str) -> list[str]:
    """The lines of errors in an element."""
    return re.findall(r"<div class='ofgen-error' role='alert'>(.*?)</div>", told, re.DOTALL)


@pytest.fixture(scope="module")
def page(host: Server) -> Page:
    """A visit to the page, logged in where one must."""
    return Page(host.port, host.user)


@pytest.fixture(scope="module")
def away(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that the server can read and no request may."""
    path = tmp_path_factory.mktemp("away") / "secret.mp4"
    path.write_bytes(clip.read_bytes())
    return path


@pytest.fixture(scope="module")
def made(host: Server, page: Page, clip: Path) -> dict[str, Any]:
    """A finished job, of an upload whose name says that it is a page."""
    return finished(host, page, ofgen_upload=page.upload(clip, "walk <b>.html"))


class Doors:
    """Needs the fixtures above, `host`, a running server, and `clip`, a film of 128x64."""

    def test_a_path_that_a_page_names_is_taken_by_no_field(
        self, host: Server, page: Page, away: Path
    ) -> None:
        fields = page.fields(
            "file", "uploadbutton", "video", "audio", "image", "gallery", "model3d", "dataframe",
            "chatbot", "imageeditor", "multimodaltextbox", "annotatedimage", "dataset",
        )  # fmt: skip
        kinds = {name.partition(":")[0] for name in fields}
        assert kinds == {"ofgen_upload", "ofgen_mask_upload", "ofgen_preset_file",
                         "ofgen_flow_picture", "ofgen_frame_image"}  # fmt: skip
        before, told = _files(host), dict[str, set[str]]()
        with host.forgiven():  # gradio tells in its log what it cannot take
            for name, places in fields.items():
                for step, place in places:
                    for path in (str(away), str(away.with_name("none.mp4"))):
                        for value in _named(path):
                            said = _said(page, step, place, value)
                            assert "128x64" not in said, (name, value)
                            told.setdefault(f"{name} {step}", set()).update(lines(said))
        assert _files(host) == before, "something was copied"
        assert all(len(each) <= 1 for each in told.values()), "whether it is there was told"
        assert sum(map(len, told.values())) > 3

    def test_an_upload_is_taken_and_named_by_what_it_is(
        self, host: Server, made: dict[str, Any], clip: Path
    ) -> None:
        kept = [path.name for path in (host.outputs / "ofgen" / "uploads").iterdir()]
        assert made["input"] in kept
        assert re.fullmatch(r"walk[b-]*-[0-9a-f]{16}\.mp4", made["input"])
        assert {Path(name).suffix for name in kept} <= {".mp4", ".gif"}

    def test_no_route_tells_a_path_of_the_server(self, host: Server, made: dict[str, Any]) -> None:
        secret = re.compile(re.escape(str(host.data)).encode() + rb"|/etc/|/home/|/tmp/")
        job = f"/ofgen/v1/jobs/{made['id']}"
        routes = ["/ofgen/v1/jobs", job, *(made[name] for name in ("video", "report", "page"))]
        routes += ["/ofgen/v1/jobs/none", "/ofgen/v1/presets/none", made["keys"]]
        for route in routes:
            status, _, body = host.ask(route)
            assert status in (200, 404), route
            assert not secret.search(body), route
        assert not secret.search(host.ask("/ofgen/v1/presets/none", method="DELETE")[2])

    def test_what_is_handed_out_runs_nowhere(self, host: Server, made: dict[str, Any]) -> None:
        kinds = {"video": "video/mp4", "report": "application/json", "page": "text/html",
                 "keys": "image/png"}  # fmt: skip
        for name, kind in kinds.items():
            status, headers, body = host.ask(made[name])
            assert (status, bool(body)) == (200, True)
            assert headers["Content-Type"].startswith(kind)
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Content-Security-Policy"].startswith("sandbox;")
            how = "inline" if name == "page" else "attachment"
            assert headers["Content-Disposition"].startswith(how)

    def test_a_file_that_is_gone_is_one_line(self, host: Server, page: Page, clip: Path) -> None:
        job = finished(host, page, ofgen_path=data_url(clip.read_bytes()), ofgen_seed=6)
        (host.outputs / "ofgen" / job["output"]).unlink()
        status, _, body = host.ask(job["video"])
        assert status == 410
        assert json.loads(body)["detail"].count("\n") == 0

    @pytest.mark.parametrize("name", SCRIPTS)
    @pytest.mark.parametrize("way", ["upload", "url"])
    def test_what_is_no_video_is_not_kept(
        self, host: Server, page: Page, tmp_path: Path, way: str, name: str
    ) -> None:
        kept, path = _kept(host), tmp_path / name
        path.write_bytes(SCRIPTS[name])
        if way == "upload":
            values: dict[str, Any] = {"ofgen_upload": page.upload(path)}
        else:
            values = {"ofgen_path": data_url(SCRIPTS[name], path.suffix[1:])}
        _refused(page, **values)
        assert _kept(host) == kept

    @pytest.mark.parametrize("way", ["upload", "url"])
    def test_a_manifest_opens_no_other_file(
        self, host: Server, page: Page, away: Path, tmp_path: Path, way: str
    ) -> None:
        kept, path = _kept(host), tmp_path / "film.mp4"
        path.write_text(DASH.format(film=away), encoding="ascii")
        values = {"ofgen_upload": page.upload(path)}
        if way == "url":
            values = {"ofgen_path": data_url(path.read_bytes())}
        assert "playlist (DASH)" in _refused(page, **values)
        assert _kept(host) == kept

    def test_a_film_in_two_languages_is_kept_as_a_film(
        self, host: Server, page: Page, clip: Path
    ) -> None:
        """Bytes after the last box are nothing to a player, and a page to who guesses."""
        both = clip.read_bytes() + SCRIPTS["page.html"]
        before = _kept(host)
        told = page.press("ofgen_generate", ofgen_path=data_url(both, "html"), **SMALL)
        assert not lines(told["ofgen_told"]), told
        (fresh,) = _kept(host) - before
        assert fresh.endswith(".mp4")

    @pytest.mark.parametrize("name", BROKEN_URLS)
    def test_a_broken_data_url_is_one_line(self, host: Server, page: Page, name: str) -> None:
        kept = _kept(host)
        assert "data URL" in _refused(page, ofgen_path=BROKEN_URLS[name])
        assert _kept(host) == kept

    @pytest.mark.parametrize("path", OUTSIDE)
    def test_a_typed_path_outside_is_refused_whatever_is_there(
        self, host: Server, page: Page, clip: Path, path: str
    ) -> None:
        inside = host.outputs / "clip.mp4"
        inside.write_bytes(clip.read_bytes())
        place = path.format(outputs=host.outputs)
        for field in ("ofgen_path", "ofgen_mask"):
            values = {"ofgen_path": str(inside), field: place}
            assert "is outside the folders" in _refused(page, **values)

    def test_a_copy_that_gradio_made_is_no_upload(self, host: Server, page: Page) -> None:
        folder = host.data / "gradio" / "0123"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hostname").write_text("copied", encoding="ascii")
        for name in ("hostname", "none"):
            assert "is outside" in _refused(page, ofgen_path=str(folder / name))

    def test_a_preset_file_is_read_if_it_was_uploaded(self, page: Page, tmp_path: Path) -> None:
        path = tmp_path / "soft.json"
        preset = {"ofgen": 1, "name": "soft", "settings": {"strength": 0.25}}
        path.write_text(json.dumps(preset), encoding="ascii")
        told = page.press("ofgen_preset_take", ofgen_preset_file=page.upload(path))
        assert told["ofgen_preset_name"] == "soft"
        named = {"name": str(path), "data": None, "is_file": True}
        told = page.press("ofgen_preset_take", ofgen_preset_file=named)
        assert "was not uploaded" in told["ofgen_preset_told"]

    @pytest.mark.parametrize("number", range(len(FOREIGN)))
    def test_a_page_of_another_site_changes_nothing(self, host: Server, number: int) -> None:
        headers = {name: text.format(port=host.port) for name, text in FOREIGN[number].items()}
        for route, method in _changes():
            status, _, body = host.ask(route, b"{}", method, **headers)
            assert (status, b"another site" in body) == (403, True), (route, body)

    @pytest.mark.parametrize("number", range(len(AT_HOME)))
    def test_others_are_let_in(self, host: Server, number: int) -> None:
        headers = {name: text.format(port=host.port) for name, text in AT_HOME[number].items()}
        for route, method in _changes():
            assert host.ask(route, b"{}", method, **headers)[0] in (404, 422), route

    @pytest.mark.parametrize("name", NO_PRESETS)
    def test_what_is_no_preset_is_not_kept(self, host: Server, name: str) -> None:
        known = host.call("/ofgen/v1/presets").body
        status, _, body = host.ask("/ofgen/v1/presets/mine", NO_PRESETS[name], "PUT")
        assert status == 422, body
        assert "\n" not in json.loads(body)["detail"]
        assert host.call("/ofgen/v1/presets").body == known

    @pytest.mark.parametrize("size", [(1 << 20) + 1, 5 << 20])
    def test_a_preset_too_large_is_not_kept(self, host: Server, size: int) -> None:
        known = host.call("/ofgen/v1/presets").body
        body = b'{"ofgen": 1, "name": "mine", "description": "' + b"a" * size + b'"}'
        status, _, told = host.ask("/ofgen/v1/presets/mine", body, "PUT")
        assert (status, b"a preset has at most" in told) == (413, True)
        assert host.call("/ofgen/v1/presets").body == known

    def test_a_preset_of_half_a_character_is_given_back(self, host: Server) -> None:
        preset = {"ofgen": 1, "name": "half", "settings": {"prompt": "a \ud800 b"}}
        status, _, told = host.ask("/ofgen/v1/presets/half", json.dumps(preset).encode(), "PUT")
        assert status in (200, 422), told
        assert host.call("/ofgen/v1/presets").status == 200
        host.call("/ofgen/v1/presets/half", method="DELETE")

    def test_no_body_and_no_address_breaks_a_route(self, host: Server) -> None:
        @settings(
            max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        @given(st.sampled_from(_ROUTES), st.text(min_size=1, max_size=12), _BODIES)
        def tried(route: tuple[str, str], name: str, body: bytes) -> None:
            place, method = route
            where = place.format(
                name="".join(f"%{one:02X}" for one in name.encode("utf-8", "replace"))
            )
            sent = body if method in ("PUT", "POST") else None
            status, _, told = host.ask(where, sent, method)
            # 307: a name of slashes alone is another address, without them
            assert status in (200, 307, 404, 405, 409, 413, 422), (where, status, body, told)
            if method == "PUT" and status == 200:
                host.ask(where, method="DELETE")

        tried()

    def test_uploads_go_when_no_job_needs_them(self, host: Server, page: Page, clip: Path) -> None:
        assert not (host.outputs / "ofgen" / "uploads" / ORPHAN).exists(), "it was there before"
        other = clip.read_bytes() + b"\0\0\0\x08free"
        job = finished(host, page, ofgen_path=data_url(other))
        twice = finished(host, page, ofgen_path=data_url(other), ofgen_seed=8)
        assert job["input"] == twice["input"]
        for one, left in ((job, True), (twice, False)):
            waited(lambda one=one: _deleted(page, one["id"]), "deletion")
            assert (job["input"] in _kept(host)) == left


ORPHAN = "orphan-0123456789abcdef.mp4"
"""A file that is among the uploads when the host begins, and that no job needs."""
_ROUTES = [
    ("/ofgen/v1/presets/{name}", "GET"),
    ("/ofgen/v1/presets/{name}", "PUT"),
    ("/ofgen/v1/presets/{name}", "DELETE"),
    ("/ofgen/v1/jobs/{name}", "GET"),
    ("/ofgen/v1/jobs/{name}/video", "GET"),
    ("/ofgen/v1/jobs/{name}/page?name=video", "GET"),
    ("/ofgen/v1/jobs/{name}/cancel", "POST"),
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_PRESETS = st.fixed_dictionaries(
    {"ofgen": st.just(1) | _JSON},
    optional={
        "name": _JSON,
        "description": _JSON,
        "defaults": _JSON,
        "settings": st.dictionaries(
            st.sampled_from(["strength", "steps", "prompt", "checkpoint", "key_indices", "x"]),
            _JSON, max_size=3,
        ),
    },
)  # fmt: skip
_BODIES = st.binary(max_size=40) | st.builds(
    lambda value: json.dumps(value).encode(), _JSON | _PRESETS
)


def _changes() -> Iterator[tuple[str, str]]:
    yield "/ofgen/v1/jobs/none/cancel", "POST"
    yield "/ofgen/v1/presets/none", "PUT"
    yield "/ofgen/v1/presets/none", "DELETE"


def _named(path: str) -> list[Any]:
    """What a client may send so that gradio takes a file of the server for an upload."""
    told = {"name": path, "orig_name": "a.mp4", "size": 1, "data": None, "is_file": True}
    return [
        told,
        [told],
        {**told, "data": "data:video/mp4;base64,AAAA", "is_file": False},
        {**told, "name": [path]},
        {"path": path, "meta": {"_type": "gradio.FileData"}},
        {"image": path, "mask": path},
        path,
        f"file={path}",
        7,
    ]


def _said(page: Page, step: int, place: int, value: Any) -> str:
    """What the page tells of the step; nothing where gradio itself refuses it."""
    try:
        return page.send(step, place, value)
    except HTTPError as error:
        with error:
            return error.read().decode()


def _refused(page: Page, **values: Any) -> str:
    """The one line by which Generate refuses."""
    told = page.press("ofgen_generate", **values)["ofgen_told"]
    assert "data-job" not in told
    (line,) = lines(told)
    assert "\n" not in line
    return line


def finished(host: Server, page: Page, **values: Any) -> dict[str, Any]:
    """What the API tells of the job that Generate begins, when it is done."""
    told = page.press("ofgen_generate", **{**SMALL, **values})["ofgen_told"]
    found = re.search(r"data-job='([\w-]+)'", told)
    assert found, told
    ask: Callable[[], Any] = lambda: host.call(f"/ofgen/v1/jobs/{found[1]}").body  # noqa: E731
    waited(lambda: ask()["state"] not in ("waiting", "running"), "film")
    job = ask()
    assert job["state"] == "done", job
    return job


def _deleted(page: Page, job: str) -> bool:
    """Whether the history could delete the job, which it can once its end is written down."""
    told = page.press("ofgen_history_delete", ofgen_history_choice=f"[{job}]")
    return "MB are free again" in told["ofgen_history_told"]


def _kept(host: Server) -> set[str]:
    folder = host.outputs / "ofgen" / "uploads"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _files(host: Server) -> set[str]:
    """What lies among gradio's uploads and ours, but for empty files that gradio makes."""
    found = [*(host.data / "gradio").rglob("*"), *(host.outputs / "ofgen").rglob("*")]
    return {str(path) for path in found if path.is_file() and path.stat().st_size}


def furnish(data: Path) -> None:
    """Put an orphan among the uploads, and a link that leads out, before the host begins."""
    folder = data / "outputs" / "ofgen" / "uploads"
    folder.mkdir(parents=True)
    (folder / ORPHAN).write_bytes(b"nobody needs me")
    (data / "outputs" / "way-out").symlink_to("/")
