"""What is known of a clip before anything is painted: its frames, its scenes, its key frames.

All of it is kept in the workspace, so that a second look costs nothing.
"""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from lib_ofgen import coverage, images, keyframes, scenes, seals
from lib_ofgen.errors import SettingsError, Stopped
from lib_ofgen.flow import dis
from lib_ofgen.values import (
    Cause,
    Clip,
    Frame,
    Image,
    Jump,
    KeyFrame,
    Mask,
    Reporter,
    Scene,
    Size,
    Sound,
)
from lib_ofgen.video import open_video
from lib_ofgen.workspace import Workspace, digest, file_digest

__all__ = [
    "Reach", "Spool", "find_gaps", "find_keys", "find_scenes", "known_clip", "read_source",
    "recent", "sampled",
]  # fmt: skip

_READER = 1
"""Goes up when the reader's pixels or times change, so that old spools are read anew."""
_REACH = 2
"""Goes up when the estimate of what flow can reach changes."""
_SAMPLES = 24
"""Frames of which is asked what they lack, to tell how long a job will take."""
_SMALL = 320
"""px: width of the pictures on which reach is estimated."""
_KNOWN = 4096
"""Masks of reach that are remembered, of at most 60 kB each."""
_RECENT = 32
"""Frames kept in memory, if they take no more than `_ROOM`; 8 whatever they take."""
_ROOM = 1 << 27
"""Bytes."""
_CLIP = seals.record(
    size=seals.row(seals.whole(1), seals.whole(1)),
    rate=seals.fraction,
    time_base=seals.fraction,
    start=seals.fraction,
    end=seals.whole(1),
    sound=seals.maybe(seals.record(codec=seals.text, rate=seals.whole(0), channels=seals.whole(0))),
    jumps=seals.items(seals.row(*[seals.fraction] * 3)),
    damaged=seals.whole(0),
)
"""The shape of a clip as `_plain` has it, beside its ticks."""


Inside = Callable[[int], Mask | None]


