"""What a job says of itself when it ends: the report and the contact sheet."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np

from lib_ofgen import __version__
from lib_ofgen.imaging import images, metrics
from lib_ofgen.planning.coverage import Gap
from lib_ofgen.planning.prompts import Prompts
from lib_ofgen.report.contact_sheet import contact_sheet
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.infotext import label_values
from lib_ofgen.store.workspace import REPORT, write_whole
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Clip, DraftRecord, FrameRecord, Image, KeyFrame, Mask, Scene, Size

__all__ = [
    "Errors",
    "clip_facts",
    "frame_facts",
    "from_bytes",
    "infotext_facts",
    "kept_facts",
    "mean_or_none",
    "measure",
    "paint_facts",
    "painted_facts",
    "plan_facts",
    "prompt_facts",
    "save_sheet",
    "to_bytes",
    "versions",
]

Pictures = Callable[[int], Image]


def clip_facts(clip: Clip) -> dict[str, Any]:
    """The clip's part of the report."""
    sound = clip.sound
    return {
        "frames": clip.length,
        "rate": str(clip.rate),
        "width": clip.size.width,
        "height": clip.size.height,
        "seconds": round(float(clip.duration), 6),
        "sound": None if sound is None else {"codec": sound.codec, "rate": sound.rate},
        "damaged": clip.damaged,
    }


def infotext_facts(settings: Mapping[str, Any], seed: int, size: Size) -> dict[str, object]:
    """What infotext tells of a frame beside its prompts, by the job's settings."""
    return label_values({**settings, "seed": seed, "size": size})


def plan_facts(clip: Clip, scenes: Sequence[Scene], keys: Sequence[KeyFrame]) -> dict[str, Any]:
    """What is known before anything is painted."""
    return {
        "clip": clip_facts(clip),
        "scenes": [{"start": scene.start, "stop": scene.stop} for scene in scenes],
        "keys": [{"index": key.index, "cause": key.cause} for key in keys],
    }


def prompt_facts(
    keys: Sequence[KeyFrame], prompts: Prompts, tagger: dict[str, Any], seed: int
) -> dict[str, Any]:
    """The key frames with words and seeds, rows that repeat them, the tagger, the job's seed."""
    words = [prompts.of(key.index) for key in keys]
    return {
        "keys": [
            {"index": key.index, "cause": key.cause, **said._asdict(), "seed": said.seed_or(seed)}
            for key, said in zip(keys, words, strict=True)
        ],
        "prompts": prompt_rows.to_json(prompts.rows()),
        "tagger": tagger,
        "seed": seed,
    }


def painted_facts(made: dict[int, DraftRecord]) -> dict[str, Any]:
    """The painted share of all pixels, and how much of those between keys were supplied."""
    between = [one for one in made.values() if one.stage == "holes"]
    return {
        "painted_mean": mean_or_none([one.share for one in made.values()]),
        "painted": {
            "keys": mean_or_none([one.share * (one.stage == "keys") for one in made.values()]),
            "holes": mean_or_none([one.share * (one.stage == "holes") for one in made.values()]),
        },
        "coverage_mean": mean_or_none([one.coverage for one in between]),
    }


def paint_facts(clip: Clip, whole: int, gaps: Sequence[Gap]) -> dict[str, Any]:
    """The paint work beforehand: frames painted whole, and holes in frames, as estimated."""
    holes = sum(gap.holes for gap in gaps)
    return {
        "whole": whole,
        "share": round(whole / clip.length, 6),
        "holes": round(holes, 3),
        "painted": round((whole + holes) / clip.length, 6),
        "gaps": [
            {"start": gap.start, "stop": gap.stop, "coverage": round(gap.coverage, 3),
             "holes": round(gap.holes, 3)}
            for gap in gaps
        ],
    }  # fmt: skip


def frame_facts(
    made: dict[int, DraftRecord], finished: dict[int, FrameRecord], second: dict[int, float]
) -> list[dict[str, Any]]:
    """Each frame's sources, coverage and painted share; `second` is that of a second pass."""
    return [
        {"index": i, "sources": f.sources, "coverage": made[i].coverage, "painted": made[i].share,
         **({"second": second[i]} if i in second else {})}
        for i, f in sorted(finished.items())
    ]  # fmt: skip


