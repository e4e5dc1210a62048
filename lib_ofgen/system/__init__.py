"""Files, requests, limits and libraries: where the machine and strangers are met."""

from __future__ import annotations

__all__: list[str] = []
