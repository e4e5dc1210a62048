"""What the report of a job is made of: facts of the clip, its frames and its quality.

Also the files of the report: its JSON, read and written, and the contact sheet.
"""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np

from lib_ofgen import __version__
from lib_ofgen.imaging import images
from lib_ofgen.planning.coverage import Gap
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.report.contact_sheet import draw_contact_sheet
from lib_ofgen.report.measures import KeyColour, mean_or_none
from lib_ofgen.report.model import (
    ClipFacts,
    FrameFacts,
    GapFacts,
    KeyFacts,
    PaintEstimate,
    PlannedKey,
    PlanReport,
    Report,
    SoundFacts,
    StageShares,
)
from lib_ofgen.settings.infotext import label_values
from lib_ofgen.store.workspace import REPORT, load_report, write_whole
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Clip, DraftRecord, FrameRecord, Image, KeyFrame, Scene, Size

__all__ = [
    "PaintSummary",
    "describe_clip",
    "describe_frames",
    "describe_keys",
    "describe_plan",
    "estimate_paint",
    "infotext_fields",
    "read_key_indices",
    "read_report",
    "save_sheet",
    "summarise_colour",
    "summarise_paint",
    "to_bytes",
    "versions",
]

Pictures = Callable[[int], Image]


class PaintSummary(NamedTuple):
    """How much of a result was painted, and how much between key frames was supplied."""

    painted_mean: float | None
    painted: StageShares
    coverage_mean: float | None


def describe_clip(clip: Clip) -> ClipFacts:
    """Return the facts of a clip."""
    sound = clip.sound
    return ClipFacts(
        frames=clip.length,
        rate=str(clip.rate),
        width=clip.size.width,
        height=clip.size.height,
        seconds=round(float(clip.duration), 6),
        sound=None if sound is None else SoundFacts(sound.codec, sound.rate),
        damaged=clip.damaged,
    )


def infotext_fields(settings: Mapping[str, Any], seed: int, size: Size) -> dict[str, object]:
    """Return the fields of a frame's infotext beside its prompts.

    `settings` are the job's, as `Settings.to_json` gives them.
    """
    return label_values({**settings, "seed": seed, "size": size})


def describe_plan(
    clip: Clip, scenes: Sequence[Scene], keys: Sequence[KeyFrame], paint: PaintEstimate
) -> PlanReport:
    """Return what is known before anything is painted."""
    planned = tuple(PlannedKey(key.index, key.cause) for key in keys)
    return PlanReport(describe_clip(clip), tuple(scenes), planned, paint)


def describe_keys(keys: Sequence[KeyFrame], prompts: Prompts, seed: int) -> tuple[KeyFacts, ...]:
    """Return the key frames with their prompts and seeds; `seed` is the job's."""
    words = [prompts.of(key.index) for key in keys]
    return tuple(
        KeyFacts(key.index, key.cause, said.prompt, said.negative_prompt, said.seed_or(seed))
        for key, said in zip(keys, words, strict=True)
    )


def describe_frames(
    made: Mapping[int, DraftRecord],
    finished: Mapping[int, FrameRecord],
    second: Mapping[int, float],
) -> tuple[FrameFacts, ...]:
    """Return the facts of each finished frame, by its index.

    `second` has the share 0..1 of each frame that the second pass painted; it is empty if there
    was no second pass.
    """
    return tuple(
        FrameFacts(
            i, tuple(record.sources), made[i].coverage, made[i].share, second.get(i)
        )
        for i, record in sorted(finished.items())
    )  # fmt: skip


def summarise_paint(made: Mapping[int, DraftRecord]) -> PaintSummary:
    """Return the share of all pixels that was painted, by stage, and the mean coverage."""
    records = made.values()
    return PaintSummary(
        mean_or_none([one.share for one in records]),
        StageShares(
            mean_or_none([one.share * (one.stage == "keys") for one in records]),
            mean_or_none([one.share * (one.stage == "holes") for one in records]),
        ),
        mean_or_none([one.coverage for one in records if one.stage == "holes"]),
    )


def summarise_colour(made: Mapping[int, DraftRecord]) -> KeyColour | None:
    """Return how far key frames are from what earlier ones supply; None: none was compared."""
    known = [one.colour for one in made.values() if one.colour is not None]
    if not known:
        return None
    mean, worst = round(statistics.fmean(known), 4), round(max(known), 4)
    return KeyColour(mean, worst, len(known))


def estimate_paint(clip: Clip, whole: int, gaps: Sequence[Gap]) -> PaintEstimate:
    """Return the paint work of a plan: `whole` frames painted whole, and the holes in `gaps`."""
    holes = sum(gap.holes for gap in gaps)
    return PaintEstimate(
        whole=whole,
        share=round(whole / clip.length, 6),
        holes=round(holes, 3),
        painted=round((whole + holes) / clip.length, 6),
        gaps=tuple(
            GapFacts(gap.start, gap.stop, round(gap.coverage, 3), round(gap.holes, 3))
            for gap in gaps
        ),
    )


def versions() -> dict[str, str]:
    """Return the versions of this program and of the libraries that change a pixel."""
    return {
        "ofgen": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "av": av.__version__,
    }


def save_sheet(path: Path, result: Pictures, keys: Sequence[KeyFrame], clip: Clip) -> None:
    """Write the contact sheet of the key frames, or of as many as fit evenly, as PNG.

    Raises:
        WorkspaceError: if the file cannot be written.
    """
    captions = [f"{key.index}  {clip.seconds(key.index):.2f} s  {key.cause}" for key in keys]
    sheet = draw_contact_sheet(captions, lambda place: result(keys[place].index))
    write_whole(path, images.encode_png(sheet))


def to_bytes(report: Report) -> bytes:
    """Return the content of the report's JSON file, sealed."""
    return sealed_json.seal(REPORT, report.to_json())


def read_report(folder: Path) -> Report | None:
    """Return the report in a workspace, or None if it is missing, damaged or unsealed.

    Raises:
        WorkspaceError: if the file may not be read.
    """
    value = load_report(folder, sealed_json.any_value)
    try:
        return Report.from_json(value)
    except ValueError:
        return None


def read_key_indices(data: bytes) -> set[int]:
    """Return the indices of the key frames that a report's JSON file names.

    A file without a seal is accepted, such as one that a person has written.

    Raises:
        ValueError: if it names no key frames, or its seal is broken.
    """
    held = json.loads(data)
    if isinstance(held, dict) and "seal" in held:
        held = sealed_json.open_sealed(REPORT, data)
    shape = sealed_json.record(
        keys=sealed_json.items(sealed_json.record(index=sealed_json.whole(0)))
    )
    if not shape(held):
        raise ValueError("it is not a report")
    return {int(key["index"]) for key in cast("dict[str, Any]", held)["keys"]}