def kept_facts(spool: str, length: int, key: Callable[[int], str | None]) -> dict[str, Any]:
    """Under which digests the workspace keeps the source's frames and the film's."""
    return {"spool": spool, "frames": [key(index) for index in range(length)]}


def measure(
    source: Pictures,
    result: Pictures,
    repainted: Callable[[int], Mask | None],
    scenes: Sequence[Scene],
    keys: Sequence[KeyFrame],
    tell: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Warp error of the result and of its source, flicker, and sharpness beside the painter's own.

    Judged by Farneback's flow, which no estimator of ours uses, on pictures at most 320 px wide:
    `ofgen evaluate` is the careful judge, this one must not cost. Flicker is the warp error of the
    pixels that were painted as holes in either frame of a pair; `repainted` gives these of a frame,
    or None. `tell` hears the stage, how many pairs are done, and of how many.
    """
    chosen = metrics.pairs(scenes)
    errors = Errors({key.index for key in keys})
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
        tell("measure", len(shown), len(chosen))
    painted = [metrics.sharpness(result(key.index)) for key in keys[:: max(1, len(keys) // 24)]]
    return {
        "warp_error": {**errors.facts(), "judge": "farneback"},
        "flicker": mean_or_none(flicker),
        "sharpness": {"result": mean_or_none(shown or painted), "painted": mean_or_none(painted)},
    }


class Errors:
    """The warp errors of pairs, by whether a key frame is in them."""

    def __init__(self, keys: Collection[int]) -> None:
        """`keys` are the indices of the key frames."""
        self._keys = keys
        self._all: list[tuple[int, float, float]] = []

    def add(self, index: int, result: float, source: float) -> None:
        """Take in those of frames `index` and the next."""
        self._all.append((index, result, source))

    def facts(self) -> dict[str, Any]:
        """Their means, as the report has them."""
        parts: dict[bool, list[float]] = {True: [], False: []}
        for index, result, _ in self._all:
            parts[metrics.straddles(index, self._keys)].append(result)
        return {
            "result": mean_or_none([result for _, result, _ in self._all]),
            "source": mean_or_none([source for _, _, source in self._all]),
            "straddling": mean_or_none(parts[True]),
            "within": mean_or_none(parts[False]),
            "pairs": len(self._all),
            "each": [
                {"index": index, "result": mean_or_none([result]), "source": mean_or_none([source]),
                 "straddles": metrics.straddles(index, self._keys)}
                for index, result, source in self._all
            ],
        }  # fmt: skip


def mean_or_none(values: Sequence[float]) -> float | None:
    """The mean of what is a number, to 7 digits; None where nothing is."""
    known = [value for value in values if not np.isnan(value)]
    return float(f"{statistics.fmean(known):.7g}") if known else None


def versions() -> dict[str, str]:
    """Of ourselves and of the libraries that change a pixel."""
    return {
        "ofgen": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "av": av.__version__,
    }


def save_sheet(path: Path, result: Pictures, keys: Sequence[KeyFrame], clip: Clip) -> None:
    """Write the contact sheet of the key frames, or of as many as fit evenly, as PNG."""
    captions = [f"{key.index}  {clip.seconds(key.index):.2f} s  {key.cause}" for key in keys]
    sheet = contact_sheet(captions, lambda place: result(keys[place].index))
    write_whole(path, images.encode_png(sheet))


def to_bytes(report: dict[str, Any]) -> bytes:
    """The report as a JSON file's content, sealed."""
    return sealed_json.seal(REPORT, report)


def from_bytes(data: bytes) -> dict[str, Any]:
    """The report in a JSON file's content; one without a seal is taken as it is.

    Raises:
        ValueError: if it is no report, or its seal is broken.
    """
    held = json.loads(data)
    if isinstance(held, dict) and "seal" in held:
        return cast("dict[str, Any]", sealed_json.open_sealed(REPORT, data))
    if not isinstance(held, dict):
        raise ValueError("it is no report")
    return cast("dict[str, Any]", held)
