"""The film's sound, from sources whose sound changes, jumps, is damaged or missing."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lib_ofgen.errors import VideoError
from lib_ofgen.values import Clip, Sampling
from lib_ofgen.video.reader import open_video
from lib_ofgen.video.writer import write_video
from support.videos import RATE, beeps, heard, make_video, numbered


def film_of(source: Path, out: Path, **sampling: float) -> Clip:
    """Write the source's frames and sound to `out`; gives the clip."""
    with open_video(source, Sampling(**sampling)) as taken:
        frames = list(taken)
    with write_video(out, taken.clip, sound_from=source) as sink:
        for frame in frames:
            sink.write(frame)
    return taken.clip


def shifted(path: Path, seconds: float) -> bytes:
    """The bytes of a transport stream with its clock set forward."""
    out = path.with_name(f"shifted-{path.name}")
    with av.open(str(path)) as source, av.open(str(out), mode="w") as target:
        tracks = {
            stream.index: target.add_stream_from_template(stream) for stream in source.streams
        }
        for packet in source.demux():
            if packet.dts is not None:
                by = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + by, packet.dts + by
                packet.stream = tracks[packet.stream.index]
                target.mux(packet)
    return out.read_bytes()


def joined(folder: Path, clocks: list[float], *, sound: str = "mp2") -> Path:
    """Recordings of 2 s with a tone at 1 s, one behind the other; the clock of each is shifted."""
    parts = []
    for place, clock in enumerate(clocks):
        pictures = [numbered(50 * place + index) for index in range(50)]
        part = make_video(folder / f"part{place}.ts", pictures, sound=sound, click=1.0)
        parts.append(shifted(part, clock))
    path = folder / "joined.ts"
    path.write_bytes(b"".join(parts))
    return path


def delay(folder: Path) -> float:
    """By how much the tone of one such recording lies behind its place, as it is stored."""
    part = folder / "part0.ts"
    with av.open(str(part)) as container:
        first = next(container.decode(video=0))
        return heard(part)[2] - float(first.pts * first.time_base) - 1.0


@pytest.mark.parametrize("clocks", [[0, 1000], [1000, 0], [500, 0, 2000], [0, 0, 0], [0, 60]])
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_joined_recordings_play_through(tmp_path: Path, clocks: list[float], suffix: str) -> None:
    source = joined(tmp_path, clocks)
    clip = film_of(source, tmp_path / f"out{suffix}")
    length = len(clocks)
    assert (clip.length, float(clip.duration)) == (50 * length, 2.0 * length)
    assert clip.damaged == 0
    wanted = [2.0 * place + 1 + delay(tmp_path) for place in range(length)]
    assert beeps(tmp_path / f"out{suffix}") == pytest.approx(wanted, abs=0.015)


@pytest.mark.parametrize("start", [2.52, 5.0])
def test_a_part_behind_a_join_has_its_own_sound(tmp_path: Path, start: float) -> None:
    source = joined(tmp_path, [0, 0, 0, 0])
    clip = film_of(source, tmp_path / "out.mkv", start=start)
    assert clip.length == round((8 - start) * 25)
    wanted = [time + delay(tmp_path) - start for time in (1, 3, 5, 7) if time > start]
    found = [time for time in beeps(tmp_path / "out.mkv") if time > 0.1]
    assert found == pytest.approx([time for time in wanted if time > 0.1], abs=0.015)


def test_sound_that_changes_its_rate_and_channels_is_heard_to_the_end(tmp_path: Path) -> None:
    parts = []
    for place, (rate, layout) in enumerate([(48000, "stereo"), (44100, "mono"), (32000, "stereo")]):
        parts.append(_tone(tmp_path / f"{place}.ts", rate, layout))
    source = tmp_path / "in.ts"
    source.write_bytes(b"".join(parts))
    film_of(source, tmp_path / "out.mp4")
    assert _loud(tmp_path / "out.mp4") == pytest.approx(6.0, abs=0.2)


def _tone(path: Path, rate: int, layout: str) -> bytes:
    """A transport stream of 2 s with a tone from beginning to end."""
    with av.open(str(path), mode="w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 40, "yuv420p"
        track: Any = output.add_stream("mp2", rate=rate, layout=layout)
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        wave = (np.sin(np.arange(2 * rate) * 440 * 2 * np.pi / rate) * 9000).astype(np.int16)
        packed = np.repeat(wave, 2 if layout == "stereo" else 1)[None]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), "s16", layout)
        frame.sample_rate = rate
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return path.read_bytes()


def _loud(path: Path) -> float:
    """Seconds of a file's sound that are not silent."""
    seconds = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = np.abs(frame.to_ndarray()).mean(axis=0)
            seconds += float((np.convolve(wave, np.ones(64) / 64, "same") > 0.02).sum())
            rate = frame.sample_rate
    return seconds / rate


