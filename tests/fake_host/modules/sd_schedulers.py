"""Names of schedulers."""

from __future__ import annotations

from types import SimpleNamespace

schedulers = [SimpleNamespace(label=label) for label in ("Automatic", "Karras")]
