"""Reading: what is in a file comes out, exactly, and what is wrong with it is said in a line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import av.logging
import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_ofgen.errors import VideoError
from lib_ofgen.values import Clip, Frame, Image, Sampling, Size
from lib_ofgen.video import colour, timing
from lib_ofgen.video.reader import Source, open_video, working_size
from lib_ofgen.video.writer import write_video
from support.videos import SIZE, make_video, number, numbered

MILLISECOND = Fraction(1, 1000)


def read(path: Path, **options: Any) -> tuple[list[Image], Clip]:
    with open_video(path, Sampling(**options)) as source:
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(len(frames)))
        for frame in frames:
            assert frame.image.shape == (*source.size, 3)
            assert frame.image.dtype == np.uint8
            assert frame.image.flags.c_contiguous
        return [frame.image for frame in frames], source.clip


def numbers(images: list[Image]) -> list[int]:
    return [number(image) for image in images]


def plain_decode(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        options: Any = {"format": "rgb24", "src_colorspace": 5, "src_color_range": 1}
        return [frame.reformat(**options).to_ndarray() for frame in frames]


READABLE = [
    ("clips/asl_walk_256.mp4", 89, "30", (256, 256), "89/30"),
    ("clips/bbb_4s_640x360.mp4", 100, "25", (360, 640), "4"),
    ("clips/car_5s_512x288.mp4", 63, "25/2", (288, 512), "126/25"),
    ("clips/mpi_sintel_alley1_f16-25_1024x436.mp4", 10, "24", (440, 1024), "5/12"),
    ("clips/nasa_8s_480x270.mp4", 242, "30000/1001", (272, 480), "242242/30000"),
    ("clips/sintel_cuts_9s_640x272.mp4", 216, "24", (272, 640), "9"),
    ("bad/anamorphic_sar4_3.mp4", 50, "25", (360, 856), "2"),
    ("bad/av1_video.mkv", 125, "25", (360, 640), "5"),
    ("bad/decord_unordered.mov", 4, "32", (48, 48), "1/8"),
    ("bad/interlaced_tff.mp4", 25, "25/2", (360, 640), "2"),
    ("bad/nasa_hdr_hevc10.mp4", 325, "25", (184, 320), "13"),
    ("bad/odd_321x181_ffv1.mkv", 10, "25", (184, 320), "2/5"),
    ("bad/odd_321x241_444.mp4", 25, "25", (240, 320), "1"),
    ("bad/one_frame.mp4", 1, "25", (360, 640), "1/25"),
    ("bad/phone_rot90_3f.mov", 3, "30", (568, 320), "1/10"),
    ("bad/rotated90_displaymatrix.mp4", 60, "30", (320, 256), "2"),
    ("bad/tiny_32x18.mp4", 25, "25", (16, 32), "1"),
    ("bad/transparent_alpha_vp9.webm", 150, "30", (200, 200), "5"),
    ("bad/two_frames.mp4", 2, "25", (360, 640), "2/25"),
    ("bad/vfr_gaps.mp4", 66, "33/2", (360, 640), "4"),
]


@pytest.mark.parametrize(
    ("name", "length", "rate", "size", "lasts"), READABLE, ids=lambda value: str(value)
)
def test_every_readable_file(
    data: Path, name: str, length: int, rate: str, size: tuple[int, int], lasts: str
) -> None:
    with open_video(data / name) as source:
        assert source.expected == length
        assert source.size == size
        images = [frame.image for frame in source]
    clip = source.clip
    assert (len(images), clip.length, clip.damaged) == (length, length, 0)
    assert clip.rate == source.rate == Fraction(rate)
    assert clip.duration == Fraction(lasts)
    assert clip.ticks[0] == clip.start == 0
    assert all(np.diff([*clip.ticks, clip.end]) > 0)


def test_a_file_cut_off_gives_what_it_holds(data: Path) -> None:
    images, clip = read(data / "bad/truncated_moov_ok.mp4")
    assert 38 <= len(images) <= 42
    assert clip.damaged == 100 - len(images)
    assert clip.duration == Fraction(len(images), 25)
    assert clip.rate == 25


UNREADABLE = [
    ("audio_only.mp4", "no video stream, only sound; give"),
    ("text_renamed.mp4", "not a video that can be read"),
    ("truncated_no_moov.mp4", "index .moov. is missing.*again"),
    ("zero_bytes.mp4", "empty .0 bytes.; give"),
    ("none.mp4", "No such file"),
]


@pytest.mark.parametrize(("name", "cause"), UNREADABLE)
def test_what_cannot_be_read_is_said_in_a_line(data: Path, name: str, cause: str) -> None:
    with pytest.raises(VideoError, match=cause) as caught:
        open_video(data / "bad" / name)
    assert caught.value.exit_status == 2
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_text("not a video\n" * 100)
    for path, cause in ((tmp_path, "directory"), (tmp_path / "words.mp4", "not a video")):
        with pytest.raises(VideoError, match=cause) as caught:
            open_video(path)
        assert caught.value.exit_status == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = make_video(tmp_path / "locked.mp4", 2)
    path.chmod(0)
    with pytest.raises(VideoError, match="Permission denied"):
        open_video(path)


def test_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), mode="w") as output:
        track: Any = output.add_stream("aac", rate=48000)
        track.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    with pytest.raises(VideoError, match="no video stream, only sound"):
        open_video(path)


@pytest.mark.parametrize(
    "name",
    [
        "with space.mp4",
        'it\'s "quoted".mp4',
        "-dash.mp4",
        "кириллица 影片.mp4",
        "%03d.mp4",
        "100%.mp4",
        "a:b.mp4",
        "http:x.mp4",
        "hash#mark?.mp4",
    ],
)
def test_any_name_is_only_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    try:
        shutil.move(make_video(tmp_path / "made.mp4", 3), tmp_path / name)
    except OSError:
        pytest.skip("this system has no such names")
    monkeypatch.chdir(tmp_path)
    assert numbers(read(Path(name))[0]) == [0, 1, 2]


def test_a_play_list_under_a_videos_name_reaches_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError):
        open_video(path)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return make_video(path, 300, options={"g": "60", "bf": "3"})


def test_first_and_last_frame_are_there(long_clip: Path) -> None:
    images, clip = read(long_clip)
    assert numbers(images) == list(range(300))
    assert (clip.rate, clip.duration, clip.damaged) == (25, 12, 0)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0.5, 0), (3.99, 4.5), (4.04, 6), (7.9, 0), (9.96, 10), (11.96, 0)]
)
def test_a_range_is_exact_near_and_far(long_clip: Path, start: float, end: float) -> None:
    with open_video(long_clip, Sampling(start=start, end=end)) as source:
        found = [number(frame.image) for frame in source]
        clip = source.clip
    wanted = [i for i in range(300) if start - 1e-9 <= i / 25 < (end or 99) - 1e-9]
    assert found == wanted
    assert source.expected == len(wanted)
    assert clip.start == Fraction(wanted[0], 25)
    assert clip.duration == Fraction(len(wanted), 25)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi", "flv", "mov"])
def test_ranges_in_other_containers(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg4" if suffix == "avi" else "libx264"
    options = {"g": "25", "bf": "0", "qscale": "2"} if suffix == "avi" else {"g": "25"}
    path = make_video(tmp_path / f"clip.{suffix}", 200, codec=codec, options=options)
    images, clip = read(path, start=6, end=7)
    assert numbers(images) == list(range(150, 175))
    assert clip.duration == 1
    images, clip = read(path)
    assert numbers(images) == list(range(200))
    assert clip.rate == 25


@pytest.mark.parametrize(
    ("options", "found", "lasts"),
    [
        ({"every_nth": 3}, [0, 3, 6, 9], Fraction(10, 25)),
        ({"every_nth": 3, "start": 0.08, "end": 0.36}, [2, 5, 8], Fraction(7, 25)),
        ({"max_frames": 4}, [0, 1, 2, 3], Fraction(4, 25)),
        ({"max_frames": 2, "every_nth": 3}, [0, 3], Fraction(6, 25)),
        ({"max_frames": 4, "every_nth": 3}, [0, 3, 6, 9], Fraction(10, 25)),
        ({"max_frames": 99}, list(range(10)), Fraction(10, 25)),
        ({"every_nth": 99}, [0], Fraction(10, 25)),
        ({"end": 0.04}, [0], Fraction(1, 25)),
    ],
)
def test_sampling(
    tmp_path: Path, options: dict[str, Any], found: list[int], lasts: Fraction
) -> None:
    with open_video(make_video(tmp_path / "ten.mp4", 10), Sampling(**options)) as source:
        assert [number(frame.image) for frame in source] == found
    assert source.expected == len(found)
    clip = source.clip
    assert clip.duration == lasts
    assert clip.rate == source.rate == Fraction(25, options.get("every_nth", 1))
    assert [tick * clip.time_base for tick in clip.ticks] == [
        Fraction(i - found[0], 25) for i in found
    ]


@pytest.mark.parametrize("options", [{"start": 0.4}, {"start": 99.0}, {"start": 0.2, "end": 0.1}])
def test_an_empty_range_names_start_and_length(tmp_path: Path, options: dict[str, float]) -> None:
    path = make_video(tmp_path / "ten.mp4", 10)
    with pytest.raises(VideoError, match=r"no frame from [\d.]+ s.*0\.40 s; choose") as caught:
        open_video(path, Sampling(**options))
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rate_keeps_its_times(tmp_path: Path, suffix: str) -> None:
    times = [0, 40, 80, 250, 261, 900, 1000, 1013]
    options = {"bf": "0"}
    path = tmp_path / f"vfr.{suffix}"
    make_video(path, 8, times=times, time_base=MILLISECOND, options=options)
    images, clip = read(path)
    assert numbers(images) == list(range(8))
    assert [tick * clip.time_base for tick in clip.ticks] == [t * MILLISECOND for t in times]
    images, clip = read(path, start=0.2, end=0.95)
    assert numbers(images) == [3, 4, 5]
    assert [clip.seconds(i) for i in range(3)] == pytest.approx([0, 0.011, 0.65])
    assert clip.start == Fraction(1, 4)
    assert clip.duration == Fraction(3, 4)


@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", "60000/1001", "30", "50", "24"])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_rates_stay_exact(tmp_path: Path, rate: str, suffix: str) -> None:
    codec = "libvpx-vp9" if suffix == "webm" else "libx264"
    options = {"cpu-used": "8", "deadline": "realtime"} if suffix == "webm" else {}
    path = tmp_path / f"clip.{suffix}"
    make_video(path, 40, rate=Fraction(rate), codec=codec, options=options)
    _, clip = read(path)
    assert clip.rate == Fraction(rate)
    assert clip.duration == 40 / Fraction(rate)
    assert [clip.ticks[i] * clip.time_base for i in (1, 39)] == [
        1 / Fraction(rate),
        39 / Fraction(rate),
    ]


def test_damage_in_the_middle_costs_only_what_is_damaged(long_clip: Path, tmp_path: Path) -> None:
    raw = bytearray(long_clip.read_bytes())
    at = raw.index(b"mdat") + 200
    middle = at + (len(raw) - at) // 2
    raw[middle : middle + 300] = bytes(300)
    path = tmp_path / "hurt.mp4"
    path.write_bytes(raw)
    images, clip = read(path)
    assert 200 <= len(images) <= 300
    assert clip.length == len(images)
    assert len(images) + clip.damaged == 300
    assert numbers(images)[-1] == 299
    assert all(np.diff([*clip.ticks, clip.end]) > 0)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_cut_off_anywhere(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg4" if suffix == "avi" else "libx264"
    whole = make_video(tmp_path / f"whole.{suffix}", 60, codec=codec)
    raw = whole.read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(raw[: len(raw) * 2 // 3])
    images, clip = read(path)
    assert 1 <= len(images) < 60
    assert clip.length == len(images)


def test_noise_of_libav_stays_inside(data: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lib_ofgen.video.reader import open_video\n"
        "for name in sys.argv[1:]:\n"
        "    with open_video(Path(name)) as source:\n"
        "        print(sum(1 for _ in source))\n"
    )
    names = [data / "bad/truncated_moov_ok.mp4", data / "bad/decord_unordered.mov"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, names)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_clip_is_known_after_its_last_frame(tmp_path: Path) -> None:
    source = open_video(make_video(tmp_path / "three.mp4", 3))
    with pytest.raises(RuntimeError, match="after its last frame"):
        _ = source.clip
    frames = iter(source)
    next(frames)
    with pytest.raises(RuntimeError, match="have been read"):
        next(iter(source))
    assert len(list(frames)) == 2
    source.close()
    assert isinstance(source, Source)
    assert source.clip.length == 3


@pytest.mark.parametrize(
    ("name", "turns"), [("rotated90_displaymatrix.mp4", 1), ("phone_rot90_3f.mov", -1)]
)
def test_rotation_is_exact(data: Path, name: str, turns: int) -> None:
    images, _ = read(data / "bad" / name)
    plain = plain_decode(data / "bad" / name)
    if name.startswith("phone"):  # full of detail: the matrix of that file is BT.709
        difference = np.abs(images[1].astype(int) - np.rot90(plain[1], turns))
        assert difference.mean() < 4
    else:
        assert np.array_equal(images[7], np.rot90(plain[7], turns))


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), [[1, 2], [3, 4]]),
        ((0, 1, -1, 0), [[3, 1], [4, 2]]),
        ((-1, 0, 0, -1), [[4, 3], [2, 1]]),
        ((0, -1, 1, 0), [[2, 4], [1, 3]]),
        ((-1, 0, 0, 1), [[2, 1], [4, 3]]),
        ((1, 0, 0, -1), [[3, 4], [1, 2]]),
        ((0, 1, 1, 0), [[1, 3], [2, 4]]),
    ],
)
def test_display_matrices(matrix: tuple[int, int, int, int], shown: list[list[int]]) -> None:
    from lib_ofgen.video.orientation import orient

    a, b, c, d = matrix
    numbers_of = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 14], np.int32) * (1 << 16)
    image = np.array([[1, 2], [3, 4]], np.uint8)[..., None]
    assert orient(image, numbers_of)[..., 0].tolist() == shown


def test_square_pixels(tmp_path: Path) -> None:
    def squeeze(codec: Any) -> None:
        codec.sample_aspect_ratio = Fraction(2, 1)

    path = make_video(tmp_path / "wide.mp4", 2, prepare=squeeze)
    images, _ = read(path)
    assert images[0].shape == (40, 192, 3)
    assert numbers(images) == [0, 1]
    assert read(path, width=96)[0][0].shape == (24, 96, 3)
    assert read(path, width=96, height=96, fit="pad")[0][0].shape == (96, 96, 3)
    assert numbers(read(path, width=192, height=80, fit="pad")[0]) == [0, 1]


SIZES = [
    ((360, 640), 0, 0, "fit", (360, 640)),
    ((270, 480), 0, 0, "fit", (272, 480)),
    ((18, 32), 0, 0, "fit", (16, 32)),
    ((241, 321), 0, 0, "fit", (240, 320)),
    ((1, 1), 0, 0, "fit", (8, 8)),
    ((1080, 1920), 640, 0, "fit", (360, 640)),
    ((1080, 1920), 0, 360, "fit", (360, 640)),
    ((1920, 1080), 512, 0, "fit", (912, 512)),
    ((1080, 1920), 512, 512, "fit", (288, 512)),
    ((1920, 1080), 512, 512, "fit", (512, 288)),
    ((272, 640), 640, 360, "fit", (272, 640)),
    ((1080, 1920), 512, 512, "crop", (512, 512)),
    ((1080, 1920), 512, 512, "pad", (512, 512)),
    ((1080, 1920), 515, 509, "crop", (512, 512)),
    ((40, 4000), 512, 512, "fit", (8, 512)),
]


@pytest.mark.parametrize(("source", "width", "height", "fit", "size"), SIZES)
def test_working_sizes(
    source: tuple[int, int], width: int, height: int, fit: str, size: tuple[int, int]
) -> None:
    assert working_size(Size(*source), width, height, fit) == size


LENGTHS = st.integers(1, 5000)
ASKED = st.integers(0, 300).map(lambda step: step * 8)


@given(LENGTHS, LENGTHS, ASKED, ASKED, st.sampled_from(["fit", "crop", "pad"]))
def test_working_sizes_always_fit(high: int, wide: int, width: int, height: int, fit: str) -> None:
    size = working_size(Size(high, wide), width, height, fit)
    assert all(side >= 8 and side % 8 == 0 for side in size)
    if width and height:
        assert size.width <= max(8, width)
        assert size.height <= max(8, height)
        if fit != "fit":
            assert size == (height, width)
    elif width:
        assert size.width == width
    elif height:
        assert size.height == height
    if fit == "fit" and not (width and height) and min(size) > 8:
        scale = size.width / wide if width else size.height / high if height else 1
        assert abs(size.width - wide * scale) <= 4.001
        assert abs(size.height - high * scale) <= 4.001


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="'squash'"):
        working_size(Size(9, 9), 8, 8, "squash")


def test_crop_and_pad_show_the_right_part(tmp_path: Path) -> None:
    image = np.full((80, 160, 3), 128, np.uint8)
    image[:, :40], image[:, 120:] = (255, 0, 0), (0, 0, 255)
    path = make_video(tmp_path / "flag.mkv", [image], codec="ffv1", form="bgr0")
    [cropped], _ = read(path, width=80, height=80, fit="crop")
    assert np.abs(cropped.astype(int) - 128).max() <= 2
    [padded], _ = read(path, width=160, height=160, fit="pad")
    assert padded[0, 0].tolist() == padded[60, 0].tolist() == [255, 0, 0]
    assert padded[159, 159].tolist() == [0, 0, 255]
    [fitted], _ = read(path, width=80, height=80)
    assert fitted.shape == (40, 80, 3)
    assert fitted[0, 0].tolist() == [255, 0, 0]


FORMS = [
    ("ffv1", "yuv420p"),
    ("ffv1", "yuv422p10le"),
    ("ffv1", "yuv444p16le"),
    ("ffv1", "bgr0"),
    ("ffv1", "gbrp10le"),
    ("ffv1", "bgra"),
    ("ffv1", "yuva420p"),
    ("ffv1", "yuva444p10le"),
    ("rawvideo", "yuyv422"),
    ("rawvideo", "nv12"),
    ("png", "rgb24"),
    ("mjpeg", "yuvj420p"),
    ("libx264", "yuv420p10le"),
]


@pytest.mark.parametrize(("codec", "form"), FORMS)
def test_any_pixel_format(tmp_path: Path, codec: str, form: str) -> None:
    image = np.empty((33, 71, 3), np.uint8)
    image[:, :36], image[:, 36:] = (200, 60, 30), (20, 90, 180)
    image = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    suffix = "avi" if codec in ("rawvideo", "png") else "mkv"

    def strict(context: Any) -> None:
        context.options = {"strict": "-2"} if codec == "mjpeg" else {}
        if form == "yuvj420p":
            context.color_range = 2

    path = make_video(tmp_path / f"x.{suffix}", [image], codec=codec, form=form, prepare=strict)
    [found], _ = read(path)
    assert found.shape == (64, 144, 3)
    assert np.abs(found[30, 20].astype(int) - (200, 60, 30)).max() <= 6
    assert np.abs(found[30, 120].astype(int) - (20, 90, 180)).max() <= 6


def test_grey(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 40, axis=0)
    options: Any = {"codec": "ffv1", "form": "gray", "given": "gray"}
    [found], _ = read(make_video(tmp_path / "grey.mkv", [ramp], **options))
    assert np.array_equal(found, np.repeat(ramp[..., None], 3, axis=2))


@pytest.mark.parametrize("form", ["bgra", "yuva420p", "yuva444p10le"])
def test_alpha_lies_over_black(tmp_path: Path, form: str) -> None:
    image = np.full((64, 200, 4), (240, 120, 60, 255), np.uint8)
    image[:, 100:, 3] = 128
    image[:, 150:, 3] = 0
    path = tmp_path / "glass.mkv"
    [found], _ = read(make_video(path, [image], codec="ffv1", form=form, given="rgba"))
    assert np.abs(found[20, 50].astype(int) - (240, 120, 60)).max() <= 4
    assert np.abs(found[20, 125].astype(int) - (120, 60, 30)).max() <= 4
    assert found[20, 175].max() <= 2


def test_alpha_of_vp9(data: Path) -> None:
    images, _ = read(data / "bad/transparent_alpha_vp9.webm")
    assert any(image.max() > 200 for image in images)
    assert np.median(images[30]) == 0


RED = {1: (63, 102, 240), 5: (81, 90, 240), 9: (74, 97, 240)}


def _red(path: Path, size: Size, matrix: int, told: int, reach: int = 0) -> Path:
    """A red picture whose luma and chroma are those of `matrix`; tagged with `told`."""
    frame: Any = av.VideoFrame(size.width, size.height, "yuv444p")
    for plane, value in zip(frame.planes, RED[matrix], strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    with av.open(str(path), mode="w") as output:
        stream: Any = output.add_stream("ffv1", rate=25)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = size.width, size.height, "yuv444p"
        context.colorspace, context.color_range = told, reach
        frame.pts = 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("size", "matrix", "told"),
    [
        (Size(72, 128), 5, 2),
        (Size(720, 1280), 1, 2),
        (Size(72, 128), 1, 1),
        (Size(720, 1280), 5, 6),
        (Size(720, 1280), 5, 5),
        (Size(72, 128), 9, 9),
    ],
)
def test_matrices(tmp_path: Path, size: Size, matrix: int, told: int) -> None:
    [found], _ = read(_red(tmp_path / "red.mkv", size, matrix, told))
    roundabout = told == 9 and int(av.__version__.split(".")[0]) < 14
    assert np.abs(found[9, 9].astype(int) - (255, 0, 0)).max() <= (13 if roundabout else 3)


def _pq_of(image: Image) -> np.ndarray:
    """16 bit PQ codes in BT.2020 of an sRGB picture whose white is 203 cd/m²."""
    light = (image / 255.0) ** 2.2 @ np.linalg.inv(colour.TO_BT709.astype(float)).T
    power = (np.clip(light, 0, None) * 203 / 10000) ** 0.1593017578125
    code = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    return np.rint(code * 65535).astype(np.uint16)


def test_hdr_comes_down_to_what_it_was_made_of(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (50, 60, 3), np.uint8)
    told = colour.Colour(9, 2, transfer=16, primaries=9)
    found = colour.to_srgb(_pq_of(image), told).astype(int)
    dark = image.max(axis=2) < 150  # below the shoulder
    assert np.abs(found - image)[dark].max() <= 4
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    grey = colour.to_srgb(_pq_of(ramp), told)[0].astype(int)
    assert np.abs(grey - grey[:, :1]).max() <= 2
    assert np.diff(grey[:, 0]).min() >= 0
    assert 195 <= grey[255, 0] <= 240  # room is left for what is brighter than white


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_fills_the_range(transfer: int) -> None:
    told = colour.Colour(9, 2, transfer=transfer, primaries=9)
    codes = np.repeat(np.arange(0, 65536, 16, dtype=np.uint16)[None, :, None], 3, axis=2)
    grey = colour.to_srgb(codes, told)[0, :, 1].astype(int)
    assert (grey[0], grey[-1]) == (0, 255)
    assert np.diff(grey).min() >= 0


@pytest.mark.parametrize("bits", [10, 16])
def test_an_hdr_file(tmp_path: Path, bits: int) -> None:
    image = np.full((64, 64, 3), (120, 60, 30), np.uint8)

    def tag(codec: Any) -> None:
        codec.colorspace, codec.color_primaries, codec.color_trc = 9, 9, 16

    codes = _pq_of(image)
    options: Any = {"codec": "ffv1", "given": "rgb48le", "prepare": tag}
    form = {10: "gbrp10le", 16: "gbrp16le"}[bits]
    [found], _ = read(make_video(tmp_path / "hdr.mkv", [codes], form=form, **options))
    assert np.abs(found[20, 20].astype(int) - (120, 60, 30)).max() <= 4


def test_the_containers_word_on_colour_overrides_the_bitstreams(data: Path) -> None:
    with av.open(str(data / "bad/nasa_hdr_hevc10.mp4")) as container:
        if container.streams.video[0].codec_context.color_trc != 1:
            pytest.skip("this libav does not pass on what the container says")
    images, _ = read(data / "bad/nasa_hdr_hevc10.mp4", max_frames=101)
    assert 4 < images[100].mean() < 20
    assert np.percentile(images[100], 99) < 150


def _combed(image: Image) -> float:
    """How much every second line differs from its neighbours."""
    luma = image.astype(float).mean(axis=2)
    return float(np.abs(luma[1:-1:2] - (luma[:-2:2] + luma[2::2]) / 2).mean())


def test_interlaced_pictures_become_whole_ones(data: Path) -> None:
    images, clip = read(data / "bad/interlaced_tff.mp4")
    plain = plain_decode(data / "bad/interlaced_tff.mp4")
    assert len(images) == len(plain) == clip.length == 25
    assert clip.ticks[:3] == (0, 1024, 2048)
    assert np.mean([_combed(a) / _combed(b) for a, b in zip(images, plain, strict=True)]) < 0.8


@pytest.mark.parametrize("count", [1, 2, 7])
def test_interlaced_files_lose_no_frame(tmp_path: Path, count: int) -> None:
    path = tmp_path / "fields.mp4"
    make_video(path, count, options={"x264-params": "tff=1", "flags": "+ildct+ilme"})
    images, clip = read(path)
    assert numbers(images) == list(range(count))
    assert clip.duration == Fraction(count, 25)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 2, 4], [0, 2, 4]),
        ([None, None, None], [0, 2, 4]),
        ([0, None, 4, None], [0, 2, 4, 6]),
        ([None, 2, 4], [0, 2, 4]),
        ([0, 2, 2, 6], [0, 2, 4, 6]),
        ([0, 2, 8, 6, 8], [0, 2, 4, 6, 8]),
        ([0, 4, 2, 6], [0, 1, 2, 6]),
        ([0, 0, 0, 0], [0, 2, 4, 6]),
        ([0, 2, 100000, 100002], [0, 2, 4, 6]),
        ([90000, 90002, 0, 2], [90000, 90002, 90004, 90006]),
    ],
)
def test_times_are_mended(stamps: list[int | None], times: list[int]) -> None:
    found = timing.mend(stamps, 2, MILLISECOND)
    assert len(found) == len(times)
    assert all(b > a for a, b in pairwise(found))
    assert np.abs(np.array(found) - times).max() <= 1


@given(st.lists(st.one_of(st.none(), st.integers(-1000, 100000)), min_size=1, max_size=60))
def test_mended_times_always_rise(stamps: list[int | None]) -> None:
    found = timing.mend(stamps, 40, MILLISECOND)
    assert len(found) == len(stamps)
    assert all(b > a for a, b in pairwise(found))


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=60))
def test_rising_times_are_left_alone(steps: list[int]) -> None:
    stamps = [int(stamp) for stamp in np.cumsum(steps)]
    assert timing.mend(list(stamps), 40, MILLISECOND) == stamps


@pytest.mark.parametrize(
    ("measured", "meant"),
    [("2997/100", "30000/1001"), ("23976/1000", "24000/1001"), ("19001/317", "60000/1001")],
)
def test_rates_that_are_meant(measured: str, meant: str) -> None:
    assert timing.nominal_rate(Fraction(measured)) == Fraction(meant)
    assert timing.nominal_rate(Fraction("33/2")) == Fraction("33/2")


def test_numbered_pictures_can_be_read() -> None:
    assert [number(numbered(i, SIZE)) for i in (0, 1, 513, 1023)] == [0, 1, 513, 1023]


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    sound = make_video(tmp_path / "in.mkv", 25, sound="libmp3lame", click=0.5)
    bare = tmp_path / "bare.mp3"
    with av.open(str(sound)) as source, av.open(str(bare), mode="w") as output:
        track: Any = output.add_stream("libmp3lame", rate=48000)
        for frame in source.decode(audio=0):
            frame.pts = None
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    picture = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    body = b"\0image/png\0\3\0" + picture
    tag = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3\3\0\0" + size + tag + bare.read_bytes())
    with av.open(str(path)) as container:
        if not hasattr(container.streams.video[0], "disposition"):
            pytest.skip("this PyAV cannot tell cover art from a picture")
    with pytest.raises(VideoError, match="no video stream, only sound"):
        open_video(path)


def test_codecs_are_silent_when_opened_and_when_closed(tmp_path: Path) -> None:
    """Whoever lets them speak meanwhile: a log line at the wrong moment would hang the job."""
    path = make_video(tmp_path / "clip.mp4")
    try:
        av.logging.set_level(av.logging.ERROR)
        with open_video(path) as source:
            assert av.logging.get_level() is None
            assert len(list(source)) == 10
            av.logging.set_level(av.logging.ERROR)
        assert av.logging.get_level() is None
        av.logging.set_level(av.logging.ERROR)
        with write_video(tmp_path / "film.mp4", source.clip) as film:
            assert av.logging.get_level() is None
            for index in range(10):
                film.write(Frame(index, numbered(index)))
            av.logging.set_level(av.logging.ERROR)
        assert av.logging.get_level() is None
    finally:
        av.logging.set_level(None)


def test_an_animated_webp_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "moving.mp4"
    pictures = [PIL.Image.fromarray(numbered(index)) for index in range(3)]
    pictures[0].save(path, "WEBP", save_all=True, append_images=pictures[1:], duration=100)
    with pytest.raises(VideoError, match=r"animated WebP.*; convert it to") as refused:
        open_video(path)
    assert refused.value.exit_status == 2
