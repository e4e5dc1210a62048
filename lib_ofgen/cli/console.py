"""The terminal: lines, progress bars with an estimate of the rest, and Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from time import monotonic
from types import FrameType
from typing import Any, NoReturn, TextIO

from tqdm import tqdm

from lib_ofgen.errors import OfgenError
from lib_ofgen.pipeline.progress import job_progress
from lib_ofgen.system.safe_text import strip_secrets, to_one_line
from lib_ofgen.values import Image

__all__ = ["Parser", "Progress", "say"]

_FILE = re.compile(r"-[^=]*\.\w+")
"""A word that begins with a dash and looks like a file name."""


def say(line: str, *, out: bool = False) -> None:
    """Write one line.

    Args:
        line: The line; control codes, which file names may contain, are escaped.
        out: Write to standard output, not to standard error.

    Raises:
        OfgenError: if standard output cannot be written.
        BrokenPipeError: if the reader of standard output has gone.
    """
    stream = sys.stdout if out else sys.stderr
    if stream is None:  # closed by the parent process
        return
    try:
        _write(stream, to_one_line(line, keep="\n\t") + "\n")
    except OSError as error:
        # Text that is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if out and isinstance(error, BrokenPipeError):
            raise
        if out:
            raise OfgenError(
                f"cannot write to standard output: {error.strerror}; send it to another place"
            ) from error


def _write(stream: TextIO, text: str) -> None:
    """Write the text; characters that the stream's encoding lacks become escapes."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
    stream.flush()


_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
"""A bar with the time left of the whole job; tqdm knows only its own phase."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line without passwords; it explains names like `-a.mp4`."""

    _words: Sequence[str] = ()

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it is overloaded
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse as argparse does; keep the words for error messages."""
        self._words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with status 2."""
        dashed = [word for word in self._words if _FILE.fullmatch(word)]
        hint = f"; write ./{dashed[0]} for the file {dashed[0]}" if dashed else ""
        for option, value in pairwise([*self._words, ""]):
            name, equals, joined = option.partition("=")
            secret = joined if equals else value
            if name.startswith("-") and "auth" in name and secret.strip("-"):
                message = message.replace(repr(secret)[1:-1], "...").replace(secret, "...")
        text = to_one_line(strip_secrets(f"{message}{hint}", self._words))
        self.exit(2, f"ofgen: error: {text}; see {self.prog} --help\n")


class Progress:
    """A `Reporter` with one bar for each phase.

    Ctrl-C stops the job at the next safe point; a second Ctrl-C stops it at once. Code that waits
    for a host calls `should_stop` in the meantime, so a wait is a safe point too.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        """Begin without a bar; bars are drawn on standard error unless `quiet`."""
        self._quiet = quiet or sys.stderr is None
        self._bar: Any = None
        self._phase = ""
        self._stopped = False
        self._remaining = job_progress.RemainingTime(monotonic())
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Progress:
        """Handle SIGINT (Ctrl-C) and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar, and restore the signal handlers."""
        self._close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        """Move the bar of the phase."""
        if self._quiet:
            return
        try:
            self._draw(phase, done, of)
        except OSError:  # the terminal has gone
            self._quiet = True

    def _draw(self, phase: str, done: int, of: int) -> None:
        if phase != self._phase:
            self._close()
            self._phase = phase
            self._bar = tqdm(
                total=of, desc=job_progress.words(phase), unit="frame", bar_format=_BAR, leave=True
            )
        self._remaining.add(monotonic(), job_progress.fraction(phase, done, of))
        left = self._remaining.seconds()
        text = "" if left is None else f"about {job_progress.format_seconds(left)} left"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.total = of
        self._bar.update(done - self._bar.n)

    def should_stop(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopped

    def _close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            with contextlib.suppress(OSError):
                bar.close()
        self._phase = ""

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self._stopped = True
        # Not through Python's buffers: the signal may come while the bar is being written.
        with contextlib.suppress(OSError):
            os.write(2, b"\nofgen: stopping; press again to stop at once\n")