@pytest.mark.parametrize("codec", ["libopus", "aac", "libmp3lame", "flac"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_damage_in_the_sound_costs_no_picture(tmp_path: Path, codec: str, suffix: str) -> None:
    source = make_video(tmp_path / "in.mkv", 25, sound=codec, click=0.3)
    whole = source.read_bytes()
    places = _bytes_of_sound(source, whole)
    for seed in range(4):
        raw, chance = bytearray(whole), random.Random(seed)
        for place in chance.sample(places, 12):
            raw[place] ^= 1 << chance.randrange(8)
        source.write_bytes(raw)
        clip = film_of(source, tmp_path / f"out{suffix}")
        assert clip.length == 25, seed
        with open_video(tmp_path / f"out{suffix}") as film:
            assert sum(1 for _ in film) == 25, seed


def _bytes_of_sound(path: Path, whole: bytes) -> list[int]:
    """The places of a file's bytes that belong to its sound: the codec's header, and packets."""
    found: list[int] = []
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        pieces = [bytes(stream.codec_context.extradata or b"")]
        pieces += [bytes(packet) for packet in container.demux(stream) if packet.size > 8]
    for piece in pieces:
        at = whole.find(piece) if piece else -1
        found += range(at, at + len(piece)) if at >= 0 else ()
    return found


def test_sound_whose_header_says_nothing_right_is_left_out(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.webm", 10, codec="libvpx", sound="libopus", click=0.1)
    raw = bytearray(source.read_bytes())
    head = raw.find(b"OpusHead")
    raw[head : head + 12] = b"NotAHead\xff\xff\xff\xff"
    source.write_bytes(raw)
    assert film_of(source, tmp_path / "out.webm").length == 10


def test_a_long_silence_is_written_as_it_goes(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    _sparse(source, seconds=2999)
    clip = film_of(source, tmp_path / "out.mp4")
    assert float(clip.duration) == pytest.approx(3000, abs=1)
    with av.open(str(tmp_path / "out.mp4")) as film:
        track = film.streams.audio[0]
        assert float(track.duration * track.time_base) == pytest.approx(3000, abs=1)
    assert beeps(tmp_path / "out.mp4") == pytest.approx([0, 2999], abs=0.03)


def test_more_silence_than_the_limit_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    _sparse(source, seconds=100_000)
    with pytest.raises(VideoError, match=r"silent for 99999 s .* --limit silence=") as refused:
        film_of(source, tmp_path / "out.mp4")
    assert refused.value.exit_status == 2
    assert not (tmp_path / "out.mp4").exists()


def test_a_jump_of_the_sound_alone_costs_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    _sparse(source, seconds=100_000, pictures=False)
    clip = film_of(source, tmp_path / "out.mp4")
    assert (clip.length, clip.damaged) == (3, 0)
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert film.duration == pytest.approx(120_000, abs=25_000)


def _sparse(path: Path, seconds: int, *, pictures: bool = True) -> None:
    """Three pictures, and a second of PCM at 0 and at `seconds`, with nothing between."""
    with av.open(str(path), mode="w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 40, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        track: Any = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            apart = (seconds + 1) * 25 // 2 if pictures else 1
            frame.pts, frame.time_base = index * apart, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        wave = (np.sin(np.arange(RATE) * 0.2) * 9000).astype(np.int16)[None]
        for at in (0, seconds):
            frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = at * RATE
            output.mux(track.encode(frame))
        output.mux(track.encode(None))


def test_of_several_sounds_the_default_one_plays(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), mode="w") as output:
        stream: Any = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 40, "yuv420p"
        first: Any = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        second: Any = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        first.disposition, second.disposition = 0, 1
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for track, rate in ((first, 8000), (second, 16000)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, rate), np.int16), "s16", "mono")
            frame.sample_rate = rate
            output.mux(track.encode(frame))
            output.mux(track.encode(None))
    with open_video(source) as taken:
        assert taken.sound is not None
        assert taken.sound.rate == 16000


def test_a_frame_with_no_sound_at_all_is_a_film(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mkv", 3)
    film_of(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as film:
        assert not film.streams.audio


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".ts"])
def test_sound_that_goes_on_after_the_pictures_is_no_damage(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"in{suffix}"
    with av.open(str(source), mode="w") as output:
        stream: Any = output.add_stream("libvpx" if suffix == ".webm" else "libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 40, "yuv420p"
        track: Any = output.add_stream("libopus" if suffix == ".webm" else "aac", rate=RATE)
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        wave = np.zeros((2, 5 * RATE), np.float32)
        sound = av.AudioFrame.from_ndarray(wave, "fltp", "stereo")
        sound.sample_rate = RATE
        output.mux(track.encode(sound))
        output.mux(track.encode(None))
    clip = film_of(source, tmp_path / "out.mp4")
    assert (clip.length, clip.damaged) == (25, 0)


def test_a_file_that_was_cut_off_has_lost_pictures(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mkv", 100, sound="libopus")
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2])
    clip = film_of(source, tmp_path / "out.mp4")
    assert clip.length + clip.damaged == pytest.approx(100, abs=1)
    assert clip.damaged > 20
