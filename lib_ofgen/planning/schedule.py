"""In which order frames are made, and from which painted frames.

Like a codec's B-frames: the keys, then the middle of each gap, then the quarters, and so on. What
no key shows is painted in the middle frame and lent to its neighbours on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lib_ofgen.values import KeyFrame, Scene, Step

__all__ = ["anchors", "cross_fade", "group_between", "group_keys"]

_NEAREST_KEYS = 3
"""How many earlier keys, beside the scene's first, may lend what they painted."""


def cross_fade(position: float) -> float:
    """Share 0..1 of the next key at `position` 0..1 of the gap: a ramp over its middle quarter.

    Mixing all along the gap blurs and mixing nowhere pops; measured, the middle quarter keeps
    most of both.
    """
    return min(1.0, max(0.0, (position - 0.375) / 0.25))


def anchors(keys: Sequence[KeyFrame], scenes: Sequence[Scene]) -> dict[int, int]:
    """Frame to the first key frame of its scene."""
    return {
        index: inner[0]
        for scene in scenes
        if (inner := _within(keys, scene))
        for index in range(scene.start, scene.stop)
    }


def group_keys(
    keys: Sequence[KeyFrame], scenes: Sequence[Scene], *, guided: bool, canvas: bool = False
) -> list[Step]:
    """How the key frames are made: painted whole or, where `guided`, only each scene's first.

    A guided key takes what it can from its scene's first key, then from the nearest before it. On
    a `canvas` that is what painting it whole starts from, between the nearest key and the first.
    """
    steps: list[Step] = []
    for scene in scenes:
        inner = _within(keys, scene)
        for place, key in enumerate(inner):
            sources = _lenders(inner[:place]) if guided or canvas else ()
            shares = (1.0, *(0.0 for _ in sources[1:])) if sources else ()
            beside = (inner[place - 1], inner[0]) if canvas and place else ()
            steps.append(Step(key, sources, shares, beside=tuple(dict.fromkeys(beside))))
    return steps


def group_between(
    keys: Sequence[KeyFrame], scenes: Sequence[Scene], *, guided: bool, lend: bool = True
) -> Iterator[list[list[Step]]]:
    """The frames between keys, a list a gap, in the order of showing.

    Each gap is a list of levels; a level's steps depend only on keys and on the levels before it.
    Where `lend` is false, a frame between keys lends nothing of what was painted in it.
    """
    for scene in scenes:
        inner = _within(keys, scene)
        for place, left in enumerate(inner):
            lenders = _lenders(inner[:place]) if guided else ()
            if place + 1 < len(inner):
                gap = _bisect(left, inner[place + 1], lenders)
            elif left + 1 < scene.stop:
                gap = _tail(left, scene.stop - 1, lenders)
            else:
                continue
            yield gap if lend else [[_of_keys(step, set(inner)) for step in lv] for lv in gap]


def _of_keys(step: Step, keys: set[int]) -> Step:
    """The step with key frames as its only sources."""
    kept = [pair for pair in zip(step.sources, step.shares, strict=True) if pair[0] in keys]
    return Step(step.target, tuple(index for index, _ in kept), tuple(share for _, share in kept))


def _within(keys: Sequence[KeyFrame], scene: Scene) -> list[int]:
    return [key.index for key in keys if scene.start <= key.index < scene.stop]


def _lenders(earlier: Sequence[int]) -> tuple[int, ...]:
    """The scene's first key, then the nearest of the others, without repeats."""
    nearest = reversed(earlier[-_NEAREST_KEYS:])
    return tuple(dict.fromkeys([*earlier[:1], *nearest]))


def _bisect(left: int, right: int, lenders: tuple[int, ...]) -> list[list[Step]]:
    """Levels of the frames strictly between two keys."""
    levels: list[list[Step]] = []
    spans = [(left, right, ())] if right - left > 1 else list[tuple[int, int, tuple[int, ...]]]()
    while spans:
        level: list[Step] = []
        halves: list[tuple[int, int, tuple[int, ...]]] = []
        for start, stop, parents in spans:
            middle = (start + stop) // 2
            later = cross_fade((middle - left) / (right - left))
            others = _others(middle, parents, lenders)
            level.append(
                Step(middle, (left, right, *others), (1 - later, later, *(0.0 for _ in others)))
            )
            line = (*parents, middle)
            halves += [(a, b, line) for a, b in ((start, middle), (middle, stop)) if b - a > 1]
        levels.append(level)
        spans = halves
    return levels


def _tail(key: int, end: int, lenders: tuple[int, ...]) -> list[list[Step]]:
    """Levels of the frames after a scene's last key: the farthest first, then halves."""
    sources = (key, *lenders)
    levels = [[Step(end, sources, (1.0, *(0.0 for _ in lenders)))]]
    for level in _bisect(key, end, lenders):
        # The end frame is no key: it lends what was painted in it, and has no share.
        levels.append(
            [Step(s.target, s.sources, (1.0, *(0.0 for _ in s.shares[1:]))) for s in level]
        )
    return levels


def _others(target: int, parents: tuple[int, ...], lenders: tuple[int, ...]) -> tuple[int, ...]:
    """Frames of the levels above, nearest first, then earlier keys."""
    return (*sorted(parents, key=lambda index: abs(index - target)), *lenders)
