"""Key frames by coverage: the least paint with which flow can supply every frame well.

The cost of a gap between two keys is what must be painted for it: the later key whole, and the
holes that neither key shows. Holes are painted in the middle frame of a gap and lent to both
sides. So they count by the middle frame, plus half of what the frames at its quarters lack beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lib_ofgen.values import Cause, KeyFrame, Scene

__all__ = ["Gap", "GapRule", "by_coverage", "by_pyramid", "estimate_gap", "estimate_gaps"]

_MAX_STEPS_AHEAD = 10
"""The longest gap that is tried has as many places."""
_SHORTFALL_COST = 10.0
"""Cost, in painted frames, of coverage that is 1 too low."""

Missing = Callable[[int, Sequence[int]], float]
"""(target, sources) -> share 0..1 of the target that flow from no source can supply."""


@dataclass(frozen=True)
class GapRule:
    """Limits of the gaps between keys."""

    coverage: float
    """Share 0..1 of each frame between keys that the keys must supply."""
    shortest: int
    """Frames: keys are at least so far apart, except at the end of a scene."""
    longest: int
    """Frames: keys are at most so far apart."""
    close_scene: bool
    """Whether the last frame of a scene is a key, if it is `shortest` frames after the first."""

    def closes(self, scene: Scene) -> bool:
        """Whether the last frame of the scene is a key beside its first."""
        return self.close_scene and scene.stop - 1 - scene.start >= self.shortest


@dataclass(frozen=True)
class Gap:
    """What is estimated of the frames between two keys."""

    start: int
    stop: int
    """The next key, or one past the scene's last frame."""
    coverage: float
    """Share 0..1 that the keys can supply of the worst frame that was examined."""
    holes: float
    """Area of holes that must be painted, in frames."""


def estimate_gap(start: int, stop: int, ends: Sequence[int], missing: Missing) -> Gap:
    """Estimate the gap from `start` to `stop`, by the frames at its middle and its quarters.

    `ends` are the keys that supply it: both of its ends, or one.
    """
    length = stop - start
    if length < 2:
        return Gap(start, stop, 1.0, 0.0)
    places = sorted({start + max(1, round(length * part / 4)) for part in (1, 2, 3)} - {stop})
    lost = [missing(place, ends) for place in places]
    middle = lost[len(lost) // 2]
    beside = sum(max(0.0, each - middle) for each in lost)
    return Gap(start, stop, 1 - max(lost), middle + beside / 2)


def estimate_gaps(keys: Sequence[int], scenes: Sequence[Scene], missing: Missing) -> list[Gap]:
    """Estimate the gaps between keys, and those from the last key of a scene to its end."""
    found: list[Gap] = []
    for scene in scenes:
        inner = [key for key in keys if scene.start <= key < scene.stop]
        found += [estimate_gap(a, b, (a, b), missing) for a, b in pairwise(inner)]
        if inner[-1] + 1 < scene.stop:
            found.append(estimate_gap(inner[-1], scene.stop, (inner[-1],), missing))
    return found


def by_coverage(scenes: Sequence[Scene], rule: GapRule, missing: Missing) -> list[KeyFrame]:
    """Choose the keys of the least cost, scene by scene.

    Dynamic programming over candidate places that are `rule.shortest` frames apart. A gap whose
    coverage is below `rule.coverage` costs more: 0.1 too low costs as much as a key.
    """
    keys: list[KeyFrame] = []
    for scene in scenes:
        closed = rule.closes(scene)
        chosen = _cheapest_keys(_candidate_places(scene, rule), rule, missing, closed=closed)
        keys += [_key(index, scene, "coverage", closed) for index in chosen]
    return keys


def _candidate_places(scene: Scene, rule: GapRule) -> list[int]:
    """Return the frames of a scene that may be keys, and the end of its last gap."""
    end = scene.stop - 1 if rule.closes(scene) else scene.stop
    inner = list(range(scene.start, end, rule.shortest))
    if len(inner) > 1 and end - inner[-1] < rule.shortest / 2:
        inner.pop()
    return [*inner, end]


def _cheapest_keys(
    places: Sequence[int], rule: GapRule, missing: Missing, *, closed: bool
) -> list[int]:
    """Return the keys of the least cost: the first place, and with `closed` the last one, too."""
    cost = [0.0] + [float("inf")] * (len(places) - 1)
    before = [0] * len(places)
    for here in range(len(places) - 1):
        for there in range(here + 1, min(len(places), here + _MAX_STEPS_AHEAD + 1)):
            if there > here + 1 and places[there] - places[here] > rule.longest:
                break
            is_key = closed or there + 1 < len(places)
            ends = (places[here], places[there])[: 1 + is_key]
            one = estimate_gap(places[here], places[there], ends, missing)
            price = 1 + one.holes + _SHORTFALL_COST * max(0.0, rule.coverage - one.coverage)
            if cost[here] + price < cost[there]:
                cost[there], before[there] = cost[here] + price, here
            if one.coverage < rule.coverage:
                break  # a longer gap from here has no better coverage
    chosen, at = [places[-1]] if closed else [], len(places) - 1
    while at:
        at = before[at]
        chosen.append(places[at])
    return sorted({*chosen, places[0]})


def by_pyramid(scenes: Sequence[Scene], rule: GapRule, missing: Missing) -> list[KeyFrame]:
    """Choose keys from coarse to fine: each new key splits a span.

    A span between keys is split if it is too long or its coverage is too low. The new key is the
    frame, among places that are `rule.shortest` frames apart, which can supply the most of the
    other places: the one with the largest sum of their coverage.
    """
    keys: list[KeyFrame] = []
    for scene in scenes:
        closed = rule.closes(scene)
        end = scene.stop - 1 if closed else scene.stop
        chosen = {scene.start, *([end] if closed else [])}
        spans = [(scene.start, end)]
        while spans:
            start, stop = spans.pop()
            ends = (start, stop) if stop in chosen else (start,)
            inner = range(start + rule.shortest, stop - rule.shortest + 1, rule.shortest)
            good = estimate_gap(start, stop, ends, missing).coverage >= rule.coverage
            if not inner or (good and stop - start <= rule.longest):
                continue
            best = max(inner, key=lambda place: (_sum_coverage(place, inner, missing), -place))
            chosen.add(best)
            spans += [(start, best), (best, stop)]
        keys += [_key(index, scene, "pyramid", closed) for index in sorted(chosen)]
    return keys


def _sum_coverage(place: int, others: range, missing: Missing) -> float:
    """Return the sum of coverage of about five of the other places, from a key at `place`."""
    asked = list(others)[:: max(1, len(others) // 5)]
    return sum(1 - missing(other, (place,)) for other in asked if other != place)


def _key(index: int, scene: Scene, cause: Cause, last: bool) -> KeyFrame:
    if index == scene.start:
        return KeyFrame(index, 0.0, "cut" if index else "first")
    ends = last and index == scene.stop - 1
    return KeyFrame(index, 0.0, "last" if ends else cause)
