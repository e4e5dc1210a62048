"""Drafts become frames: correspondences are averaged along their tracks, then rendered.

A frame is rendered when the frames around it are drafted. Its digest names their drafts, so a frame
is made again where something that it shows has changed, and only there.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import fusion, light, tracks
from lib_ofgen.imaging.render import Renderer
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.pipeline.rendering.neighbour_flow import NeighbourFlow
from lib_ofgen.pipeline.rendering.propagation import Propagator
from lib_ofgen.store.frame_store import memory_frames
from lib_ofgen.store.workspace import digest, require
from lib_ofgen.system import sealed_json
from lib_ofgen.values import NOT_PAINTED, Draft, FrameRecord, Image, Scene

__all__ = ["Stabiliser"]

_METHOD = 6
"""Increase it when averaging or rendering gives other pixels, so that old frames are not used."""
_MAP = 192
"""px: the longest side of a kept map of origins."""


class Stabiliser:
    """Renders the drafts of a propagator, in the order of showing. It is a `FramePass`."""

    def __init__(
        self, context: RenderContext, propagator: Propagator, neighbour_flow: NeighbourFlow
    ) -> None:
        """Prepare; frames are rendered by `render_ready`."""
        self.records: dict[int, FrameRecord] = {}
        self._frames, self._scenes, self._layers = context.frames, context.scenes, context.layers
        self._workspace, self._stopwatch = context.workspace, context.stopwatch
        self._reach = context.rules.track_reach
        self._propagator, self._neighbour_flow = propagator, neighbour_flow
        self._renderer = Renderer(propagator.lend)
        self._drafts: dict[int, Draft] = {}
        self._coarse_drafts: dict[int, Draft] = {}
        self._recent: dict[int, Image] = {}
        frame = sealed_json.whole(NOT_PAINTED, self._frames.clip.length - 1)
        self._shape = sealed_json.record(
            sources=sealed_json.items(frame),
            shown=sealed_json.items(frame, least=1),
            rows=sealed_json.whole(1),
            origins=sealed_json.text,
        )

    @property
    def done(self) -> Mapping[int, object]:
        """See `FramePass`."""
        return self.records

    def key(self, index: int) -> str | None:
        """See `FramePass`."""
        record = self.records.get(index)
        return record.frame if record else None

    def picture(self, index: int) -> Image:
        """See `FramePass`. The latest frames are still in memory."""
        image = self._recent.get(index)
        if image is None:
            image = self._workspace.frame(self.records[index].frame)
        return require(index, image, self._workspace.folder)

    def render_ready(self) -> Iterator[int]:
        """Render the frames whose neighbours are drafted; yields the index of each."""
        for scene in self._scenes:
            for target in range(scene.start, scene.stop):
                if target in self.records:
                    continue
                window = self._window(target, scene)
                if not all(index in self._propagator.records for index in window):
                    return
                self._finish(target, scene, window)
                self._forget(target, scene, window)
                yield target

    def _window(self, target: int, scene: Scene) -> range:
        """Return the frame and the neighbours that stabilise it."""
        start = max(scene.start, target - self._reach)
        return range(start, min(scene.stop, target + self._reach + 1))

    def _finish(self, target: int, scene: Scene, window: range) -> None:
        drafts = self._propagator.records
        if drafts[target].whole:
            self.records[target] = FrameRecord(drafts[target].painted, [])
            return
        method = (_METHOD, self._neighbour_flow.identity, self._reach)
        window_drafts = [drafts[index].draft for index in window]
        key = digest("finished", self._frames.key, target, window_drafts, method)
        facts = self._workspace.facts(key, self._shape)
        if facts is None or not self._workspace.has_frame(key):
            stable = self._stabilise(target, scene)
            with self._stopwatch("fuse"):
                image = self._layers.compose(target, self._renderer.sharp(stable))
                facts = self._facts(stable)
                # Write the picture last: with it the frame is finished, even if we are killed here.
                self._workspace.save_facts(key, facts)
                self._keep(target, key, image)
        self.records[target] = FrameRecord(key, facts["sources"])

    def origins(self, index: int) -> NDArray[np.int32]:
        """Return a small (h, w) map of the frames in which the pixels of a frame were painted.

        It is sampled evenly. `NOT_PAINTED` marks pixels of the source.
        """
        record = self.records[index]
        if not record.sources:
            return np.full((1, 1), index, np.int32)
        facts = self._workspace.facts(record.frame, self._shape)
        kept = require(index, facts, self._workspace.folder)
        places = np.frombuffer(zlib.decompress(base64.b64decode(kept["origins"])), np.uint16)
        return np.array(kept["shown"], np.int32)[places].reshape(kept["rows"], -1)

    def _facts(self, stable: Draft) -> dict[str, Any]:
        """Return what is kept of a frame beside its picture: its sources and a map of origins."""
        step = -(-max(stable.holes.shape) // _MAP)
        small = stable.origin_frames(self._layers.frame_number)[::step, ::step]
        shown, places = np.unique(small, return_inverse=True)
        packed = base64.b64encode(zlib.compress(places.astype(np.uint16).tobytes(), level=1))
        return {
            "sources": self._layers.sources(stable),
            "shown": shown.tolist(),
            "rows": len(small),
            "origins": packed.decode(),
        }

    def stable_draft(self, target: int) -> Draft:
        """Return the draft from which the finished frame `target` was rendered."""
        scene = next(scene for scene in self._scenes if scene.start <= target < scene.stop)
        return self._stabilise(target, scene)

    def _stabilise(self, target: int, scene: Scene) -> Draft:
        """Return the draft of a frame, with its correspondences averaged along their tracks."""
        flow = self._neighbour_flow
        reach = self._reach if self._layers.has_paint(target) else 0
        found = tracks.follow(target, scene, reach, flow)
        neighbours = [
            (track, self._layers.drop_kept_background(self._coarse_draft(track.frame)))
            for track in found
        ]
        draft = self._draft(target)
        if not neighbours:
            return self._relight(draft, target)
        own = self._coarse_draft(target)
        with self._stopwatch("fuse"):
            averaged = tracks.refine(draft, own, tracks.steady(own, neighbours))
            limited = fusion.limit_to_paint(averaged, draft, self._propagator.lend)
            return self._relight(self._layers.separate_sides(target, limited), target)

    def _relight(self, draft: Draft, target: int) -> Draft:
        """Return the draft in the light of the target's own frame of the source."""
        with self._stopwatch("fuse"):
            return light.relight(draft, tracks.coarse(draft), self._frames.view, target)

    def _coarse_draft(self, index: int) -> Draft:
        """Return a draft on the tracks' grid."""
        if index not in self._coarse_drafts:
            draft = self._draft(index)
            with self._stopwatch("fuse"):
                self._coarse_drafts[index] = tracks.coarse(draft)
        return self._coarse_drafts[index]

    def _draft(self, index: int) -> Draft:
        if index not in self._drafts:
            self._drafts[index] = self._propagator.draft(index)
        return self._drafts[index]

    def _forget(self, target: int, scene: Scene, window: range) -> None:
        """Drop the drafts that no later frame needs."""
        last = target == scene.stop - 1
        past = target if last else target - self._reach
        for index in [index for index in window if index <= past]:
            self._drafts.pop(index, None)
            self._coarse_drafts.pop(index, None)
            if not self._propagator.records[index].whole:
                self._propagator.drop(index)

    def _keep(self, index: int, key: str, image: Image) -> None:
        """Write a finished frame to the workspace, and remember the latest ones."""
        self._workspace.save_frame(key, image)
        self._recent[index] = image
        if len(self._recent) > memory_frames(self._frames.clip.size):
            del self._recent[next(iter(self._recent))]
