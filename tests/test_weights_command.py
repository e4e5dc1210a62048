"""`ofgen weights`: from a real server that misbehaves, by the command as a user types it."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lib_ofgen.errors import WeightsError
from lib_ofgen.models.weights import download
from support.paths import ROOT

NAME = "raft_large_C_T_SKHT_V2-ff5fadd5.pth"
DATA = np.random.default_rng(2).bytes(3_000_000)


@dataclass
class Manners:
    """How the server behaves."""

    data: bytes = DATA
    tag: str = '"one"'
    status: int = 200
    kind: str = "application/octet-stream"
    cut: int = 0
    """Bytes after which the connection breaks, once a request; 0: never."""
    slow: float = 0.0
    """Seconds between blocks."""
    ranges: bool = True
    asked: list[str] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    manners: Manners

    def do_GET(self) -> None:
        how = self.manners
        ranged = self.headers.get("Range", "")
        how.asked.append(ranged)
        if how.status != 200:
            self.send_error(how.status)
            return
        start = 0
        if ranged and how.ranges and self.headers.get("If-Range") == how.tag:
            start = int(ranged.removeprefix("bytes=").partition("-")[0])
        body = how.data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(how.data) - 1}/{len(how.data)}")
        self.send_header("Content-Type", how.kind)
        self.send_header("Content-Length", str(len(body)))
        if how.tag:
            self.send_header("ETag", how.tag)
        self.end_headers()
        stop = how.cut or len(body)
        for place in range(0, min(stop, len(body)), 100_000):
            with contextlib.suppress(ConnectionError):  # whoever asked has left
                self.wfile.write(body[place : min(place + 100_000, stop)])
            time.sleep(how.slow)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def served() -> Iterator[tuple[Manners, str]]:
    manners = Manners()
    handler = type("Handler", (_Handler,), {"manners": manners})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield manners, f"http://127.0.0.1:{server.server_port}/weights"
        server.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def _fetch(url: str, target: Path) -> list[int]:
    told: list[int] = []
    download.fetch(url, target, lambda done, of: told.append(done))
    assert target.read_bytes()[:10]
    return told


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole(served: tuple[Manners, str], tmp_path: Path) -> None:
    told = _fetch(served[1], tmp_path / "sub" / "w")
    assert (tmp_path / "sub" / "w").read_bytes() == DATA
    assert told == sorted(told)
    assert told[-1] == len(DATA)
    assert _left(tmp_path / "sub") == ["w"]


def test_a_broken_line_is_gone_on_with(served: tuple[Manners, str], tmp_path: Path) -> None:
    manners, url = served
    manners.cut = 1_100_000
    _fetch(url, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA
    assert manners.asked == ["", "bytes=1100000-", "bytes=2200000-"]


@pytest.mark.parametrize("change", ["tag", "ranges", "none"])
def test_a_changed_file_is_never_spliced(
    served: tuple[Manners, str], tmp_path: Path, change: str
) -> None:
    manners, url = served
    manners.cut, manners.tag = 400_000, "" if change == "none" else '"one"'

    def told(done: int, of: int) -> None:
        if done >= 400_000 and manners.cut:
            manners.cut, manners.data = 0, DATA[::-1]
            manners.tag = '"two"' if change == "tag" else manners.tag
            manners.ranges = change != "ranges"

    download.fetch(url, tmp_path / "w", told)
    assert (tmp_path / "w").read_bytes() == DATA[::-1]


@pytest.mark.parametrize(
    ("manner", "said"),
    [
        ({"status": 404}, "404"),
        ({"status": 403}, "403"),
        ({"status": 429}, "429"),
        ({"kind": "text/html; charset=utf-8"}, "gives a page.* and no file"),
    ],
)
def test_refusals_are_told_and_nothing_is_left(
    served: tuple[Manners, str], tmp_path: Path, manner: dict[str, Any], said: str
) -> None:
    for name, value in manner.items():
        setattr(served[0], name, value)
    with pytest.raises(WeightsError, match=said):
        _fetch(served[1], tmp_path / "w")
    assert _left(tmp_path) == []
    assert len(served[0].asked) == 1


def test_no_room_and_no_server(
    served: tuple[Manners, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(download.shutil, "disk_usage", lambda _: _Usage(1000))
        with pytest.raises(WeightsError, match="has room for 0 MiB and 2 are to come"):
            _fetch(served[1], tmp_path / "w")
    with pytest.raises(WeightsError, match="no connection"):
        _fetch("http://127.0.0.1:9/w", tmp_path / "w")
    assert _left(tmp_path) == []


@dataclass
class _Usage:
    free: int


def _ofgen(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lib_ofgen", "weights", *map(str, args)],
        capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, **more,
    )  # fmt: skip


def test_the_licence_comes_first(served: tuple[Manners, str], tmp_path: Path) -> None:
    done = _ofgen("fetch", "raft-large", "--models-dir", tmp_path, "--from", served[1])
    assert done.returncode == 2
    assert "BSD-3-Clause" in done.stderr
    assert "--accept-licence" in done.stderr.splitlines()[-1]
    assert served[0].asked == []
    assert _ofgen("fetch", "raft").returncode == 2


def test_another_file_than_the_published_one_is_refused(
    served: tuple[Manners, str], tmp_path: Path
) -> None:
    done = _ofgen(
        "fetch", "raft-large", "--accept-licence", "--models-dir", tmp_path, "--from", served[1]
    )
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert f"SHA-256 {hashlib.sha256(DATA).hexdigest()}, not ff5fadd5" in line
    assert "pytorch.org" in line
    assert str(tmp_path / NAME) in line
    assert _left(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGINT for others")
def test_ctrl_c_keeps_what_has_come(served: tuple[Manners, str], tmp_path: Path) -> None:
    manners, url = served
    manners.slow = 0.1
    running = subprocess.Popen(
        [sys.executable, "-m", "lib_ofgen", "weights", "fetch", "raft-large", "--accept-licence",
         "--models-dir", tmp_path, "--from", url],
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
        # tests that run in the background are deaf to SIGINT, and so would be their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    part = tmp_path / f".{NAME}.part"
    end = time.monotonic() + 30
    while not (part.is_file() and part.stat().st_size > 300_000) and time.monotonic() < end:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130, said
    assert "the same command continues the download" in said
    assert 300_000 < part.stat().st_size < len(DATA)
    manners.slow = 0
    download.fetch(url, tmp_path / NAME, lambda done, of: None)
    assert (tmp_path / NAME).read_bytes() == DATA
    assert manners.asked[-1].startswith("bytes=")


def test_the_list_names_licences_and_places(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"x")
    done = _ofgen("list", "--models-dir", tmp_path)
    assert done.returncode == 0
    assert "non-commercial" in done.stdout
    assert str(tmp_path / NAME) in done.stdout
    assert "https://drive.google.com/" in done.stdout


# with torch


class _Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    torch = pytest.importorskip("torch", reason="torch is not installed: nothing can be loaded")
    from support.pdcnet import seeded

    path = tmp_path / "PDCNet_plus_m.pth.tar"
    torch.save({"state_dict": seeded.state_dict(), "epoch": 1}, path)
    return path


def test_good_weights_are_verified_and_converted(good: Path) -> None:
    done = _ofgen("verify", "pdcnet-plus", "--models-dir", good.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"good  {good}  501 entries")
    recorded = good.with_name(good.name + ".sha256").read_text().strip()
    assert recorded == hashlib.sha256(good.read_bytes()).hexdigest()
    out = good.parent / "PDCNet_plus_m.safetensors"
    assert _ofgen("convert", good).stdout.strip() == str(out)
    assert _ofgen("convert", good).returncode == 1, "a file was written over"
    assert _ofgen("verify", out).stdout.startswith(f"good  {out}  501 entries")


def test_bad_weights_are_named_and_nothing_runs(good: Path, tmp_path: Path) -> None:
    import torch

    whole = good.read_bytes()
    mark = tmp_path / "mark"
    cases = {
        "cut": whole[: len(whole) // 2],
        "attack": pickle.dumps({"state_dict": _Attack(mark)}),
        "text": json.dumps({}).encode(),
    }
    for name, data in cases.items():
        place = tmp_path / name / "PDCNet_plus_m.pth.tar"
        place.parent.mkdir()
        place.write_bytes(data)
        done = _ofgen("verify", place)
        assert done.returncode == 1
        assert done.stdout.startswith("bad   ")
        assert len(done.stdout.splitlines()) == 1
    other = tmp_path / "other" / "PDCNet_plus_m.pth.tar"
    other.parent.mkdir()
    torch.save({"a.weight": torch.zeros(3)}, other)
    assert "of another network: it lacks" in _ofgen("verify", other).stdout
    assert not mark.exists()
