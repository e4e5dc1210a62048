"""How far a job is, how long it will still take, and where its time goes."""

from __future__ import annotations

__all__: list[str] = []
