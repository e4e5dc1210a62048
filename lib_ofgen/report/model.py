"""The report of a job as types, and its JSON.

`Report.to_json` gives the members in the order of the fields. A field whose default is None is
left out of the JSON where it is None.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from lib_ofgen.planning.estimate import JobTiming
from lib_ofgen.report.measures import (
    FilmColour,
    Flickering,
    KeyColour,
    OverPainted,
    PairError,
    ResultSharpness,
    Sharpness,
    WarpError,
)
from lib_ofgen.settings import prompt_rows
from lib_ofgen.system.sealed_json import items, maybe, number, record, text, truth, whole
from lib_ofgen.values import PromptRow, Scene, Size

__all__ = [
    "ClipFacts", "Evaluation", "FlowFacts", "FrameFacts", "GapFacts", "KeyFacts", "PaintEstimate",
    "PlanReport", "PlannedKey", "Report", "SoundFacts", "StageShares", "StoredFrames",
    "TaggerFacts",
]  # fmt: skip

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class SoundFacts:
    """The sound of the source."""

    codec: str
    rate: int
    """Samples per second."""


@dataclass(frozen=True)
class ClipFacts:
    """The frames that were taken from the source."""

    frames: int
    """Number of frames."""
    rate: str
    """Frames per second, as a fraction such as `30000/1001`."""
    width: int
    """px."""
    height: int
    """px."""
    seconds: float
    sound: SoundFacts | None
    damaged: int
    """Number of damaged frames, which were left out."""

    @property
    def size(self) -> Size:
        """Height and width of a frame."""
        return Size(self.height, self.width)


@dataclass(frozen=True)
class PlannedKey:
    """A key frame before anything is painted."""

    index: int
    cause: str
    """Why it is a key frame; see `values.Cause`."""


@dataclass(frozen=True)
class KeyFacts(PlannedKey):
    """A key frame, its prompts and its seed."""

    prompt: str
    negative_prompt: str
    seed: int


@dataclass(frozen=True)
class FrameFacts:
    """What a finished frame is made of."""

    index: int
    sources: tuple[int, ...]
    """Frames in which its pixels were painted; empty if it was painted whole."""
    coverage: float
    """Share 0..1 of its pixels that painted frames could supply."""
    painted: float
    """Share 0..1 of its pixels that were painted in it."""
    second: float | None = None
    """Share 0..1 of its pixels that the second pass painted; None: there was no second pass."""


@dataclass(frozen=True)
class StoredFrames:
    """Digests under which the workspace keeps the frames."""

    spool: str
    """Of the source's frames together."""
    frames: tuple[str, ...]
    """Of each finished frame."""


@dataclass(frozen=True)
class StageShares:
    """Share 0..1 of all pixels that each stage painted; None: there are no frames."""

    keys: float | None
    holes: float | None


@dataclass(frozen=True)
class TaggerFacts:
    """Which tagger was asked for, and what became of it."""

    asked: str
    provider: str | None
    """What it ran on; None: it did not run."""
    reason: str


@dataclass(frozen=True)
class FlowFacts:
    """Which flow estimator was used, which was asked for, and why this one was used."""

    estimator: str
    asked: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What a finished job says of itself."""

    clip: ClipFacts
    scenes: tuple[Scene, ...]
    keys: tuple[KeyFacts, ...]
    frames: tuple[FrameFacts, ...]
    kept: StoredFrames
    painted_mean: float | None
    """Share 0..1 of all pixels that were painted."""
    painted: StageShares
    coverage_mean: float | None
    """Share 0..1 of the pixels between key frames that painted frames could supply."""
    warp_error: WarpError
    flicker: float | None
    """Mean warp error of pixels that were painted as holes; None: no hole was judged."""
    flickering: Flickering
    colour: KeyColour | None
    """None: no key frame was compared."""
    sharpness: Sharpness
    seconds: Mapping[str, float]
    """Seconds of each kind of work; `total` is that of the whole job."""
    settings: Mapping[str, Any]
    """All settings of the job, as `Settings.to_json` gives them."""
    versions: Mapping[str, str]
    prompts: tuple[PromptRow, ...]
    """What every frame is painted by, as rows without gaps."""
    tagger: TaggerFacts
    seed: int
    """The seed of the job; one that was to be drawn is the drawn one."""
    flow: FlowFacts
    painter: str
    """The identity of the painter."""
    left_out: int
    """Number of frames that the film's format could not show."""

    def to_json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {**_to_json(self), "prompts": prompt_rows.to_json(self.prompts)}

    @classmethod
    def from_json(cls, value: object) -> Report:
        """The report that JSON holds; unknown members are passed over.

        Raises:
            ValueError: if a member is missing or of another shape.
        """
        given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        known = {**_LATER, **given}
        if not _SHAPE(known):
            raise ValueError("it is not a report")
        clip, error, kept = known["clip"], known["warp_error"], known["kept"]
        sound = clip["sound"] and _part(SoundFacts, clip["sound"])
        return _part(
            cls,
            known,
            clip=_part(ClipFacts, clip, sound=sound),
            scenes=_parts(Scene, known["scenes"]),
            keys=_parts(KeyFacts, known["keys"]),
            frames=tuple(
                _part(FrameFacts, one, sources=tuple(one["sources"])) for one in known["frames"]
            ),
            kept=_part(StoredFrames, kept, frames=tuple(kept["frames"])),
            painted=_part(StageShares, known["painted"]),
            warp_error=_part(WarpError, error, each=_parts(PairError, error["each"])),
            flickering=_part(Flickering, known["flickering"]),
            colour=known["colour"] and _part(KeyColour, known["colour"]),
            sharpness=_part(Sharpness, known["sharpness"]),
            prompts=_parts(PromptRow, known["prompts"]),
            tagger=_part(TaggerFacts, known["tagger"]),
            flow=_part(FlowFacts, known["flow"]),
        )

    def timing(self) -> JobTiming:
        """What the job took, to estimate the next one by."""
        pixels = self.clip.frames * self.clip.width * self.clip.height
        shares = (self.painted.keys or 0.0, self.painted.holes or 0.0)
        strengths = (self.settings["strength"], self.settings["hole_strength"])
        return JobTiming(
            pixels,
            self.seconds,
            self.flow.estimator,
            pixels * sum(share * each for share, each in zip(shares, strengths, strict=True)),
            self.settings["steps"],
        )


