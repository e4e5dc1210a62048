"""The embedded painter, and a webui behind an address."""

from __future__ import annotations

__all__: list[str] = []
