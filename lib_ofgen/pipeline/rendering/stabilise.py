"""Drafts become frames: correspondences are steadied along their tracks, then rendered.

A frame is finished when the frames around it are drafted. Its digest names their drafts, so that
a frame is made anew where, and only where, something that it shows has changed.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import fusion, tracks
from lib_ofgen.imaging.render import Renderer
from lib_ofgen.pipeline.context import Stopwatch
from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.pipeline.rendering.propagation import Propagator
from lib_ofgen.store.frame_store import FrameStore, memory_frames
from lib_ofgen.store.workspace import digest, require
from lib_ofgen.system import sealed_json
from lib_ofgen.values import Draft, FrameRecord, Image, Scene

__all__ = ["Stabiliser"]

_METHOD = 3
"""Goes up when steadying or rendering gives other pixels, so that old frames are made anew."""
_MAP = 192
"""px: the most that a kept map of origins has on a side."""


class Stabiliser:
    """Makes frames of a maker's drafts, in the order of showing."""

    def __init__(
        self,
        maker: Propagator,
        spool: FrameStore,
        motion: NeighbourFlow,
        scenes: Sequence[Scene],
        reach: int,
        watch: Stopwatch,
        division: SingleLayer,
    ) -> None:
        """`reach` is the number of frames on each side that steady a frame; 0 for none."""
        self.finished: dict[int, FrameRecord] = {}
        self._maker, self._spool, self._watch = maker, spool, watch
        self._scenes, self._reach, self._division = scenes, reach, division
        self._workspace = spool.workspace
        self._renderer = Renderer(maker.lend)
        self._drafts: dict[int, Draft] = {}
        self._coarse: dict[int, Draft] = {}
        self._motion = motion
        self._fresh: dict[int, Image] = {}
        frame = sealed_json.whole(-1, spool.clip.length - 1)
        self._shape = sealed_json.record(
            sources=sealed_json.items(frame),
            shown=sealed_json.items(frame, least=1),
            rows=sealed_json.whole(1),
            origins=sealed_json.text,
        )

    @property
    def done(self) -> dict[int, FrameRecord]:
        """What is known of each finished frame, by its index."""
        return self.finished

    def key(self, index: int) -> str | None:
        """The digest of the finished frame's picture, or None where it is not finished."""
        one = self.finished.get(index)
        return one.frame if one else None

    def picture(self, index: int) -> Image:
        """The finished frame `index`; one finished a moment ago is still in memory."""
        image = self._fresh.get(index)
        if image is None:
            image = self._workspace.frame(self.finished[index].frame)
        return require(index, image, self._workspace.folder)

    def ready(self) -> Iterator[int]:
        """Finish the frames whose neighbours are drafted; gives the index of each."""
        for scene in self._scenes:
            for target in range(scene.start, scene.stop):
                if target in self.finished:
                    continue
                window = self._window(target, scene)
                if not all(index in self._maker.made for index in window):
                    return
                self._finish(target, scene, window)
                self._let_go(target, scene, window)
                yield target

    def _window(self, target: int, scene: Scene) -> range:
        """The frame and those that steady it."""
        start = max(scene.start, target - self._reach)
        return range(start, min(scene.stop, target + self._reach + 1))

    def _finish(self, target: int, scene: Scene, window: range) -> None:
        made = self._maker.made[target]
        if made.whole:
            self.finished[target] = FrameRecord(made.painted, [])
            return
        drafts = [self._maker.made[index].draft for index in window]
        how = (_METHOD, self._motion.identity, self._reach)
        key = digest("finished", self._spool.key, target, drafts, how)
        facts = self._workspace.facts(key, self._shape)
        if facts is None or not self._workspace.has_frame(key):
            fused = self._steadied(target, scene)
            with self._watch("fuse"):
                image = self._division.compose(target, self._renderer.sharp(fused))
                facts = self._facts(fused)
                # The picture last: with it the frame is finished, also if we are killed here.
                self._workspace.save_facts(key, facts)
                self._keep(target, key, image)
        self.finished[target] = FrameRecord(key, facts["sources"])

    def origins(self, index: int) -> NDArray[np.int32]:
        """(h, w): frames in which the pixels of the finished frame `index` were painted; small.

        Sampled evenly from the frame, by as many pixels both ways; -1 where the source was kept.
        """
        one = self.finished[index]
        if not one.sources:
            return np.full((1, 1), index, np.int32)
        facts = self._workspace.facts(one.frame, self._shape)
        kept = require(index, facts, self._workspace.folder)
        places = np.frombuffer(zlib.decompress(base64.b64decode(kept["origins"])), np.uint16)
        return np.array(kept["shown"], np.int32)[places].reshape(kept["rows"], -1)

    def _facts(self, fused: Draft) -> dict[str, Any]:
        """What is kept of a finished frame beside its picture: its origins, and a map of them."""
        step = -(-max(fused.holes.shape) // _MAP)
        small = self._division.source_frames(fused.origins()[::step, ::step])
        shown, places = np.unique(small, return_inverse=True)
        packed = base64.b64encode(zlib.compress(places.astype(np.uint16).tobytes(), level=1))
        return {
            "sources": self._division.sources(fused),
            "shown": shown.tolist(),
            "rows": len(small),
            "origins": packed.decode(),
        }

    def fused(self, target: int) -> Draft:
        """How the finished frame `target` is made of painted pixels."""
        scene = next(scene for scene in self._scenes if scene.start <= target < scene.stop)
        return self._steadied(target, scene)

    def _steadied(self, target: int, scene: Scene) -> Draft:
        reach = self._reach if self._division.has_paint(target) else 0
        found = tracks.follow(target, scene, reach, self._motion, self._motion.view)
        neighbours = [(one, self._division.steadying_part(self._rough(one.frame))) for one in found]
        draft = self._draft(target)
        if not neighbours:
            return draft
        own = self._rough(target)
        with self._watch("fuse"):
            steadied = tracks.refine(draft, own, tracks.steady(own, neighbours))
            steady = fusion.limit_to_paint(steadied, draft, self._maker.lend)
            return self._division.separate_sides(target, steady)

    def _rough(self, index: int) -> Draft:
        """A draft on the tracks' grid."""
        if index not in self._coarse:
            draft = self._draft(index)
            with self._watch("fuse"):
                self._coarse[index] = tracks.coarse(draft)
        return self._coarse[index]

    def _draft(self, index: int) -> Draft:
        if index not in self._drafts:
            self._drafts[index] = self._maker.draft(index)
        return self._drafts[index]

    def _let_go(self, target: int, scene: Scene, window: range) -> None:
        """Forget what no later frame needs."""
        last = target == scene.stop - 1
        past = target if last else target - self._reach
        for index in [index for index in window if index <= past]:
            self._drafts.pop(index, None)
            self._coarse.pop(index, None)
            if not self._maker.made[index].whole:
                self._maker.drop(index)

    def _keep(self, index: int, key: str, image: Image) -> None:
        """Keep a finished frame in the workspace and, with the last few others, in memory."""
        self._workspace.save_frame(key, image)
        self._fresh[index] = image
        if len(self._fresh) > memory_frames(self._spool.clip.size):
            del self._fresh[next(iter(self._fresh))]
