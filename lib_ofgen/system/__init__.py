"""Files, HTTP requests, limits and libraries: the machine, and protection against its inputs."""

from __future__ import annotations

__all__: list[str] = []
