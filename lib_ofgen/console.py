"""The terminal: progress with an estimate of what is left, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from tqdm import tqdm

from lib_ofgen.values import Image

__all__ = ["Progress", "say"]

_TITLES = {
    "decode": "reading frames",
    "analyse": "scenes and keys",
    "paint": "painting",
    "measure": "measuring",
}


def say(line: str, *, out: bool = False) -> None:
    """One line on standard error or, with `out`, on standard output."""
    stream = sys.stdout if out else sys.stderr
    stream.write(line + "\n")
    stream.flush()


class Progress:
    """A `Reporter` with one bar a stage; Ctrl-C stops at the next safe place, twice at once."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Bars are drawn on standard error unless `quiet`."""
        self._quiet = quiet
        self._bar: Any = None
        self._stage = ""
        self._stopped = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Progress:
        """Listen for Ctrl-C and for a polite kill."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar, and leave signals as they were."""
        self._close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def step(self, stage: str, done: int, of: int, preview: Image | None = None) -> None:
        """Move the stage's bar."""
        if self._quiet:
            return
        if stage != self._stage:
            self._close()
            self._stage = stage
            self._bar = tqdm(total=of, desc=_TITLES.get(stage, stage), unit="frame", leave=True)
        self._bar.total = of
        self._bar.update(done - self._bar.n)

    def stopped(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopped

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._stage = ""

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self._stopped = True
        say("\nofgen: stopping after this step; press again to stop at once")
