"""The states of a job and the moves between them.

A job *waits* in the queue, *runs*, and then has ended: it is *done*, *stopped* or *failed*. Each
time that a job is entered it gets one `JobStatus`. The run in memory (`JobRun`) and the record on
disk (`JobRecord`) share it, so they cannot disagree. `JobStatus.move` is the only code that changes
a state; it refuses what `TRANSITIONS` does not list, and it has the record written at once.

| move               | who moves the job                                                        |
| ------------------ | ------------------------------------------------------------------------ |
| (new) -> waiting   | the tab: Generate, Resume, Repaint, Undo repaint                         |
| (new) -> running   | the script and the API of the host, whose request is the job's own turn  |
| waiting -> running | the queue, for the oldest job that waits                                 |
| waiting -> stopped | `JobRun.stop` (Stop, Cancel by the API); deletion of the job              |
| running -> done    | the run, when the film is there                                          |
| running -> stopped | the run, after `JobRun.stop`; the start of the webui, if the process died |
| running -> failed  | the run, after an error                                                  |
| ended -> waiting   | Generate or Resume: the same record gets a new status (`restart`)        |

| state   | the page shows                        | the user may                                |
| ------- | ------------------------------------- | ------------------------------------------- |
| waiting | its place in the queue                | stop, delete; "Go on" if it waited when the |
|         |                                       | webui ended (`JobStore.held`); such a job   |
|         |                                       | has no run, so the API cannot stop it       |
| running | progress, preview, "so far"           | stop, pause                                 |
| done    | the film                              | resume, repaint, delete                     |
| stopped | the message                           | resume, delete                              |
| failed  | the message, as an error              | resume, delete                              |
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

__all__ = ["TRANSITIONS", "JobState", "JobStatus", "TransitionError"]


class JobState(str, Enum):
    """The state of a job; the value is the text in records and in the API's answers."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    def __str__(self) -> str:
        """Return the value, in every version of Python."""
        return self.value

    @property
    def is_active(self) -> bool:
        """Whether the job has not ended: it may be stopped, and nobody else may make its film."""
        return self in (JobState.WAITING, JobState.RUNNING)

    @property
    def can_resume(self) -> bool:
        """Whether the job may be entered once more."""
        return not self.is_active

    @property
    def can_delete(self) -> bool:
        """Whether the job may be deleted."""
        return self is not JobState.RUNNING


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.RUNNING, JobState.STOPPED}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.STOPPED, JobState.FAILED}),
    JobState.DONE: frozenset(),
    JobState.STOPPED: frozenset(),
    JobState.FAILED: frozenset(),
}
"""The states to which a status may move. A job that has ended goes on with a new status."""


class TransitionError(RuntimeError):
    """A move that `TRANSITIONS` does not allow."""


class JobStatus:
    """State and message of a job, from the time that it is entered to its end."""

    def __init__(self, state: JobState = JobState.WAITING, message: str = "") -> None:
        """Begin in a state.

        Args:
            state: The first state; one of a record that was read may be any.
            message: What the page shows of the state; empty: nothing.
        """
        self._state, self._message = state, message
        self._lock = threading.RLock()
        self.on_move: Callable[[], None] | None = None
        """Is called after each move, before the next one can begin; writes the record."""

    @property
    def state(self) -> JobState:
        """The state."""
        return self._state

    @property
    def message(self) -> str:
        """What the page shows of the state."""
        return self._message

    def move(self, to: JobState, message: str = "", *, only_from: JobState | None = None) -> bool:
        """Move to another state.

        Args:
            to: The new state.
            message: The new message.
            only_from: Move only if the state is this one; for callers that race with others.

        Returns:
            Whether the state was moved; always True without `only_from`.

        Raises:
            TransitionError: if the table does not allow the move; nothing is changed.
            WorkspaceError: if the record of an active job cannot be written; the state has moved.
        """
        with self._lock:
            if only_from not in (None, self._state):
                return False
            if to not in TRANSITIONS[self._state]:
                raise TransitionError(f"a job that is {self._state} cannot become {to}")
            self._state, self._message = to, message
            if self.on_move is not None:
                self.on_move()
            return True

    def restart(self) -> JobStatus:
        """Return the status of the next run of the same job, which waits.

        Raises:
            TransitionError: if the job has not ended.
        """
        if not self._state.can_resume:
            raise TransitionError(f"a job that is {self._state} cannot be entered once more")
        return JobStatus(JobState.WAITING)
