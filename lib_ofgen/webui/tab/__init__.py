"""The tab: its form and its panels."""

from __future__ import annotations

__all__: list[str] = []
