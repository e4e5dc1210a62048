"""Operations on pictures, masks and flow; nothing is read from a video or a model."""

from __future__ import annotations

__all__: list[str] = []
