"""Jobs in the webui: what is asked for, the queue, and what is kept of them."""

from __future__ import annotations

__all__: list[str] = []
