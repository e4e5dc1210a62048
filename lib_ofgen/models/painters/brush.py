"""The embedded painter: strokes along the image's edges, for machines without weights.

Stroke-based rendering: layers from coarse to fine (Hertzmann 1998, "Painterly rendering with curved
brush strokes of multiple sizes"), strokes that follow the edges and stop at them (Litwinowicz 1997,
"Processing images and video for an impressionist effect"). It has the faults of a diffusion model
on purpose: another seed is another picture, and one seed sticks to the screen, because the places,
sizes, angles and colours of the strokes are jittered by the seed and the position only.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging.images import luma, resize
from lib_ofgen.values import Image, Repaint, Size, Stage, check_shape

__all__ = ["BrushPainter"]

Floats = NDArray[np.float32]

_SUBPIXEL_BITS = 4  # of cv2's fixed point
_OPAQUE_FROM = 0.3  # the strength from which nothing of the start shines through


class _Layer(NamedTuple):
    """One pass over the picture; lengths in px at strength 0.4, levels of 0..255."""

    width: float
    """Half of a stroke's width."""
    length: float
    """Half of a stroke's length."""
    spacing: float
    """Between the places of two strokes."""
    smoothing: float
    """Sigma of the picture in which a stroke sees its colour."""
    detail: float
    """Levels by which canvas and picture must differ before a stroke is painted."""
    stop: float
    """Levels by which the picture may leave a stroke's colour before the stroke ends."""
    steps: int
    """Points of a stroke's course on each side of its centre."""
    bristle: float
    """Levels by which the bristles' marks are lighter and darker; 0: no marks."""


_LAYERS = (
    _Layer(6.5, 24.0, 9.0, 2.5, 0.0, 40.0, 2, 9.0),
    _Layer(3.0, 13.0, 6.0, 1.1, 12.0, 30.0, 2, 8.0),
    _Layer(1.4, 6.0, 3.6, 0.5, 17.0, 30.0, 1, 0.0),
)


class _Region(NamedTuple):
    """The painted part of a picture, and how it is painted."""

    whole: Size
    left: int
    top: int
    seed: int
    strength: float

    @property
    def scale(self) -> float:
        """How much larger and looser than nominal the strokes are: 1 at strength 0.4."""
        return 0.84 + self.strength**2


class BrushPainter:
    """Paints with strokes; deterministic, one core, no weights."""

    @property
    def identity(self) -> str:
        """Name and version; the version changes when a pixel does."""
        return "brush 1"

    def stage(self, kind: Stage) -> AbstractContextManager[None]:
        """Do nothing: no stage has a model."""
        return nullcontext()

    def paint(self, repaints: Sequence[Repaint]) -> list[Image]:
        """Paint the pictures, each independent of the others in the batch."""
        return [_repaint(one) for one in repaints]


def _repaint(job: Repaint) -> Image:
    """Paint one picture; it keeps its image where the mask is 0, and is blended by the mask."""
    height, width = check_shape(job.image, "H W 3", "image")
    mask = np.full((height, width), 255, np.uint8) if job.mask is None else job.mask
    if check_shape(mask, "H W", "mask") != (height, width):
        raise ValueError(f"mask has shape {mask.shape}, wanted {(height, width)}")
    strength = min(1.0, max(0.0, job.strength))
    result = job.image.copy()
    left, top, across, down = cv2.boundingRect(mask)
    if strength == 0 or across == 0:
        return result
    region = _Region(Size(height, width), 0, 0, job.seed % 2**63, strength)
    reach = round(region.scale * (_LAYERS[0].length + _LAYERS[0].width))
    region = region._replace(left=max(0, left - reach), top=max(0, top - reach))
    part = np.s_[region.top : top + down + reach, region.left : left + across + reach]
    picture, inside = np.ascontiguousarray(job.image[part]), np.ascontiguousarray(mask[part])
    painted = _paint_layers(picture, inside, region).astype(np.float32)
    opacity = inside[..., None].astype(np.float32) * (min(1.0, strength / _OPAQUE_FROM) / 255)
    result[part] = np.rint(picture + opacity * (painted - picture))
    return result


