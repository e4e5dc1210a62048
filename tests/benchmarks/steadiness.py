"""How still films hold, against every frame painted: one table for all clips, kept in the docs.

    python -m tests.benchmarks.steadiness [CLIP]... [--set key=value]...

Each clip of OFGEN_DATA/clips (default ../shared/data/clips) and trials/f_fade.mp4, a shot that
fades in, are made by the brush with DIS, seed 0, at most 640 px wide; the smallest one also
enlarged to 640 px. The finished frames are measured before they are encoded, by TV-L1 on at most
480 px and 24 pairs, without pairs across cuts. All values except shares, ratios and levels are
divided by those of the same clip with `key_frames=every`:

- warp error: of the film; the same by a judge that sees the pictures as they are, and takes changes
  of light for motion (plain; see `metrics.judge_pair`); of the film encoded with the default
  settings, divided by that of every frame painted and encoded in the same way; and of the source
  itself, which is the floor;
- sharpness, over all frames;
- colour: grey levels by which frames differ from the same frames with `key_frames=every`, on the
  mean of all frames and in the worst one, without detail (method.md, Measures);
- flickering: mean absolute difference of neighbouring frames where nothing moves;
- straddling: warp error of pairs with a key frame in them, divided by that of the others;
- flicker: warp error within the holes that keys leave, divided by that of painting them separately
  in every frame (`hole_lending` off), on the same pixels;
- painted: share of all pixels that are painted;
- holes: area of holes without key frames, divided by that of the first experiment: the earlier key
  is the only source, and the holes of every frame are painted;
- key difference: mean squared difference between a key frame and its neighbours warped onto it,
  divided by the same with every frame painted;
- seconds per frame of the whole job on the machine that ran it.

The second table has a line for each clip on which EbSynth was measured. The default film is blurred
until it is as little sharp as EbSynth's; the plain warp errors of both are given.

Without CLIP the table is written to docs/steadiness.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from lib_ofgen import values
from lib_ofgen.imaging import fusion, metrics
from lib_ofgen.imaging import holes as inpaint
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline import run as pipeline
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.report import facts
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Frame, Image, Mask, Painted, Scene
from lib_ofgen.video.reader import open_video
from lib_ofgen.video.writer import write_video
from support.rendering import rendered
from tests.benchmarks.guided import WIDEST, Silent

PAGE = Path(__file__).parents[2] / "docs" / "steadiness.md"
RUNS: dict[str, dict[str, object]] = {
    "guided": {"key_agreement": "guided"},
    "independent": {"key_agreement": "independent"},
    "deflickered": {"key_agreement": "guided", "deflicker": 1.0},
}
"""The first is the default."""
EBSYNTH = {"mpi_sintel_alley1_f16-25_1024x436": (0.247, 0.67), "asl_walk_256": (0.207, 0.68)}
"""Warp error and sharpness of EbSynth on the same frames: brush key frames every 24 frames, both
sides cross-faded."""
HEADS = (
    "warp error", "plain", "encoded", "floor", "sharpness", "colour", "colour, worst", "flickering",
    "straddling", "flicker", "painted", "holes", "key difference", "s a frame",
)  # fmt: skip
EXPLAINED = (
    __doc__.partition("\n\n")[2]
    .replace("    python", "`python")
    .replace("[--set key=value]...", "[--set key=value]...`", 1)
)


@dataclass
class Film:
    """A finished job."""

    frames: list[Image]
    coded: list[Image]
    keys: list[int]
    whole: set[int]
    """Frames that were painted whole."""
    holes: dict[int, Mask]
    """What was painted of each other frame."""
    painted: facts.PaintSummary
    seconds: float
    """A frame."""


class Clip:
    """A clip, its yardstick and its judgements."""

    def __init__(self, path: Path, changes: dict[str, object]) -> None:
        self.path = path
        with open_video(path) as source:
            width = WIDEST if source.size.width > WIDEST else 0
        self.base = Settings().replace({"flow": "dis", "width": width, **changes})
        with tempfile.TemporaryDirectory() as folder:
            known = pipeline.analyse_source(
                path, Workspace(Path(folder)), self.base, Silent(), Stopwatch()
            )
            self.scenes: Sequence[Scene] = known.scenes
            self.source = [frame.image for frame in known.frames.frames()]
        self.judged = {
            i: metrics.judge_pair((self.source[i], self.source[i + 1]), metrics.tvl1)
            for i in metrics.pairs(self.scenes)
        }
        self.plain = {
            i: metrics.judge_pair(
                (self.source[i], self.source[i + 1]), metrics.tvl1, even_out=False
            )
            for i in self.judged
        }
        self.every = self.film({"key_frames": "every"})

    def film(self, changes: dict[str, object]) -> Film:
        """The film that these settings make."""
        settings, begun = self.base.replace(changes), perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            space = Workspace(Path(folder))
            known, renderers = rendered(self.path, space, settings, BrushPainter(), Silent())
            maker = renderers.propagator
            seconds = (perf_counter() - begun) / len(self.source)
            frames = [renderers.last.picture(index) for index in range(known.frames.clip.length)]
            holes = {i: mask for i in maker.records if (mask := maker.hole_mask(i)) is not None}
            return Film(
                frames,
                _coded(frames, known.frames.clip, settings.quality, Path(folder) / "film.mp4"),
                [key.index for key in known.keys],
                {index for index, record in maker.records.items() if record.whole},
                holes,
                facts.summarise_paint(maker.records),
                seconds,
            )

    def errors(self, frames: Sequence[Image], within: dict[int, Mask] | None = None) -> list[float]:
        """Of each pair judged; over the holes of its two frames where `within` has these."""
        found = []
        for i, judgement in self.judged.items():
            masks = None
            if within is not None:
                masks = [within[j] for j in (i, i + 1) if j in within]
                if not masks:
                    continue
            where = None if masks is None else np.logical_or.reduce(masks)
            found.append(judgement.error((frames[i], frames[i + 1]), where))
        return found

    def plain_error(self, frames: Sequence[Image]) -> float:
        """The mean error by the judge that sees the pictures as they are."""
        found = [each.error((frames[i], frames[i + 1])) for i, each in self.plain.items()]
        return float(np.nanmean(found))

    def error(self, frames: Sequence[Image], within: dict[int, Mask] | None = None) -> float:
        """The mean of `errors`."""
        found = self.errors(frames, within)
        return float(np.nanmean(found)) if found else float("nan")

    def flickering(self, frames: Sequence[Image]) -> float:
        """The mean of all pairs judged, in levels."""
        pairs = [
            metrics.flickering((frames[i], frames[i + 1]), judgement)
            for i, judgement in self.judged.items()
        ]
        return float(np.nanmean(pairs)) if pairs else float("nan")

    def colours(self, film: Film) -> list[float]:
        """Of each frame, the levels by which it differs from the one that is painted whole."""
        pairs = zip(film.frames, self.every.frames, strict=True)
        return [metrics.colour_difference(image, whole) for image, whole in pairs]


def _coded(frames: Sequence[Image], clip: values.Clip, quality: int, path: Path) -> list[Image]:
    """The frames as a player shows them."""
    with write_video(path, clip, sound_from=None, crf=quality) as film:
        for index, image in enumerate(frames):
            film.write(Frame(index, image))
    with open_video(path) as shown:
        return [frame.image for frame in shown]


def seeds_way(clip: Clip, keys: set[int]) -> float:
    """Hole area, as a share of all pixels, with the key before as the only source."""
    estimator, area, key = DisEstimator(clip.base.confidence_radius), 0.0, 0
    everything = np.ones(clip.source[0].shape[:2], np.bool_)
    for index, image in enumerate(clip.source):
        if index in keys:
            key = index
            continue
        (flow,) = estimator.estimate([(Frame(key, clip.source[key]), Frame(index, image))])
        one = fusion.candidate(
            Painted(key, clip.source[key], everything), flow, 1.0,
            threshold=clip.base.confidence, least=clip.base.hole_min,
        )  # fmt: skip
        area += float(inpaint.grow(fusion.find_missing([one], clip.base.hole_min)).mean())
    return area / len(clip.source)


def blurred(clip: Clip, film: Film, wanted: float) -> list[Image]:
    """The film's frames, blurred evenly to `wanted` of the sharpness of every frame painted."""
    goal = wanted * sharpness(clip.every.frames)
    low, high = 0.2, 3.0
    for _ in range(12):
        sigma = (low + high) / 2
        frames = [cv2.GaussianBlur(image, ksize=(0, 0), sigmaX=sigma) for image in film.frames]
        low, high = (sigma, high) if sharpness(frames) > goal else (low, sigma)
    return frames


