from collections.abc import Callable
from threading import Lock
from typing import Any

queue_lock: Lock

def wrap_queued_call(func: Callable[..., Any]) -> Callable[..., Any]: ...
