"""Reports of jobs that never ran."""

from __future__ import annotations

from collections.abc import Sequence

from lib_ofgen.report.facts import describe_clip, versions
from lib_ofgen.report.measures import Flickering, KeyColour, PairErrors, Sharpness
from lib_ofgen.report.model import (
    FlowFacts,
    FrameFacts,
    KeyFacts,
    Report,
    StageShares,
    StoredFrames,
    TaggerFacts,
)
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import PromptRow, Scene
from support.videos import plain_clip

__all__ = ["make_report"]


def make_report(
    frames: Sequence[FrameFacts],
    keys: Sequence[int],
    scenes: Sequence[Scene] = (),
    pairs: Sequence[int] = (),
    **changes: object,
) -> Report:
    """A report with these frames and key frames; `changes` are settings."""
    length, errors = len(frames), PairErrors(set(keys))
    for pair in pairs:
        errors.add(pair, 0.00123456 + pair / 1e5, 0.000654321)
    return Report(
        clip=describe_clip(plain_clip(length)),
        scenes=tuple(scenes) or (Scene(0, length),),
        keys=tuple(KeyFacts(index, "interval", "", "", 0) for index in keys),
        frames=tuple(frames),
        kept=StoredFrames("0" * 32, tuple(f"{index:032x}" for index in range(length))),
        painted_mean=0.0778899,
        painted=StageShares(0.0112233, 0.0666666),
        coverage_mean=0.9715524 if length > len(keys) else None,
        warp_error=errors.warp_error("farneback"),
        flicker=0.0027819 if pairs else None,
        flickering=Flickering(0.83219, 0.71345),
        colour=KeyColour(1.5234, 3.0427, 2),
        sharpness=Sharpness(370.6117, 368.6593),
        seconds={"decode": 0.376, "flow": 19.744, "total": 48.337},
        settings=Settings().replace(changes).to_json(),
        versions=versions(),
        prompts=(PromptRow(0, length, "", ""),),
        tagger=TaggerFacts("off", None, "off"),
        seed=0,
        flow=FlowFacts("dis", "auto", "the best there is"),
        painter="brush 1",
        left_out=0,
    )
