"""What no painted frame supplies is painted, and kept in the workspace under its digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import canvas, holes
from lib_ofgen.imaging.render import Renderer
from lib_ofgen.pipeline.context import Stopwatch
from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.values import Box, Draft, Image, Mask, Painted, Repaint, Stage

__all__ = ["FrameWithHoles", "HoleFiller"]


@dataclass(frozen=True)
class FrameWithHoles:
    """A frame with holes."""

    index: int
    key: str
    """Digest of all that their paint depends on."""
    stage: Stage
    fused: Draft
    mask: Mask
    """(H, W): what is to be painted."""
    ring: Mask
    """(H, W): of that, what is known already; there the paint takes on its colours."""


@dataclass(frozen=True)
class _Opened:
    """A frame before its holes are painted."""

    holed: FrameWithHoles
    boxes: list[Box]
    warped: list[Image]
    """What painted frames supply in each box."""
    stale: list[NDArray[np.float32]]
    """By how many levels the source was brighter where that was painted, (h, w, 3) each."""
    jobs: list[Repaint]
    """One for each box."""


class HoleFiller:
    """Has the painter fill holes."""

    def __init__(
        self,
        spool: FrameStore,
        easel: PainterSession,
        lend: Callable[[int], Painted],
        watch: Stopwatch,
        box: int,
        anchor: Callable[[Stage, int], Image | None],
    ) -> None:
        """`box` is the least side in px of what the painter gets.

        `anchor` gives the first key frame of a frame's scene, where its paint is to look at it.
        """
        self._spool, self._easel, self._lend, self._watch = spool, easel, lend, watch
        self._renderer, self._box = Renderer(lend), box
        self._sources = Renderer(self._lent_source)
        self._anchor = anchor

    def fill(self, frames: Sequence[FrameWithHoles]) -> dict[int, Painted]:
        """What was painted fresh in each of these frames of one stage, by index.

        The painter gets all that lacks at once. What it gives is kept, and not asked for again.

        Raises:
            Stopped: the user asked to stop; what was asked for is lost.
        """
        workspace, found = self._spool.workspace, dict[int, Painted]()
        lacking: list[_Opened] = []
        for holed in frames:
            known = workspace.painted(holed.key, holed.index)
            if known is not None:
                found[holed.index] = known
            else:
                lacking.append(self._opened(holed))
        jobs = [job for opened in lacking for job in opened.jobs]
        pictures = iter(self._easel.paint(frames[0].stage, jobs) if jobs else ())
        for opened in lacking:
            holed = opened.holed
            with self._watch("fuse"):
                fresh = np.zeros((*holed.mask.shape, 3), np.uint8)
                for box, image, stale in zip(
                    opened.boxes, opened.warped, opened.stale, strict=True
                ):
                    ring = box.crop(holed.ring)
                    box.crop(fresh)[...] = holes.match_colours(next(pictures), image, ring, stale)
                fresh *= holed.mask[..., None]
                found[holed.index] = Painted(holed.index, fresh, holed.mask)
                workspace.save_painted(holed.key, found[holed.index])
        return found

    def paint_beside(self, holed: FrameWithHoles, beside: Sequence[int]) -> Image:
        """The whole frame, painted on one canvas with these finished frames; see `canvas`."""
        with self._watch("fuse"):
            original = self._original(holed.index)
            plain = self._renderer.plain(holed.fused, Box(0, 0, *holed.mask.shape))
            start = holes.make_start(plain, holed.mask, original)
            middle = canvas.Column(start, original)
            finished = [canvas.Column(self._lend(i).image, self._original(i)) for i in beside]
            laid = canvas.lay_out(middle, *finished)
        job = self._easel.job(holed.stage, holed.index, laid.image, laid.mask, laid.original)
        (picture,) = self._easel.paint(holed.stage, [job])
        return np.ascontiguousarray(laid.box.crop(picture))

    def _original(self, index: int) -> Image:
        return self._spool.frame(index).image

    def _lent_source(self, origin: int) -> Painted:
        """The source's own frame, as if it were what was painted there."""
        image = self._original(max(origin, ~origin))
        return Painted(origin, image, np.ones(image.shape[:2], np.bool_))

    def _opened(self, holed: FrameWithHoles) -> _Opened:
        """The painter's jobs for a frame."""
        mask, original = holed.mask, self._original(holed.index)
        with self._watch("fuse"):
            boxes = holes.find_boxes(mask, self._box)
            warped = [self._renderer.plain(holed.fused, box) for box in boxes]
            stale = [
                self._sources.plain(holed.fused, box).astype(np.float32) - box.crop(original)
                for box in boxes
            ]
            starts = [
                holes.make_start(image, box.crop(mask), box.crop(original))
                for box, image in zip(boxes, warped, strict=True)
            ]
        anchor = self._anchor(holed.stage, holed.index)
        seen = [None if anchor is None else box.crop(anchor) for box in boxes]
        jobs = [
            self._easel.job(
                holed.stage, holed.index, start, box.crop(mask), box.crop(original), other
            )
            for box, start, other in zip(boxes, starts, seen, strict=True)
        ]
        return _Opened(holed, boxes, warped, stale, jobs)
