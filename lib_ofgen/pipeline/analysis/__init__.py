"""What is found in a source before painting: scenes, key frames, reach of the flow, prompts."""

from __future__ import annotations

__all__: list[str] = []
