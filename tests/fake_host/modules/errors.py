"""Errors go to the log, marked so that a test finds them."""

from __future__ import annotations

import sys
import traceback


def report(message: str, *, exc_info: bool = False) -> None:
    print(f"*** {message}", file=sys.stderr)  # noqa: T201 - the log
    if exc_info:
        traceback.print_exc()
