"""The painter fills what no painted frame supplies; the paint is kept under its digest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import canvas, holes, light, metrics, tracks
from lib_ofgen.imaging.render import Renderer
from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.values import Box, Draft, Image, Mask, Origin, Painted, Repaint, Stage

__all__ = ["FrameWithHoles", "HoleFiller"]


@dataclass(frozen=True)
class FrameWithHoles:
    """A draft with holes, before they are painted."""

    index: int
    key: str
    """Digest of all that the paint of the holes depends on."""
    stage: Stage
    draft: Draft
    mask: Mask
    """(H, W): what is to be painted."""
    ring: Mask
    """(H, W): the part of `mask` that is known. There the paint gets the colours around it."""


@dataclass(frozen=True)
class _HoleBoxes:
    """A frame with holes, cut into boxes for the painter."""

    frame: FrameWithHoles
    boxes: list[Box]
    warped: list[Image]
    """The pixels of painted frames in each box."""
    misfits: list[NDArray[np.float32]]
    """(h, w, 3) each: levels by which the source differs along the same vectors, in one light."""
    repaints: list[Repaint]
    """One repaint for each box."""


class HoleFiller:
    """Has the painter fill holes."""

    def __init__(
        self,
        context: RenderContext,
        lend: Callable[[Origin], Painted],
        anchor_image: Callable[[Stage, int], Image | None],
    ) -> None:
        """`lend` gives the paint of an origin.

        `anchor_image` gives the first key frame of a frame's scene, if its painter is to see it.
        """
        self._frames, self._painter = context.frames, context.painter
        self._stopwatch, self._min_box = context.stopwatch, context.rules.min_box
        self._lend, self._anchor_image = lend, anchor_image
        self._renderer, self._source_renderer = Renderer(lend), Renderer(self._lend_source)

    def fill(self, frames: Sequence[FrameWithHoles]) -> dict[int, Painted]:
        """Return the fresh paint of these frames of one stage, by index.

        The painter gets everything that the workspace lacks at once. Its answer is kept.

        Raises:
            Stopped: if the user asked to stop; what the painter was working on is lost.
        """
        workspace, found = self._frames.workspace, dict[int, Painted]()
        lacking: list[_HoleBoxes] = []
        for frame in frames:
            known = workspace.paint(frame.key, frame.index)
            if known is not None:
                found[frame.index] = known
            else:
                lacking.append(self._cut_boxes(frame))
        repaints = [repaint for one in lacking for repaint in one.repaints]
        answers = iter(self._painter.paint(frames[0].stage, repaints) if repaints else ())
        for one in lacking:
            pictures = [next(answers) for _ in one.boxes]
            with self._stopwatch("fuse"):
                painted = _compose(one, pictures)
                workspace.save_painted(one.frame.key, painted)
            found[painted.index] = painted
        return found

    def paint_beside(self, frame: FrameWithHoles, beside: Sequence[int]) -> Image:
        """Return the whole frame, painted on one canvas with finished frames; see `canvas`."""
        with self._stopwatch("fuse"):
            original = self._original(frame.index)
            plain = self._renderer.plain(
                self._lit(frame.index, frame.draft), Box(0, 0, *frame.mask.shape)
            )
            start = holes.make_start(plain, frame.mask, original)
            middle = canvas.Column(start, original)
            finished = [
                canvas.Column(self._lend(Origin(index)).image, self._original(index))
                for index in beside
            ]
            wide = canvas.lay_out(middle, *finished)
        repaint = self._painter.make_repaint(
            frame.stage, frame.index, wide.image, wide.mask, wide.original
        )
        (picture,) = self._painter.paint(frame.stage, [repaint])
        return np.ascontiguousarray(wide.box.crop(picture))

    def match_key(self, index: int, draft: Draft, picture: Image) -> tuple[Image, float | None]:
        """Match the colours of key frame `index`, painted whole, to what other keys supply.

        `draft` says what they supply. Also returns by how many levels they differed, on the mean
        over what they supply; None if they supply nothing.
        """
        with self._stopwatch("fuse"):
            everything, lit = Box(0, 0, *picture.shape[:2]), self._lit(index, draft)
            plain = self._renderer.plain(lit, everything)
            misfit = self._source_misfit(lit, everything, index)
            known = ~draft.holes
            shown = np.where(known[..., None], plain, picture)
            share, apart = float(known.mean()), metrics.colour_difference(shown, picture)
            colour = min(255.0, apart / share) if share else None
            return holes.match_colours(picture, plain, known, misfit, holes.KEY_REACH), colour

    def _source_misfit(self, lit: Draft, box: Box, index: int) -> NDArray[np.float32]:
        """Return (h, w, 3) levels by which the source differs along a draft, in one light."""
        moved = self._source_renderer.plain(lit, box).astype(np.float32)
        return moved - box.crop(self._original(index))

    def _original(self, index: int) -> Image:
        return self._frames.frame(index).image

    def _lit(self, index: int, draft: Draft) -> Draft:
        """Return the draft of frame `index` in the light of that frame."""
        return light.relight(draft, tracks.coarse(draft), self._frames.view, index)

    def _lend_source(self, origin: Origin) -> Painted:
        """Return the source's frame as if all of it had been painted there."""
        image = self._original(origin.frame)
        return Painted(origin.frame, image, np.ones(image.shape[:2], np.bool_), origin.layer)

    def _cut_boxes(self, frame: FrameWithHoles) -> _HoleBoxes:
        """Return the boxes around the holes of a frame, with what the painter gets."""
        mask, original = frame.mask, self._original(frame.index)
        with self._stopwatch("fuse"):
            boxes = holes.find_boxes(mask, self._min_box)
            lit = self._lit(frame.index, frame.draft)
            warped = [self._renderer.plain(lit, box) for box in boxes]
            misfits = [self._source_misfit(lit, box, frame.index) for box in boxes]
            starts = [
                holes.make_start(image, box.crop(mask), box.crop(original))
                for box, image in zip(boxes, warped, strict=True)
            ]
        anchor = self._anchor_image(frame.stage, frame.index)
        repaints = [
            self._painter.make_repaint(
                frame.stage,
                frame.index,
                start,
                box.crop(mask),
                box.crop(original),
                None if anchor is None else box.crop(anchor),
            )
            for box, start in zip(boxes, starts, strict=True)
        ]
        return _HoleBoxes(frame, boxes, warped, misfits, repaints)


def _compose(one: _HoleBoxes, pictures: Sequence[Image]) -> Painted:
    """Return the paint of a frame, put together from the painter's pictures of its boxes."""
    frame = one.frame
    fresh = np.zeros((*frame.mask.shape, 3), np.uint8)
    for box, picture, warped, misfit in zip(
        one.boxes, pictures, one.warped, one.misfits, strict=True
    ):
        matched = holes.match_colours(picture, warped, box.crop(frame.ring), misfit)
        box.crop(fresh)[...] = matched
    fresh *= frame.mask[..., None]
    return Painted(frame.index, fresh, frame.mask)
