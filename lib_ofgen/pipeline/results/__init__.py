"""Finished jobs, read back from their workspace."""

from __future__ import annotations

__all__: list[str] = []
