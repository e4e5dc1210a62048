"""How frames are made of paint: layers, propagation, holes, stabilising."""

from __future__ import annotations

__all__: list[str] = []
