"""The rules by which the frames of a job are rendered, from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from lib_ofgen.values import Stage

__all__ = ["RenderRules"]


@dataclass(frozen=True)
class RenderRules:
    """How frames are rendered. The pipeline reads these values from the settings."""

    confidence: float
    """0..1: pixels whose flow has a lower confidence are not taken."""
    min_hole: int
    """px: smaller holes are not painted, and smaller confident regions are not used."""
    min_box: int
    """px: the shortest side of a region that the painter gets."""
    lend_holes: bool
    """Whether the paint of a hole is lent to the frames around it."""
    guided: bool
    """Whether later key frames of a scene are moved there from earlier ones and completed."""
    canvas: bool
    """Whether later key frames of a scene are painted on one canvas beside finished ones."""
    match_keys: bool
    """Whether a key frame that is painted whole takes on the colours of earlier ones."""
    track_reach: int
    """Frames on each side over which correspondences are averaged along their tracks."""
    strength: float
    """Denoising strength 0..1 of key frames."""
    hole_strength: float
    """Denoising strength 0..1 of holes."""
    seed: int
    """Seed of frames whose prompt row has no seed of its own."""
    second_pass: float
    """Denoising strength 0..1 of the second pass; 0: no second pass."""
    tolerance: float
    """Levels of 255: the second pass repaints where the difference is larger."""
    deflicker: float
    """0..1: how far colours are moved to their mean along the tracks."""
    batch: int
    """Frames that are sent to the painter at once. A stop loses at most this many."""
    anchored_stages: tuple[Stage, ...] = ()
    """Stages in which the painter also gets the first key frame of the scene."""
