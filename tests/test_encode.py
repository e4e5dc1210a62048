"""Writing: whole or not at all, with the clip's own times and the source's sound."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import pytest

from lib_ofgen.errors import VideoError
from lib_ofgen.values import Clip, Frame, Sampling, Size
from lib_ofgen.video.formats import KINDS
from lib_ofgen.video.reader import open_video
from lib_ofgen.video.writer import FrameFolder, check_output, write_video
from support.videos import SIZE, heard, make_video, number, numbered, plain_clip

MILLISECOND = Fraction(1, 1000)


def write(path: Path, clip: Clip, **options: Any) -> Path:
    with write_video(path, clip, **options) as sink:
        for index in range(clip.length):
            sink.write(Frame(index, numbered(index, clip.size)))
    assert [left.name for left in path.parent.iterdir() if "partial" in left.name] == []
    return path


def reread(path: Path) -> tuple[list[int], Clip]:
    with open_video(path) as source:
        return [number(frame.image) for frame in source], source.clip


def header(path: Path) -> Any:
    """Rate, frames and length that another program reads in the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        seconds = stream.duration * stream.time_base if stream.duration else None
        return stream.average_rate, stream.frames, seconds, container.duration / 1e6


@pytest.mark.parametrize("suffix", list(KINDS))
@pytest.mark.parametrize("length", [1, 2, 30])
def test_round_trip(tmp_path: Path, suffix: str, length: int) -> None:
    path = write(tmp_path / f"out{suffix}", plain_clip(length))
    found, clip = reread(path)
    assert found == list(range(length))
    assert clip.rate == 25
    assert clip.duration == Fraction(length, 25)
    assert clip.sound is None
    assert header(path)[3] == pytest.approx(length / 25, abs=0.002)


@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", "60000/1001", "25", "12.5", "24"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_rates_are_read_back_as_they_are(tmp_path: Path, rate: str, suffix: str) -> None:
    path = write(tmp_path / f"out{suffix}", plain_clip(40, rate=Fraction(rate)))
    assert reread(path)[1].rate == Fraction(rate)
    told, frames, seconds, _ = header(path)
    if suffix == ".mp4":
        assert (told, frames, seconds) == (Fraction(rate), 40, 40 / Fraction(rate))


