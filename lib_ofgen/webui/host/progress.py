"""Progress by the host's own state, so that the host's progress bar and API are right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from modules import call_queue, shared
from PIL import Image as Pictures

from lib_ofgen.pipeline.progress import job_progress
from lib_ofgen.values import Image

__all__ = ["HostReporter"]

_UNITS = 1000
"""The host counts whole jobs; one job of ours counts as this many."""
_OWN = 0.989
"""Largest share that we report; the host's API adds 0.01, and above 1 its ETA is negative."""
_MEASURED = ("paint", "measure")
"""Phases whose speed predicts the rest of the job; reading a video does not."""
_PAUSE = 0.1
"""Seconds between two checks whether a pause is over."""
_PREVIEW_EVERY = 1.0
"""Seconds between previews; the host encodes a PNG each time that its page asks."""


class HostReporter:
    """A `Reporter` on `shared.state`.

    For a job inside a request of the host, the host begins and ends the state. Any other job shares
    the state: it owns the state from `turn` until somebody else begins a job, and buttons that are
    pressed after that are meant for the other job.
    """

    def __init__(
        self, name: str, stop_asked: Callable[[], bool] = lambda: False, *, inside: bool = False
    ) -> None:
        """Begin at zero.

        Args:
            name: The job's name in the host's state.
            stop_asked: Whether our own Stop was pressed.
            inside: Whether the job runs inside a request of the host.
        """
        self._name, self._stop_asked, self._inside = name, stop_asked, inside
        self._start = self._virtual_start = time.time()
        self._remaining = job_progress.RemainingTime(0.0)
        self._last_preview = 0.0
        self._stop = False
        self._pause = threading.Event()
        self.waits = False
        """Whether the job stands still because it is paused."""
        self.fraction = 0.0
        """Share of the job that is done, 0..1."""
        self.text = "starting"
        self.place = ("starting", 0, 0)
        """The phase, how much of it is done, and of how much."""
        self.preview: Image | None = None
        """The newest preview of the painter."""

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        """Report to the host how far the whole job is; wait while the job is paused."""
        self.fraction = job_progress.fraction(phase, done, of)
        self.text, self.place = f"{phase} {done}/{of}", (phase, done, of)
        self._remaining.add(time.time() - self._start, self.fraction)
        self._virtual_start = self._find_virtual_start()
        if preview is not None:
            self.preview = preview
        if not shared.state.job and not self._inside:
            self._try_turn()
        if self._owns_state():
            self.tell()
            self._show_preview(preview)
        self.should_stop()
        self._wait()

    @property
    def paused(self) -> bool:
        """Whether the job is to wait at its next step."""
        return self._pause.is_set()

    def pause(self, *, on: bool) -> None:
        """Let the job wait at its next step, or go on; it waits outside its turns at the host."""
        if on:
            self._pause.set()
        else:
            self._pause.clear()

    def _wait(self) -> None:
        """Wait while the job is paused; this time does not count."""
        since = time.time()
        while self.paused and not self.should_stop():
            self.waits = True
            time.sleep(_PAUSE)
        self.waits = False
        self._start += time.time() - since

    def turn(self) -> None:
        """Take the host's state for this job; the caller holds the host's queue lock."""
        if not self._owns_state():
            shared.state.begin(job=self._name)
        self.tell()

    def tell(self) -> None:
        """Write the progress into the host's state; also after the host has counted a batch."""
        state = shared.state
        state.time_start = self._virtual_start
        state.job_count = _UNITS
        state.job_no = round(self.fraction * _UNITS * _OWN)
        state.sampling_steps = state.sampling_step = 0
        state.textinfo = f"Optical Flow Animation: {self.text}"

    def leave(self) -> None:
        """Leave the host's state as an ended job does."""
        self.preview = None
        if not self._owns_state():
            return
        state = shared.state
        state.time_start = self._start
        if not self._inside:
            state.skipped = state.interrupted = state.stopping_generation = False
            state.end()

    def interrupt(self) -> None:
        """Interrupt the picture that the host paints for this job."""
        if self._owns_state():
            shared.state.interrupt()

    def seconds_left(self) -> float | None:
        """Return the seconds to the end, by the speed so far; None before anything is painted."""
        return self._remaining.seconds() if self.place[0] in _MEASURED else None

    def should_stop(self) -> bool:
        """Whether Interrupt, Skip or Stop was pressed; once true it stays true."""
        state: Any = shared.state
        pressed = state.interrupted or state.skipped or state.stopping_generation
        self._stop = self._stop or self._stop_asked() or bool(self._owns_state() and pressed)
        return self._stop

    def _owns_state(self) -> bool:
        return self._inside or shared.state.job == self._name

    def _find_virtual_start(self) -> float:
        """Return the start time from which the host computes the right remaining time.

        The host knows only a start and a share; the real start misleads it if the job has found
        finished frames.
        """
        left = self.seconds_left()
        if left is None:
            return self._start
        shown = 0.01 + _OWN * self.fraction
        return time.time() - left * shown / (1 - shown)

    def _try_turn(self) -> None:
        """Take the host's state if the queue lock is free."""
        if call_queue.queue_lock.acquire(blocking=False):
            try:
                self.turn()
            finally:
                call_queue.queue_lock.release()

    def _show_preview(self, preview: Image | None) -> None:
        now = time.monotonic()
        wanted = shared.opts.live_previews_enable and now - self._last_preview >= _PREVIEW_EVERY
        if preview is not None and wanted:
            self._last_preview = now
            shared.state.assign_current_image(Pictures.fromarray(preview))
