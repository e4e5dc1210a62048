"""What a job says of itself: facts, pictures, and the judge of results."""

from __future__ import annotations

__all__: list[str] = []
