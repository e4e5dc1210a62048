"""Jobs of the tab: one film has one entry, and nothing takes away what another job needs."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib_ofgen.errors import OfgenError, SettingsError, WorkspaceError
from lib_ofgen.values import PromptRow
from lib_ofgen.video.reader import open_video
from lib_ofgen.webui.messages import adapt_message, note
from support.server import waited
from support.videos import make_video, walking
from support.webui_modules import hosted

LENGTH = 6
QUICK = {"seed": 1, "steps": 1, "hole_box": 64, "prompt": "oil"}
SLOW = {**QUICK, "steps": 60}


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Any]:
    with hosted(tmp_path / "data") as modules:
        yield modules


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "outputs"
    folder.mkdir(parents=True)
    return make_video(folder / "walk.mp4", walking(LENGTH), rate=Fraction(12))


def asked(tab: Any, clip: Path, **more: Any) -> Any:
    """The document of a job."""
    settings = more.pop("settings", QUICK)
    return tab.document.parse({"input": str(clip), "settings": settings, **more})


def ended(tab: Any, name: str) -> Any:
    """The record of the job, once it has ended."""

    def there() -> Any:
        record = tab.jobs.store.get(name)
        idle = tab.queue.current is None
        return record if idle and record.state not in ("waiting", "running") else None

    return waited(there, f"end of {name}")


def running(tab: Any, name: str) -> Any:
    """The job, once a frame of it is finished."""

    def there() -> Any:
        job = tab.jobs.find(name)
        return job if job and job.preview and job.preview.count_finished() else None

    return waited(there, f"frame of {name}")


def length(path: Path) -> int:
    with open_video(path) as film:
        return sum(1 for _ in film)


def files(tab: Any) -> list[str]:
    """The names of the records on the disk."""
    return sorted(path.name for path in records_of(tab).glob("*"))


def records_of(tab: Any) -> Path:
    """The folder of the records."""
    return tab.environment.data_folder() / "ofgen-jobs"


def test_generate_twice_goes_on_with_the_entry_of_the_film(tab: Any, clip: Path) -> None:
    runner = tab.queue
    first = runner.add(asked(tab, clip))
    assert ended(tab, first.id).state == "done"
    film = first.output.read_bytes()
    second = runner.add(asked(tab, clip))
    assert second.id == first.id
    assert ended(tab, first.id).state == "done"
    assert [record.id for record in tab.jobs.store.all()] == [first.id]
    assert files(tab) == [f"{first.id}.json"]
    assert first.output.read_bytes() == film


@pytest.mark.parametrize("settings", [SLOW, {**SLOW, "prompt": "ink"}])
def test_a_film_that_is_being_made_is_not_made_twice(
    tab: Any, clip: Path, settings: dict[str, Any]
) -> None:
    """Whether the document is the same or only names the same film; by the API too."""
    runner, output = tab.queue, str(clip.with_name("film.mp4"))
    first = runner.add(asked(tab, clip, settings=SLOW, output=output))
    again = asked(tab, clip, settings=settings, output=output)
    with pytest.raises(SettingsError, match=r"makes 'film.mp4' already; wait"):
        runner.add(again)
    with pytest.raises(SettingsError, match=r"makes 'film.mp4' already; wait"):
        tab.jobs.prepare(again, {})
    link = clip.with_name("linked")
    link.symlink_to(clip.parent)
    with pytest.raises(SettingsError, match="already"):
        runner.add(asked(tab, clip, settings=settings, output=str(link / "film.mp4")))
    assert [record.id for record in tab.jobs.store.all()] == [first.id]
    assert [run.id for run in tab.jobs.runs()] == [first.id]
    first.stop()
    assert ended(tab, first.id).state == "stopped"


def test_a_film_asked_for_otherwise_keeps_its_entry(tab: Any, clip: Path) -> None:
    runner, output = tab.queue, str(clip.with_name("film.mp4"))
    first = runner.add(asked(tab, clip, output=output))
    record = ended(tab, first.id)
    runner.resume(record.add_repaint(PromptRow(0, 1, "", "", 9)))
    assert len(ended(tab, first.id).repaints) == 1
    assert runner.add(asked(tab, clip, output=output)).id == first.id
    assert len(ended(tab, first.id).repaints) == 1, "the same job again keeps its repaints"
    other = {**QUICK, "prompt": "ink"}
    assert runner.add(asked(tab, clip, settings=other, output=output)).id == first.id
    record = ended(tab, first.id)
    assert record.repaints == []
    assert record.document["settings"]["prompt"] == "ink"


def test_a_drawn_seed_makes_another_film_each_time(tab: Any, clip: Path) -> None:
    drawn = {**QUICK, "seed": -1}
    names = {tab.queue.add(asked(tab, clip, settings=drawn)).id for _ in range(3)}
    films = {ended(tab, name).output for name in names}
    assert len(names) == len(films) == 3


def test_thirty_presses_at_once_are_one_job(tab: Any, clip: Path) -> None:
    told: list[str] = []

    def press() -> None:
        try:
            told.append(tab.queue.add(asked(tab, clip, settings=SLOW)).id)
        except OfgenError as error:
            told.append(str(error))

    _at_once([press] * 30)
    assert len([one for one in told if "already" not in one]) == 1
    assert len(tab.jobs.store.all()) == 1


def test_resume_and_repaint_of_what_runs_are_refused(tab: Any, clip: Path) -> None:
    job = tab.queue.add(asked(tab, clip, settings=SLOW))
    running(tab, job.id)
    record = tab.jobs.store.get(job.id)
    for again in (record, record.add_repaint(PromptRow(0, 1, "", "", 9))):
        with pytest.raises(SettingsError, match="under way"):
            tab.queue.resume(again)
    with pytest.raises(SettingsError, match="stop it first"):
        tab.queue.delete(record, film_too=True)
    job.stop()
    assert ended(tab, job.id).state == "stopped"
    _at_once([lambda: _quietly(tab.queue.resume, record)] * 8)
    waited(lambda: tab.jobs.find(job.id) is not job, "second run")
    tab.jobs.find(job.id).stop()
    assert ended(tab, job.id).state == "stopped"
    assert tab.queue.delete(tab.jobs.store.get(job.id), film_too=True).kept == ()
    assert files(tab) == []
    with pytest.raises(SettingsError, match="deleted"):
        tab.queue.resume(record)


def test_what_waits_is_deleted_and_never_begins(tab: Any, clip: Path) -> None:
    runner = tab.queue
    first = runner.add(asked(tab, clip, settings=SLOW))
    second = runner.add(asked(tab, clip, settings={**QUICK, "seed": 2}))
    runner.delete(tab.jobs.store.get(second.id), film_too=True)
    first.stop()
    ended(tab, first.id)
    assert not second.output.exists()
    assert files(tab) == [f"{first.id}.json"]


def test_deleting_keeps_what_other_jobs_need(tab: Any, clip: Path) -> None:
    """Twins of before share a film; another job is made of that film."""
    runner, store = tab.queue, tab.jobs.store
    first = runner.add(asked(tab, clip))
    record = ended(tab, first.id)
    twin = tab.store.JobRecord(
        "ofgen-twin", dict(record.document), status=tab.state.JobStatus(tab.state.JobState.DONE)
    )
    store.put(twin)
    assert runner.delete(twin, film_too=True).kept == ("frames", "film")
    assert first.output.is_file()
    assert record.workspace.is_dir()
    second = runner.add(asked(tab, first.output, settings=SLOW))
    running(tab, second.id)
    assert runner.delete(record, film_too=True).kept == ("film",)
    assert first.output.is_file()
    assert not record.workspace.exists()
    second.stop()
    other = ended(tab, second.id)
    assert runner.delete(other, film_too=True).kept == ()
    assert files(tab) == []


def test_deleting_keeps_what_a_request_of_the_api_writes(tab: Any, clip: Path) -> None:
    job = tab.queue.add(asked(tab, clip))
    record = ended(tab, job.id)
    request = tab.jobs.prepare(asked(tab, clip), {})
    assert request.output == job.output
    assert tab.queue.delete(record, film_too=True).kept == ("frames", "film")
    assert job.output.is_file()
    assert record.workspace.is_dir()
    request.finish(tab.state.JobState.DONE)


def test_a_job_whose_record_cannot_be_kept_blocks_nothing(
    tab: Any, clip: Path, tmp_path: Path
) -> None:
    place = tmp_path / "data" / "ofgen-jobs"
    place.write_text("in the way", encoding="utf-8")
    with pytest.raises(OfgenError):
        tab.queue.add(asked(tab, clip))
    place.unlink()
    job = tab.queue.add(asked(tab, clip))
    assert ended(tab, job.id).state == "done"


# what is done so far


def test_pages_play_what_is_done_so_far_at_once(tab: Any, clip: Path) -> None:
    job = tab.queue.add(asked(tab, clip, settings=SLOW))
    running(tab, job.id)
    played: list[tuple[str, int]] = []

    def play() -> None:
        for _ in range(3):
            shown = tab.job_view.partial_film_player(job)
            path = shown.split("file=")[1].split("?")[0]
            told = int(shown.split("The first ")[1].split(" ")[0])
            played.append((path, told - length(Path(path))))

    _at_once([play] * 5)
    assert [lacks for _, lacks in played] == [0] * 15
    folder = Path(played[0][0]).parent
    job.stop()
    ended(tab, job.id)
    assert list(folder.iterdir()) == []
    assert "file=" not in tab.job_view.partial_film_player(job)


# plans


@pytest.mark.parametrize("busy", [False, True])
def test_six_plans_of_one_video_are_all_drawn(tab: Any, clip: Path, busy: bool) -> None:
    """Also while a job of the same video runs, and with other key frames."""
    begin, runner = tab.planner.start, tab.queue
    job = runner.add(asked(tab, clip, settings=SLOW)) if busy else None
    wanted = [
        {**QUICK, "key_interval": 4 + place % 2, "key_frames": "interval"} for place in range(6)
    ]
    plans = [begin(asked(tab, clip, settings=settings)) for settings in wanted]
    waited(lambda: not any(plan.is_running for plan in plans), "plans")
    assert [plan.message for plan in plans] == [""] * 6
    assert [plan.keys for plan in plans[::2]] == [plans[0].keys] * 3
    assert plans[0].keys != plans[1].keys
    assert all("frames</dt>" in plan.html for plan in plans)
    if job:
        job.stop()
        assert ended(tab, job.id).state == "stopped"


def test_a_plan_that_waits_can_be_stopped(tab: Any, clip: Path) -> None:
    begin = tab.planner.start
    plans = [begin(asked(tab, clip)) for _ in range(4)]
    plans[-1].stop_event.set()
    waited(lambda: not any(plan.is_running for plan in plans), "plans")
    assert [plan.message for plan in plans[:3]] == [""] * 3
    assert plans[-1].message in ("", "stopped")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("'a --b' is used; wait, or name another with --workspace", "'a --b' is used; wait"),
        ("no; choose another place, such as another --workspace", "no; choose another place"),
        ("raise it with --limit pixels=5", "raise it with --ofgen-limit pixels=5"),
        ("leave it out with --set keep_sound=false", "leave it out with keep_sound=false"),
    ],
)
def test_no_line_speaks_of_options_of_the_command_line(text: str, line: str) -> None:
    assert adapt_message(text) == line


def test_lines_that_come_with_each_refresh_want_no_tooltip(tab: Any, clip: Path) -> None:
    """Else the webui's `hints.js` holds them as long as a job is looked at."""
    run = running(tab, tab.queue.add(asked(tab, clip, settings=SLOW)).id)
    records = tab.jobs.store.all()
    lines = [
        tab.job_view.progress_bar(run),
        tab.job_view.preview(run, None)[1],
        tab.job_view.queue_list(records, held=True),
        note("frame 3 of 9"),
    ]
    run.stop()
    assert all(lines)
    assert re.findall(r"<(?:p|span|button|input)\b", "".join(lines)) == []


