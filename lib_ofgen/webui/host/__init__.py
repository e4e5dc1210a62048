"""The one room that calls the webui: painting, checkpoints, ControlNet, progress."""

from __future__ import annotations

__all__: list[str] = []
