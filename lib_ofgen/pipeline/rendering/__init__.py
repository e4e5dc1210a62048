"""Frames are made from paint: layers, propagation, holes, stabilising."""

from __future__ import annotations

__all__: list[str] = []
