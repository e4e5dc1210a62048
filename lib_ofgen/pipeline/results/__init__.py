"""What users do with a finished job: view its frames, compare them, repaint some of them."""

from __future__ import annotations

__all__: list[str] = []
