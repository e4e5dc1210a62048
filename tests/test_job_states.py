"""The states of a job: each move is allowed or refused; a job and its record never disagree."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lib_ofgen.errors import WorkspaceError
from lib_ofgen.webui.jobs import store as store_module
from lib_ofgen.webui.jobs.state import JobState, JobStatus, TransitionError
from lib_ofgen.webui.jobs.store import JobRecord, JobStore
from support.webui_modules import hosted

WAITING, RUNNING, DONE, STOPPED, FAILED = JobState
ALLOWED = {
    (WAITING, RUNNING), (WAITING, STOPPED),
    (RUNNING, DONE), (RUNNING, STOPPED), (RUNNING, FAILED),
}  # fmt: skip
ENDED = (DONE, STOPPED, FAILED)
DOCUMENT = {"input": "/films/a.mp4", "output": "/films/out/a.mp4", "settings": {}}


def on_disk(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_each_move_is_allowed_or_refused(before: JobState, after: JobState, tmp_path: Path) -> None:
    store, record = JobStore(tmp_path), JobRecord("one", DOCUMENT, status=JobStatus(before, "old"))
    store.put(record)
    version = store.version
    if (before, after) in ALLOWED:
        assert record.status.move(after, "new")
        assert (record.state, record.message) == (after, "new")
        assert store.version > version
    else:
        with pytest.raises(TransitionError, match=f"{before} cannot become {after}"):
            record.status.move(after, "new")
        assert (record.state, record.message) == (before, "old")
        assert store.version == version
    assert on_disk(tmp_path, "one")["state"] == record.state.value
    assert on_disk(tmp_path, "one")["message"] == record.message


@pytest.mark.parametrize("state", JobState)
def test_what_each_state_permits(state: JobState) -> None:
    assert state.is_active == (state in (WAITING, RUNNING))
    assert state.can_resume == (state in ENDED)
    assert state.can_delete == (state is not RUNNING)
    assert f"{state}" == str(state) == state.value == json.loads(json.dumps(state))
    if state in ENDED:
        again = JobStatus(state, "old").restart()
        assert (again.state, again.message) == (WAITING, "")
    else:
        with pytest.raises(TransitionError):
            JobStatus(state).restart()


@pytest.mark.parametrize("state", JobState)
def test_a_move_from_another_state_than_wanted_does_nothing(state: JobState) -> None:
    status = JobStatus(state, "old")
    wanted = RUNNING if state is not RUNNING else WAITING
    assert not status.move(STOPPED, "new", only_from=wanted)
    assert (status.state, status.message) == (state, "old")


def test_of_many_who_take_a_job_at_once_one_gets_it(tmp_path: Path) -> None:
    record, got = JobRecord("one", DOCUMENT), list[bool]()
    JobStore(tmp_path).put(record)
    targets = [RUNNING, STOPPED] * 10
    threads = [
        threading.Thread(target=lambda to=to: got.append(record.status.move(to, only_from=WAITING)))
        for to in targets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(True) == 1
    assert on_disk(tmp_path, "one")["state"] == record.state.value


@pytest.mark.parametrize("state", JobState)
def test_a_webui_that_starts_finds_each_job(state: JobState, tmp_path: Path) -> None:
    """What ran when the process died is stopped, also on disk; all else is as it was."""
    JobStore(tmp_path).put(JobRecord("one", DOCUMENT, status=JobStatus(state, "old")))
    store = JobStore(tmp_path)
    record = store.get("one")
    assert record is not None
    if state is RUNNING:
        assert record.state is STOPPED
        assert record.message == "the webui ended meanwhile; resume goes on from there"
    else:
        assert (record.state, record.message) == (state, "old")
    assert on_disk(tmp_path, "one")["state"] == record.state.value
    assert store.held == ({"one"} if state is WAITING else frozenset())


def test_a_record_of_before_is_read_and_written_unchanged(tmp_path: Path) -> None:
    """Byte for byte as the versions before had it."""
    before = {
        "id": "one", "document": DOCUMENT, "made": 1.7e9, "state": "done", "message": "x",
        "told": "3 frames", "seed": 3, "repaints": [{"start": 0, "stop": 1, "seed": 9}],
    }  # fmt: skip
    text = json.dumps(before, indent=1, ensure_ascii=False)
    (tmp_path / "one.json").write_text(text, "utf-8")
    store = JobStore(tmp_path)
    store.put(store.all()[0])
    assert (tmp_path / "one.json").read_text("utf-8") == text


class Jobs(RuleBasedStateMachine):
    """Jobs on a disk that fails at times, in a webui that ends at times."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.store = JobStore(self.folder)
        self.written = store_module.write_whole
        self.fails = False
        self.known: dict[str, tuple[JobState, JobStatus]] = {}
        """By the id: the state that must hold, and the status that the run has."""
        self.disk: dict[str, JobState] = {}
        store_module.write_whole = self.write

    def teardown(self) -> None:
        store_module.write_whole = self.written
        self.temporary.cleanup()

    def write(self, path: Path, data: bytes) -> None:
        if self.fails:
            raise WorkspaceError("the disk is full")
        self.written(path, data)
        self.disk[path.stem] = JobState(json.loads(data)["state"])

    @rule(name=st.sampled_from("abc"), fails=st.booleans())
    def enter(self, name: str, fails: bool) -> None:
        """A new job, or one that has ended once more."""
        self.fails, old = fails, self.store.get(name)
        if old is not None and not old.state.can_resume:
            with pytest.raises(TransitionError):
                old.status.restart()
            return
        status = old.status.restart() if old else JobStatus()
        record = replace(old, status=status) if old else JobRecord(name, DOCUMENT, status=status)
        if fails:
            with pytest.raises(WorkspaceError):
                self.store.put(record)
            assert self.store.get(name) is old
            return
        self.store.put(record)
        self.known[name] = (WAITING, status)

    @rule(name=st.sampled_from("abc"), to=st.sampled_from(list(JobState)), fails=st.booleans())
    def move(self, name: str, to: JobState, fails: bool) -> None:
        self.fails = fails
        if name not in self.known:
            return
        before, status = self.known[name]
        if (before, to) not in ALLOWED:
            with pytest.raises(TransitionError):
                status.move(to)
            return
        if fails and to is RUNNING:
            with pytest.raises(WorkspaceError):
                status.move(to)
        else:
            assert status.move(to)
        self.known[name] = (to, status)

    @rule(name=st.sampled_from("abc"))
    def delete(self, name: str) -> None:
        record = self.store.get(name)
        if record is None or not record.state.can_delete:
            return
        self.store.remove(record)
        with suppress(TransitionError):
            record.status.move(STOPPED)
        assert not (self.folder / f"{name}.json").exists(), "a deleted job came back"
        self.known.pop(name)
        self.disk.pop(name, None)

    @precondition(lambda self: self.known)
    @rule(fails=st.booleans())
    def die(self, fails: bool) -> None:
        """The process ends at any time, and another one starts."""
        self.fails, before = fails, dict(self.disk)
        self.store = JobStore(self.folder)
        found = {one.id: one for one in self.store.all()}
        assert found.keys() == before.keys()
        for name, record in found.items():
            assert record.state is (STOPPED if before[name] is RUNNING else before[name])
            self.known[name] = (record.state, record.status)
        assert self.store.held == {name for name, state in before.items() if state is WAITING}

    @invariant()
    def job_and_record_agree(self) -> None:
        assert {one.id for one in self.store.all()} == self.known.keys()
        for name, (state, status) in self.known.items():
            record = self.store.get(name)
            assert record is not None
            assert record.status is status
            assert record.state is status.state is state
            assert name not in self.store.held or state is WAITING


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("stops", [True, False])
def test_a_job_that_is_stopped_while_it_waits_is_stopped_on_disk(
    stops: bool, tmp_path: Path
) -> None:
    """By the API; the queue then has nothing to run. Else it runs, and fails with its reason."""
    with hosted(tmp_path / "data") as tab:
        store = tab.jobs.store
        record = tab.store.JobRecord("one", DOCUMENT)
        entry = tab.registry.Entry("one", record.status)
        document = tab.document.parse({"input": _clip(tmp_path), "settings": {"seed": 1}})
        run = tab.jobs.prepare(document, {}, lambda _: entry)
        store.put(record)
        if stops:
            run.stop()
        assert tab.queue._take_next() is (None if stops else record)
        state = tab.state.JobState.STOPPED if stops else tab.state.JobState.RUNNING
        assert run.state is record.state is state
        folder = tab.environment.data_folder() / "ofgen-jobs"
        assert on_disk(folder, "one")["state"] == state.value
        run.status.move(tab.state.JobState.FAILED, only_from=tab.state.JobState.RUNNING)


def _clip(tmp_path: Path) -> str:
    path = tmp_path / "data" / "outputs" / "a.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no film")
    return str(path)
