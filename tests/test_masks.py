"""A mask of the subject: what is painted, what is kept, and what never mixes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from lib_ofgen.cli import commands
from lib_ofgen.errors import SettingsError, VideoError
from lib_ofgen.models.flow.dis import DisEstimator
from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline import run as pipeline
from lib_ofgen.pipeline.rendering import propagation
from lib_ofgen.pipeline.run import Job, JobResult, run_job
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace, digest
from lib_ofgen.values import Draft, Image, Mask, Sampling, Size
from lib_ofgen.video.reader import open_video
from lib_ofgen.webui.access.allowed_paths import AllowedPaths
from lib_ofgen.webui.jobs.document import find_mask, find_output, parse
from support import jobs
from support.jobs import Counting, Patience, kept
from support.masks import LENGTH, SIZE, film, folder, grey, place, write
from support.rendering import rendered
from support.videos import make_video
from support.webui.recompute import Keeper

BASE: dict[str, object] = {**jobs.BASE, "flow": "dis"}
MARGIN = 8
"""px around the subject that are painted with it."""


def texture(rng: np.random.Generator, size: Size) -> Image:
    noise = cv2.GaussianBlur(rng.normal(0, 1, (*size, 3)), (0, 0), sigmaX=2)
    return cv2.normalize(noise, None, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def shots(seed: int = 3) -> list[Image]:
    """A textured block that moves before a still, textured wall."""
    rng = np.random.default_rng(seed)
    wall, block = texture(rng, SIZE), texture(rng, Size(40, 40))
    found = []
    for index in range(LENGTH):
        image = wall.copy()
        image[place(index)] = block
        found.append(image)
    return found


def run(
    clip: Path, space: Path, mask: Path | None, painter: Counting | None = None, **changes: object
) -> JobResult:
    space.mkdir(exist_ok=True)
    settings = Settings().replace({**BASE, **changes})
    output = space / "out.mp4"
    job = Job(clip, output, space / "out.mp4.ofgen", settings, frames=space / "png", mask=mask)
    return run_job(job, painter or Counting(), Patience())


def source(clip: Path) -> list[Image]:
    with open_video(clip) as frames:
        return [frame.image for frame in frames]


def grown(mask: Mask, reach: int) -> Mask:
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def white(index: int) -> Mask:
    return grey(index)[..., 0] > 0


@dataclass
class Recording(Counting):
    """A painter that also knows where in its frame each job lies."""

    frames: list[Image] = field(default_factory=list)

    def painted(self, number: int) -> Mask:
        """(H, W): where the job of that number was painted, by finding its region."""
        job = self.jobs[number]
        whole = self.frames[job.target]
        scores = cv2.matchTemplate(whole, job.original, cv2.TM_SQDIFF)
        *_, (left, top), _ = cv2.minMaxLoc(scores)
        mask = np.zeros(whole.shape[:2], np.bool_)
        inside = np.ones(job.image.shape[:2], np.bool_) if job.mask is None else job.mask > 0
        mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return mask


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("masked") / "block.mp4", shots())


@pytest.fixture(scope="session")
def moving_mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("masks") / "block")


@pytest.fixture(scope="session")
def turning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clip whose subject only turns on the spot, and its mask."""
    rng = np.random.default_rng(5)
    wall, block = texture(rng, SIZE), texture(rng, Size(40, 60))
    frames = []
    for index in range(LENGTH):
        image = wall.copy()
        image[place(0)] = block[:, index // 2 : index // 2 + 40]
        frames.append(image)
    folder = tmp_path_factory.mktemp("turning")
    return make_video(folder / "turn.mp4", frames), write(folder / "mask.png", grey(0))


Done = dict[str, tuple[Path, JobResult, Recording]]


@pytest.fixture(scope="session")
def done(clip: Path, moving_mask: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Finished jobs, by the setting `background`."""
    found: Done = {}
    for background in ("keep", "once"):
        space, painter = tmp_path_factory.mktemp(background), Recording(frames=source(clip))
        found[background] = (
            space, run(clip, space, moving_mask, painter, background=background), painter,
        )  # fmt: skip
    return found


# what is kept and what is painted


def test_a_kept_background_is_the_source_bit_for_bit(done: Done, clip: Path) -> None:
    space, outcome, painter = done["keep"]
    shown, before = film(space), source(clip)
    for index in range(LENGTH):
        inside = white(index)
        assert (shown[index][~inside] == before[index][~inside]).all()
        changed = np.abs(shown[index][inside].astype(int) - before[index][inside])
        assert changed.mean() > 4, "the subject was not painted"
    assert painter.jobs
    for number, job in enumerate(painter.jobs):
        assert not (painter.painted(number) & ~grown(white(job.target), MARGIN + 1)).any()
    assert painter.whole == []
    assert (outcome.facts.painted.keys or 0) > 0
    assert (outcome.facts.painted_mean or 1) < 0.5
    assert {frame.index for frame in outcome.facts.frames} == set(range(LENGTH))
    assert 0.5 < (outcome.facts.coverage_mean or 0) <= 1


def test_a_background_painted_once_holds_still(done: Done) -> None:
    space, _, painter = done["once"]
    shown = film(space)
    still = ~np.logical_or.reduce([grown(white(index), 20) for index in range(LENGTH)])
    for image in shown[1:]:
        assert (image == shown[0]).all(axis=2)[still].mean() > 0.99
    assert painter.whole == [0]
    uncovered = np.logical_or.reduce([grown(white(i), 3) for i in range(LENGTH)])
    for number, job in enumerate(painter.jobs):
        if job.target in (6, 12):  # the subject, and wall that no frame before has shown
            allowed = grown(white(job.target) | uncovered, MARGIN + 1)
            assert not (painter.painted(number) & ~allowed).any()
            assert (painter.painted(number) | ~white(job.target)).all()


def test_a_later_key_paints_the_subject_alone(turning: tuple[Path, Path], tmp_path: Path) -> None:
    """Where the background has been seen, which it has if the subject only turns on the spot."""
    clip, mask = turning
    painter = Recording(frames=source(clip))
    run(clip, tmp_path, mask, painter, background="once")
    assert painter.whole == [0]
    later = [number for number, job in enumerate(painter.jobs) if job.target in (6, 12)]
    assert {painter.jobs[number].target for number in later} == {6, 12}
    for number in later:
        assert painter.painted(number)[white(0)].all()
        assert not (painter.painted(number) & ~grown(white(0), MARGIN + 1)).any()
    shown, still = film(tmp_path), ~grown(white(0), 20)
    for image in shown[1:]:
        assert (image == shown[0]).all(axis=2)[still].mean() > 0.9


@pytest.mark.parametrize("background", ["keep", "once"])
def test_guided_keys_take_the_subject_from_the_first(
    turning: tuple[Path, Path], tmp_path: Path, background: str
) -> None:
    clip, mask = turning
    painter = Recording(frames=source(clip))
    changes = {"background": background, "key_agreement": "guided"}
    facts = run(clip, tmp_path, mask, painter, **changes).facts
    assert painter.whole == ([] if background == "keep" else [0])
    later = [number for number, job in enumerate(painter.jobs) if job.target]
    assert not any(painter.painted(number)[white(0)].all() for number in later)
    assert 0 in facts.frames[12].sources


def drawn(space: Path, clip: Path, mask: Path, **changes: object) -> Sequence[Draft]:
    """How the finished frames are made of paint; paints nothing."""
    settings = Settings().replace({**BASE, **changes})
    keeper = Keeper(BrushPainter().identity)
    workspace = Workspace(space / "out.mp4.ofgen")
    known, (propagator, stabiliser, *_) = rendered(
        clip, workspace, settings, keeper, keeper, mask=mask
    )
    return [
        propagator.draft(index)
        if propagator.records[index].whole
        else stabiliser.stable_draft(index)
        for index in range(known.frames.clip.length)
    ]


@pytest.mark.parametrize("background", ["keep", "once"])
def test_no_subject_draws_on_background_paint(
    done: Done, clip: Path, moving_mask: Path, background: str
) -> None:
    """Every place that is looked up lies on its own side of the frame that was painted."""
    frames = drawn(done[background][0], clip, moving_mask, background=background)
    for index, fused in enumerate(frames):
        weights = np.zeros(SIZE, np.float32)
        for one in fused.contributions:
            shown = one.weight > 0
            one.box.crop(weights)[...] += one.weight
            subject = one.origin.layer == "subject"
            assert not subject or one.box.crop(white(index))[shown].all()
            core = ~grown(~white(index), 2)  # the mask's edge is soft
            assert subject or not one.box.crop(core)[shown].any()
            if background == "keep" and not subject:
                assert one.origin.frame == index, "another frame's background is shown"
            side = white(one.origin.frame) if subject else ~white(one.origin.frame)
            near = grown(side, 3)  # flow is no surer at the edge
            y, x = np.nonzero(shown)
            v, u = one.vectors[1][shown], one.vectors[0][shown]
            rows = np.clip(np.rint(y + one.box.top + v).astype(int), 0, SIZE.height - 1)
            columns = np.clip(np.rint(x + one.box.left + u).astype(int), 0, SIZE.width - 1)
            assert near[rows, columns].all()
        assert np.abs(weights - 1).max() < 1e-3


def test_soft_edges_mix_paint_and_source(clip: Path, tmp_path: Path) -> None:
    mask = cv2.GaussianBlur(grey(0), (0, 0), sigmaX=5)
    path = write(tmp_path / "soft.png", mask)
    run(clip, tmp_path, path, max_frames=1)
    (image,), before = film(tmp_path), source(clip)[0]
    change = np.abs(image.astype(int) - before).mean(axis=2)
    level = mask[..., 0]
    bands = [change[(level > low) & (level <= high)].mean() for low, high in
             ((15, 80), (80, 160), (160, 235), (235, 255))]  # fmt: skip
    assert bands == sorted(bands)
    assert (image[level <= 12] == before[level <= 12]).all()


def test_a_frame_with_nothing_to_animate_is_a_copy(clip: Path, tmp_path: Path) -> None:
    def some(index: int) -> Image:
        return grey(index) if index > 4 else np.zeros((*SIZE, 3), np.uint8)

    painter = Counting()
    facts = run(clip, tmp_path, folder(tmp_path / "masks", some), painter).facts
    for index, (shown, before) in enumerate(zip(film(tmp_path), source(clip), strict=True)):
        assert (shown == before).all() == (index <= 4)
    assert {job.target for job in painter.jobs} <= set(range(5, LENGTH))
    assert all(f.painted == 0 and f.coverage == 1 for f in facts.frames[:5])
    assert all(f.sources == () for f in facts.frames[:5])


def test_a_black_mask_copies_the_clip(clip: Path, tmp_path: Path) -> None:
    painter = Counting()
    black = write(tmp_path / "black.png", np.zeros((*SIZE, 3), np.uint8))
    facts = run(clip, tmp_path, black, painter, key_frames="coverage", key_agreement="guided").facts
    assert painter.jobs == painter.stages == []
    assert facts.painted_mean == 0
    assert [key.cause for key in facts.keys] == ["first", "last"]
    assert all((a == b).all() for a, b in zip(film(tmp_path), source(clip), strict=True))


# kinds of masks


@pytest.mark.parametrize("kind", ["video", "picture", "half size"])
def test_a_mask_may_be_a_video_or_a_picture(
    done: Done, clip: Path, tmp_path: Path, kind: str
) -> None:
    before, shrunk = source(clip), (SIZE.width // 2, SIZE.height // 2)
    if kind == "picture":
        mask = write(tmp_path / "m.png", grey(6))
    else:
        pictures = [grey(index) for index in range(LENGTH)]
        if kind == "half size":
            pictures = [cv2.resize(p, shrunk, interpolation=cv2.INTER_AREA) for p in pictures]
        mask = make_video(tmp_path / "mask.mp4", pictures)
    run(clip, tmp_path, mask)
    for index, image in enumerate(film(tmp_path)):
        inside = white(6 if kind == "picture" else index)
        changed = (image != before[index]).any(axis=2)
        assert not (changed & ~grown(inside, 3)).any()
        assert changed[inside].mean() > 0.8


def test_a_mask_is_sampled_as_the_clip_is(clip: Path, tmp_path: Path) -> None:
    sampling = {"start": 0.16, "every_nth": 3, "width": 80, "fit": "fit"}
    for kind in ("folder", "video"):
        space = tmp_path / kind
        space.mkdir()
        mask = (
            folder(space / "masks")
            if kind == "folder"
            else make_video(space / "mask.mp4", [grey(index) for index in range(LENGTH)])
        )
        run(clip, space, mask, **sampling)
        shown = film(space)
        with open_video(clip, Sampling(**sampling)) as frames:
            before = [frame.image for frame in frames]
        assert len(shown) == 3
        for index, image in zip((4, 7, 10), range(3), strict=True):
            changed = (shown[image] != before[image]).any(axis=2)
            inside = cv2.resize(grey(index), (80, 48), interpolation=cv2.INTER_AREA)[..., 0]
            assert not (changed & ~grown(inside > 0, 2)).any()
            assert changed[inside == 255].mean() > 0.8


def test_a_mask_is_cropped_and_padded_as_the_clip_is(clip: Path, tmp_path: Path) -> None:
    for fit in ("crop", "pad"):
        settings = Settings().replace({"width": 96, "height": 96, "fit": fit})
        sampling = {name: getattr(settings, name) for name in ("width", "height", "fit")}
        video = make_video(tmp_path / "mask.mp4", [grey(i) for i in range(LENGTH)])
        pictures = folder(tmp_path / "masks")
        spools = [
            pipeline.analyse_source(
                clip, Workspace(tmp_path / f"w-{fit}"), settings, Patience(), Stopwatch(), mask
            ).layers
            for mask in (video, pictures)
        ]
        with open_video(video, Sampling(**sampling)) as frames:
            wanted = next(iter(frames)).image[..., 0] > 127
        for one in spools:
            found = one.inside(0)
            assert found is not None
            assert (found != wanted).mean() < 0.06
            assert found[wanted].all()


# alpha, and times of its own


def masks_of(clip: Path, mask: Path, space: Path, **sampling: object) -> list[Mask]:
    """Where each frame of the clip is animated."""
    settings = Settings().replace(sampling)
    known = pipeline.analyse_source(clip, Workspace(space), settings, Patience(), Stopwatch(), mask)
    return [known.layers.inside(index) for index in range(known.frames.clip.length)]


def outlined(kind: str) -> NDArray[np.uint8]:
    """The subject's place of frame 6, on transparency, as OpenCV writes it."""
    inside = white(6)
    picture = np.zeros((*SIZE, 4), np.uint8)
    picture[inside, 3] = 255
    if kind in ("white", "opaque grey"):
        picture[..., :3] = 255  # transparent pixels may hold any colour
    if kind == "cut-out":
        picture[..., :3] = np.random.default_rng(4).integers(0, 255, (*SIZE, 3))
    if kind == "opaque grey":
        picture[..., 3], picture[~inside, :3] = 255, 0
    return picture  # else black, a silhouette


@pytest.mark.parametrize("kind", ["white", "cut-out", "silhouette", "opaque grey"])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_alpha_belongs_to_a_picture(clip: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    mask = tmp_path / f"mask{suffix}"
    assert cv2.imwrite(str(mask), outlined(kind), [cv2.IMWRITE_WEBP_QUALITY, 101])
    for inside in masks_of(clip, mask, tmp_path / "space"):
        assert (inside != white(6)).mean() < 0.01


def test_alpha_belongs_to_grey_with_alpha(clip: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    alpha = PIL.Image.fromarray(white(6).astype(np.uint8) * 255)
    PIL.Image.merge("LA", (PIL.Image.new("L", alpha.size, 255), alpha)).save(mask)
    assert (masks_of(clip, mask, tmp_path / "space")[0] != white(6)).mean() < 0.01


@pytest.mark.parametrize("kind", ["white", "cut-out"])
def test_alpha_belongs_to_a_video(clip: Path, tmp_path: Path, kind: str) -> None:
    pictures = [outlined(kind)[..., [2, 1, 0, 3]]] * LENGTH
    mask = make_video(tmp_path / "m.mkv", pictures, codec="ffv1", form="bgra", given="rgba")
    for inside in masks_of(clip, mask, tmp_path / "space"):
        assert (inside != white(6)).mean() < 0.01


def test_a_mask_with_the_clips_own_times_belongs_to_it(tmp_path: Path) -> None:
    times = [0, 18, 68, 115, 132, 165, 215, 250, 299, 331, 348, 400, 433]
    how = {"times": times, "time_base": Fraction(1, 1000)}
    clip = make_video(tmp_path / "in.mkv", [grey(index) for index in range(LENGTH)], **how)
    mask = make_video(tmp_path / "mask.mkv", [grey(index) for index in range(LENGTH)], **how)
    for index, inside in enumerate(masks_of(clip, mask, tmp_path / "space")):
        assert (inside != white(index)).mean() < 0.01


def test_a_mask_of_another_rate_is_matched_by_time(clip: Path, tmp_path: Path) -> None:
    pictures = [grey(index // 2) for index in range(2 * LENGTH)]
    mask = make_video(tmp_path / "mask.mkv", pictures, rate=Fraction(50))
    for index, inside in enumerate(masks_of(clip, mask, tmp_path / "space")):
        assert (inside != white(index)).mean() < 0.02


# refusals


def test_masks_that_cannot_be_used_are_refused(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.mp4").write_text("no video")
    short = folder(tmp_path / "short", length=5)
    long = folder(tmp_path / "long", length=14)
    wrong = write(tmp_path / "wide.png", np.zeros((50, 200, 3), np.uint8))
    cases = [
        (tmp_path / "none", "none.*no picture"),
        (tmp_path / "text.png", r"text\.png.*PNG"),
        (tmp_path / "gone.png", r"gone\.png.*No such file"),
        (tmp_path / "text.mp4", r"text\.mp4"),
        (tmp_path / "gone", "gone.*No such file"),
        (short, "short' ends after 5 of the clip's 13 frames; give"),
        (wrong, r"wide\.png' is 200x50 and the video 160x96: another aspect"),
        (long, "long' has 14 pictures and the video 13 frames; give"),
        (make_video(tmp_path / "few.mp4", [grey(0)] * 4), r"few.* 0\.160 s, .* 13 .* 0\.520 s"),
        (make_video(tmp_path / "many.mp4", [grey(0)] * 20), r"many.* 0\.800 s, .* 0\.520 s"),
        (
            make_video(tmp_path / "slow.mp4", [grey(0)] * 7, rate=Fraction(27, 2)),
            "7 frames and the clip 13: none is shown",
        ),
    ]
    for mask, said in cases:
        painter = Counting()
        with pytest.raises(VideoError, match=said) as refused:
            run(clip, tmp_path / "space", mask, painter)
        assert refused.value.exit_status == 2
        assert "\n" not in str(refused.value)
        assert painter.jobs == []
        assert not (tmp_path / "space" / "out.mp4").exists()


def test_a_film_does_not_replace_its_mask(clip: Path, tmp_path: Path) -> None:
    mask = make_video(tmp_path / "out.mp4", [grey(i) for i in range(LENGTH)])
    before = mask.read_bytes()
    with pytest.raises(VideoError, match=r"out\.mp4.*another name"):
        run(clip, tmp_path, mask)
    assert mask.read_bytes() == before
    pictures = folder(tmp_path / "png")
    with pytest.raises(VideoError, match=r"png.*another name"):
        run(clip, tmp_path, pictures)


def test_a_damaged_spool_of_masks_is_read_again(done: Done, clip: Path, tmp_path: Path) -> None:
    mask = make_video(tmp_path / "mask.mp4", [grey(i) for i in range(LENGTH)])
    run(clip, tmp_path, mask)
    before = film(tmp_path)
    for path in (tmp_path / "out.mp4.ofgen" / "spool").rglob("000005.qoi"):
        path.write_bytes(path.read_bytes()[:40])
    painter = Counting()
    run(clip, tmp_path, mask, painter)
    assert painter.jobs == []
    assert all((a == b).all() for a, b in zip(film(tmp_path), before, strict=True))


# what it keeps


def test_without_a_mask_nothing_is_another(clip: Path, tmp_path: Path) -> None:
    """Digests are what they were before there were masks, and `background` touches nothing."""
    run(clip, tmp_path, None)
    before, painter = kept(tmp_path, "frames", "painted", "spool"), Counting()
    run(clip, tmp_path, None, painter, background="once")
    assert painter.jobs == []
    assert kept(tmp_path, "frames", "painted", "spool") == before
    workspace = Workspace(tmp_path / "out.mp4.ofgen")
    (spool,) = (workspace.folder / "spool").iterdir()
    brush = BrushPainter().identity
    keys = {i: digest("whole", spool.name, i, (brush, "", "", 0.4, 0)) for i in (0, 6, 12)}
    assert all(workspace.has_frame(key) for key in keys.values())
    settings = Settings()
    flow = DisEstimator(1.0).identity
    how = (propagation._METHOD, flow, settings.confidence, 20)
    start = digest("fused", spool.name, 6, [(0, 1.0, keys[0])], how)
    sources = [(0, 0.5, keys[0]), (6, 0.5, digest("matched", keys[6], start))]
    assert workspace.facts(digest("fused", spool.name, 3, sources, how)) is not None


@pytest.mark.parametrize("background", ["keep", "once"])
def test_a_subject_smaller_than_the_least_hole_is_painted_once_and_lent(
    clip: Path, tmp_path: Path, background: str
) -> None:
    def small(index: int) -> Image:
        mask = np.zeros((*SIZE, 3), np.uint8)
        rows, columns = place(index)
        mask[rows.start + 14 : rows.start + 26, columns.start + 14 : columns.start + 26] = 255
        return mask

    masks, painter = folder(tmp_path / "small", small), Counting()
    changes = {"background": background, "hole_min": 256, "key_interval": 12}
    run(clip, tmp_path / "job", masks, painter, **changes)
    assert len({job.target for job in painter.jobs}) <= LENGTH / 2


@pytest.mark.parametrize("background", ["keep", "once"])
def test_the_same_job_again_paints_nothing(
    done: Done, clip: Path, moving_mask: Path, tmp_path: Path, background: str
) -> None:
    subprocess.run(["cp", "-a", f"{done[background][0]}/.", str(tmp_path)], check=True)
    before, painter = kept(tmp_path, "frames", "painted", "spool", "facts"), Counting()
    outcome = run(clip, tmp_path, moving_mask, painter, background=background)
    assert painter.jobs == painter.stages == []
    assert kept(tmp_path, "frames", "painted", "spool", "facts") == before
    assert outcome.facts.frames == done[background][1].facts.frames
    assert outcome.facts.flicker == done[background][1].facts.flicker


@pytest.mark.parametrize("background", ["keep", "once"])
def test_a_changed_mask_paints_only_what_depends_on_it(
    done: Done, clip: Path, tmp_path: Path, background: str
) -> None:
    """A mask of the last gap changes: what no frame of that gap steadies stays."""
    subprocess.run(["cp", "-a", f"{done[background][0]}/.", str(tmp_path)], check=True)

    def other(index: int) -> Image:
        return grey(index - (index == 9))

    painter = Counting()
    run(clip, tmp_path, folder(tmp_path / "masks", other), painter, background=background)
    targets = {job.target for job in painter.jobs}
    assert targets
    assert targets <= set(range(7, 12))
    same = [(a == b).all() for a, b in zip(film(tmp_path), film(done[background][0]), strict=True)]
    assert all(same[: 7 - Settings().track_reach])
    assert not same[9]
    painter = Counting()
    run(clip, tmp_path, folder(tmp_path / "again"), painter, background=background)
    assert painter.jobs == []


@pytest.mark.parametrize("background", ["keep", "once"])
def test_a_killed_job_gives_the_same_frames(
    done: Done, clip: Path, moving_mask: Path, tmp_path: Path, background: str
) -> None:
    pairs = [f"{name}={value}" for name, value in {**BASE, "background": background}.items()]
    command = [sys.executable, "-m", "lib_ofgen", "animate", str(clip), "--quiet"]
    command += ["-o", str(tmp_path / "out.mp4"), "--mask", str(moving_mask)]
    command += ["--frames", str(tmp_path / "png")]
    command += [word for pair in pairs for word in ("--set", pair)]
    for part, count in (("painted", 2), ("frames", 4)):
        with subprocess.Popen(command) as process:
            end = time.monotonic() + 60
            while len(kept(tmp_path, part)) < count and time.monotonic() < end:
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
        assert not (tmp_path / "out.mp4").exists()
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert all(
        (a == b).all() for a, b in zip(film(tmp_path), film(done[background][0]), strict=True)
    )


# key frames, and the ways in


@pytest.fixture(scope="session")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A clip of which one half is still and the other is new in each frame; a mask within
    the still half."""
    still, frames = texture(np.random.default_rng(9), SIZE), []
    for index in range(26):
        image = texture(np.random.default_rng(40 + index), SIZE)
        image[:, 60:] = still[:, 60:]
        frames.append(image)
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[10:-10, 104:-10] = 255
    place = tmp_path_factory.mktemp("halves")
    return make_video(place / "halves.mp4", frames), write(place / "mask.png", mask)


def test_keys_by_coverage_weigh_the_subject_alone(
    halves: tuple[Path, Path], tmp_path: Path
) -> None:
    clip, mask = halves
    how = {"key_frames": "coverage", "cut_threshold": 100.0}
    space = Workspace(tmp_path / "w")

    def keys(given: Path | None, background: str) -> list[int]:
        settings = Settings().replace({**how, "background": background})
        known = pipeline.analyse_source(clip, space, settings, Patience(), Stopwatch(), given)
        return [key.index for key in known.keys]

    assert keys(mask, "keep") == [0, 25]
    assert len(keys(None, "keep")) > 2
    assert keys(mask, "once") == keys(None, "once")


def test_the_plan_weighs_a_mask(
    halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    clip, mask = halves
    command = ["plan", str(clip), "--quiet", "--json", "--set", "key_frames=interval"]
    shares = []
    for more in ([], ["--mask", str(mask)]):
        assert commands.main([*command, *more]) == 0
        gaps = json.loads(capsys.readouterr().out)["paint"]["gaps"]
        shares.append(min(gap["coverage"] for gap in gaps))
    assert shares[0] < 0.9 < shares[1]
    assert commands.main([*command, "--mask", str(mask) + "x.png"]) == 2
    said = capsys.readouterr().err
    assert "mask.pngx.png" in said
    assert said.count("\n") == 1


def test_a_job_document_names_a_mask_under_the_allowed_folders(tmp_path: Path) -> None:
    places = AllowedPaths(tmp_path / "out", [tmp_path / "in"])
    (tmp_path / "in").mkdir()
    mask = write(tmp_path / "in" / "mask.png", grey(0))
    document = parse({"input": "clip.mp4", "mask": str(mask)})
    assert find_mask(document, places) == mask
    assert find_mask(parse({"input": "clip.mp4", "mask": str(mask.parent)}), places) == mask.parent
    plain = parse({"input": "clip.mp4"})
    assert find_mask(plain, places) is None
    outputs = {find_output(d, Path("clip.mp4"), Settings(), places) for d in (document, plain)}
    assert len(outputs) == 2
    for text, said in (("/etc/passwd", "--ofgen-allow-path"), (str(mask) + "x", "does not exist")):
        with pytest.raises(SettingsError, match=f"mask .*{said}"):
            find_mask(parse({"input": "clip.mp4", "mask": text}), places)
    with pytest.raises(SettingsError, match="mask has the wrong type"):
        parse({"input": "clip.mp4", "mask": 3})
