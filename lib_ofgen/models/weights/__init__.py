"""Published weights: where to find, how to download, verify and read them."""

from __future__ import annotations

__all__: list[str] = []
