"""Names of samplers."""

from __future__ import annotations

from types import SimpleNamespace

all_samplers = [SimpleNamespace(name=name) for name in ("DPM++ 2M", "Euler a", "Euler")]
