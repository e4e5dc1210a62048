"""Ctrl-C and a polite kill while a painter behind an address is waited for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from lib_ofgen.errors import PainterError, Stopped
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.stage_options import render_rules
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image, Repaint, Words
from support.fake_webui_api import MODELS, FakeSdApi
from support.jobs import Patience, pictures
from support.paths import ROOT
from support.videos import make_video

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGINT for others")

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("stops") / "a.mp4", pictures(4))


@contextmanager
def _deaf(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, threading.Event]]:
    """A server that treats each caller so, its address, and whether anyone has called."""
    called = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    called.set()
                    threading.Thread(target=answer, args=(caller,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", called
        listener.shutdown(socket.SHUT_RDWR)


def _silent(caller: socket.socket) -> None:
    with caller, suppress(OSError):
        while caller.recv(1 << 12):
            pass


def _trickling(caller: socket.socket) -> None:
    with caller, suppress(OSError):
        caller.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            caller.sendall(b"X")
            time.sleep(0.1)


def _command(clip: Path, folder: Path, url: str) -> list[str]:
    command = [sys.executable, "-m", "lib_ofgen", "animate", str(clip), "--quiet", "--painter", url]
    said = ("checkpoint=anime", "key_frames=every", "seed=5")
    return [*command, "-o", str(folder / "out.mp4"), *(w for one in said for w in ("--set", one))]


def _ended(
    clip: Path, folder: Path, url: str, due: Callable[[], bool], *numbers: signal.Signals
) -> tuple[int, float, str]:
    """Status, seconds from the first signal to the end, and what a job said."""
    with subprocess.Popen(
        _command(clip, folder, url), cwd=ROOT, stderr=subprocess.PIPE, text=True,
        # tests that run in the background are deaf to SIGINT, and so would be their children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        end = time.monotonic() + 30
        while not due() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.15)
        begun = time.monotonic()
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.02)
        said = process.communicate(timeout=30)[1]
        return process.returncode, time.monotonic() - begun, said


def _check(status: int, seconds: float, said: str) -> None:
    assert status == 130, said
    assert seconds < 2, said  # half a second where nobody else works
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("ofgen: stopped")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("answer", [_silent, _trickling])
def test_a_host_that_does_not_answer_is_left_at_once(
    clip: Path, tmp_path: Path, number: signal.Signals, answer: Callable[[socket.socket], None]
) -> None:
    with _deaf(answer) as (url, called):
        _check(*_ended(clip, tmp_path, url, called.is_set, number))
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("how", ["silence", "503", "trickle", "gone"])
@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 2])
def test_a_host_that_is_away_while_it_paints_is_left_at_once(
    clip: Path, tmp_path: Path, how: str, numbers: list[signal.Signals]
) -> None:
    with FakeSdApi() as host:
        host.fail("503" if how == "gone" else how, times=99)

        def due() -> bool:
            asked = host.asked()["POST img2img"] > 0
            if asked and how == "gone":
                host.close()
            return asked

        _check(*_ended(clip, tmp_path, host.url, due, *numbers))
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.ofgen"]


def test_a_job_that_was_left_goes_on_and_repeats_nothing(clip: Path, tmp_path: Path) -> None:
    with FakeSdApi() as host:
        host.fail("")
        host.fail("silence", times=99)
        _check(*_ended(clip, tmp_path, host.url, lambda: _asked(host) > 1, signal.SIGINT))
        assert host.loaded == MODELS[0]["title"], "the checkpoint was not put back"
        host.failures.clear()
        painted = _asked(host) - 1
        assert subprocess.run(_command(clip, tmp_path, host.url), cwd=ROOT).returncode == 0
        whole = _asked(host) - 1
    with FakeSdApi() as other:
        (tmp_path / "other").mkdir()
        command = _command(clip, tmp_path / "other", other.url)
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
        assert (painted, whole) == (1, _asked(other))
    films = [(tmp_path / name).read_bytes() for name in ("out.mp4", "other/out.mp4")]
    assert films[0] == films[1]


def _asked(host: FakeSdApi) -> int:
    return host.asked()["POST img2img"]


def test_what_is_waited_for_in_this_process_ends_too() -> None:
    begun = time.monotonic()
    with FakeSdApi() as host:
        host.fail("503", times=99)
        image = np.random.default_rng(3).integers(0, 256, (40, 72, 3), dtype=np.uint8)
        painter = HttpPainter(host.url, should_stop=lambda: _asked(host) > 0)
        with pytest.raises(Stopped, match="what is finished is kept"):
            painter.paint([Repaint(3, image, None, image, "", "", 0.4, 11)])
    assert time.monotonic() - begun < 2


def test_a_host_that_is_lost_is_not_waited_for_twice(rng: np.random.Generator) -> None:
    with FakeSdApi() as host:
        begun = time.monotonic()
        with pytest.raises(PainterError, match="cannot be reached"):
            _lose(host, rng.integers(0, 256, (40, 72, 3), dtype=np.uint8))
    assert time.monotonic() - begun < 1.9


def _lose(host: FakeSdApi, image: Image) -> None:
    """Paint with a host that is patiently waited for, and goes in between."""
    painter = HttpPainter(host.url, checkpoint="anime", patience=1.0)
    prompts = Prompts(1, {0: Words("", "")})
    with PainterSession(
        painter, render_rules(Settings(), 5), prompts, Patience(), Stopwatch()
    ) as easel:
        job = easel.make_repaint("keys", 0, image, None, image)
        easel.paint("keys", [job])
        host.close()
        easel.paint("keys", [job])
