"""What a user chooses: settings, control units, prompt rows, presets."""

from __future__ import annotations

__all__: list[str] = []
