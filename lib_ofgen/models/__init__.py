"""Networks and painters, behind the ports of `values`."""

from __future__ import annotations

__all__: list[str] = []