def frontier(clip: Clip, film: Film) -> Iterator[str]:
    """The clip's line of the frontier, if EbSynth has been measured on it."""
    if clip.path.stem in EBSYNTH:
        peer, sharp = EBSYNTH[clip.path.stem]
        frames = blurred(clip, film, sharp)
        error = clip.plain_error(frames) / clip.plain_error(clip.every.frames)
        yield f"| {clip.path.stem} | {sharp:.2f} | {error:.3f} | {peer:.3f} |"


def _between(film: Film) -> float:
    """Hole area of the frames that are no keys, as a share of all pixels."""
    area = sum(float(mask.mean()) for i, mask in film.holes.items() if i not in film.keys)
    return area / len(film.frames)


def key_difference(clip: Clip, frames: Sequence[Image], keys: Sequence[int]) -> float:
    """Mean squared difference (0..1) between keys and the neighbours warped onto them."""
    found = []
    starts = {scene.start for scene in clip.scenes}
    for key in keys:
        for first in (key - 1, key):
            if first < 0 or first + 1 >= len(frames) or first + 1 in starts:
                continue
            judgement = clip.judged.get(first) or metrics.judge_pair(
                (clip.source[first], clip.source[first + 1]), metrics.farneback
            )
            found.append(judgement.error((frames[first], frames[first + 1])))
    return float(np.nanmean(found)) if found else float("nan")


