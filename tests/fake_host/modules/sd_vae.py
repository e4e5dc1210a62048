"""There is no VAE."""

from __future__ import annotations


def reload_vae_weights() -> None:
    """The brush has none."""