TICKS = (0, 40, 80, 250, 261, 900, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_variable_frame_rate_is_kept(tmp_path: Path, suffix: str) -> None:
    clip = Clip(SIZE, Fraction(7), MILLISECOND, TICKS, 1400, Fraction(0), None)
    path = write(tmp_path / f"out{suffix}", clip)
    found, again = reread(path)
    assert found == list(range(7))
    assert [tick * again.time_base for tick in again.ticks] == [t * MILLISECOND for t in TICKS]
    if suffix != ".webm" or int(av.__version__.split(".")[0]) > 15:  # not read back before
        assert again.duration == Fraction(7, 5)
    assert header(path)[3] == pytest.approx(1.4, abs=0.002)


def test_variable_frame_rate_in_a_gif(tmp_path: Path) -> None:
    clip = Clip(SIZE, Fraction(7), MILLISECOND, TICKS, 1400, Fraction(0), None)
    _, again = reread(write(tmp_path / "out.gif", clip))
    assert [again.seconds(i) for i in range(7)] == pytest.approx(
        [0, 0.04, 0.08, 0.25, 0.27, 0.9, 1.0]
    )
    assert again.duration == Fraction(7, 5)


def test_a_time_base_that_no_container_has(tmp_path: Path) -> None:
    clip = Clip(SIZE, Fraction(30000, 1001), Fraction(1001, 30000), (0, 1, 2), 3, Fraction(0), None)
    _, again = reread(write(tmp_path / "out.mp4", clip))
    assert (again.rate, again.duration) == (Fraction(30000, 1001), Fraction(3003, 30000))


def test_every_file_of_the_data_comes_back(data: Path, tmp_path: Path) -> None:
    for name in ("bad/vfr_gaps.mp4", "clips/nasa_8s_480x270.mp4", "bad/truncated_moov_ok.mp4"):
        path = data / name
        with open_video(path, Sampling(width=96)) as source:
            frames = list(source)
        out = tmp_path / "out.mp4"
        with write_video(out, source.clip, sound_from=path) as sink:
            for frame in frames:
                sink.write(frame)
        with open_video(out) as again:
            assert len(list(again)) == len(frames)
        assert again.clip.rate == source.clip.rate
        assert again.clip.duration == source.clip.duration
        ticks = [tick * source.clip.time_base for tick in source.clip.ticks]
        assert [tick * again.clip.time_base for tick in again.clip.ticks] == ticks
        assert again.sound == source.sound
        assert header(out)[3] == pytest.approx(float(source.clip.duration), abs=0.01)


def test_colours_are_tagged_and_true(tmp_path: Path) -> None:
    image = np.empty((64, 96, 3), np.uint8)
    image[:, :48], image[:, 48:] = (200, 60, 30), (20, 90, 180)
    for suffix in (".mp4", ".webm", ".mkv"):
        path = tmp_path / f"out{suffix}"
        with write_video(path, plain_clip(3, size=Size(64, 96))) as sink:
            for index in range(3):
                sink.write(Frame(index, image))
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
        with open_video(path) as source:
            found = next(iter(source)).image.astype(int)
        assert np.abs(found[30, 20] - (200, 60, 30)).max() <= 5
        assert np.abs(found[30, 80] - (20, 90, 180)).max() <= 5


def test_quality_follows_crf(tmp_path: Path, rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    sizes = []
    for crf in (10, 40):
        with write_video(tmp_path / "out.mp4", plain_clip(1), crf=crf) as sink:
            sink.write(Frame(0, image))
        sizes.append((tmp_path / "out.mp4").stat().st_size)
    assert sizes[0] > 1.5 * sizes[1]


SOUNDS = [
    ("aac", ".mp4", ".mp4", "aac"),
    ("aac", ".mp4", ".mkv", "aac"),
    ("aac", ".mkv", ".mov", "aac"),
    ("aac", ".mp4", ".webm", "opus"),
    ("pcm_s16le", ".mkv", ".mp4", "aac"),
    ("pcm_s16le", ".mov", ".m4v", "aac"),
    ("pcm_s16le", ".mov", ".mov", "pcm_s16le"),
    ("flac", ".mkv", ".webm", "opus"),
    ("flac", ".mkv", ".mkv", "flac"),
    ("libmp3lame", ".mkv", ".mp4", "mp3"),
    ("libopus", ".mkv", ".webm", "opus"),
    ("libopus", ".mkv", ".mp4", "opus"),
    ("ac3", ".mkv", ".mp4", "ac3"),
    ("aac", ".ts", ".mp4", "aac"),
]


@pytest.mark.parametrize(("codec", "source", "suffix", "kept"), SOUNDS)
def test_sound_stays_in_step(
    tmp_path: Path, codec: str, source: str, suffix: str, kept: str
) -> None:
    path = make_video(tmp_path / f"in{source}", 75, sound=codec, click=1.5)
    with open_video(path, Sampling(start=0.52, end=2.6)) as taken:
        frames = list(taken)
    out = tmp_path / f"out{suffix}"
    with write_video(out, taken.clip, sound_from=path) as sink:
        for frame in frames:
            sink.write(frame)
    found, length, tone = heard(out)
    assert found == kept
    # The source's own delay (MPEG-TS, MP3) is the source's; it must come through.
    _, _, before = heard(path)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        begin = float(first.pts * first.time_base)
    assert tone == pytest.approx(before - begin - 0.52, abs=0.03)
    assert length == pytest.approx(2.08, abs=0.06)
    assert header(out)[3] == pytest.approx(2.08, abs=0.035)
    assert reread(out)[0] == list(range(13, 65))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_sound_that_begins_late_still_does(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / "in.mp4", 50, sound="aac", click=1.5, sound_start=0.8)
    with open_video(path) as source:
        frames = list(source)
    out = tmp_path / f"out{suffix}"
    with write_video(out, source.clip, sound_from=path) as sink:
        for frame in frames:
            sink.write(frame)
    assert heard(out)[2] == pytest.approx(1.5, abs=0.03)


def test_a_gif_and_a_silent_source_have_no_sound(tmp_path: Path) -> None:
    loud = make_video(tmp_path / "loud.mp4", 5, sound="aac", click=0.1)
    mute = make_video(tmp_path / "mute.mp4", 5)
    for source, name in ((loud, "out.gif"), (mute, "out.mp4")):
        path = write(tmp_path / name, plain_clip(5), sound_from=source)
        assert reread(path)[1].sound is None


def test_a_range_behind_the_sound_is_silent(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", 50, sound="aac")
    found, _ = reread(
        write(tmp_path / "out.mp4", plain_clip(5, start=Fraction(9)), sound_from=source)
    )
    assert found == list(range(5))


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_damaged_sound_costs_sound_only(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "in.mkv", 100, sound="aac", click=0.5)
    raw = bytearray(source.read_bytes())
    half = len(raw) // 2
    raw[half:] = np.random.default_rng(0).integers(0, 256, len(raw) - half, np.uint8).tobytes()
    source.write_bytes(raw)
    out = write(tmp_path / f"out{suffix}", plain_clip(100), sound_from=source)
    found, _ = reread(out)
    assert found == list(range(100))
    assert heard(out)[2] == pytest.approx(0.5, abs=0.03)


def _begin(path: Path, indexes: list[int], error: Exception | None = None) -> None:
    """Write the frames that are named, as if they were pictures of a clip of three."""
    with write_video(path, plain_clip(3)) as sink:
        for index in indexes:
            sink.write(Frame(index, numbered(index)))
        if error is not None:
            raise error


def test_nothing_remains_of_a_failed_job(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"kept")
    with pytest.raises(KeyError):
        _begin(path, [0], KeyError())
    with pytest.raises(VideoError, match="got 2 of 3 frames"):
        _begin(path, [0, 1])
    assert path.read_bytes() == b"kept"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with write_video(path, plain_clip(2)) as sink:
        sink.write(Frame(0, numbered(0)))
        sink.write(Frame(1, numbered(1)))
        assert not path.exists()
    assert path.exists()


@pytest.mark.parametrize("index", [0, 2, 7])
def test_frames_come_in_order(tmp_path: Path, index: int) -> None:
    with pytest.raises(VideoError, match=rf"frame {index} came .* where frame 1 of 3 is due"):
        _begin(tmp_path / "out.mp4", [0, index])
    assert list(tmp_path.iterdir()) == []


def test_no_frame_comes_after_the_last(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"frame 3 came .* where frame 3 of 3 is due"):
        _begin(tmp_path / "out.mp4", [0, 1, 2, 3])


def test_frames_have_the_clips_size(tmp_path: Path) -> None:
    with write_video(tmp_path / "out.mp4", plain_clip(1)) as sink:
        with pytest.raises(ValueError, match="shape"):
            sink.write(Frame(0, numbered(0, Size(48, 96))))
        sink.write(Frame(0, numbered(0)))


def test_an_output_that_cannot_be_is_refused_early(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.mp4").mkdir()
    cases = [
        (tmp_path / "out.avi", ".mp4, .m4v, .mov, .mkv, .webm, .gif"),
        (tmp_path / "out", ".mp4"),
        (tmp_path / "missing" / "out.mp4", "No such file.*create the folder"),
        (tmp_path / "file" / "out.mp4", "Not a directory.*another folder"),
        (tmp_path / "folder.mp4", "it is a folder"),
    ]
    if sys.platform == "linux":
        cases.append((Path("/proc/out.mp4"), "cannot be written"))
    for path, cause in cases:
        for begin in (check_output, lambda path: write_video(path, plain_clip(1))):
            with pytest.raises(VideoError, match=cause) as caught:
                begin(path)
            named = path.suffix.lower() in KINDS
            assert caught.value.exit_status == (1 if named else 2)  # a bad name is bad usage
            assert path.name in str(caught.value)
            assert "\n" not in str(caught.value)
    check_output(tmp_path / "OUT.MP4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.mp4"]


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "%03d.mkv", "-x.gif", "it's 影片 .webm", "x" * 240 + ".mp4"]
)
def test_any_name_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if sys.platform == "win32":
        pytest.skip("this system has no such names")
    monkeypatch.chdir(tmp_path)
    with write_video(Path(name), plain_clip(2)) as sink:
        sink.write(Frame(0, numbered(0)))
        sink.write(Frame(1, numbered(1)))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert reread(Path(name))[0] == [0, 1]


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from support.videos import plain_clip
from lib_ofgen.video.writer import write_video
from lib_ofgen.errors import VideoError
from lib_ofgen.values import Frame, Size
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(0, 256, (60, 96, 96, 3), np.uint8)
try:
    with write_video(Path(sys.argv[1]), plain_clip(60, size=Size(96, 96))) as sink:
        for index in range(60):
            sink.write(Frame(index, noise[index]))
except VideoError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is POSIX's")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".gif"])
def test_a_full_disk_is_said_in_a_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        env={"PYTHONPATH": f"{Path(__file__).parent.parent}", "PATH": ""},
    )
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    assert "cannot be written" in done.stdout
    assert "free some space" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_frames(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = tmp_path / "a" / "frames"
    images = rng.integers(0, 256, (3, *SIZE, 3), np.uint8)
    sink = FrameFolder(folder)
    for index, image in enumerate(images):
        sink.write(Frame(index, image))
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:06d}.png" for i in range(3)]
    for index, image in enumerate(images):
        with PIL.Image.open(folder / f"{index:06d}.png") as found:
            assert np.array_equal(np.asarray(found), image)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VideoError, match="cannot be written"):
        FrameFolder(tmp_path / "file" / "frames")


