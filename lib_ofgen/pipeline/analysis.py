"""What is known of a clip before anything is painted: its scenes and its key frames.

All of it is kept in the workspace, so that a second look costs nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, get_args

import numpy as np

from lib_ofgen.errors import SettingsError
from lib_ofgen.imaging import images
from lib_ofgen.models.flow import dis
from lib_ofgen.planning import coverage, keyframes, shots
from lib_ofgen.store.frame_store import RECENT, FrameStore
from lib_ofgen.store.workspace import Workspace, digest
from lib_ofgen.system import sealed_json
from lib_ofgen.system.stopping import report_step
from lib_ofgen.values import Cause, Clip, Frame, Image, KeyFrame, Mask, Reporter, Scene

__all__ = ["Reach", "find_gaps", "find_keys", "find_scenes", "sampled"]

_REACH = 2
"""Goes up when the estimate of what flow can reach changes."""
_SAMPLES = 24
"""Frames of which is asked what they lack, to tell how long a job will take."""
_SMALL = 320
"""px: width of the pictures on which reach is estimated."""
_KNOWN = 4096
"""Masks of reach that are remembered, of at most 60 kB each."""

Inside = Callable[[int], Mask | None]


def find_scenes(
    spool: FrameStore, threshold: float, reporter: Reporter
) -> tuple[tuple[Scene, ...], str]:
    """The scenes between cuts, and the digest of what they follow from."""
    key = digest("scenes", spool.key, threshold)

    def find() -> list[Scene]:
        finder = shots.CutFinder(threshold)
        for frame in _watched(spool, reporter):
            finder.see(frame)
        return list(finder.scenes())

    return tuple(Scene(*one) for one in _once(spool.workspace, key, find, _scenes_of(spool))), key


def find_keys(
    spool: FrameStore,
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
            return keyframes.by_choice(cuts, rule["indices"])
        except ValueError as error:
            raise SettingsError(f"{error}; name frames of the clip") from error
    interval = 1 if rule["kind"] == "every" else rule["interval"]
    return keyframes.by_interval(cuts, interval, last=rule["last"])


def find_gaps(
    spool: FrameStore,
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
    spool: FrameStore,
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
        spool: FrameStore,
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
        self._size = images.scale_size(size, shrunk)
        self._estimator = dis.DisEstimator(radius * shrunk)
        self._small = lru_cache(maxsize=4 * RECENT)(self._shrunk)
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
        report_step(self._reporter, "keys", min(self._asked, length), length, self._small(target))
        pair = Frame(source, self._small(source)), Frame(target, self._small(target))
        (flow,) = self._estimator.estimate([pair])
        return flow.confidence >= self._threshold

    def _shrunk(self, index: int) -> Image:
        return images.resize(self._spool.frame(index).image, self._size)


def _once(
    workspace: Workspace,
    key: str,
    find: Callable[[], Sequence[tuple[Any, ...]]],
    shape: sealed_json.Shape,
) -> list[list[Any]]:
    """What the workspace knows under `key`; found and kept if it knows nothing of that shape."""
    facts = workspace.facts(key, shape)
    if facts is None:
        facts = [list(item) for item in find()]
        workspace.save_facts(key, facts)
    return facts


def _scenes_of(spool: FrameStore) -> sealed_json.Shape:
    """The shape of the clip's scenes."""
    length = spool.clip.length
    return sealed_json.items(
        sealed_json.row(sealed_json.whole(0, length - 1), sealed_json.whole(1, length)), least=1
    )


def _keys_of(spool: FrameStore) -> sealed_json.Shape:
    """The shape of the clip's key frames."""
    place, distance = sealed_json.whole(0, spool.clip.length - 1), sealed_json.number(0, math.inf)
    return sealed_json.items(
        sealed_json.row(place, distance, lambda cause: cause in get_args(Cause)), least=1
    )


def _watched(spool: FrameStore, reporter: Reporter) -> Iterator[Frame]:
    """The spool's frames, each reported; ends in `Stopped` when the user asks."""
    for frame in spool.frames():
        yield frame
        report_step(reporter, "analyse", frame.index + 1, spool.clip.length, frame.image)
