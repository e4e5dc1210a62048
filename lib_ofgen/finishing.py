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

from lib_ofgen import fuse, seals, tracks
from lib_ofgen.context import Stopwatch
from lib_ofgen.frame_store import Spool, recent
from lib_ofgen.making import Maker
from lib_ofgen.motion import Motion
from lib_ofgen.records import Finished
from lib_ofgen.render import Renderer
from lib_ofgen.subject import Undivided
from lib_ofgen.values import Fused, Image, Scene
from lib_ofgen.workspace import digest, require

__all__ = ["Finisher"]

_METHOD = 3
"""Goes up when steadying or rendering gives other pixels, so that old frames are made anew."""
_MAP = 192
"""px: the most that a kept map of origins has on a side."""


class Finisher:
    """Makes frames of a maker's drafts, in the order of showing."""

    def __init__(
        self,
        maker: Maker,
        spool: Spool,
        motion: Motion,
        scenes: Sequence[Scene],
        reach: int,
        watch: Stopwatch,
        division: Undivided,
    ) -> None:
        """`reach` is the number of frames on each side that steady a frame; 0 for none."""
        self.finished: dict[int, Finished] = {}
        self._maker, self._spool, self._watch = maker, spool, watch
        self._scenes, self._reach, self._division = scenes, reach, division
        self._workspace = spool.workspace
        self._renderer = Renderer(maker.lend)
        self._drafts: dict[int, Fused] = {}
        self._coarse: dict[int, Fused] = {}
        self._motion = motion
        self._fresh: dict[int, Image] = {}
        frame = seals.whole(-1, spool.clip.length - 1)
        self._shape = seals.record(
            sources=seals.items(frame), shown=seals.items(frame, least=1), rows=seals.whole(1),
            origins=seals.text,
        )  # fmt: skip

    @property
    def done(self) -> dict[int, Finished]:
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
            self.finished[target] = Finished(made.painted, [])
            return
        drafts = [self._maker.made[index].draft for index in window]
        how = (_METHOD, self._motion.identity, self._reach)
        key = digest("finished", self._spool.key, target, drafts, how)
        facts = self._workspace.facts(key, self._shape)
        if facts is None or not self._workspace.has_frame(key):
            fused = self._steadied(target, scene)
            with self._watch("fuse"):
                image = self._division.composed(target, self._renderer.sharp(fused))
                facts = self._facts(fused)
                # The picture last: with it the frame is finished, also if we are killed here.
                self._workspace.save_facts(key, facts)
                self._keep(target, key, image)
        self.finished[target] = Finished(key, facts["sources"])

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

    def _facts(self, fused: Fused) -> dict[str, Any]:
        """What is kept of a finished frame beside its picture: its origins, and a map of them."""
        step = -(-max(fused.holes.shape) // _MAP)
        small = self._division.frames(fused.origins()[::step, ::step])
        shown, places = np.unique(small, return_inverse=True)
        packed = base64.b64encode(zlib.compress(places.astype(np.uint16).tobytes(), level=1))
        return {
            "sources": self._division.sources(fused),
            "shown": shown.tolist(),
            "rows": len(small),
            "origins": packed.decode(),
        }

    def fused(self, target: int) -> Fused:
        """How the finished frame `target` is made of painted pixels."""
        scene = next(scene for scene in self._scenes if scene.start <= target < scene.stop)
        return self._steadied(target, scene)

    def _steadied(self, target: int, scene: Scene) -> Fused:
        reach = self._reach if self._division.alive(target) else 0
        found = tracks.follow(target, scene, reach, self._motion, self._motion.view)
        neighbours = [(one, self._division.moving(self._rough(one.frame))) for one in found]
        draft = self._draft(target)
        if not neighbours:
            return draft
        own = self._rough(target)
        with self._watch("fuse"):
            steadied = tracks.refined(draft, own, tracks.steady(own, neighbours))
            steady = fuse.grounded(steadied, draft, self._maker.lend)
            return self._division.settled(target, steady)

    def _rough(self, index: int) -> Fused:
        """A draft on the tracks' grid."""
        if index not in self._coarse:
            draft = self._draft(index)
            with self._watch("fuse"):
                self._coarse[index] = tracks.coarse(draft)
        return self._coarse[index]

    def _draft(self, index: int) -> Fused:
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
        if len(self._fresh) > recent(self._spool.clip.size):
            del self._fresh[next(iter(self._fresh))]
