"""The workspace on disk: frames, painted parts, masks and facts, by their digests."""

from __future__ import annotations

__all__: list[str] = []
