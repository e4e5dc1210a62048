from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lib_ofgen.errors import WorkspaceError
from lib_ofgen.store.workspace import (
    Workspace,
    check_writable,
    delete_workspace,
    digest,
    file_digest,
    write_whole,
)
from lib_ofgen.system import files
from lib_ofgen.values import Painted
from support.paths import ROOT


def test_artifacts_come_back_and_damaged_ones_are_missing(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    space = Workspace(tmp_path / "w")
    image = rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    mask = rng.random((16, 24)) > 0.5
    space.save_frame("f", image)
    space.save_painted("p", Painted(3, image, mask))
    space.save_facts("k", {"a": [1, None]})
    again = Workspace(tmp_path / "w")
    kept = again.paint("p", 3)
    assert (again.frame("f") == image).all()
    assert kept is not None
    assert (kept.image == image).all()
    assert (kept.mask == mask).all()
    assert again.facts("k") == {"a": [1, None]}
    for name in ("frames/f.qoi", "painted/p.png", "facts/k.json"):
        (tmp_path / "w" / name).write_bytes(b"cut of")
    assert again.frame("f") is None
    assert again.paint("p", 3) is None
    assert again.facts("k") is None
    assert not again.has_frame("f")


def test_digests_depend_on_everything_and_not_on_order_of_keys() -> None:
    assert digest(1, {"a": 1, "b": 2}) == digest(1, {"b": 2, "a": 1})
    assert len({digest(1), digest("1"), digest([1]), digest(1, None), digest(1.5)}) == 5


def test_file_digest_is_of_the_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"x" * 3_000_000)
    two.write_bytes(b"x" * 3_000_000)
    assert file_digest(one) == file_digest(two)
    two.write_bytes(b"x" * 2_999_999 + b"y")
    assert file_digest(one) != file_digest(two)


def test_two_processes_cannot_share_a_workspace(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lib_ofgen.store.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock(): print('in', flush=True); input()"
    )
    space = Workspace(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        with pytest.raises(WorkspaceError, match="another job"), space.lock():
            pass
        other.kill()
    with space.lock():
        assert (tmp_path / "lock").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkspaceError, match=r"file.*--workspace"):
        Workspace(tmp_path / "file" / "w")
    with pytest.raises(WorkspaceError, match=r"out\.json"):
        write_whole(tmp_path / "file" / "out.json", b"x")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from lib_ofgen.errors import WorkspaceError\n"
        "from lib_ofgen.store.workspace import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "try: write_whole(Path(sys.argv[1]), b'x' * 100)\n"
        "except WorkspaceError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out.json")]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert "make room" in said
    assert list(tmp_path.iterdir()) == []


def test_only_a_workspace_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(WorkspaceError, match="not a workspace"):
        delete_workspace(tmp_path / "mine")
    (tmp_path / "mine" / "clips").mkdir()
    (tmp_path / "mine" / "clips" / "holiday.mp4").write_bytes(b"x")
    with pytest.raises(WorkspaceError, match="not a workspace"):
        delete_workspace(tmp_path / "mine")
    space = Workspace(tmp_path / "w")
    space.save_facts(digest("k"), "x" * 1000)
    space.save_facts("seed", 7)
    space.save_source(digest("s"), 0, np.zeros((8, 8, 3), np.uint8))
    assert delete_workspace(tmp_path / "w") >= 1000
    assert not (tmp_path / "w").exists()


def test_what_dead_jobs_have_left_is_deleted_too(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "w")
    space.save_seed(7)
    left = f"-{'0' * 8}-{'1' * 32}.partial"
    key = digest("k")
    names = [f"facts/.{key}{left}", f"spool/{key}/.000000{left}", f".report{left}",
             f".beside-{key}{left}", f"beside-{key}.mp4", f".beside-{key}.mp4.lock",
             ".report.json.lock", "report.json", f"facts/.{key}.json.partial",
             f".beside-{key}-{'0' * 8}.partial.mp4"]  # fmt: skip
    for name in names:
        write_whole(tmp_path / "w" / name, b"x")
    delete_workspace(tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_a_lock_takes_only_what_is_ours_and_left(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    mine = [tmp_path / name for name in (".mine.partial", "frames/.film.partial", "a.partial")]
    for path in mine:
        path.write_bytes(b"mine")
    left = tmp_path / "frames" / f".x-{'0' * 8}-{'1' * 32}.partial"
    left.write_bytes(b"")
    with space.lock():
        assert all(path.exists() for path in mine)
        assert not left.exists()


def test_cleaning_does_not_take_the_lock_of_a_job_that_begins(tmp_path: Path) -> None:
    """Whoever waits for the lock file sees that it was deleted, and makes another."""
    place, inside = tmp_path / "lock", []

    def enter() -> None:
        for _ in range(300):
            try:
                with files.hold_lock(place):
                    inside.append(1)
                    assert len(inside) == 1
                    inside.pop()
            except BlockingIOError:
                pass

    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(enter) for _ in range(4)]:
            one.result()
    assert not place.exists()


def test_what_no_job_put_into_a_workspace_stays(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    space.save_frame(digest("f"), np.zeros((8, 8, 3), np.uint8))
    others = [tmp_path / name for name in ("film.mp4", "frames/000000.jpg", "clips/a.mp4")]
    for path in others:
        path.write_bytes(b"mine")
    delete_workspace(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(others)


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d[:9] + b"?" + d[10:], lambda d: b""]
)
def test_no_damage_goes_unseen(
    tmp_path: Path, rng: np.random.Generator, change: Callable[[bytes], bytes]
) -> None:
    space, image = Workspace(tmp_path), rng.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    space.save_frame("f", image)
    space.save_painted("p", Painted(3, image, image[..., 0] > 99))
    assert space.has_frame("f")
    assert space.has_painted("p")
    for name in ("frames/f.qoi", "painted/p.qoi"):
        path = tmp_path / name
        path.write_bytes(change(path.read_bytes()))
    assert not space.has_frame("f")
    assert not space.has_painted("p")
    assert space.frame("f") is None


def test_a_place_is_tried_out_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("old")
    for name in ("there.json", "new.json", "deep/new.json"):
        check_writable(tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["there.json"]
    assert (tmp_path / "there.json").read_text() == "old"
    with pytest.raises(WorkspaceError, match="it is a folder"):
        check_writable(tmp_path)
    with pytest.raises(WorkspaceError, match="choose another place"):
        check_writable(tmp_path / "there.json" / "under.json")