@dataclass(frozen=True)
class GapFacts:
    """What is estimated of the frames between two key frames; see `coverage.Gap`."""

    start: int
    stop: int
    coverage: float
    holes: float


@dataclass(frozen=True)
class PaintEstimate:
    """The paint work of a plan, in frames and shares of all frames."""

    whole: int
    """Frames that are painted whole."""
    share: float
    """Their share 0..1 of all frames."""
    holes: float
    """Area of holes that are painted, in frames."""
    painted: float
    """Share 0..1 of all pixels that are painted."""
    gaps: tuple[GapFacts, ...]


@dataclass(frozen=True)
class PlanReport:
    """What `ofgen plan` says before anything is painted."""

    clip: ClipFacts
    scenes: tuple[Scene, ...]
    keys: tuple[PlannedKey, ...]
    paint: PaintEstimate

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON."""
        return _to_json(self)


@dataclass(frozen=True)
class Evaluation:
    """What `ofgen evaluate` says of a result."""

    frames: int
    """Number of frames."""
    warp_error: WarpError
    flickering: Flickering
    sharpness: ResultSharpness
    colour: FilmColour | None = None
    """None: there is no film with every frame painted to compare with."""
    over_painted: OverPainted | None = None
    """None: as for `colour`."""

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON."""
        return _to_json(self)


def _to_json(value: Any) -> Any:
    """The value as JSON, its dataclasses and named tuples as objects."""
    if dataclasses.is_dataclass(value):
        return {
            item.name: _to_json(getattr(value, item.name))
            for item in dataclasses.fields(value)
            if not (item.default is None and getattr(value, item.name) is None)
        }
    if isinstance(value, tuple):
        named = getattr(value, "_asdict", None)
        return named() if named else [_to_json(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


def _part(kind: type[_Part], value: Mapping[str, Any], **converted: Any) -> _Part:
    """The part of a report that a JSON object holds; `converted` replace its members."""
    names = (
        [item.name for item in dataclasses.fields(kind)]
        if dataclasses.is_dataclass(kind)
        else cast("Any", kind)._fields
    )
    known = {name: value[name] for name in names if name in value}
    return kind(**{**known, **converted})


def _parts(kind: type[_Part], values: Sequence[Mapping[str, Any]]) -> tuple[_Part, ...]:
    return tuple(_part(kind, value) for value in values)


def _digest(value: object) -> bool:
    """The shape of a digest."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value) is not None


_INDEX, _COUNT, _SEED = whole(0), whole(0), whole(0)
_SHARE, _NUMBER = number(0, 1), number(-math.inf, math.inf)
_MEAN = maybe(_NUMBER)
_TEXT_OR_NONE = maybe(text)


def _dictionary(shape: Any) -> Any:
    """The shape of an object with members of any names."""
    return lambda value: isinstance(value, dict) and all(map(shape, value.values()))


_SHAPE = record(
    clip=record(
        frames=whole(1), rate=text, width=whole(1), height=whole(1), seconds=_NUMBER,
        sound=maybe(record(codec=text, rate=_COUNT)), damaged=_COUNT,
    ),
    scenes=items(record(start=_INDEX, stop=_INDEX), least=1),
    keys=items(
        record(index=_INDEX, cause=text, prompt=text, negative_prompt=text, seed=_SEED), least=1
    ),
    frames=items(
        record(index=_INDEX, sources=items(_INDEX), coverage=_NUMBER, painted=_SHARE), least=1
    ),
    kept=record(spool=_digest, frames=items(_digest, least=1)),
    painted_mean=_MEAN,
    painted=record(keys=_MEAN, holes=_MEAN),
    coverage_mean=_MEAN,
    warp_error=record(
        result=_MEAN, source=_MEAN, straddling=_MEAN, within=_MEAN, pairs=_COUNT,
        each=items(record(index=_INDEX, result=_MEAN, source=_MEAN, straddles=truth)), judge=text,
    ),
    flicker=_MEAN,
    flickering=record(result=_MEAN, source=_MEAN),
    colour=maybe(record(mean=_NUMBER, worst=_NUMBER, frames=whole(1))),
    sharpness=record(result=_MEAN, painted=_MEAN),
    seconds=_dictionary(_NUMBER),
    settings=record(),
    versions=_dictionary(text),
    prompts=items(
        record(start=_INDEX, stop=_INDEX, prompt=text, negative_prompt=text), least=1
    ),
    tagger=record(asked=text, provider=_TEXT_OR_NONE, reason=text),
    seed=_SEED,
    flow=record(estimator=text, asked=text, reason=text),
    painter=text,
    left_out=_COUNT,
)  # fmt: skip
"""What a report holds at least; the file's seal proves the rest."""

_LATER: dict[str, Any] = {
    "flickering": {"result": None, "source": None}, "colour": None, "left_out": 0,
}  # fmt: skip
"""Members that reports of earlier versions lack, with what is read in their place."""
