"""Outputs: whole, by one writer at a time, under the name that was given, and nobody else's."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from lib_ofgen.cli import commands
from lib_ofgen.errors import VideoError, WorkspaceError
from lib_ofgen.pipeline.results import side_by_side
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.pipeline.run import Job
from lib_ofgen.pipeline.run import run_job as animated
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace, delete_workspace, write_whole
from lib_ofgen.system import files
from lib_ofgen.values import Frame, Image, Repaint
from lib_ofgen.video.writer import FrameFolder, write_video
from support.jobs import BASE, Counting, Patience, decoded, pictures
from support.paths import ROOT
from support.videos import make_video, numbered, plain_clip

LENGTH = 4
SETTINGS = [word for name, value in BASE.items() for word in ("--set", f"{name}={value}")]
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX tells dead writers by their locks")

Ofgen = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "pan.mp4", pictures(LENGTH))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def ofgen(capsys: pytest.CaptureFixture[str]) -> Ofgen:
    """A command: its status, and what it says on standard error."""

    def run(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        try:
            status = commands.main([str(word) for word in words])
        except SystemExit as end:
            status = int(str(end.code))
        return status, capsys.readouterr().err

    return run


def animate(clip: Path, output: object, *more: object) -> tuple[object, ...]:
    return ("animate", clip, "-o", output, "--quiet", *SETTINGS, *more)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def held(*paths: Path, folders: tuple[Path, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has these outputs."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from lib_ofgen.system.files import claim_outputs\n"
        "files, folders = ([Path(p) for p in some] for some in json.loads(sys.argv[1]))\n"
        "with claim_outputs(files, folders): print('in', flush=True); input()"
    )
    given = json.dumps([[str(p.absolute()) for p in some] for some in (paths, folders)])
    with subprocess.Popen(
        [sys.executable, "-c", code, given],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        yield other
        other.kill()


def refused(said: tuple[int, str], name: str) -> None:
    status, line = said
    assert status == 1, line
    assert line.count("\n") == 1, line
    assert "another job is writing" in line
    assert name in line


# one writer at a time


def test_a_second_job_is_told_before_anything_is_read(
    ofgen: Ofgen, clip: Path, place: Path
) -> None:
    with held(place / "film.mp4"):
        refused(ofgen(*animate(Path("no/such/video.mp4"), "film.mp4")), "film.mp4")
        refused(ofgen(*animate(clip, "film.mp4", "--workspace", "other")), "film.mp4")
    assert names(place) <= {".film.mp4.lock"}, "that of a job that was killed"
    assert ofgen(*animate(clip, "film.mp4"))[0] == 0
    assert names(place) == {"film.mp4", "film.mp4.ofgen"}
    assert len(decoded(place / "film.mp4")) == LENGTH


def test_every_spelling_of_an_output_meets_the_same_lock(
    ofgen: Ofgen, clip: Path, place: Path
) -> None:
    (place / "deep").mkdir()
    film = place / "deep" / "film.mp4"
    film.write_bytes(b"a film")
    (place / "folder").symlink_to("deep")
    (place / "link.mp4").symlink_to("deep/film.mp4")
    (place / "chain.mp4").symlink_to("link.mp4")
    os.link(film, place / "hard.mp4")
    with held(film):
        for name in ("deep/film.mp4", "deep/../deep/film.mp4", film, "folder/film.mp4",
                     "link.mp4", "chain.mp4", "hard.mp4"):  # fmt: skip
            refused(ofgen(*animate(clip, name)), str(name))
        assert ofgen(*animate(clip, "deep/Film.mp4"))[0] == 0, "another name"
    assert film.read_bytes() == b"a film"


def test_an_output_that_is_not_there_yet_has_one_lock_too(
    ofgen: Ofgen, clip: Path, place: Path
) -> None:
    (place / "link.mp4").symlink_to("film.mp4")
    long = "x" * 251 + ".mp4"
    with held(place / "link.mp4", place / long):
        refused(ofgen(*animate(clip, "film.mp4")), "film.mp4")
        refused(ofgen(*animate(clip, long, "--workspace", "w")), long)


def test_what_else_is_written_has_one_writer_too(ofgen: Ofgen, clip: Path, place: Path) -> None:
    for name in ("a", "b"):
        PIL.Image.fromarray(numbered(1)).save(place / f"{name}.png")
    (place / "frames").mkdir()
    taken = [place / name for name in ("r.json", "sheet.png", "p.csv", "a.flo", "f.png")]
    with held(*taken, folders=(place / "frames",)):
        refused(ofgen(*animate(clip, "film.mp4", "--report", "r.json")), "r.json")
        refused(ofgen(*animate(clip, "film.mp4", "--frames", "frames")), "frames")
        for words in (("-o", "sheet.png"), ("--prompts-out", "p.csv")):
            refused(ofgen("plan", clip, "--quiet", *words), words[1])
        refused(ofgen("flow", "a.png", "b.png", "-o", "a.flo"), "a.flo")
        refused(ofgen("flow", "a.png", "b.png", "-o", "c.flo", "--png", "f.png"), "f.png")
    assert not list(place.glob("film*"))


def test_a_film_beside_its_source_has_one_writer(ofgen: Ofgen, clip: Path, place: Path) -> None:
    assert ofgen(*animate(clip, "film.mp4"))[0] == 0
    reel = ResultFrames(place / "film.mp4.ofgen")
    made = side_by_side.write_side_by_side(reel, place / "film.mp4")
    next(made)
    with pytest.raises(WorkspaceError, match="another job is writing"):
        next(side_by_side.write_side_by_side(reel, place / "film.mp4"))
    assert len(list(made)) == LENGTH - 1
    assert side_by_side.side_by_side_file(reel).is_file()
    assert delete_workspace(place / "film.mp4.ofgen") > 0
    assert names(place) == {"film.mp4"}


def test_two_jobs_at_once_end_in_one_film(clip: Path, place: Path) -> None:
    """Of several that begin together one goes on; the others are told, and touch nothing."""
    words = [sys.executable, "-m", "lib_ofgen"]
    jobs = [
        subprocess.Popen(
            [*words, *map(str, animate(clip, place / "film.mp4", "--workspace", place / f"{n}"))],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for n in range(3)
    ]  # fmt: skip
    ends = [(job.communicate()[1], job.returncode) for job in jobs]
    assert 0 in [status for _, status in ends]
    for line, status in ends:
        if status:
            refused((status, line), "film.mp4")
    assert len(decoded(place / "film.mp4")) == LENGTH
    assert not [name for name in names(place) if name.startswith(".")]


@POSIX
def test_a_file_system_without_locks_takes_films(
    ofgen: Ofgen, clip: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert ofgen(*animate(clip, "film.mp4", "--frames", "frames")) == (0, "")
    assert names(place) == {"film.mp4", "film.mp4.ofgen", "frames"}
    assert names(place / "frames") == {f"{i:06}.png" for i in range(LENGTH)}


# names of unfinished files


@POSIX
def test_what_a_killed_job_leaves_is_gone_after_the_next(
    ofgen: Ofgen, clip: Path, place: Path
) -> None:
    words = [sys.executable, "-m", "lib_ofgen", *map(str, animate(clip, place / "film.mp4"))]
    frames = place / "film.mp4.ofgen" / "frames"
    with subprocess.Popen([*words, "--frames", str(place / "frames")], cwd=ROOT) as job:
        end = time.monotonic() + 60
        while job.poll() is None and time.monotonic() < end:
            # one that is there before the workspace only tries the output out
            if (place / "frames").is_dir() and list(place.glob(".*.partial")):
                break
            time.sleep(0.002)
        job.send_signal(signal.SIGKILL)
    assert [name for name in names(place) if name.endswith(".partial")]
    for folder in (frames, place / "film.mp4.ofgen" / "facts", place / "frames"):
        (folder / f".{'0' * 32}-{'1' * 8}-{'2' * 32}.partial").write_bytes(b"")
    assert ofgen(*animate(clip, "film.mp4", "--frames", "frames"))[0] == 0
    assert names(place) == {"film.mp4", "film.mp4.ofgen", "frames"}
    assert [path.name for path in place.rglob(".*") if path.name != ".film.mp4.lock"] == []
    assert names(place / "frames") == {f"{i:06}.png" for i in range(LENGTH)}


@POSIX
def test_what_is_being_written_is_not_swept(place: Path) -> None:
    path, space = place / "film.mp4", Workspace(place / "space")
    with write_video(path, plain_clip(2)) as film:
        film.write(Frame(0, numbered(0)))
        waiting = files.Partial(space.folder / "facts" / "a.json")
        with files.claim_outputs([path]), space.lock():
            assert waiting.path.exists()
        film.write(Frame(1, numbered(1)))
    waiting.put()
    assert len(decoded(path)) == 2
    assert (space.folder / "facts" / "a.json").exists()


def test_writers_of_one_name_do_not_disturb_each_other(place: Path) -> None:
    """Also where nobody holds a lock: each film is whole, the last one stays."""
    path, start, failed = place / "film.mp4", threading.Barrier(4), list[BaseException]()

    def write(length: int) -> None:
        try:
            with write_video(path, plain_clip(length)) as film:
                start.wait()
                for index in range(length):
                    film.write(Frame(index, numbered(index)))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(length,)) for length in (5, 6, 7, 8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    assert len(decoded(path)) in (5, 6, 7, 8)
    assert names(place) == {"film.mp4"}


def test_processes_that_write_one_file_leave_a_whole_one(place: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lib_ofgen.store.workspace import write_whole\n"
        "for n in range(200): write_whole(Path(sys.argv[1]), sys.argv[2].encode() * 50_000)"
    )
    path = place / "facts.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), sign], cwd=ROOT) for sign in "abc"
    ]
    while any(one.poll() is None for one in writers):
        if path.exists():
            data = path.read_bytes()
            assert (len(data), len(set(data))) == (50_000, 1)
    assert [one.returncode for one in writers] == [0, 0, 0]
    assert names(place) == {"facts.json"}


# symbolic links, and what is no file


def test_a_link_stays_and_its_target_is_written(ofgen: Ofgen, clip: Path, place: Path) -> None:
    (place / "other").mkdir()
    for name in ("film.mp4", "r.json", "sheet.png", "p.csv", "a.flo"):
        (place / "other" / name).write_bytes(b"old")
        (place / name).symlink_to(place / "other" / name)
    (place / "new.json").symlink_to("other/new.json")
    for name in ("a", "b"):
        PIL.Image.fromarray(numbered(1)).save(place / f"{name}.png")
    assert ofgen(*animate(clip, "film.mp4", "--report", "r.json"))[0] == 0
    assert ofgen(*animate(clip, "film.mp4", "--report", "new.json"))[0] == 0
    assert ofgen("plan", clip, "--quiet", "-o", "sheet.png", "--prompts-out", "p.csv")[0] == 0
    assert ofgen("flow", "a.png", "b.png", "-o", "a.flo")[0] == 0
    for name in ("film.mp4", "r.json", "sheet.png", "p.csv", "a.flo", "new.json"):
        assert (place / name).is_symlink(), name
        assert (place / "other" / name).read_bytes() != b"old", name
    assert len(decoded(place / "other" / "film.mp4")) == LENGTH
    assert [name for name in names(place) | names(place / "other") if name[0] == "."] == []


@pytest.mark.parametrize(
    ("target", "word"),
    [("loop.mp4", "levels of symbolic links"), ("folder", "it is a folder"),
     ("none/film.mp4", "No such file")],
)  # fmt: skip
def test_a_link_to_nowhere_is_one_line(
    ofgen: Ofgen, clip: Path, place: Path, target: str, word: str
) -> None:
    (place / "folder").mkdir()
    (place / "loop.mp4").symlink_to(target)
    before = names(place)
    status, line = ofgen(*animate(clip, "loop.mp4"))
    assert (status, line.count("\n")) == (1, 1)
    assert word in line
    assert names(place) == before


def test_a_link_to_the_source_is_refused(ofgen: Ofgen, clip: Path, place: Path) -> None:
    before = clip.read_bytes()
    (place / "film.mp4").symlink_to(clip)
    status, line = ofgen(*animate(clip, "film.mp4"))
    assert status == 2
    assert "another name" in line
    assert clip.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_or_a_device_is_no_output(ofgen: Ofgen, clip: Path, place: Path) -> None:
    os.mkfifo(place / "pipe.mp4")
    (place / "null").symlink_to("/dev/null")
    for words in (("pipe.mp4",), ("film.mp4", "--report", "null")):
        status, line = ofgen(*animate(clip, *words))
        assert (status, line.count("\n")) == (1, 1)
        assert "a device or a pipe" in line
    assert Path("/dev/null").is_char_device()
    assert names(place) == {"pipe.mp4", "null"}


@pytest.mark.parametrize("words", [("--frames", "film.mp4"), ("--report", "x", "--frames", "x")])
def test_two_outputs_are_two(ofgen: Ofgen, clip: Path, place: Path, words: tuple[str]) -> None:
    status, line = ofgen(*animate(clip, "film.mp4", *words))
    assert (status, line.count("\n")) == (2, 1)
    assert "another name" in line
    assert names(place) == set()


class Leaving(Counting):
    """A painter during whose work somebody deletes a folder."""

    folder: Path

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        shutil.rmtree(self.folder, ignore_errors=True)
        return super().paint(jobs)


@pytest.mark.parametrize("gone", ["to", "frames"])
def test_an_output_whose_folder_vanishes_is_one_line(clip: Path, place: Path, gone: str) -> None:
    (place / "to").mkdir()
    painter = Leaving()
    painter.folder = place / gone
    job = Job(clip, place / "to" / "film.mp4", place / "space", Settings().replace(BASE),
              frames=place / "frames")  # fmt: skip
    with pytest.raises(VideoError, match="cannot be written") as caught:
        animated(job, painter, Patience())
    assert "\n" not in str(caught.value)
    (place / "to").mkdir(exist_ok=True)
    again = Counting()
    animated(job, again, Patience())
    assert again.jobs == [], "what was painted is kept"
    assert len(decoded(job.output)) == LENGTH


# other people's pictures in a folder of frames


def test_numbered_pictures_of_others_stay(ofgen: Ofgen, clip: Path, place: Path) -> None:
    folder = place / "frames"
    assert ofgen(*animate(clip, "film.mp4", "--frames", folder))[0] == 0
    others = {"000099.png": b"mine", "1234567.png": b"too", "0000001.png": b"", "notes.txt": b"x"}
    for name, content in others.items():
        (folder / name).write_bytes(content)
    shutil.copy(folder / "000001.png", folder / "000055.png")  # a copy of ours is whoever's made it
    short = ("--frames", folder, "--max-frames", "2")
    assert ofgen(*animate(clip, "film.mp4", *short))[0] == 0
    assert names(folder) == {"000000.png", "000001.png", "000055.png", *others}
    assert {name: (folder / name).read_bytes() for name in others} == others


def _replaced(path: Path) -> None:
    path.write_bytes(b"my picture")


def _edited(path: Path) -> None:
    """As an editor does: what it does not know stays."""
    with PIL.Image.open(path) as image:
        image.load()
        pixels = np.asarray(image).copy()
    pixels[0, 0] ^= 255
    data = path.read_bytes()
    place = data.index(b"ofGN") - 4
    PIL.Image.fromarray(pixels).save(path)
    made = path.read_bytes()
    path.write_bytes(made[:-12] + data[place : place + 12 + 32] + made[-12:])


def _foldered(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _linked(path: Path) -> None:
    path.rename(path.with_name("away.png"))
    path.symlink_to("away.png")


@pytest.mark.parametrize(
    "change",
    [_replaced, _edited, _foldered, _linked, lambda path: path.write_bytes(b""),
     lambda path: path.write_bytes(path.read_bytes() + b"more"),
     lambda path: path.write_bytes(path.with_name("000001.png").read_bytes())],
)  # fmt: skip
@pytest.mark.parametrize("index", [0, 2])
def test_a_picture_of_others_is_never_written_over(
    ofgen: Ofgen, clip: Path, place: Path, index: int, change: Callable[[Path], object]
) -> None:
    folder = place / "frames"
    sink = FrameFolder(folder)
    for n in range(LENGTH):
        sink.write(Frame(n, numbered(n)))
    victim = folder / f"{index:06}.png"
    change(victim)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    status, line = ofgen(*animate(clip, "film.mp4", "--frames", folder))
    assert (status, line.count("\n")) == (2, 1), line
    assert victim.name in line
    assert "empty folder" in line
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert names(place) == {"frames"}, "nothing is made"


def test_a_picture_that_is_put_there_meanwhile_stays(tmp_path: Path) -> None:
    sink = FrameFolder(tmp_path)
    sink.check(3)
    sink.write(Frame(0, numbered(0)))
    (tmp_path / "000001.png").write_bytes(b"mine")
    with pytest.raises(VideoError, match=r"000001\.png"):
        sink.write(Frame(1, numbered(1)))
    sink.write(Frame(0, numbered(1)))
    sink.end(0)
    assert names(tmp_path) == {"000001.png"}


def test_marked_pictures_are_pictures_for_everybody(tmp_path: Path) -> None:
    FrameFolder(tmp_path, {0: "a hill\nSteps: 3"}).write(Frame(0, numbered(3)))
    path = tmp_path / "000000.png"
    with PIL.Image.open(path) as image:
        image.load()
        assert image.info == {"parameters": "a hill\nSteps: 3"}
        assert np.array_equal(np.asarray(image), numbered(3))
    assert len(decoded(path)) == 1, "FFmpeg reads it"


# text that is none


def test_a_prompt_that_is_no_text_ends_in_a_film(ofgen: Ofgen, clip: Path, place: Path) -> None:
    prompt = b"caf\xe9 \xff".decode("utf-8", "surrogateescape") + "\ud83d"
    words = ("--set", f"prompt={prompt}", "--set", f"negative_prompt={prompt}")
    job = animate(clip, "film.mp4", "--frames", "frames", "--report", "r.json", *words)
    status, line = ofgen(*job)
    assert status == 0, line
    with PIL.Image.open(place / "frames" / "000000.png") as image:
        shown = image.info["parameters"]
    assert shown.startswith("caf\\udce9 \\udcff\\ud83d\n")
    told = json.loads((place / "r.json").read_text("utf-8"))
    assert told["settings"]["prompt"] == prompt
    space = place / "film.mp4.ofgen"
    assert "caf\\udce9" in (space / "prompts.csv").read_text("utf-8")
    assert ResultFrames(space).text(0).startswith(prompt)
    assert ofgen("plan", clip, "--quiet", "--prompts-out", "p.json", *words)[0] == 0
    assert json.loads((place / "p.json").read_text("utf-8"))[0]["prompt"] == prompt
    for command in ("infotext", "link", "show"):
        ofgen("presets", "export", "mine", "-o", "mine.json", *words)
        assert ofgen("presets", command, "mine.json")[0] == 0


def test_reports_stay_readable_json(ofgen: Ofgen, clip: Path, place: Path) -> None:
    assert ofgen(*animate(clip, "film.mp4"))[0] == 0
    for path in (place / "film.mp4.ofgen").rglob("*.json"):
        tool = [sys.executable, "-m", "json.tool", str(path)]
        assert subprocess.run(tool, capture_output=True, check=False).returncode == 0
        assert re.search(rb'\n "seal": "[0-9a-f]{32}"\n\}\n$', path.read_bytes())


def test_write_whole_makes_long_names(tmp_path: Path) -> None:
    write_whole(tmp_path / ("x" * 255), b"whole")
    assert names(tmp_path) == {"x" * 255}
