"""The workspace on disk: frames, paint, masks and facts under their digests."""

from __future__ import annotations

__all__: list[str] = []
