"""Key frames by what flow can reach: the least paint that covers every frame well.

The cost of a gap between two keys is what has to be painted for it: the later key whole, and the
holes that neither key shows. Holes are painted in the middle of a gap and lent to both sides, so
they count by the middle frame, and by half of what its quarters miss beside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lib_ofgen.values import Cause, KeyFrame, Scene

__all__ = ["Gap", "GapRule", "by_coverage", "by_pyramid", "gap", "gaps"]

_AHEAD = 10
"""Steps of the shortest gap that the longest gap looked at has."""
_SHORTFALL = 10.0
"""Frames of paint that a frame wholly out of reach is worth, where coverage is not to be had."""

Missing = Callable[[int, Sequence[int]], float]
"""(target, sources) -> share 0..1 of the target that flow from no source can supply."""


@dataclass(frozen=True)
class GapRule:
    """What gaps between keys may be."""

    wanted: float
    """Share 0..1 of each frame between that is to be in reach of the keys."""
    least: int
    """Frames: no two keys are nearer, but at the end of a scene."""
    most: int
    """Frames: no two keys are farther apart."""
    last: bool
    """Whether the last frame of a scene is a key."""


@dataclass(frozen=True)
class Gap:
    """What is expected of the frames between two keys."""

    start: int
    stop: int
    """The next key, or one past the scene's last frame."""
    coverage: float
    """Least share 0..1 of the frames looked at that the keys can supply."""
    holes: float
    """Hole area to be painted, in frames."""


def gap(start: int, stop: int, ends: Sequence[int], missing: Missing) -> Gap:
    """The gap between `start` and `stop`, whose keys are `ends`, by its middle and its quarters."""
    length = stop - start
    if length < 2:
        return Gap(start, stop, 1.0, 0.0)
    places = sorted({start + max(1, round(length * part / 4)) for part in (1, 2, 3)} - {stop})
    lost = [missing(place, ends) for place in places]
    middle = lost[len(lost) // 2]
    beside = sum(max(0.0, each - middle) for each in lost)
    return Gap(start, stop, 1 - max(lost), middle + beside / 2)


def gaps(keys: Sequence[int], scenes: Sequence[Scene], missing: Missing) -> list[Gap]:
    """The gaps of a choice of keys, and the tails of scenes after their last key."""
    found: list[Gap] = []
    for scene in scenes:
        inner = [key for key in keys if scene.start <= key < scene.stop]
        found += [gap(a, b, (a, b), missing) for a, b in pairwise(inner)]
        if inner[-1] + 1 < scene.stop:
            found.append(gap(inner[-1], scene.stop, (inner[-1],), missing))
    return found


def by_coverage(scenes: Sequence[Scene], rule: GapRule, missing: Missing) -> list[KeyFrame]:
    """The keys of least cost, scene by scene, by dynamic programming over places `least` apart.

    A gap that covers less than is wanted is paid for: a tenth of a frame missing is worth a key.
    """
    keys: list[KeyFrame] = []
    for scene in scenes:
        chosen = _cheapest(_places(scene, rule), rule, missing)
        keys += [_key(index, scene, "coverage", rule.last) for index in chosen]
    return keys


def _places(scene: Scene, rule: GapRule) -> list[int]:
    """Where keys of a scene may stand, and where its last gap ends."""
    end = scene.stop - 1 if rule.last else scene.stop
    inner = list(range(scene.start, end, rule.least))
    if len(inner) > 1 and end - inner[-1] < rule.least / 2:
        inner.pop()
    return [*inner, end] if end > scene.start else [scene.start]


def _cheapest(places: Sequence[int], rule: GapRule, missing: Missing) -> list[int]:
    """The places of the keys of least cost, the first one's among them."""
    cost = [0.0] + [float("inf")] * (len(places) - 1)
    before = [0] * len(places)
    for here in range(len(places) - 1):
        for there in range(here + 1, min(len(places), here + _AHEAD + 1)):
            if there > here + 1 and places[there] - places[here] > rule.most:
                break
            ends = (places[here], places[there]) if rule.last or there + 1 < len(places) else (
                places[here],
            )  # fmt: skip
            one = gap(places[here], places[there], ends, missing)
            price = 1 + one.holes + _SHORTFALL * max(0.0, rule.wanted - one.coverage)
            if cost[here] + price < cost[there]:
                cost[there], before[there] = cost[here] + price, here
            if one.coverage < rule.wanted:
                break  # a longer gap from here covers no more
    chosen, at = [places[-1]] if rule.last else [], len(places) - 1
    while at:
        at = before[at]
        chosen.append(places[at])
    return sorted({*chosen, places[0]})


def by_pyramid(scenes: Sequence[Scene], rule: GapRule, missing: Missing) -> list[KeyFrame]:
    """Keys from coarse to fine: each splits the span that needs one most centrally seen.

    A span between keys that is too long, or covers less than is wanted, gets as its key the frame,
    among places `least` apart, from which flow reaches most of the span: the largest sum of
    coverage of the span's other places.
    """
    keys: list[KeyFrame] = []
    for scene in scenes:
        end = scene.stop - 1 if rule.last else scene.stop
        chosen = {scene.start, *([end] if rule.last else [])}
        spans = [(scene.start, end)]
        while spans:
            start, stop = spans.pop()
            ends = (start, stop) if stop in chosen else (start,)
            inner = range(start + rule.least, stop - rule.least + 1, rule.least)
            good = gap(start, stop, ends, missing).coverage >= rule.wanted
            if not inner or (good and stop - start <= rule.most):
                continue
            best = max(inner, key=lambda place: (_reached(place, inner, missing), -place))
            chosen.add(best)
            spans += [(start, best), (best, stop)]
        keys += [_key(index, scene, "pyramid", rule.last) for index in sorted(chosen)]
    return keys


def _reached(place: int, others: range, missing: Missing) -> float:
    """How much of the other places a key at `place` shows, in frames; five of them are asked."""
    asked = list(others)[:: max(1, len(others) // 5)]
    return sum(1 - missing(other, (place,)) for other in asked if other != place)


def _key(index: int, scene: Scene, cause: Cause, last: bool) -> KeyFrame:
    if index == scene.start:
        return KeyFrame(index, 0.0, "cut" if index else "first")
    ends = last and index == scene.stop - 1
    return KeyFrame(index, 0.0, "last" if ends else cause)
