"""Who uses the painter."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

queue_lock = threading.Lock()


def wrap_queued_call(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, in its turn."""

    def queued(*args: Any) -> Any:
        with queue_lock:
            return function(*args)

    return queued
