"""What the report of a job is made of: facts of the clip, its frames and its quality.

Also the files of the report: its JSON, read and written, and the contact sheet.
"""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np

from lib_ofgen import __version__
from lib_ofgen.imaging import images, metrics
from lib_ofgen.planning.coverage import Gap
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.report.contact_sheet import draw_contact_sheet
from lib_ofgen.report.model import (
    ClipFacts,
    FrameFacts,
    GapFacts,
    KeyFacts,
    PaintEstimate,
    PairError,
    PlannedKey,
    PlanReport,
    Report,
    Sharpness,
    SoundFacts,
    StageShares,
    WarpError,
)
from lib_ofgen.settings.infotext import label_values
from lib_ofgen.store.workspace import REPORT, load_report, write_whole
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Clip, DraftRecord, FrameRecord, Image, KeyFrame, Mask, Scene, Size

__all__ = [
    "Measurement",
    "PaintSummary",
    "PairErrors",
    "describe_clip",
    "describe_frames",
    "describe_keys",
    "describe_plan",
    "estimate_paint",
    "infotext_fields",
    "mean_or_none",
    "measure",
    "read_key_indices",
    "read_report",
    "save_sheet",
    "summarise_paint",
    "to_bytes",
    "versions",
]

Pictures = Callable[[int], Image]


class Measurement(NamedTuple):
    """What the pictures of a result say of its quality; see `Report`."""

    warp_error: WarpError
    flicker: float | None
    sharpness: Sharpness


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


def measure(
    source: Pictures,
    result: Pictures,
    repainted: Callable[[int], Mask | None],
    scenes: Sequence[Scene],
    keys: Sequence[KeyFrame],
    report_progress: Callable[[str, int, int], None],
) -> Measurement:
    """Measure the warp error of the result and of its source, flicker, and sharpness.

    The judge is Farneback's flow, which no estimator of this program uses, on pictures at most
    320 px wide: it must not cost much. `ofgen evaluate` judges with more care. Flicker is the warp
    error of the pixels that were painted as holes in either frame of a pair.

    Args:
        source: picture of the source's frame of that index.
        result: picture of the finished frame of that index.
        repainted: (H, W) pixels that were painted as holes in that frame, or None.
        scenes: the scenes of the clip.
        keys: its key frames.
        report_progress: is called with the phase, the number of finished pairs, and of all pairs.
    """
    chosen = metrics.pairs(scenes)
    errors = PairErrors({key.index for key in keys})
    flicker: list[float] = []
    shown: list[float] = []
    for i in chosen:
        here, there = (source(i), source(i + 1)), (result(i), result(i + 1))
        judgement = metrics.judge_pair(here, metrics.farneback, widest=metrics.REPORT_WIDEST)
        errors.add(i, judgement.error(there), judgement.error(here))
        masks = [mask for mask in (repainted(i), repainted(i + 1)) if mask is not None]
        if masks:
            flicker.append(judgement.error(there, np.logical_or.reduce(masks)))
        shown.append(metrics.sharpness(there[0]))
        report_progress("measure", len(shown), len(chosen))
    painted = [metrics.sharpness(result(key.index)) for key in keys[:: max(1, len(keys) // 24)]]
    return Measurement(
        errors.warp_error("farneback"),
        mean_or_none(flicker),
        Sharpness(mean_or_none(shown or painted), mean_or_none(painted)),
    )


class PairErrors:
    """Collects the warp errors of pairs of neighbouring frames."""

    def __init__(self, keys: Collection[int]) -> None:
        """Start without a pair; `keys` are the indices of the key frames."""
        self._keys = keys
        self._all: list[tuple[int, float, float]] = []

    def add(self, index: int, result: float, source: float) -> None:
        """Add the errors of frames `index` and `index + 1`; NaN: nothing could be judged."""
        self._all.append((index, result, source))

    def warp_error(self, judge: str) -> WarpError:
        """Return their means; `judge` is the estimator whose flow judged."""
        parts: dict[bool, list[float]] = {True: [], False: []}
        for index, result, _ in self._all:
            parts[metrics.straddles(index, self._keys)].append(result)
        return WarpError(
            result=mean_or_none([result for _, result, _ in self._all]),
            source=mean_or_none([source for _, _, source in self._all]),
            straddling=mean_or_none(parts[True]),
            within=mean_or_none(parts[False]),
            pairs=len(self._all),
            each=tuple(
                PairError(
                    index,
                    mean_or_none([result]),
                    mean_or_none([source]),
                    metrics.straddles(index, self._keys),
                )
                for index, result, source in self._all
            ),
            judge=judge,
        )


def mean_or_none(values: Sequence[float]) -> float | None:
    """Return the mean of the values that are not NaN, to 7 digits; None if there are none."""
    known = [value for value in values if not np.isnan(value)]
    return float(f"{statistics.fmean(known):.7g}") if known else None


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
