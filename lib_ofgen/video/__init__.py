"""What reading and writing of video files are made of: containers, colour, framing, timing."""

from __future__ import annotations

__all__: list[str] = []