@pytest.mark.parametrize("width", [96, 104, 400])
def test_the_same_frames_give_the_same_film(tmp_path: Path, width: int) -> None:
    """A resumed job must end in the film of an uninterrupted one, whatever memory held before."""
    rng = np.random.default_rng(3)
    size = Size(64, width)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(12)]
    clip = Clip(size, Fraction(25), Fraction(1, 25), tuple(range(12)), 12, Fraction(0), None)
    films = set()
    for turn in range(6):
        path = tmp_path / f"{turn}.mp4"
        with write_video(path, clip) as film:
            for index, image in enumerate(frames):
                film.write(Frame(index, image))
        with open_video(path) as source:
            films.add(b"".join(frame.image.tobytes() for frame in source))
    assert len(films) == 1


def test_looking_at_an_output_does_no_harm_to_a_job_that_writes_it(tmp_path: Path) -> None:
    path, clip = tmp_path / "film.mp4", plain_clip(3)
    with write_video(path, clip) as film:
        film.write(Frame(0, np.zeros((*clip.size, 3), np.uint8)))
        check_output(path)
        for index in (1, 2):
            film.write(Frame(index, np.zeros((*clip.size, 3), np.uint8)))
    assert [item.name for item in tmp_path.iterdir()] == ["film.mp4"]


def test_long_names_that_begin_alike_are_written_side_by_side(tmp_path: Path) -> None:
    clip = plain_clip(1)
    paths = [tmp_path / f"{'x' * 80}{end}.mp4" for end in "ab"]
    with write_video(paths[0], clip) as one, write_video(paths[1], clip) as other:
        for film in (one, other):
            film.write(Frame(0, np.zeros((*clip.size, 3), np.uint8)))
    assert sorted(tmp_path.iterdir()) == paths
