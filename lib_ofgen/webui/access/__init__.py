"""What clients may reach: paths, uploads, requests."""

from __future__ import annotations

__all__: list[str] = []