def _quietly(do: Any, *given: Any) -> None:
    with contextlib.suppress(OfgenError):
        do(*given)


def _at_once(all_of: list[Any]) -> None:
    threads = [threading.Thread(target=one) for one in all_of]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# records on the disk


def test_the_records_of_before_are_read(tab: Any, clip: Path) -> None:
    job = tab.queue.add(asked(tab, clip, prompts=[{"start": 0, "seed": 3}]))
    record = ended(tab, job.id)
    read = tab.store.JobStore(records_of(tab)).all()
    assert [one.to_json() for one in read] == [record.to_json()]


def test_what_waited_when_the_webui_ended_waits_for_a_word(tab: Any, clip: Path) -> None:
    document = {"input": str(clip), "settings": QUICK, "output": str(clip.with_name("film.mp4"))}
    before = tab.store.JobStore(records_of(tab))
    before.put(tab.store.JobRecord("ofgen-before", document))
    assert tab.jobs.store.held == {"ofgen-before"}
    other = tab.queue.add(asked(tab, clip))
    assert ended(tab, other.id).state == "done"
    assert tab.jobs.store.get("ofgen-before").state == "waiting"
    tab.queue.go_on()
    assert ended(tab, "ofgen-before").state == "done"
    assert length(clip.with_name("film.mp4")) == LENGTH


