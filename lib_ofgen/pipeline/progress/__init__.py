"""The progress of a job, its expected work and its remaining time."""

from __future__ import annotations

__all__: list[str] = []
