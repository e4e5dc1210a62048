"""Optional passes over finished frames: a second pass of the painter, and deflickering.

Both work on finished pictures and not on paint, so they sample pixels a second time. They run only
if the settings ask for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import fusion, holes, images, light, tracks, warp
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.frame_pass import FramePass, WindowPass
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.store.frame_store import memory_frames
from lib_ofgen.store.workspace import digest
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Box, Flow, Image, Mask, Scene

__all__ = ["Deflicker", "SecondPass"]

_METHOD = 3
"""Increase it when a pass gives other pixels, so that old frames are not used."""
_ALIKE = 24.0
"""Levels of 255: a neighbour that differs by less is taken to show the same."""
_REACH = 4
"""Frames on each side over which colours are averaged."""
_SMOOTH = 3.0
"""px: sigma over which a difference is measured."""

Floats = NDArray[np.float32]


class SecondPass(WindowPass):
    """Repaints, at low strength, where a frame disagrees with its finished neighbours."""

    def __init__(self, context: RenderContext, before: FramePass) -> None:
        """The rules give its strength, and the difference from which a region is repainted."""
        super().__init__(context, before, reach=1)
        self._rules = context.rules
        self.shares: dict[int, float] = {}
        """The share 0..1 of repainted pixels of each frame, by index."""

    def _make(self, target: int, scene: Scene, keys: Sequence[str | None]) -> str:
        rules, painter = self._rules, self._context.painter
        method = (
            _METHOD,
            rules.second_pass, rules.tolerance, rules.confidence, rules.min_box, rules.min_hole,
        )  # fmt: skip
        words, estimator = painter.words("holes", target), self._context.estimator.identity
        key = digest("second", self._frames.key, target, keys, estimator, method, words)
        facts = self._workspace.facts(key, sealed_json.record(share=sealed_json.number(0, 1)))
        if facts is None or (facts["share"] and not self._workspace.has_frame(key)):
            facts = {"share": self._repaint(target, scene, key)}
            self._workspace.save_facts(key, facts)
        self.shares[target] = facts["share"]
        return key if facts["share"] else cast("str", self._before.key(target))

    def _repaint(self, target: int, scene: Scene, key: str) -> float:
        """Repaint the frame if the workspace lacks it; return the share 0..1 of its pixels."""
        around = [i for i in (target - 1, target + 1) if scene.start <= i < scene.stop]
        pairs = [(self._frames.frame(i), self._frames.frame(target)) for i in around]
        with self._stopwatch("flow"):
            flows = list(self._context.estimator.estimate(pairs))
        picture = self._before.picture(target)
        with self._stopwatch("fuse"):
            guide, difference = _compare(picture, [self._warp(flow) for flow in flows])
            region = fusion.without_specks(difference > self._rules.tolerance, self._rules.min_hole)
            inside = self._layers.inside(target)
            region = region if inside is None else region & inside
            mask = holes.grow(region)
        if not region.any():
            return 0.0
        share = round(float(mask.mean()), 6)
        if self._workspace.has_frame(key):
            return share
        fresh = self._paint(target, np.where(mask[..., None], guide, picture), mask)
        with self._stopwatch("fuse"):
            opacity = holes.edge_opacity(region, mask)[..., None]
            opacity = opacity if inside is None else opacity * inside[..., None]
            mixed = np.rint(picture + opacity * (fresh.astype(np.float32) - picture))
            self._workspace.save_frame(key, mixed.astype(np.uint8))
        return share

    def _warp(self, flow: Flow) -> tuple[Floats, Floats]:
        """Return a neighbour as the frame sees it, (H, W, 3), and how far to trust it, (H, W).

        It is in the light of the frame's own source.
        """
        picture = self._before.picture(flow.source)
        warped = warp.warp_backward(picture, flow.vectors).astype(np.float32)
        trust = flow.confidence * (flow.confidence >= self._rules.confidence)
        before = light.moved_view(self._frames.view(flow.source), flow.vectors)
        after = self._frames.view(flow.target)
        found = light.fit(before, after, images.resize(trust, images.size_of(after)))
        lit = light.light_up(found, warped, Box(0, 0, *trust.shape))
        return cast("Floats", np.clip(lit, 0, 255)), trust

    def _paint(self, target: int, start: Image, mask: Mask) -> Image:
        """Return the picture, repainted inside the mask."""
        painter, original = self._context.painter, self._frames.frame(target).image
        boxes = holes.find_boxes(mask, self._rules.min_box)
        repaints = [
            replace(
                painter.make_repaint(
                    "holes", target, box.crop(start), box.crop(mask), box.crop(original)
                ),
                strength=self._rules.second_pass,
            )
            for box in boxes
        ]
        fresh = start.copy()
        for box, picture in zip(boxes, painter.paint("holes", repaints), strict=True):
            box.crop(fresh)[...] = picture
        return fresh


def _compare(picture: Image, neighbours: Sequence[tuple[Floats, Floats]]) -> tuple[Image, Floats]:
    """Return what the neighbours show, (H, W, 3), and its difference in levels, (H, W).

    Where no neighbour is trusted, it is the picture itself.
    """
    total = np.zeros(picture.shape[:2], np.float32)
    guide = np.zeros(picture.shape, np.float32)
    for warped, trust in neighbours:
        guide += warped * trust[..., None]
        total += trust
    known = total > 0
    guide = np.where(known[..., None], guide / np.maximum(total, 1e-6)[..., None], picture)
    shown = np.rint(np.clip(guide, 0, 255)).astype(np.uint8)
    difference = np.abs(guide - picture).mean(axis=2).astype(np.float32)
    return shown, cast("Floats", cv2.GaussianBlur(difference, ksize=(0, 0), sigmaX=_SMOOTH))


class Deflicker(WindowPass):
    """Moves the colours of each frame towards their mean along the tracks.

    The mean is that of the pictures on the tracks' grid. Flicker of brightness and colour is
    coarse, so fine detail never goes through the mean and stays as it is.
    """

    def __init__(
        self, context: RenderContext, before: FramePass, neighbour_flow: NeighbourFlow
    ) -> None:
        """The rules give how far colours move, 0..1."""
        super().__init__(context, before, _REACH)
        self._neighbour_flow, self._strength = neighbour_flow, context.rules.deflicker
        size = memory_frames(self._frames.clip.size)
        self._coarse = lru_cache(maxsize=2 * _REACH + size)(self._shrink)

    def _make(self, target: int, scene: Scene, keys: Sequence[str | None]) -> str:
        flow = self._neighbour_flow
        key = digest(
            "deflicker", _METHOD, self._frames.key, target, keys, flow.identity, self._strength
        )
        if not self._workspace.has_frame(key):
            found = tracks.follow(target, scene, self._reach, flow)
            picture = self._before.picture(target)
            with self._stopwatch("fuse"):
                change = self._change(target, found)
                inside = self._layers.inside(target)
                change = change if inside is None else change * inside[..., None]
                mixed = np.rint(np.clip(picture + self._strength * change, 0, 255))
                self._workspace.save_frame(key, mixed.astype(np.uint8))
        return key

    def _change(self, target: int, found: Sequence[tracks.Track]) -> Floats:
        """Return (H, W, 3) levels: from the frame to its mean along the tracks, coarse.

        Changes that the source has too are its light, which stays.
        """
        own, source = self._coarse(target), self._frames.view
        total, change = np.ones(own.shape[:2], np.float32), np.zeros_like(own)
        for track in found:
            there = warp.look_up(source(track.frame), track.x, track.y)
            lit = light.mean_change(there, source(target), track.trust)
            difference = warp.look_up(self._coarse(track.frame), track.x, track.y) + lit - own
            trust = track.trust * (np.abs(difference).mean(axis=2) < _ALIKE)
            total += trust
            change += difference * trust[..., None]
        return images.enlarge(change / total[..., None], self._frames.clip.size)

    def _shrink(self, index: int) -> Floats:
        """Return a finished frame on the tracks' grid."""
        return light.view(self._before.picture(index))