def recent(size: Size) -> int:
    """How many frames of `size` may be kept in memory."""
    return max(8, min(_RECENT, _ROOM // (3 * size.height * size.width)))


class Spool:
    """The clip's frames in the workspace; the few used last stay in memory."""

    def __init__(self, workspace: Workspace, key: str, clip: Clip) -> None:
        """The spool under `key`, which is whole."""
        self.workspace, self.key, self.clip = workspace, key, clip
        keep = lru_cache(maxsize=recent(clip.size))
        self._read = keep(lambda index: workspace.source(key, index))

    def frame(self, index: int) -> Frame:
        """Frame `index`."""
        return Frame(index, self._read(index))

    def frames(self) -> Iterator[Frame]:
        """All frames, in order, each read from disk."""
        for index in range(self.clip.length):
            yield Frame(index, self.workspace.source(self.key, index))


def read_source(
    workspace: Workspace, path: Path, sampling: dict[str, Any], reporter: Reporter
) -> Spool:
    """The frames of `path` that `sampling` (keywords of `open_video`) takes, as a spool.

    Raises:
        VideoError: the file cannot be read.
        Stopped: the user asked to stop.
    """
    with open_video(path, **sampling) as source:
        taken = (file_digest(path), sampling, source.size, *source.traits)
        key = digest("spool", _READER, *taken)
        held = known_clip(workspace, key)
        if held is not None:
            return Spool(workspace, key, held)
        done = 0
        for frame in source:
            workspace.save_source(key, frame.index, frame.image)
            done = frame.index + 1
            _go_on(reporter, "decode", done, max(done, source.expected), frame.image)
        workspace.save_clip(key, _plain(source.clip))
        reporter.step("decode", done, done)
        return Spool(workspace, key, source.clip)


def known_clip(workspace: Workspace, key: str) -> Clip | None:
    """The clip whose frames the spool under `key` holds, or None where it is not whole."""
    known = {one.name for one in dataclasses.fields(Clip)}
    held = workspace.clip(key, lambda value: _CLIP(value) and {*cast("Any", value)} <= known)
    return None if held is None else _clip_of(held)


def find_scenes(
    spool: Spool, threshold: float, reporter: Reporter
) -> tuple[tuple[Scene, ...], str]:
    """The scenes between cuts, and the digest of what they follow from."""
    key = digest("scenes", spool.key, threshold)

    def find() -> list[Scene]:
        finder = scenes.CutFinder(threshold)
        for frame in _watched(spool, reporter):
            finder.see(frame)
        return list(finder.scenes())

    return tuple(Scene(*one) for one in _once(spool.workspace, key, find, _scenes_of(spool))), key


def find_keys(
    spool: Spool,
    found: tuple[tuple[Scene, ...], str],
    rule: dict[str, Any],
    reporter: Reporter,
    inside: Inside = lambda index: None,
) -> list[KeyFrame]:
    """The key frames by `rule`: `kind`, and what that kind of choice asks for.

    `inside` gives the part of a frame that counts for its coverage, or None for all of it; what
    that depends on belongs to the rule.

    Raises:
        SettingsError: a chosen frame does not exist.
    """
    cuts, cuts_key = found
    if rule["kind"] in ("coverage", "pyramid"):
        seeker = {"coverage": coverage.by_coverage, "pyramid": coverage.by_pyramid}[rule["kind"]]
        reach = Reach(spool, rule["confidence"], rule["radius"], reporter, inside)

        def seek() -> list[KeyFrame]:
            return seeker(cuts, _gap_rule(spool.clip, rule), reach.missing)

        key = digest("keys", cuts_key, _REACH, rule)
        return [KeyFrame(*one) for one in _once(spool.workspace, key, seek, _keys_of(spool))]
    if rule["kind"] == "edges":
        edge = keyframes.EdgeRule(rule["threshold"], rule["gap_min"], rule["gap_max"])
        last = rule["last"]

        def find() -> list[KeyFrame]:
            watched = _watched(spool, reporter)
            return keyframes.by_edges(watched, cuts, spool.clip, edge, last=last)

        key = digest("keys", cuts_key, rule)
        return [KeyFrame(*one) for one in _once(spool.workspace, key, find, _keys_of(spool))]
    if rule["kind"] == "chosen":
        try:
            return keyframes.chosen(cuts, rule["indices"])
        except ValueError as error:
            raise SettingsError(f"{error}; name frames of the clip") from error
    interval = 1 if rule["kind"] == "every" else rule["interval"]
    return keyframes.every_nth(cuts, interval, last=rule["last"])


def find_gaps(
    spool: Spool,
    cuts: Sequence[Scene],
    keys: Sequence[KeyFrame],
    rule: dict[str, Any],
    reporter: Reporter,
    inside: Inside = lambda index: None,
) -> list[coverage.Gap]:
    """What is expected of the frames between the keys; see `find_keys`."""
    reach = Reach(spool, rule["confidence"], rule["radius"], reporter, inside)
    return coverage.gaps([key.index for key in keys], cuts, reach.missing)


def sampled(
    spool: Spool,
    cuts: Sequence[Scene],
    keys: Sequence[KeyFrame],
    rule: dict[str, Any],
    reporter: Reporter,
    inside: Inside = lambda index: None,
) -> list[float]:
    """What some frames between the keys lack, evenly over the clip; see `find_gaps`.

    Cheap, and nothing is told of it: it says how long a job will take.
    """
    found = [
        (target, [one for one in (before, after) if one is not None])
        for before, target, after in _between(cuts, sorted(key.index for key in keys))
    ]
    step = max(1, -(-len(found) // _SAMPLES))
    reach = Reach(spool, rule["confidence"], rule["radius"], _Quiet(reporter), inside)
    return [reach.missing(target, sources) for target, sources in found[step // 2 :: step]]


def _between(
    cuts: Sequence[Scene], keys: Sequence[int]
) -> Iterator[tuple[int | None, int, int | None]]:
    """Each frame that is no key, between the keys before and after it in its scene."""
    for scene in cuts:
        own = [key for key in keys if scene.start <= key < scene.stop]
        for target in range(scene.start, scene.stop):
            place = bisect_left(own, target)
            if own and own[place : place + 1] != [target]:
                before = own[place - 1] if place else None
                yield before, target, own[place] if place < len(own) else None


class _Quiet:
    """A reporter that only hears whether to stop."""

    def __init__(self, reporter: Reporter) -> None:
        self.stopped = reporter.stopped

    def step(self, stage: str, done: int, of: int, preview: Image | None = None) -> None:
        """Nothing."""


def _gap_rule(clip: Clip, rule: dict[str, Any]) -> coverage.GapRule:
    """The rule in frames."""
    rate = float(clip.rate)
    least = max(1, round(rule["gap_min"] * rate))
    most = max(least, int(rule["gap_max"] * rate))
    return coverage.GapRule(rule["coverage"], least, most, rule["last"])


class Reach:
    """How much of a frame flow can supply from others, estimated on small pictures.

    Always by DIS, at most `_SMALL` px wide: only shares of pixels are asked, for many pairs, and
    the choice of keys then depends on no weights.
    """

    def __init__(
        self,
        spool: Spool,
        threshold: float,
        radius: float,
        reporter: Reporter,
        inside: Inside = lambda index: None,
    ) -> None:
        """`threshold` and `radius` are those of the confidence, at the clip's own size."""
        self._inside = inside
        self._spool, self._threshold, self._reporter = spool, threshold, reporter
        size = spool.clip.size
        shrunk = min(1.0, _SMALL / size.width)
        self._size = images.scaled(size, shrunk)
        self._estimator = dis.DisEstimator(radius * shrunk)
        self._small = lru_cache(maxsize=4 * _RECENT)(self._shrunk)
        self._sure = lru_cache(maxsize=_KNOWN)(self._seen)
        self._asked = 0

    def missing(self, target: int, sources: Sequence[int]) -> float:
        """Share 0..1 of what counts of `target` that flow from none of the sources can supply."""
        seen = np.logical_or.reduce([self._sure(source, target) for source in sources])
        inside = self._inside(target)
        if inside is not None:
            seen = seen[images.resize(inside.astype(np.float32), self._size) >= 0.5]
        return 1 - float(seen.mean()) if seen.size else 0.0

    def _seen(self, source: int, target: int) -> Mask:
        self._asked += 1
        length = self._spool.clip.length
        _go_on(self._reporter, "keys", min(self._asked, length), length, self._small(target))
        pair = Frame(source, self._small(source)), Frame(target, self._small(target))
        (flow,) = self._estimator.estimate([pair])
        return flow.confidence >= self._threshold

    def _shrunk(self, index: int) -> Image:
        return images.resize(self._spool.frame(index).image, self._size)


def _once(
    workspace: Workspace,
    key: str,
    find: Callable[[], Sequence[tuple[Any, ...]]],
    shape: seals.Shape,
) -> list[list[Any]]:
    """What the workspace knows under `key`; found and kept if it knows nothing of that shape."""
    facts = workspace.facts(key, shape)
    if facts is None:
        facts = [list(item) for item in find()]
        workspace.save_facts(key, facts)
    return facts


def _scenes_of(spool: Spool) -> seals.Shape:
    """The shape of the clip's scenes."""
    length = spool.clip.length
    return seals.items(seals.row(seals.whole(0, length - 1), seals.whole(1, length)), least=1)


def _keys_of(spool: Spool) -> seals.Shape:
    """The shape of the clip's key frames."""
    place, distance = seals.whole(0, spool.clip.length - 1), seals.number(0, math.inf)
    return seals.items(seals.row(place, distance, lambda cause: cause in get_args(Cause)), least=1)


def _watched(spool: Spool, reporter: Reporter) -> Iterator[Frame]:
    """The spool's frames, each reported; ends in `Stopped` when the user asks."""
    for frame in spool.frames():
        yield frame
        _go_on(reporter, "analyse", frame.index + 1, spool.clip.length, frame.image)


def _go_on(reporter: Reporter, stage: str, done: int, of: int, preview: Image) -> None:
    reporter.step(stage, done, of, preview)
    if reporter.stopped():
        raise Stopped("stopped; run the same command again to go on")


def _plain(clip: Clip) -> dict[str, Any]:
    """The clip as JSON has it."""
    plain = dataclasses.asdict(clip) | {"jumps": [[*map(str, jump)] for jump in clip.jumps]}
    return {name: str(v) if isinstance(v, Fraction) else v for name, v in plain.items()}


def _clip_of(plain: dict[str, Any]) -> Clip:
    """The clip that `_plain` described."""
    exact = {name: Fraction(plain[name]) for name in ("rate", "time_base", "start")}
    sound = Sound(**plain["sound"]) if plain["sound"] else None
    jumps = tuple(Jump(*map(Fraction, jump)) for jump in plain["jumps"])
    rest = {"size": Size(*plain["size"]), "ticks": tuple(plain["ticks"]), "sound": sound}
    rest["jumps"] = jumps
    return Clip(**{**plain, **exact, **rest})
