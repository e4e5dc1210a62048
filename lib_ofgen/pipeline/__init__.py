"""A job from its source to its film."""

from __future__ import annotations

__all__: list[str] = []
