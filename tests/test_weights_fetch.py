"""A fetch harms nothing that is there, from servers that err, lie, or never end."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib_ofgen.cli import commands
from lib_ofgen.errors import WeightsError
from lib_ofgen.models.weights import download, registry
from support.paths import ROOT

DATA = np.random.default_rng(3).bytes(600_000)
TAGGER = "wd-v1-4-swinv2-tagger-v2"
RAFT = "raft_large_C_T_SKHT_V2-ff5fadd5.pth"

Answer = Callable[["Server"], None]


class Server(http.server.BaseHTTPRequestHandler):
    """Answers each request as the test says."""

    protocol_version = "HTTP/1.0"
    answer: Answer
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Range", "")))
        type(self).answer(self)

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        """An answer; `Content_Length=""` leaves that out."""
        named = {"Content_Length": str(len(body)), "ETag": '"one"', **headers}
        self.send_response(status)
        for name, value in named.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def part(self, data: bytes = DATA, **headers: str) -> None:
        """What a good server answers."""
        ranged = self.headers.get("Range", "")
        if not ranged or self.headers.get("If-Range") != headers.get("ETag", '"one"'):
            self.give(data, **headers)
            return
        start = int(ranged.removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            self.give(b"", 416, Content_Range=f"bytes */{len(data)}", **headers)
            return
        of = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.give(data[start:], 206, Content_Range=of, **headers)

    def log_message(self, format: str, *args: Any) -> None: ...

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # whoever asked has left
            self.close_connection = True


class Served:
    """A running server, and what it was asked."""

    def __init__(self, url: str, handler: type[Server]) -> None:
        self.url, self.handler = url, handler

    @property
    def asked(self) -> list[tuple[str, str]]:
        return self.handler.asked

    def answers(self, answer: Answer) -> None:
        self.handler.answer = staticmethod(answer)  # type: ignore[assignment]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Handler", (Server,), {"asked": [], "answer": staticmethod(Server.part)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield Served(f"http://127.0.0.1:{running.server_port}/w", handler)
        running.shutdown()


def fetch(url: str, target: Path, size: int = 0) -> list[int]:
    """How much was there, each time that it was told."""
    told: list[int] = []
    download.fetch(url, target, lambda done, of: told.append(done), size=size)
    return told


def begun(server: Served, target: Path, data: bytes, tag: str = '"one"') -> None:
    """Have a fetch leave so much beside the target."""
    server.answers(lambda asked: asked.give(data, ETag=tag, Content_Length=str(len(data) + 1)))
    with pytest.raises(WeightsError, match="bytes came"):
        fetch(server.url, target)
    assert target.with_name(f".{target.name}.part").read_bytes() == data
    server.answers(Server.part)
    server.asked.clear()


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_that_has_come_already_is_not_fetched_again(server: Served, tmp_path: Path) -> None:
    begun(server, tmp_path / "w", DATA)
    fetch(server.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA
    assert server.asked == [("/w", f"bytes={len(DATA)}-")]
    assert left(tmp_path) == ["w"]


@pytest.mark.parametrize(
    ("part", "tag"),
    [(DATA + b"more", '"one"'), (DATA[:500], '"one"'), (b"\0" * 700_000, '"one"'),
     (DATA + b"more", '"old"'), (DATA[:500], '"old"'), (DATA[::-1], '"old"')],
)  # fmt: skip
def test_a_part_of_another_file_begins_anew(
    server: Served, tmp_path: Path, part: bytes, tag: str
) -> None:
    begun(server, tmp_path / "w", part, tag)
    fetch(server.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA
    assert len(server.asked) <= 2


def test_a_refusal_of_the_range_without_the_length_begins_anew(
    server: Served, tmp_path: Path
) -> None:
    begun(server, tmp_path / "w", DATA)
    server.answers(
        lambda asked: asked.give(b"", 416) if asked.headers["Range"] else asked.give(DATA)
    )
    fetch(server.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA


def test_a_changed_file_is_not_spliced_whatever_the_server_says(
    server: Served, tmp_path: Path
) -> None:
    begun(server, tmp_path / "w", DATA[:1000])
    other = DATA[::-1]

    def answer(asked: Server) -> None:
        if not asked.headers["Range"]:
            asked.give(other, ETag='"two"')
            return
        asked.give(
            other[1000:], 206, ETag='"two"', Content_Range=f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"
        )

    server.answers(answer)
    fetch(server.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == other


@pytest.mark.parametrize("where", ["bytes 0-9/600000", "bytes 5-599999/600000", "", "pages 1-2/3"])
def test_another_part_than_was_asked_for_begins_anew(
    server: Served, tmp_path: Path, where: str
) -> None:
    begun(server, tmp_path / "w", DATA[:1000])

    def answer(asked: Server) -> None:
        if asked.headers["Range"]:
            asked.give(DATA[:10], 206, Content_Range=where)
        else:
            asked.give(DATA)

    server.answers(answer)
    fetch(server.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA


@pytest.mark.parametrize(
    "note",
    ["[]", "null", "5", '"text"', "{}", '{"address": 5, "version": []}', "[" * 60_000, "\0", "{",
     '{"url": null, "version": null}', '{"version": "a\\r\\nRange: bytes=1-"}'],
)  # fmt: skip
def test_a_note_of_any_content_costs_no_more_than_the_part(
    server: Served, tmp_path: Path, note: str
) -> None:
    begun(server, tmp_path / "w", DATA[:1000])
    (tmp_path / ".w.part.json").write_text(note, "utf-8")
    fetch(server.url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA


def test_the_note_tells_nothing_secret(server: Served, tmp_path: Path) -> None:
    server.url += "?token=s3cret"
    begun(server, tmp_path / "w", DATA[:1000])
    assert "s3cret" not in (tmp_path / ".w.part.json").read_text("utf-8")
    fetch(server.url, tmp_path / "w")
    assert server.asked == [("/w?token=s3cret", "bytes=1000-")]


REFUSED: dict[str, tuple[Answer, str]] = {
    "a page": (lambda a: a.give(b"<html>", Content_Type="text/html"), "gives a page"),
    "a page of XML": (
        lambda a: a.give(b"<html>", Content_Type="application/xhtml+xml; charset=x"), "gives a page"
    ),
    "gzip": (lambda a: a.give(b"\x1f\x8b", Content_Encoding="gzip"), "compressed"),
    "nothing": (lambda a: a.give(b"", 204), "204"),
    "a file of this machine": (lambda a: a.give(b"", 302, Location="file:///etc/hostname"),
                               "answers 302 and sends us on to no file of http"),
    "ftp": (lambda a: a.give(b"", 302, Location="ftp://127.0.0.1/w"), "not an address of http"),
    "a data URL": (lambda a: a.give(b"", 302, Location="data:,hello"), "no file of http or https"),
    "a password": (lambda a: a.give(b"", 302, Location="http://me:pw@127.0.0.1/w"),
                   r"not an address of http or https"),
    "in a circle": (lambda a: a.give(b"", 302, Location="/w"), "302"),
    "codes": (lambda a: a.send_response(500, "\x1b[31m\x07bad") or a.end_headers(), "500"),
    "too large": (lambda a: a.give(DATA, Content_Length=str(9 << 40)), "it is another file"),
}  # fmt: skip


@pytest.mark.parametrize("how", REFUSED)
def test_what_is_no_file_is_refused_in_one_line(server: Served, tmp_path: Path, how: str) -> None:
    answer, said = REFUSED[how]
    server.answers(answer)
    with pytest.raises(WeightsError, match=said) as refused:
        fetch(server.url, tmp_path / "w")
    assert str(refused.value).isprintable()
    assert "pw" not in str(refused.value)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "ftp://h/w", "http://", "http://a:b@h/w", "//h/w", "w", "",
     "http://h:99999/", "http://h/\nx", "data:,x"],
)  # fmt: skip
def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(WeightsError, match="is not an address of http or https"):
        fetch(url, tmp_path / "w")


@pytest.mark.parametrize("size", [len(DATA), 0])
def test_an_endless_body_ends(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(download, "_MOST", 900_000)

    def answer(asked: Server) -> None:
        asked.give(b"", Content_Length="")
        while True:
            asked.wfile.write(DATA)

    server.answers(answer)
    with pytest.raises(WeightsError, match=f"more than the file's {size or 900_000} bytes"):
        fetch(server.url, tmp_path / "w", size)
    assert not (tmp_path / "w").exists()
    server.answers(Server.part)
    fetch(server.url, tmp_path / "w", size)
    assert (tmp_path / "w").read_bytes() == DATA


@pytest.mark.parametrize("length", ["700000", "-5", "many", ""])
def test_a_wrong_length_takes_nothing_half(server: Served, tmp_path: Path, length: str) -> None:
    server.answers(lambda asked: asked.give(DATA, Content_Length=length))
    if length == "700000":
        with pytest.raises(WeightsError, match="bytes"):
            fetch(server.url, tmp_path / "w", len(DATA))
        assert not (tmp_path / "w").exists()
    else:
        fetch(server.url, tmp_path / "w", len(DATA))
        assert (tmp_path / "w").read_bytes() == DATA


def test_a_server_that_never_gets_further_is_given_up(server: Served, tmp_path: Path) -> None:
    def answer(asked: Server) -> None:
        """Another version each time, cut off at another place."""
        count = len(server.asked)
        asked.give(DATA[: 1000 + count % 2], ETag=f'"{count}"', Content_Length="600000")

    server.answers(answer)
    with pytest.raises(WeightsError, match="of 600000 bytes came"):
        fetch(server.url, tmp_path / "w")
    assert len(server.asked) < 12


def test_a_slow_server_is_heard_of_as_bytes_come(server: Served, tmp_path: Path) -> None:
    heard = threading.Event()

    def answer(asked: Server) -> None:
        asked.give(DATA[:10], Content_Length=str(len(DATA)))
        assert heard.wait(10), "nothing was told of ten bytes"
        asked.wfile.write(DATA[10:])

    server.answers(answer)
    download.fetch(server.url, tmp_path / "w", lambda done, of: heard.set())
    assert (tmp_path / "w").read_bytes() == DATA


# by the command


@pytest.fixture
def tagger(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The bytes that the server has of a tagger, which is now the published one."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no tagger is tried")
    from support import tiny_tagger

    folder = tiny_tagger.make(tmp_path / "published")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    publish(monkeypatch, files)
    server.answers(lambda asked: asked.part(files[Path(asked.path).name]))
    return files


def publish(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    one = registry.CHECKPOINTS[TAGGER]
    beside = dataclasses.replace(one.beside[0], sha256=sums["selected_tags.csv"], size=0)
    changed = dataclasses.replace(one, sha256=sums["model.onnx"], beside=(beside,))
    monkeypatch.setitem(registry.CHECKPOINTS, TAGGER, changed)


def asked_for(server: Served, models: Path, name: str = TAGGER) -> int:
    url = server.url.removesuffix("/w") if name == TAGGER else server.url
    words = ["weights", "fetch", name, "--accept-licence", "--models-dir", str(models)]
    return commands.main([*words, "--from", url])


def test_both_files_come_together(server: Served, tagger: dict[str, bytes], tmp_path: Path) -> None:
    models = tmp_path / "models"
    assert asked_for(server, models) == 0
    folder = models / TAGGER
    assert left(models) == [
        TAGGER,
        *(f"{TAGGER}/{one}" for one in sorted([*tagger, "model.onnx.sha256"])),
    ]
    assert {name: (folder / name).read_bytes() for name in tagger} == tagger
    assert commands.main(["weights", "verify", TAGGER, "--models-dir", str(models)]) == 0


@pytest.mark.parametrize("mine", ["model.onnx", "selected_tags.csv"])
def test_what_was_there_before_stays(
    server: Served, tagger: dict[str, bytes], tmp_path: Path, mine: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "models" / TAGGER
    folder.mkdir(parents=True)
    (folder / mine).write_bytes(b"my own, of another model")
    (folder / "model.onnx.sha256").write_text("kept")
    assert asked_for(server, tmp_path / "models") == 1
    assert (folder / mine).read_bytes() == b"my own, of another model"
    assert (folder / "model.onnx.sha256").read_text() == "kept"
    assert left(tmp_path / "models") == [
        TAGGER,
        *sorted([f"{TAGGER}/{mine}", f"{TAGGER}/model.onnx.sha256"]),
    ]
    assert str(folder / mine) in capsys.readouterr().err


def test_a_file_that_lacks_joins_the_one_that_is_there(
    server: Served, tagger: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "models" / TAGGER
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(tagger["model.onnx"])
    assert asked_for(server, tmp_path / "models") == 0
    assert [path for path, _ in server.asked] == ["/selected_tags.csv"]
    assert (folder / "selected_tags.csv").read_bytes() == tagger["selected_tags.csv"]


@pytest.mark.parametrize("how", ["404", "damaged", "of another network"])
def test_of_two_files_both_go_in_or_none(
    server: Served, tagger: dict[str, bytes], tmp_path: Path, how: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    table = tagger["selected_tags.csv"]
    shorter = b"\n".join(table.splitlines()[:-5])
    good = dict(tagger)
    if how == "of another network":
        publish(monkeypatch, {**tagger, "selected_tags.csv": shorter})

    def answer(asked: Server) -> None:
        name = Path(asked.path).name
        if name != "model.onnx" and how == "404":
            asked.give(b"", 404)
            return
        asked.part(tagger[name] if name == "model.onnx" else shorter)

    server.answers(answer)
    models = tmp_path / "models"
    assert asked_for(server, models) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"ofgen: error: could not fetch {TAGGER}: ")
    assert ".fetching" not in line
    assert not list((models / TAGGER).iterdir())
    assert (models / ".fetching").exists() == (how == "404"), "what is right was thrown away"
    server.answers(lambda asked: asked.part(good[Path(asked.path).name]))
    publish(monkeypatch, good)
    server.asked.clear()
    assert asked_for(server, models) == 0
    assert [path for path, _ in server.asked][-1] == "/selected_tags.csv"
    assert len(server.asked) == (1 if how == "404" else 2)
    assert not (models / ".fetching").exists()


def test_two_at_once_do_not_disturb_each_other(
    server: Served, tagger: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begins, goes_on = threading.Event(), threading.Event()

    def answer(asked: Server) -> None:
        begins.set()
        assert goes_on.wait(20)
        asked.part(tagger[Path(asked.path).name])

    server.answers(answer)
    models = tmp_path / "models"
    results: list[int] = []
    first = threading.Thread(target=lambda: results.append(asked_for(server, models)))
    first.start()
    assert begins.wait(20)
    assert asked_for(server, models) == 1
    assert "another process is fetching it" in capsys.readouterr().err
    goes_on.set()
    first.join(20)
    assert results == [0]
    assert (models / TAGGER / "model.onnx").read_bytes() == tagger["model.onnx"]


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_no_file_is_not_written_over(
    server: Served, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "folder":
        (tmp_path / RAFT).mkdir()
    else:
        (tmp_path / RAFT).symlink_to(tmp_path / "nowhere")
    assert asked_for(server, tmp_path, "raft-large") == 1
    assert "is there and is not a file; move it away" in capsys.readouterr().err
    assert server.asked == []
    assert left(tmp_path) == [RAFT]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://me:s3cret@h/w", "http://me:s3cret@h:1/w", "/etc/passwd"]
)
def test_only_addresses_of_the_web_are_fetched(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["weights", "fetch", "raft-large", "--accept-licence", "--models-dir", str(tmp_path)]
    assert commands.main([*words, "--from", url]) == 2
    said = capsys.readouterr().err
    assert "is not an http or https address" in said
    assert "s3cret" not in said
    assert len(said.splitlines()) == 1
    assert left(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file's size")
def test_a_full_disk_keeps_what_has_come(server: Served, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from lib_ofgen.cli.commands import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "sys.exit(main())"
    )
    words = ["weights", "fetch", "raft-large", "--accept-licence", "--models-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--from", server.url], capture_output=True, text=True,
        cwd=ROOT, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )  # fmt: skip
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "cannot write" in line
    assert "the part so far is kept" in line
    assert "Traceback" not in done.stderr
    part = tmp_path / f".{RAFT}.part"
    assert part.read_bytes() == DATA[:300_000]
    assert len(server.asked) == 1
    download.fetch(server.url, tmp_path / RAFT, lambda done, of: None)
    assert (tmp_path / RAFT).read_bytes() == DATA
    assert server.asked[-1] == ("/w", "bytes=300000-")


def test_a_record_of_the_first_use_outlives_another_file(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = registry.CHECKPOINTS["pdcnet-plus"]
    record = tmp_path / f"{one.file}.sha256"
    record.write_text("5" * 64)
    assert asked_for(server, tmp_path, "pdcnet-plus") == 1
    assert f"not {'5' * 64}" in capsys.readouterr().err
    assert left(tmp_path) == [record.name]
    assert record.read_text() == "5" * 64


def test_the_list_says_how_each_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["weights", "list", "--models-dir", str(tmp_path)]) == 0
    checked = [line.split("checked", 1)[1].strip() for line in capsys.readouterr().out.splitlines()
               if "checked" in line]  # fmt: skip
    assert [line[:12] for line in checked] == ["by nothing: ", "by its full ", "by its full "]
    part = dataclasses.replace(registry.CHECKPOINTS["raft-large"], sha256="ff5fadd5")
    assert part.pinned == "by the first 32 bits of its SHA-256"
    assert registry.CHECKPOINTS["raft-large"].sha256.startswith("ff5fadd5")


@pytest.mark.parametrize("content", [b"\xff" * 500, b"", b"5", b"[]"])
def test_a_damaged_record_is_one_line(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / registry.CHECKPOINTS["pdcnet-plus"].file
    file.write_bytes(b"any")
    file.with_name(f"{file.name}.sha256").write_bytes(content)
    assert commands.main(["weights", "verify", "pdcnet-plus", "--models-dir", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("bad   ")
    assert len(said.out.splitlines()) == 1
