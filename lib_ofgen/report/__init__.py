"""The report of a job: facts, figures, HTML pages; and the evaluation of a result."""

from __future__ import annotations

__all__: list[str] = []
