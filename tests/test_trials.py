"""Small inputs with traits that users of such tools reported; each with what is right.

Right is what ffmpeg and browsers make of them. The inputs lie in the data folder's `trials`.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from lib_ofgen.cli.commands import main
from lib_ofgen.imaging import images
from lib_ofgen.pipeline import run
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store import masks
from lib_ofgen.store.frame_store import read_source
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Clip, Image, Mask, Sampling
from lib_ofgen.video.reader import open_video
from support.jobs import Patience
from support.videos import beeps

KEPT = ("--set", "key_frames=every", "--set", "strength=0", "--quiet")
"""The film is the source's own frames."""


@pytest.fixture
def trials(data: Path) -> Path:
    folder = data / "trials"
    if not folder.is_dir():
        pytest.skip("the data folder has no trials")
    return folder


def taken(path: Path) -> tuple[list[Image], Clip]:
    """All frames of a file, and the clip."""
    with open_video(path) as source:
        return [frame.image for frame in source], source.clip


CLIPS = [
    # name, frames, frames a second, seconds
    ("e_exif.avi", 20, 25, 0.8),
    ("e_photo.jpg", 1, 25, 0.04),
    ("joined_back.ts", 150, 25, 6.0),
    ("s_still_first.mkv", 75, 25, 3.0),
    ("s_two_second_default.mkv", 75, 25, 3.0),
    ("c_raw2997.h264", 90, Fraction(30000, 1001), 3.003),
    ("c_h264b.avi", 75, 25, 3.0),
    ("r_01.mkv", 6, Fraction(1, 10), 60.0),
    ("x_seg3.mp4", 25, 25, 1.0),
    ("mp_50_12.mpg", 50, 25, 2.0),
    ("tl_1_10.ts", 6, Fraction(1, 10), 60.0),
    ("g_10ms.gif", 8, 10, 0.8),
]


@pytest.mark.parametrize(("name", "frames", "rate", "seconds"), CLIPS)
def test_frames_rate_and_length(
    trials: Path, name: str, frames: int, rate: Fraction, seconds: float
) -> None:
    images, clip = taken(trials / name)
    assert len(images) == clip.length == frames
    assert clip.rate == rate
    assert float(clip.duration) == pytest.approx(seconds, abs=1e-4)
    assert clip.damaged == 0


def test_pictures_that_repeat_are_no_damage(trials: Path) -> None:
    _, clip = taken(trials / "c.ogv")
    assert clip.damaged == 0
    assert float(clip.duration) == pytest.approx(3.0)


def test_a_photo_is_turned_as_its_exif_says(trials: Path) -> None:
    (image,), _ = taken(trials / "e_photo.jpg")
    assert image.shape == (96, 64, 3)


def test_the_film_that_is_marked_as_default_plays(trials: Path) -> None:
    assert taken(trials / "s_two_second_default.mkv")[1].size == (128, 192)


def test_what_the_container_crops_is_cut_off_and_nothing_is_squeezed(trials: Path) -> None:
    images, clip = taken(trials / "k20_crop.mkv")
    assert clip.size == (40, 96)
    with av.open(str(trials / "k20_crop.mkv")) as container:
        whole = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(images[0].astype(int) - whole[12:52]).mean() < 8


def flashes(path: Path) -> list[float]:
    """When the picture turns bright, in seconds."""
    with av.open(str(path)) as container:
        seen = [
            (float(frame.time), float(frame.to_ndarray(format="gray").mean()))
            for frame in container.decode(video=0)
        ]
    return [now for (_, dark), (now, mean) in pairwise(seen) if mean > dark + 40]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_joined_recordings_keep_picture_and_sound_together(
    trials: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    assert main(["animate", str(trials / "joined_back.ts"), "-o", str(out), *KEPT]) == 0
    assert flashes(out) == pytest.approx([1, 2, 4, 5], abs=0.001)
    assert beeps(out) == pytest.approx(flashes(out), abs=0.015)


def test_sound_that_changes_its_channels_is_encoded_whole(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    assert main(["animate", str(trials / "sound_changes_mp2.ts"), "-o", str(out), *KEPT]) == 0
    with av.open(str(out)) as film:
        track = film.streams.audio[0]
        assert track.codec_context.name == "aac"
        assert float(track.duration * track.time_base) == pytest.approx(3.0, abs=0.05)
    assert beeps(out) == pytest.approx([1.02, 2.52], abs=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".m4v"])
def test_sound_that_the_container_refuses_is_encoded(
    trials: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    assert main(["animate", str(trials / "mp3_11k.avi"), "-o", str(out), *KEPT]) == 0
    with av.open(str(out)) as film:
        assert film.streams.audio[0].codec_context.name == "aac"


def test_a_gif_keeps_its_length_and_no_picture_is_too_short(
    trials: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.gif"
    assert main(["animate", str(trials / "r_60.mp4"), "-o", str(out), *KEPT]) == 0
    with av.open(str(out)) as film:
        lasts = [packet.duration for packet in film.demux(video=0) if packet.size]
    assert min(lasts) >= 2
    assert sum(lasts) == 100
    assert "10 frames are left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["geo_4000x16.mkv", "geo_8192x8.mkv"])
def test_a_ribbon_is_a_film_with_its_report(trials: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.mp4"
    assert main(["animate", str(trials / name), "-o", str(out), "--quiet"]) == 0
    assert (tmp_path / "out.mp4.ofgen" / "report.html").is_file()
    assert main(["plan", str(trials / name), "-o", str(tmp_path / "plan.png"), "--quiet"]) == 0


@pytest.mark.parametrize("name", ["white_alpha.png", "cutout.png"])
def test_a_masks_alpha_is_part_of_it(trials: Path, tmp_path: Path, name: str) -> None:
    inside = _inside(trials / "base.mp4", trials / name, tmp_path)
    alpha = cv2.imread(str(trials / name), cv2.IMREAD_UNCHANGED)[..., 3] > 127
    assert (inside != alpha).mean() < 0.02
    if name == "white_alpha.png":
        assert inside[:, :44].all()
        assert not inside[:, 52:].any()


def test_a_clip_of_odd_times_is_its_own_mask(trials: Path, tmp_path: Path) -> None:
    clip = trials / "v_mediarec.webm"
    with open_video(clip) as source:
        shown = source.display_size
    frames = read_source(Workspace(tmp_path / "space"), clip, Sampling(), Patience())
    found = masks.read(clip, frames, Sampling(), shown, Patience())
    greys = [found.frame(index).image[..., 0].astype(int) for index in range(found.clip.length)]
    lights = [images.luma(frame.image) for frame in frames.frames()]
    own = [abs(grey - light).mean() for grey, light in zip(greys, lights, strict=True)]
    neighbour = [abs(here - after).mean() for here, after in pairwise(greys)]
    assert max(own) < 0.1, "each frame has itself as its mask"
    assert min(neighbour) > 0.5, "and no frame could be taken for another"


def _inside(clip: Path, mask: Path, folder: Path) -> Mask:
    """What of the clip's first frame is animated."""
    space = Workspace(folder / "space")
    known = run.analyse_source(clip, space, Settings(), Patience(), Stopwatch(), mask)
    inside = known.layers.inside(0)
    assert inside is not None
    return inside
