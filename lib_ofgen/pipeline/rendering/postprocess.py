"""What may be done to finished frames: a second pass of the painter, and deflickering.

Both break the rule of one warp, and are off unless asked for: they work on finished pictures, not
on paint. Each is a stage behind the finisher that makes a frame when its neighbours are there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import fusion, holes, images, tracks, warp
from lib_ofgen.pipeline.context import Rules, Stopwatch
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.store.frame_store import FrameStore, memory_frames
from lib_ofgen.store.workspace import digest, require
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Flow, FlowEstimator, Image, Mask, Scene, Size

__all__ = ["Deflicker", "FramePass", "SecondPass", "run_passes"]

_ALIKE = 24.0
"""Levels of 255 by which a neighbour may differ and still be taken to show the same."""
_REACH = 4
"""Frames on each side over which colours are averaged."""
_SMOOTH = 3.0
"""px: sigma over which an inconsistency is measured."""

Floats = NDArray[np.float32]


class FramePass(Protocol):
    """A stage that makes the frames' pictures, in the order of showing."""

    @property
    def done(self) -> Mapping[int, object]:
        """By the index of each frame that is made; it grows in the order of making."""
        ...

    def ready(self) -> Iterator[int]:
        """Make what can be made by now; gives the index of each."""
        ...

    def key(self, index: int) -> str | None:
        """The digest of the picture, or None where it is not made yet."""
        ...

    def picture(self, index: int) -> Image:
        """The picture of a frame that is made."""
        ...


def run_passes(stages: Sequence[FramePass]) -> Iterator[int]:
    """What the last stage can make by now, each fed by the one before."""
    first, *rest = stages
    for index in first.ready():
        if rest:
            yield from run_passes(rest)
        else:
            yield index


class _Pass(ABC):
    """A stage that makes each frame of `reach` frames before and after it, in its scene."""

    def __init__(
        self, before: FramePass, spool: FrameStore, scenes: Sequence[Scene], reach: int
    ) -> None:
        self._before, self._spool, self._workspace = before, spool, spool.workspace
        self._queue = deque(
            (target, scene) for scene in scenes for target in range(scene.start, scene.stop)
        )
        self._reach = reach
        self._keys: dict[int, str] = {}

    @property
    def done(self) -> Mapping[int, object]:
        """See `Pictures`."""
        return self._keys

    def ready(self) -> Iterator[int]:
        """Make the frames whose neighbours are there."""
        while self._queue:
            target, scene = self._queue[0]
            start = max(scene.start, target - self._reach)
            window = range(start, min(scene.stop, target + self._reach + 1))
            keys = [self._before.key(index) for index in window]
            if not all(keys):
                return
            self._queue.popleft()
            self._keys[target] = self._made(target, scene, keys)
            yield target

    def key(self, index: int) -> str | None:
        """See `Pictures`."""
        return self._keys.get(index)

    def picture(self, index: int) -> Image:
        """See `Pictures`."""
        return require(index, self._workspace.frame(self._keys[index]), self._workspace.folder)

    @abstractmethod
    def _made(self, target: int, scene: Scene, keys: Sequence[str | None]) -> str:
        """Make the frame from those under `keys`; gives its picture's digest."""


class SecondPass(_Pass):
    """Repaints, at low strength, where a frame disagrees with its finished neighbours."""

    def __init__(
        self,
        before: FramePass,
        spool: FrameStore,
        scenes: Sequence[Scene],
        estimator: FlowEstimator,
        easel: PainterSession,
        rules: Rules,
        division: SingleLayer,
        watch: Stopwatch,
    ) -> None:
        """The rules tell its strength, and from which difference on a region is repainted."""
        super().__init__(before, spool, scenes, reach=1)
        self._estimator, self._easel, self._rules = estimator, easel, rules
        self._division, self._watch = division, watch
        self.shares: dict[int, float] = {}
        """Of each frame, the share 0..1 of its pixels that was repainted."""

    def _made(self, target: int, scene: Scene, keys: Sequence[str | None]) -> str:
        rules = self._rules
        how = (rules.second, rules.tolerance, rules.confidence, rules.box, rules.least)
        words = self._easel.words("holes", target)
        key = digest("second", self._spool.key, target, keys, self._estimator.identity, how, words)
        facts = self._workspace.facts(key, sealed_json.record(share=sealed_json.number(0, 1)))
        if facts is None or (facts["share"] and not self._workspace.has_frame(key)):
            facts = {"share": self._repainted(target, scene, key)}
            self._workspace.save_facts(key, facts)
        self.shares[target] = facts["share"]
        return key if facts["share"] else cast("str", self._before.key(target))

    def _repainted(self, target: int, scene: Scene, key: str) -> float:
        """Repaint the frame where it must be and is not yet; gives the share of its pixels."""
        around = [i for i in (target - 1, target + 1) if scene.start <= i < scene.stop]
        frames = [(self._spool.frame(i), self._spool.frame(target)) for i in around]
        with self._watch("flow"):
            flows = list(self._estimator.estimate(frames))
        picture = self._before.picture(target)
        with self._watch("fuse"):
            guide, apart = _disagreement(picture, [self._moved(flow) for flow in flows])
            region = fusion.without_specks(apart > self._rules.tolerance, self._rules.least)
            inside = self._division.inside(target)
            region = region if inside is None else region & inside
            mask = holes.grow(region)
        if not region.any():
            return 0.0
        share = round(float(mask.mean()), 6)
        if self._workspace.has_frame(key):
            return share
        fresh = self._painted(target, np.where(mask[..., None], guide, picture), mask)
        with self._watch("fuse"):
            shown = holes.edge_opacity(region, mask)[..., None]
            shown = shown if inside is None else shown * inside[..., None]
            mixed = np.rint(picture + shown * (fresh.astype(np.float32) - picture))
            self._workspace.save_frame(key, mixed.astype(np.uint8))
        return share

    def _moved(self, flow: Flow) -> tuple[Floats, Floats]:
        """A finished neighbour as the frame sees it, (H, W, 3), and how far to trust it, (H, W)."""
        moved = warp.warp_backward(self._before.picture(flow.source), flow.vectors)
        sure = flow.confidence * (flow.confidence >= self._rules.confidence)
        return moved.astype(np.float32), sure

    def _painted(self, target: int, start: Image, mask: Mask) -> Image:
        """The picture, repainted in the mask."""
        original = self._spool.frame(target).image
        boxes = holes.find_boxes(mask, self._rules.box)
        jobs = [
            replace(
                self._easel.job(
                    "holes", target, box.crop(start), box.crop(mask), box.crop(original)
                ),
                strength=self._rules.second,
            )
            for box in boxes
        ]
        fresh = start.copy()
        for box, picture in zip(boxes, self._easel.paint("holes", jobs), strict=True):
            box.crop(fresh)[...] = picture
        return fresh