def _paint_layers(picture: Image, inside: NDArray[np.uint8], region: _Region) -> Image:
    """Paint the region's picture near and in `inside`, layer by layer."""
    scale = region.scale
    graded, field = _grade(picture), _directions(picture, region)
    canvas = picture.copy()
    for number, layer in enumerate(_LAYERS):
        reach = 2 * int(np.ceil(scale * (layer.length + layer.width))) + 1
        wanted = cv2.dilate(inside, np.ones((reach, reach), np.uint8)) > 0
        seen = cast("Image", cv2.GaussianBlur(graded, (0, 0), sigmaX=layer.smoothing * scale))
        if number:  # Hertzmann's difference between canvas and picture, section 2.1
            side = 2 * int(layer.width * scale) + 1
            error = _largest(cv2.blur(cv2.absdiff(canvas, seen), (side, side)))
            wanted &= error > layer.detail * scale
        rng = np.random.default_rng([region.seed, number])
        places, jitter = _places(layer.spacing * scale, wanted, region, rng)
        _draw(canvas, layer, places, jitter, seen, field, region)
    return canvas


def _grade(picture: Image) -> Image:
    """Strengthen the picture's edges and colours a little."""
    soft = cv2.GaussianBlur(picture, (0, 0), sigmaX=1.5)
    crisp = cv2.addWeighted(picture, 1.35, soft, -0.35, 0)
    grey = cv2.cvtColor(cv2.cvtColor(crisp, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cast("Image", cv2.addWeighted(crisp, 1.15, grey, -0.15, 0))


def _directions(picture: Image, region: _Region) -> Floats:
    """(H, W, 2) unit vectors along the edges: the smaller axis of the smoothed structure tensor.

    Where the picture is flat, a slow swirl of the seed's own takes over.
    """
    grey = cv2.GaussianBlur(luma(picture), (0, 0), sigmaX=1.0)
    dx = cv2.Scharr(grey, ddepth=cv2.CV_32F, dx=1, dy=0, scale=1 / 32)
    dy = cv2.Scharr(grey, ddepth=cv2.CV_32F, dx=0, dy=1, scale=1 / 32)
    tensor = cv2.merge([dy * dy - dx * dx, -2 * dx * dy])
    tensor = cv2.GaussianBlur(tensor, (0, 0), sigmaX=2.5 * region.scale)
    rng = np.random.default_rng([region.seed, len(_LAYERS)])
    swirl = resize(rng.normal(scale=1.5, size=(4, 6, 2)).astype(np.float32), region.whole)
    height, width = grey.shape
    tensor += swirl[region.top : region.top + height, region.left : region.left + width]
    angle = np.arctan2(tensor[..., 1], tensor[..., 0]) / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=2)


def _largest(colours: NDArray[Any]) -> NDArray[Any]:
    """The largest of three channels (..., 3); numpy's own `max` takes ten times as long here."""
    return np.maximum(np.maximum(colours[..., 0], colours[..., 1]), colours[..., 2])


def _places(
    spacing: float, wanted: NDArray[np.bool_], region: _Region, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Centres (N, 2) px of the strokes wanted, in random order, and (N, 7) numbers -1..1 for each.

    The grid is the whole picture's, so that a region has the strokes it has in the whole.
    """
    size = region.whole
    rows, columns = int(np.ceil(size.height / spacing)), int(np.ceil(size.width / spacing))
    jitter = rng.uniform(-1, 1, (rows * columns, 7)).astype(np.float32)
    order = rng.permutation(len(jitter))
    grid = np.stack(np.divmod(order, columns)[::-1], axis=1).astype(np.float32)
    jitter = jitter[order]
    centres = (grid + 0.5 + jitter[:, :2] / 2) * np.float32(spacing)
    centres = np.minimum(centres, np.array([size.width - 1, size.height - 1], np.float32))
    column, row = (centres.astype(int) - (region.left, region.top)).T
    height, width = wanted.shape
    chosen = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    chosen[chosen] = wanted[row[chosen], column[chosen]]
    corner = np.array([region.left, region.top], np.float32)
    return centres[chosen] - corner, jitter[chosen]


def _draw(
    canvas: Image,
    layer: _Layer,
    places: Floats,
    jitter: Floats,
    seen: Image,
    field: Floats,
    region: _Region,
) -> None:
    """Paint one layer's strokes over the canvas, in order."""
    outlines, marks = _courses(layer, places, jitter, seen, field, region)
    column, row = places.astype(int).T
    hue = np.array([7, 0, -7], np.float32) * jitter[:, 6:7]
    colour = seen[row, column] + 12 * (0.6 + region.strength) * jitter[:, 5:6] + hue
    bodies, lights, darks = (
        np.clip(colour + level, 0, 255).tolist() for level in (0, layer.bristle, -layer.bristle)
    )
    how: dict[str, Any] = {"lineType": cv2.LINE_AA, "shift": _SUBPIXEL_BITS}
    for outline, (upper, lower), body, light, dark in zip(
        outlines, marks, bodies, lights, darks, strict=True
    ):
        cv2.fillPoly(canvas, [outline], body, **how)
        if layer.bristle:
            cv2.polylines(canvas, [upper], isClosed=False, color=light, **how)
            cv2.polylines(canvas, [lower], isClosed=False, color=dark, **how)


def _courses(
    layer: _Layer, places: Floats, jitter: Floats, seen: Image, field: Floats, region: _Region
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Outlines (N, 2 K, 2) and two bristles' marks (N, 2, K, 2) of the strokes, x and y in 1/16 px.

    The strokes taper like the half-axes of an ellipse.
    """
    scale = region.scale
    step = (layer.length * scale / layer.steps * (1 + jitter[:, 2:3] / 3)).astype(np.float32)
    turn = (0.05 + 0.3 * region.strength) * jitter[:, 3]
    ahead = _trace(layer, places, seen, field, step, turn)
    behind = _trace(layer, places, seen, field, -step, turn)
    course = np.concatenate([behind[:, :0:-1], ahead], axis=1)
    points, normals = course[..., :2], course[..., :1:-1] * np.array([-1, 1], np.float32)
    taper = np.sqrt(1 - np.linspace(-0.95, 0.95, 2 * layer.steps + 1) ** 2).astype(np.float32)
    width = np.float32(layer.width * scale) * (1 + jitter[:, 4:5] / 3) * taper
    side = normals * width[..., None]
    outlines = np.concatenate([points + side, (points - side)[:, ::-1]], axis=1)
    marks = np.stack([points + 0.55 * side, points - 0.35 * side], axis=1)
    unit = 1 << _SUBPIXEL_BITS
    return np.rint(outlines * unit).astype(np.int32), np.rint(marks * unit).astype(np.int32)


def _trace(
    layer: _Layer, places: Floats, seen: Image, field: Floats, step: Floats, turn: Floats
) -> Floats:
    """(N, steps + 1, 4): point and unit direction from each stroke's centre to one of its ends."""
    height, width = seen.shape[:2]
    cos, sin = np.cos(turn), np.sin(turn)
    point, heading = places, np.zeros_like(places)
    colour: NDArray[np.int16] | None = None
    going = np.ones(len(places), bool)
    course: list[Floats] = []
    for _ in range(layer.steps + 1):
        column, row = point.astype(int).T
        column, row = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1)
        x, y = field[row, column].T
        x, y = cos * x - sin * y, sin * x + cos * y
        back = np.where(x * heading[:, 0] + y * heading[:, 1] < 0, -1, 1).astype(np.float32)
        heading = np.stack([x * back, y * back], axis=1)
        course.append(np.concatenate([point, heading], axis=1, dtype=np.float32))
        found = seen[row, column].astype(np.int16)
        colour = found if colour is None else colour
        going &= _largest(np.abs(found - colour)) <= layer.stop
        # a stroke that has ended still needs some length, or it would be a splinter across
        point = point + heading * step * np.where(going, 1, 0.08).astype(np.float32)[:, None]
    return np.stack(course, axis=1)
