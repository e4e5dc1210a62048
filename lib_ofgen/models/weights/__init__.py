"""Checkpoints: which there are, where they lie, and how they are read and fetched."""

from __future__ import annotations

__all__: list[str] = []