def sharpness(frames: Sequence[Image]) -> float:
    """The mean over all frames."""
    return float(np.mean([metrics.sharpness(image) for image in frames]))


def row(clip: Clip, film: Film, afresh: Film) -> list[float]:
    """The figures of one film, in the order of `HEADS`."""
    every = clip.every
    parts: dict[bool, list[float]] = {True: [], False: []}
    for i, error in zip(clip.judged, clip.errors(film.frames), strict=True):
        parts[metrics.straddles(i, set(film.keys))].append(error)
    split = [float(np.nanmean(part)) if part else float("nan") for part in parts.values()]
    way, colours = seeds_way(clip, set(film.keys)), clip.colours(film)
    return [
        clip.error(film.frames) / clip.error(every.frames),
        clip.plain_error(film.frames) / clip.plain_error(every.frames),
        clip.error(film.coded) / clip.error(every.coded),
        clip.error(clip.source) / clip.error(every.frames),
        sharpness(film.frames) / sharpness(every.frames),
        float(np.mean(colours)),
        max(colours),
        clip.flickering(film.frames) / clip.flickering(every.frames),
        split[0] / split[1],
        clip.error(film.frames, afresh.holes) / clip.error(afresh.frames, afresh.holes),
        film.painted.painted_mean,
        _between(film) / way if way else float("nan"),
        key_difference(clip, film.frames, film.keys)
        / key_difference(clip, every.frames, film.keys),
        film.seconds,
    ]


def rows(path: Path, changes: dict[str, object]) -> Iterator[tuple[bool, str]]:
    """The clip's lines of the table (true) and of the frontier (false)."""
    clip = Clip(path, changes)
    scaled = f" at {clip.base.width} px" if clip.base.width else ""
    afresh = clip.film({"hole_lending": False, "track_reach": 0})
    for name, run in RUNS.items():
        film = clip.film(run)
        cells = [f"{figure:.3f}" for figure in row(clip, film, afresh)]
        title = f"{path.stem} ({len(film.frames)}){scaled}"
        yield True, "| " + " | ".join([title, name, str(len(film.keys)), *cells]) + " |"
        if name == "guided" and "width" not in changes:
            yield from ((False, line) for line in frontier(clip, film))


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.steadiness")
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs")
    options = parser.parse_args()
    changes = Settings.parse(dict(pair.split("=", 1) for pair in options.pairs))
    root = Path(os.environ.get("OFGEN_DATA", "../shared/data"))
    clips = [*sorted((root / "clips").glob("*.mp4")), root / "trials" / "f_fade.mp4"]
    films = [(path, changes) for path in options.clips or clips]
    if not options.clips:
        films.append((root / "clips" / "asl_walk_256.mp4", {"width": WIDEST, **changes}))
    heads = ("clip (frames)", "run", "keys", *HEADS)
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    peers = ["| clip | sharpness | warp error | EbSynth's |", "|---|---|---|---|"]
    for path, chosen in films:
        for ours, line in rows(path, chosen):
            print(line, flush=True)
            (lines if ours else peers).append(line)
    both = "\n".join([*lines, "", *peers])
    print(both)
    if not options.clips and not changes:
        PAGE.write_text(f"# Steadiness\n\n{EXPLAINED}\n{both}\n", "utf-8")


if __name__ == "__main__":
    main()
