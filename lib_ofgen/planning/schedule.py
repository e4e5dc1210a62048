"""The order in which frames are made, and the painted frames that supply each.

It resembles a codec's B-frames: the keys, then the middle of each gap, then the quarters, and so
on. What no key shows is painted in the middle frame, and lent to its neighbours on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lib_ofgen.values import KeyFrame, Scene, Step

__all__ = ["anchors", "cross_fade", "group_between", "group_keys"]

_NEAREST_KEYS = 3
"""Number of earlier keys, beside the scene's first, that may supply pixels."""


def cross_fade(position: float) -> float:
    """Return the share 0..1 of the next key at `position` 0..1 of the gap.

    It rises over the middle quarter of the gap. To mix over the whole gap blurs, and not to mix
    shows a jump; in measurements the middle quarter avoids most of both.
    """
    return min(1.0, max(0.0, (position - 0.375) / 0.25))


def anchors(keys: Sequence[KeyFrame], scenes: Sequence[Scene]) -> dict[int, int]:
    """Return, for each frame, the first key frame of its scene."""
    return {
        index: inner[0]
        for scene in scenes
        if (inner := _keys_of_scene(keys, scene))
        for index in range(scene.start, scene.stop)
    }


def group_keys(
    keys: Sequence[KeyFrame],
    scenes: Sequence[Scene],
    *,
    guided: bool,
    canvas: bool = False,
    match: bool = False,
) -> list[Step]:
    """Return how the key frames are made.

    Every key is painted whole. If `guided`, only the first key of each scene is; a later one takes
    what it can from the first key, then from the nearest ones before it. With `canvas`, that is
    what its painting starts from, on a canvas between the nearest key and the first. With `match`,
    a key that is painted whole takes on the colours of these earlier keys.
    """
    steps: list[Step] = []
    for scene in scenes:
        inner = _keys_of_scene(keys, scene)
        for place, key in enumerate(inner):
            sources = _lenders(inner[:place]) if guided or canvas else ()
            shares = (1.0, *(0.0 for _ in sources[1:])) if sources else ()
            beside = (inner[place - 1], inner[0]) if canvas and place else ()
            matched = _lenders(inner[:place]) if match and not sources else ()
            steps.append(
                Step(key, sources, shares, beside=tuple(dict.fromkeys(beside)), matched=matched)
            )
    return steps


def group_between(
    keys: Sequence[KeyFrame], scenes: Sequence[Scene], *, guided: bool, lend: bool = True
) -> Iterator[list[list[Step]]]:
    """Yield the steps of the frames between keys, gap by gap, in the order of time.

    Each gap is a list of levels. The steps of a level depend only on keys and on earlier levels.
    If `lend` is false, holes that are painted between keys supply no other frame.
    """
    for scene in scenes:
        inner = _keys_of_scene(keys, scene)
        for place, left in enumerate(inner):
            lenders = _lenders(inner[:place]) if guided else ()
            if place + 1 < len(inner):
                gap = _bisect(left, inner[place + 1], lenders)
            elif left + 1 < scene.stop:
                gap = _tail(left, scene.stop - 1, lenders)
            else:
                continue
            yield (
                gap if lend else [[_only_from_keys(step, set(inner)) for step in lv] for lv in gap]
            )


def _only_from_keys(step: Step, keys: set[int]) -> Step:
    """Return the step with key frames as its only sources."""
    kept = [pair for pair in zip(step.sources, step.shares, strict=True) if pair[0] in keys]
    return Step(step.target, tuple(index for index, _ in kept), tuple(share for _, share in kept))


def _keys_of_scene(keys: Sequence[KeyFrame], scene: Scene) -> list[int]:
    return [key.index for key in keys if scene.start <= key.index < scene.stop]


def _lenders(earlier: Sequence[int]) -> tuple[int, ...]:
    """Return the first of the earlier keys, then the nearest others, each once."""
    nearest = reversed(earlier[-_NEAREST_KEYS:])
    return tuple(dict.fromkeys([*earlier[:1], *nearest]))


def _bisect(left: int, right: int, lenders: tuple[int, ...]) -> list[list[Step]]:
    """Return the levels of the frames between two keys, without the keys."""
    levels: list[list[Step]] = []
    spans = [(left, right, ())] if right - left > 1 else list[tuple[int, int, tuple[int, ...]]]()
    while spans:
        level: list[Step] = []
        halves: list[tuple[int, int, tuple[int, ...]]] = []
        for start, stop, parents in spans:
            middle = (start + stop) // 2
            later = cross_fade((middle - left) / (right - left))
            others = _other_lenders(middle, parents, lenders)
            level.append(
                Step(middle, (left, right, *others), (1 - later, later, *(0.0 for _ in others)))
            )
            line = (*parents, middle)
            halves += [(a, b, line) for a, b in ((start, middle), (middle, stop)) if b - a > 1]
        levels.append(level)
        spans = halves
    return levels


def _tail(key: int, end: int, lenders: tuple[int, ...]) -> list[list[Step]]:
    """Return the levels of the frames after a scene's last key: the last frame, then halves."""
    sources = (key, *lenders)
    levels = [[Step(end, sources, (1.0, *(0.0 for _ in lenders)))]]
    for level in _bisect(key, end, lenders):
        # The last frame is not a key: it supplies what was painted in it, and has no share.
        levels.append(
            [Step(s.target, s.sources, (1.0, *(0.0 for _ in s.shares[1:]))) for s in level]
        )
    return levels


def _other_lenders(
    target: int, parents: tuple[int, ...], lenders: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the frames of earlier levels, nearest first, then the earlier keys."""
    return (*sorted(parents, key=lambda index: abs(index - target)), *lenders)