def test_a_held_job_that_is_asked_for_again_runs_under_its_record(tab: Any, clip: Path) -> None:
    output = str(clip.with_name("film.mp4"))
    document = {"input": str(clip), "settings": QUICK, "output": output}
    tab.store.JobStore(records_of(tab)).put(tab.store.JobRecord("ofgen-before", document))
    assert tab.queue.add(asked(tab, clip, output=output)).id == "ofgen-before"
    assert ended(tab, "ofgen-before").state == "done"
    assert files(tab) == ["ofgen-before.json"]


def test_a_disk_that_fails_when_a_job_begins_fails_that_job_only(
    tab: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tab.store.write_whole

    def write(path: Path, data: bytes) -> None:
        if json.loads(data)["state"] == "running" and json.loads(data)["id"] == bad.id:
            raise WorkspaceError("the disk is full")
        written(path, data)

    first = tab.queue.add(asked(tab, clip, settings=SLOW))
    running(tab, first.id)
    bad = tab.queue.add(asked(tab, clip, settings={**QUICK, "seed": 2}))
    last = tab.queue.add(asked(tab, clip, settings={**QUICK, "seed": 3}))
    monkeypatch.setattr(tab.store, "write_whole", write)
    first.stop()
    assert ended(tab, last.id).state == "done"
    record = tab.jobs.store.get(bad.id)
    assert (record.state, record.message) == ("failed", "the disk is full")
    assert bad.state is record.state
    assert json.loads((records_of(tab) / f"{bad.id}.json").read_text("utf-8"))["state"] == "failed"
    assert not bad.output.exists()


def test_a_job_that_ends_on_a_full_disk_is_done_all_the_same(
    tab: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next webui finds it as one that was running: stopped, with nothing lost."""
    written = tab.store.write_whole

    def write(path: Path, data: bytes) -> None:
        if json.loads(data)["state"] == "done":
            raise WorkspaceError("the disk is full")
        written(path, data)

    monkeypatch.setattr(tab.store, "write_whole", write)
    run = tab.queue.add(asked(tab, clip))
    assert ended(tab, run.id).state is run.state
    assert run.state == "done"
    after = tab.store.JobStore(records_of(tab)).get(run.id)
    assert after.state == "stopped"
    assert after.output.is_file()


def test_a_waiting_job_that_is_stopped_leaves_the_queue_at_once(tab: Any, clip: Path) -> None:
    first = tab.queue.add(asked(tab, clip, settings=SLOW))
    second = tab.queue.add(asked(tab, clip, settings={**QUICK, "seed": 2}))
    second.stop()
    assert tab.jobs.store.get(second.id).state == "stopped"
    assert [one.id for one in tab.queue.list_waiting()] in ([], [first.id])
    on_disk = json.loads((records_of(tab) / f"{second.id}.json").read_text("utf-8"))
    assert (on_disk["state"], on_disk["message"]) == ("stopped", "stopped before it began")
    first.stop()
    assert ended(tab, first.id).state == "stopped"
    assert not second.output.exists()


# the time left


def test_a_pause_does_not_count_as_work(tab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = importlib.import_module("lib_ofgen.webui.host.progress")
    clock = {"now": 1000.0}

    def sleep(seconds: float) -> None:
        clock["now"] += 60
        reporter.pause(on=False)

    monkeypatch.setattr(
        progress,
        "time",
        SimpleNamespace(time=lambda: clock["now"], monotonic=lambda: clock["now"], sleep=sleep),
    )
    reporter = progress.HostReporter("a job")

    def work(first: int, last: int) -> None:
        for done in range(first, last):
            clock["now"] += 1
            reporter.step("paint", done, 100)

    work(1, 21)
    before = reporter.seconds_left()
    reporter.pause(on=True)
    work(21, 26)
    assert clock["now"] > 1080, "it has waited"
    assert reporter.seconds_left() == pytest.approx(before - 5, rel=0.02)
