"""Interrupt, skip, going on, and what the host tells meanwhile."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support.webui.film_requests import Running
from support.webui.films import JOB, LENGTH, frames_of, same_film, told_of
from support.webui.host import Answer, Host, waited


@pytest.fixture
def slow(clip: Path) -> dict[str, Any]:
    """A job of which one can see the middle."""
    return {"input": str(clip), "settings": {**JOB, "steps": 12, "strength": 0.8}}


def _stamps(workspace: Path) -> dict[str, int]:
    """When each finished frame and painted hole was written."""
    kept = [*workspace.glob("frames/*.qoi"), *workspace.glob("painted/*")]
    return {str(path): path.stat().st_mtime_ns for path in kept}


def _holes(host: Host) -> set[Path]:
    """What is painted between the key frames of all jobs."""
    return set((host.outputs / "ofgen").glob("*.ofgen/painted/*.qoi"))


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("how", "seed", "batch"), [("interrupt", 31, 1), ("skip", 32, 1), ("interrupt", 35, 3)]
)
def test_a_stopped_job_goes_on_where_it_was(
    host: Host, slow: dict[str, Any], how: str, seed: int, batch: int
) -> None:
    slow["settings"] |= {"paint_batch": batch}
    before = _holes(host)
    running = Running(host, slow, seed=seed)
    waited(lambda: _holes(host) - before, "what is painted between the keys")
    start = len(host.log())
    host.call(f"/sdapi/v1/{how}", {})
    stopped = running.ended()
    assert host.sampled(start) <= 1, "it went on painting"
    assert stopped.film["state"] == "stopped"
    assert stopped.film["video"] is None
    assert stopped.body["images"] == []
    workspace = Path(stopped.film["workspace"])
    assert not workspace.with_suffix("").exists()
    assert [path.name for path in workspace.parent.iterdir() if "partial" in path.name] == []
    kept = _stamps(workspace)
    assert len(list(workspace.glob("frames/*.qoi"))) < LENGTH
    assert list(workspace.glob("painted/*.qoi")), "what was painted between the keys is lost"
    done = host.film(slow, seed=seed)
    assert done.film["state"] == "done"
    assert done.film["workspace"] == str(workspace)
    assert len(frames_of(done.film["video"])) == LENGTH
    after = _stamps(workspace)
    assert len(list(workspace.glob("frames/*.qoi"))) == LENGTH
    assert kept.items() <= after.items(), "something finished was made again"


def test_the_same_request_again_paints_nothing(host: Host, clip: Path, done: Answer) -> None:
    kept, start = _stamps(Path(done.film["workspace"])), len(host.log())
    film = Path(done.film["video"]).read_bytes()
    again = host.film({"input": str(clip), "settings": JOB})
    assert told_of(again) == told_of(done)
    assert _stamps(Path(done.film["workspace"])) == kept
    assert host.loads(start) == []
    assert "it/s]" not in host.log(start), "something was sampled"
    assert Path(done.film["video"]).read_bytes() == film


def test_what_was_pressed_before_does_not_stop_a_job(host: Host, clip: Path) -> None:
    host.call("/sdapi/v1/interrupt", {})
    host.call("/sdapi/v1/skip", {})
    job = {"input": str(clip), "settings": {**JOB, "max_frames": 2}}
    assert host.film(job, seed=33).film["state"] == "done"


def _heard(host: Host, running: Running) -> list[tuple[float, dict[str, Any]]]:
    """When, and what, the host told of a job until it ended; before its first word: nothing."""
    seen = []
    while running.is_alive():
        told = host.progress()
        if told["state"]["job_count"] and told["textinfo"]:
            seen.append((time.monotonic(), told))
        time.sleep(0.05)
    return seen


def test_the_hosts_progress_goes_forward_while_keys_are_chosen(
    host: Host, slow: dict[str, Any]
) -> None:
    slow["settings"] |= {"key_frames": "coverage", "max_frames": 13}
    running = Running(host, slow, seed=35)
    seen = [told for _, told in _heard(host, running)]
    assert running.ended().film["state"] == "done"
    assert any(": keys " in told["textinfo"] for told in seen)
    shares = [told["progress"] for told in seen]
    assert all(later >= earlier - 0.01 for earlier, later in pairwise(shares)), shares


def test_the_hosts_progress_is_the_jobs(host: Host, slow: dict[str, Any]) -> None:
    """Up to the frame in which what moves has left: what follows takes no time, unforeseeably."""
    slow["settings"] |= {"max_frames": 13}
    begun = time.monotonic()
    running = Running(host, slow, seed=34)
    seen = [(at - begun, told) for at, told in _heard(host, running)]
    whole = time.monotonic() - begun
    assert running.ended().film["state"] == "done"
    shares = [told["progress"] for _, told in seen]
    assert shares[0] < 0.15
    assert shares[-1] > 0.9
    assert len({round(share, 2) for share in shares}) > 5
    assert all(later >= earlier - 0.02 for earlier, later in pairwise(shares))
    assert all(told["state"]["job_count"] > 0 for _, told in seen)
    assert all("Optical Flow Animation" in told["textinfo"] for _, told in seen)
    late = [(at, told["eta_relative"]) for at, told in seen if told["progress"] > 0.5]
    assert [pair for pair in late if not 0 <= pair[1] < 1.5 * (whole - pair[0]) + 2] == [], whole
    assert host.progress()["progress"] == 0


def test_the_stopped_result_equals_one_that_was_not(host: Host, slow: dict[str, Any]) -> None:
    """After seed 31 was interrupted and finished: the same job in another place, in one go."""
    job = {**slow, "output": str(host.outputs / "one-go.mp4")}
    interrupted = host.film(slow, seed=31).film["video"]
    straight = host.film(job, seed=31).film["video"]
    assert same_film(interrupted, straight)