def _disagreement(
    picture: Image, neighbours: Sequence[tuple[Floats, Floats]]
) -> tuple[Image, Floats]:
    """What the neighbours show instead, (H, W, 3), and by how many levels it differs, (H, W).

    Where no neighbour is trusted it is the picture itself.
    """
    total = np.zeros(picture.shape[:2], np.float32)
    guide = np.zeros(picture.shape, np.float32)
    for moved, sure in neighbours:
        guide += moved * sure[..., None]
        total += sure
    known = total > 0
    guide = np.where(known[..., None], guide / np.maximum(total, 1e-6)[..., None], picture)
    shown = np.rint(np.clip(guide, 0, 255)).astype(np.uint8)
    apart = np.abs(guide - picture).mean(axis=2).astype(np.float32)
    return shown, cast("Floats", cv2.GaussianBlur(apart, ksize=(0, 0), sigmaX=_SMOOTH))


class Deflicker(_Pass):
    """Brings each frame's colours nearer to their mean along the tracks; detail stays its own.

    What is averaged is the picture on the tracks' grid: flicker of brightness and colour is
    coarse, and the finest detail never passes through the mean.
    """

    def __init__(
        self,
        before: FramePass,
        spool: FrameStore,
        scenes: Sequence[Scene],
        motion: NeighbourFlow,
        rules: Rules,
        division: SingleLayer,
        watch: Stopwatch,
    ) -> None:
        """The rules tell how far towards the mean."""
        super().__init__(before, spool, scenes, _REACH)
        self._motion, self._division, self._watch = motion, division, watch
        self._strength = rules.deflicker
        self._small = lru_cache(maxsize=2 * _REACH + memory_frames(spool.clip.size))(self._shrunk)

    def _made(self, target: int, scene: Scene, keys: Sequence[str | None]) -> str:
        key = digest(
            "deflicker", self._spool.key, target, keys, self._motion.identity, self._strength
        )
        if not self._workspace.has_frame(key):
            views = self._motion.view
            found = tracks.follow(target, scene, self._reach, self._motion, views)
            picture = self._before.picture(target)
            with self._watch("fuse"):
                change = self._change(target, found)
                inside = self._division.inside(target)
                change = change if inside is None else change * inside[..., None]
                mixed = np.rint(np.clip(picture + self._strength * change, 0, 255))
                self._workspace.save_frame(key, mixed.astype(np.uint8))
        return key

    def _change(self, target: int, found: Sequence[tracks.Track]) -> Floats:
        """(H, W, 3) levels: from the frame to the mean along its tracks, of what is coarse."""
        own = self._small(target)
        total, moved = np.ones(own.shape[:2], np.float32), np.zeros_like(own)
        for track in found:
            apart = warp.look_up(self._small(track.frame), track.x, track.y) - own
            sure = track.trust * (np.abs(apart).mean(axis=2) < _ALIKE)
            total += sure
            moved += apart * sure[..., None]
        size = self._spool.clip.size
        return images.enlarge(moved / total[..., None], size)

    def _shrunk(self, index: int) -> Floats:
        picture = self._before.picture(index)
        height, width = (side // tracks.GRID for side in images.size_of(picture))
        return images.resize(picture.astype(np.float32), Size(height, width))
