"""Key frames, which are painted whole: by changes of edges, by an interval, or as chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.planning.coverage import GapRule
from lib_ofgen.values import Cause, Clip, Frame, Image, KeyFrame, Scene, check_shape

__all__ = [
    "EdgeRule",
    "KeyFrameRule",
    "by_choice",
    "by_edges",
    "by_interval",
    "detect_edges",
    "edge_distance",
]

_METHOD = 2
"""Increase it when a rule chooses other frames, so that the old choice is not used."""


@dataclass(frozen=True)
class EdgeRule:
    """How far edges change since the last key frame until there is a new one."""

    threshold: float
    """Edge distance 0..255 needed right after a key; it falls linearly to 0 at `gap_max`."""
    gap_min: float
    """Seconds: keys are at least so far apart."""
    gap_max: float
    """Seconds: keys are at most so far apart."""

    def needs_key(self, distance: float, gap: float) -> bool:
        """Whether a frame is a key: `distance` 0..255 and `gap` seconds from the last one."""
        if gap < self.gap_min:
            return False
        return gap >= self.gap_max or distance > self.threshold * (1 - gap / self.gap_max)


@dataclass(frozen=True)
class KeyFrameRule:
    """How key frames are chosen, as the settings say it."""

    kind: str
    """`coverage`, `pyramid`, `edges`, `interval`, `chosen` or `every`."""
    threshold: float
    """Edge distance 0..255; for `edges`."""
    gap_min: float
    """Seconds; for `coverage`, `pyramid` and `edges`."""
    gap_max: float
    """Seconds; for `coverage`, `pyramid` and `edges`."""
    interval: int
    """Frames from one key frame to the next; for `interval`."""
    indices: tuple[int, ...]
    """For `chosen`."""
    last: bool
    """Whether the last frame of a scene is a key frame."""
    coverage: float
    """Share 0..1 of each frame that the key frames shall supply; for `coverage`, `pyramid`."""
    confidence: float
    """0..1: the least confidence of the flow; for `coverage` and `pyramid`."""
    radius: float
    """px: the error up to which flow counts as right; for `coverage` and `pyramid`."""
    mask: tuple[str, str] | None
    """Digest of the masks and what is done with the background; for `coverage`, `pyramid`."""

    @property
    def edges(self) -> EdgeRule:
        """The rule for `by_edges`."""
        return EdgeRule(self.threshold, self.gap_min, self.gap_max)

    def in_frames(self, clip: Clip) -> GapRule:
        """Return the rule for `coverage.by_coverage` and `by_pyramid`, in frames of the clip."""
        rate = float(clip.rate)
        least = max(1, round(self.gap_min * rate))
        most = max(least, int(self.gap_max * rate))
        return GapRule(self.coverage, least, most, self.last)

    def digest_parts(self) -> tuple[object, ...]:
        """Return what this kind of choice depends on, for the digest of the found key frames."""
        common = (_METHOD, self.kind, self.gap_min, self.gap_max, self.last)
        if self.kind == "edges":
            return (*common, self.threshold)
        return (*common, self.coverage, self.confidence, self.radius, self.mask)


def detect_edges(image: Image) -> NDArray[np.uint8]:
    """Return dilated Canny edges of the V channel of an (H, W, 3) picture, as (H, W) 0 or 255.

    The thresholds are a third below and above the median of V. The dilation grows with the
    picture, so that distances mean the same at every size.
    """
    height, width = check_shape(image, "H W 3", "image")
    value = image.max(axis=2)
    middle = float(np.median(value))
    found = cv2.Canny(
        value, threshold1=max(0.0, 0.67 * middle), threshold2=min(255.0, 1.33 * middle)
    )
    side = 4 + round((height * width) ** 0.5 / 192)
    side += 1 - side % 2
    kernel = np.ones((side, side), np.uint8)
    return cast("NDArray[np.uint8]", cv2.dilate(found, kernel=kernel))


def edge_distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean absolute difference, 0..255, of two edge maps."""
    return float(cv2.absdiff(one, other).mean())


def by_edges(
    frames: Iterable[Frame], scenes: Sequence[Scene], clip: Clip, rule: EdgeRule, *, last: bool
) -> list[KeyFrame]:
    """Choose a key frame wherever the edges have changed enough since the last one.

    This is the rule of the method's first publication, with its gaps in seconds. `frames` come in
    order; with `last`, the last frame of a scene is a key too, if it is `gap_min` after the first.
    """
    starts = {scene.start for scene in scenes}
    ends = {
        scene.stop - 1
        for scene in scenes
        if last and clip.seconds(scene.stop - 1) - clip.seconds(scene.start) >= rule.gap_min
    }
    keys: list[KeyFrame] = []
    since = np.zeros((1, 1), np.uint8)
    for frame in frames:
        now = detect_edges(frame.image)
        fresh = frame.index in starts
        distance = 0.0 if fresh else edge_distance(since, now)
        gap = 0.0 if fresh else clip.seconds(frame.index) - clip.seconds(keys[-1].index)
        cause = _edge_cause(frame.index, fresh, rule, distance, gap)
        if cause is None and frame.index in ends:
            cause = "last"
        if cause is not None:
            keys.append(KeyFrame(frame.index, round(distance, 3), cause))
            since = now
    return keys


def _edge_cause(
    index: int, fresh: bool, rule: EdgeRule, distance: float, gap: float
) -> Cause | None:
    """Return why frame `index` is a key frame, or None if it is none."""
    if fresh:
        return "cut" if index else "first"
    if rule.needs_key(distance, gap):
        return "gap" if gap >= rule.gap_max else "change"
    return None


def by_interval(scenes: Sequence[Scene], interval: int, *, last: bool) -> list[KeyFrame]:
    """Choose a key frame every `interval` frames, counted from the start of each scene.

    1 chooses every frame; with `last`, the last frame of each scene is a key too.
    """
    keys: list[KeyFrame] = []
    for scene in scenes:
        cause: Cause = "every" if interval == 1 else "interval"
        inner = [KeyFrame(i, 0.0, cause) for i in range(scene.start, scene.stop, interval)]
        keys += [_first_key(scene), *inner[1:]]
        if last and keys[-1].index != scene.stop - 1:
            keys.append(KeyFrame(scene.stop - 1, 0.0, "last"))
    return keys


def by_choice(scenes: Sequence[Scene], indices: Iterable[int]) -> list[KeyFrame]:
    """Choose the given frames, and the first frame of each scene, which no other can supply.

    Raises:
        ValueError: if an index is beyond the last frame; the message names both.
    """
    wanted = set(indices)
    length = scenes[-1].stop
    if wanted and max(wanted) >= length:
        raise ValueError(f"key_indices names frame {max(wanted)}, but the last one is {length - 1}")
    openings = {scene.start: _first_key(scene) for scene in scenes}
    both = sorted(wanted | set(openings))
    return [openings.get(i, KeyFrame(i, 0.0, "chosen")) for i in both]


def _first_key(scene: Scene) -> KeyFrame:
    """Return the first key frame of a scene."""
    return KeyFrame(scene.start, 0.0, "cut" if scene.start else "first")
