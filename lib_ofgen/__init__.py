"""Optical Flow Animation: a video becomes a steady animation in a painter's style."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
