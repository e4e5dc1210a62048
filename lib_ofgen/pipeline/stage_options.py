"""The options of each step of a job. Only this module of the engine reads the settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lib_ofgen.models.flow import EstimatorOptions
from lib_ofgen.pipeline.analysis.flow_reach import ReachRule
from lib_ofgen.pipeline.analysis.prompting import TaggerOptions, parse_phrasing
from lib_ofgen.pipeline.rules import RenderRules
from lib_ofgen.planning.keyframes import KeyFrameRule
from lib_ofgen.planning.prompts import Phrasing
from lib_ofgen.settings import control_units
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Sampling
from lib_ofgen.video.reader import Source, open_video

__all__ = [
    "estimator_options",
    "key_frame_rule",
    "make_phrasing",
    "open_source",
    "reach_rule",
    "render_rules",
    "sampling",
    "tagger_options",
]


def sampling(settings: Settings) -> Sampling:
    """Return which frames are taken, and at which size."""
    return Sampling(
        settings.start, settings.end, settings.max_frames, settings.every_nth,
        settings.width, settings.height, settings.fit,
    )  # fmt: skip


def open_source(source: Path, settings: Settings) -> Source:
    """Open the video with the frames that the settings take; it is a context manager.

    Raises:
        VideoError: if it cannot be read, or has no frame in the range.
    """
    return open_video(source, sampling(settings))


def key_frame_rule(settings: Settings, masks_key: str | None) -> KeyFrameRule:
    """Return how key frames are chosen; `masks_key` is the digest of the masks, if any."""
    return KeyFrameRule(
        kind=settings.key_frames,
        threshold=settings.key_threshold,
        gap_min=settings.key_gap_min,
        gap_max=settings.key_gap_max,
        interval=settings.key_interval,
        indices=settings.key_indices,
        last=settings.key_last,
        coverage=settings.key_coverage,
        confidence=settings.confidence,
        radius=settings.confidence_radius,
        mask=None if masks_key is None else (masks_key, settings.background),
    )


def reach_rule(settings: Settings) -> ReachRule:
    """Return when a pixel counts as within reach of the flow."""
    return ReachRule(settings.confidence, settings.confidence_radius)


def render_rules(settings: Settings, seed: int) -> RenderRules:
    """Return how frames are rendered; `seed` is that of the job."""
    every = settings.key_frames == "every" or (
        settings.key_frames == "interval" and settings.key_interval == 1
    )
    agreement = "independent" if every else settings.key_agreement
    return RenderRules(
        confidence=settings.confidence,
        min_hole=settings.hole_min,
        min_box=settings.hole_box,
        lend_holes=settings.hole_lending,
        guided=agreement == "guided",
        canvas=agreement == "canvas",
        match_keys=not every,
        track_reach=settings.track_reach,
        strength=settings.strength,
        hole_strength=settings.hole_strength,
        seed=seed,
        second_pass=settings.second_pass,
        tolerance=settings.second_tolerance,
        deflicker=settings.deflicker,
        batch=settings.paint_batch,
        anchored_stages=control_units.anchored_stages(
            control_units.parse_units(settings.control_units)
        ),
    )


def estimator_options(settings: Settings, models: Sequence[Path]) -> EstimatorOptions:
    """Return what a flow estimator gets; `models` are the folders of weights."""
    return EstimatorOptions(
        settings.confidence_radius,
        models,
        settings.global_iterations,
        settings.local_iterations,
        settings.flow_half,
    )


def tagger_options(settings: Settings, models: Sequence[Path]) -> TaggerOptions:
    """Return which tagger is wanted; `models` are the folders of weights."""
    return TaggerOptions(settings.tagger, settings.tagger_device, settings.tagger_optional, models)


def make_phrasing(settings: Settings) -> Phrasing:
    """Return how prompts are made of tags and texts.

    Raises:
        SettingsError: if a line of the tag rules is invalid.
    """
    return parse_phrasing(
        settings.tag_rules,
        settings.tag_blacklist,
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        prefix=settings.prompt_prefix,
        suffix=settings.prompt_suffix,
        general=settings.tag_threshold,
        character=settings.character_threshold,
        slack=settings.tag_slack,
    )
