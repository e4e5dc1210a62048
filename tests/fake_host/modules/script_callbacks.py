"""What the extension has asked to be called for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PAGES: list[Callable[[], Any]] = []
STARTED: list[Callable[[Any, Any], None]] = []
LAID_OUT: list[Callable[..., None]] = []

on_after_component = LAID_OUT.append
on_ui_tabs = PAGES.append
on_app_started = STARTED.append
