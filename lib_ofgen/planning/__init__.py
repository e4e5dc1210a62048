"""What is decided before anything is painted: shots, key frames, order, prompts, cost."""

from __future__ import annotations

__all__: list[str] = []
