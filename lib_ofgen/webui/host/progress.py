"""Progress through the host's own state, so that its progress bar and API tell the truth."""

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
"""The host counts whole jobs; a job of ours is so many of them."""
_OWN = 0.989
"""The host's API adds a hundredth to what is done; past the whole its ETA would be negative."""
_TELLING = ("paint", "measure")
"""Stages from whose pace follows how long the job will take; reading a video says nothing of it."""
_PAUSE = 0.1
"""Seconds between two looks at whether a pause is over."""
_PREVIEW_EVERY = 1.0
"""Seconds; a preview costs the host a PNG each time its page asks."""


class HostReporter:
    """A `Reporter` on `shared.state`.

    A job inside a request of the host has a state that is begun and ended for it. Any other job
    shares the state: it is its own from `turn` until somebody else begins a job, and what is
    pressed after that is meant for them.
    """

    def __init__(
        self, name: str, wished: Callable[[], bool] = lambda: False, *, inside: bool = False
    ) -> None:
        """`name` is the job's in the state; `wished` says whether our own Stop was pressed.

        `inside` is for a job inside a request of the host.
        """
        self._name, self._wished, self._inside = name, wished, inside
        self._begun = self._since = time.time()
        self._outlook = job_progress.Outlook(self._begun)
        self._shown = 0.0
        self._stop = False
        self._hold = threading.Event()
        self.waits = False
        """Whether the job stands still because it is paused."""
        self.fraction = 0.0
        self.text = "starting"
        self.place = ("starting", 0, 0)
        """Stage, how much of it is done, and of how much."""
        self.preview: Image | None = None

    def step(self, stage: str, done: int, of: int, preview: Image | None = None) -> None:
        """Tell the host how far the whole job is."""
        self.fraction = job_progress.fraction(stage, done, of)
        self.text, self.place = f"{stage} {done}/{of}", (stage, done, of)
        self._outlook.add(time.time(), self.fraction)
        self._since = self._pretended()
        if preview is not None:
            self.preview = preview
        if not shared.state.job and not self._inside:
            self._claim()
        if self._ours():
            self.tell()
            self._preview(preview)
        self.stopped()
        self._wait()

    @property
    def paused(self) -> bool:
        """Whether the job is to wait at its next step."""
        return self._hold.is_set()

    def pause(self, *, on: bool) -> None:
        """Have the job wait before it goes on, or go on; it waits outside of its turns."""
        if on:
            self._hold.set()
        else:
            self._hold.clear()

    def _wait(self) -> None:
        """Nothing, unless the job is paused; time spent here does not count."""
        since = time.time()
        while self.paused and not self.stopped():
            self.waits = True
            time.sleep(_PAUSE)
        self.waits = False
        self._begun += time.time() - since

    def turn(self) -> None:
        """Make the state this job's; the caller holds the host's queue lock."""
        if not self._ours():
            shared.state.begin(job=self._name)
        self.tell()

    def tell(self) -> None:
        """Write the job's place into the host's state; also after the host has counted a batch."""
        state = shared.state
        state.time_start = self._since
        state.job_count = _UNITS
        state.job_no = round(self.fraction * _UNITS * _OWN)
        state.sampling_steps = state.sampling_step = 0
        state.textinfo = f"Optical Flow Animation: {self.text}"

    def leave(self) -> None:
        """Give the state back as a job that has ended leaves it."""
        self.preview = None
        if not self._ours():
            return
        state = shared.state
        state.time_start = self._begun
        if not self._inside:
            state.skipped = state.interrupted = state.stopping_generation = False
            state.end()

    def interrupt(self) -> None:
        """Break off the picture that the host is painting for this job."""
        if self._ours():
            shared.state.interrupt()

    def left(self) -> float | None:
        """Seconds to go, by the pace so far; None before something is painted."""
        return self._outlook.left() if self.place[0] in _TELLING else None

    def stopped(self) -> bool:
        """Whether Interrupt, Skip or Stop was pressed; once true it stays so."""
        state: Any = shared.state
        pressed = state.interrupted or state.skipped or state.stopping_generation
        self._stop = self._stop or self._wished() or bool(self._ours() and pressed)
        return self._stop

    def _ours(self) -> bool:
        return self._inside or shared.state.job == self._name

    def _pretended(self) -> float:
        """When the job would have begun, had it found nothing done.

        The host reckons what is left from that and from the progress that it shows.
        """
        left = self.left()
        if left is None:
            return self._begun
        shown = 0.01 + _OWN * self.fraction
        return time.time() - left * shown / (1 - shown)

    def _claim(self) -> None:
        """Take the state if nobody is about to."""
        if call_queue.queue_lock.acquire(blocking=False):
            try:
                self.turn()
            finally:
                call_queue.queue_lock.release()

    def _preview(self, preview: Image | None) -> None:
        now = time.monotonic()
        wanted = shared.opts.live_previews_enable and now - self._shown >= _PREVIEW_EVERY
        if preview is not None and wanted:
            self._shown = now
            shared.state.assign_current_image(Pictures.fromarray(preview))
