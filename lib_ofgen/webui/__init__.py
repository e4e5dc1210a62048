"""Inside the webui: the only code that may import the host. Nothing here computes a pixel."""

from __future__ import annotations

__all__: list[str] = []
