"""The report and the plan as HTML."""

from __future__ import annotations

__all__: list[str] = []
