"""Which stream is the film, how it is cropped and turned, and when its pictures come."""

from __future__ import annotations

import base64
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from lib_ofgen.values import Clip, Image, Sampling
from lib_ofgen.video.reader import open_video
from support.videos import make_video, number, numbered

HERE = Path(__file__).parent


def taken(path: Path, **how: Any) -> tuple[list[Image], Clip]:
    """All frames of a file, and the clip."""
    with open_video(path, Sampling(**how)) as source:
        return [frame.image for frame in source], source.clip


# streams


def two_films(path: Path, lengths: tuple[int, int], default: int) -> Path:
    """A file of two films; the second one's numbers begin at 500."""
    with av.open(str(path), mode="w") as output:
        streams: list[Any] = [output.add_stream("ffv1", rate=25) for _ in lengths]
        for place, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 96, 40, "bgr0"
            stream.disposition = 1 if place == default else 0
        for place, (stream, length) in enumerate(zip(streams, lengths, strict=True)):
            for index in range(length):
                picture = numbered(500 * place + index)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                output.mux(stream.encode(frame.reformat(format="bgr0")))
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("lengths", "default", "begins"),
    [((5, 5), 1, 500), ((5, 5), 0, 0), ((1, 5), 1, 500), ((1, 5), 0, 500), ((5, 1), 1, 0)],
)
def test_the_film_is_what_moves_and_is_marked(
    tmp_path: Path, lengths: tuple[int, int], default: int, begins: int
) -> None:
    images, _ = taken(two_films(tmp_path / "in.mkv", lengths, default))
    assert [number(image) for image in images] == [begins + index for index in range(5)]


def test_an_animated_avif_is_read_whole() -> None:
    images, clip = taken(HERE / "data" / "moving.avif")
    assert (len(images), clip.rate) == (12, 10)
    levels = [int(image.mean()) for image in images]
    assert levels == sorted(levels)
    assert levels[-1] > levels[0] + 150


# what frames carry beside their pixels


def photo(orientation: int, form: str) -> tuple[bytes, Image]:
    """A picture with EXIF, and how it is to be shown."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:16, :32], pixels[16:, 32:] = (220, 40, 40), (40, 40, 220)
    picture = PIL.Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    file = io.BytesIO()
    picture.save(file, form, exif=exif, quality=95)
    shown = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(file.getvalue())))
    return file.getvalue(), np.asarray(shown.convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_shown_the_way_up_that_it_tells(tmp_path: Path, orientation: int) -> None:
    data, wanted = photo(orientation, "JPEG")
    (tmp_path / "photo.jpg").write_bytes(data)
    (image,), _ = taken(tmp_path / "photo.jpg")
    assert image.shape == wanted.shape
    assert np.abs(image.astype(int) - wanted).mean() < 6


@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv", ".mjpeg"])
def test_pictures_with_exif_are_a_film(tmp_path: Path, suffix: str) -> None:
    data, _ = photo(1, "JPEG")
    path = tmp_path / f"in{suffix}"
    with av.open(str(path), mode="w") as output:
        stream: Any = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for index in range(6):
            packet: Any = av.Packet(data)
            packet.pts = packet.dts = index
            packet.duration, packet.time_base, packet.stream = 1, Fraction(1, 25), stream
            packet.is_keyframe = True
            output.mux(packet)
    assert len(taken(path)[0]) == 6


def test_a_tiff_with_tags_is_a_film_of_one_picture(tmp_path: Path) -> None:
    data, wanted = photo(1, "TIFF")
    (tmp_path / "photo.tiff").write_bytes(data)
    (image,), _ = taken(tmp_path / "photo.tiff")
    assert np.abs(image.astype(int) - wanted).mean() < 2


# cropping, as Matroska tells it


def element(name: int, content: bytes) -> bytes:
    """An element of EBML, its size in eight bytes."""
    size = (1 << 56 | len(content)).to_bytes(8, "big")
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + size + content


def cropped(path: Path, numbers: dict[int, int]) -> Path:
    """A film of 96x64 with these elements added to the description of its pictures."""
    rng = np.random.default_rng(2)
    pictures = [rng.integers(0, 255, (64, 96, 3), np.uint8)] * 3
    data = make_video(path, pictures, codec="ffv1", form="bgr0").read_bytes()
    added = b"".join(element(name, value.to_bytes(2, "big")) for name, value in numbers.items())
    path.write_bytes(_grown(data, added))
    return path


def _inside(data: bytes, place: int, end: int, name: int) -> tuple[int, int, int]:
    """Where the size of the first element of that name stands, its content begins, and ends."""
    while place < end:
        length = 9 - data[place].bit_length()
        found = int.from_bytes(data[place : place + length], "big")
        at = place + length
        width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
        if found == name:
            return at, at + width, at + width + size
        place = at + width + size
    raise AssertionError(f"there is no element {name:x}")


def _grown(data: bytes, added: bytes) -> bytes:
    """The file with elements added to the description of its pictures, and all sizes put right."""
    out, begin, end = bytearray(data), 0, len(data)
    for name in (0x18538067, 0x1654AE6B, 0xAE, 0xE0):
        at, begin, end = _inside(data, begin, end, name)
        size = int.from_bytes(data[at:begin], "big") + len(added)
        out[at:begin] = size.to_bytes(begin - at, "big")
    return bytes(out[:end]) + added + bytes(out[end:])


TOP, LEFT, BOTTOM, RIGHT, WIDE, HIGH = 0x54BB, 0x54CC, 0x54AA, 0x54DD, 0x54B0, 0x54BA


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
@pytest.mark.parametrize(
    ("numbers", "box"),
    [
        ({TOP: 12, BOTTOM: 12}, (12, 0, 52, 96)),
        ({LEFT: 16, RIGHT: 8}, (0, 16, 64, 88)),
        ({TOP: 8, LEFT: 8, BOTTOM: 16, RIGHT: 8}, (8, 8, 48, 88)),
    ],
)
def test_a_container_crops(
    tmp_path: Path, numbers: dict[int, int], box: tuple[int, int, int, int], suffix: str
) -> None:
    path = cropped(tmp_path / "in.mkv", numbers).rename(tmp_path / f"film{suffix}")
    images, clip = taken(path)
    top, left, bottom, right = box
    assert clip.size == (bottom - top, right - left)
    with av.open(str(path)) as container:
        whole = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(images[0], whole[top:bottom, left:right])


# times


def test_a_raw_stream_has_the_rate_of_its_header(tmp_path: Path) -> None:
    for codec, suffix in (("libx264", ".h264"), ("mpeg4", ".m4v"), ("mpeg2video", ".m2v")):
        path = make_video(tmp_path / f"in{suffix}", 30, rate=Fraction(30000, 1001), codec=codec)
        images, clip = taken(path)
        assert (len(images), clip.rate, clip.damaged) == (30, Fraction(30000, 1001), 0), suffix


def test_pictures_out_of_order_in_avi_keep_their_rate(tmp_path: Path) -> None:
    for codec, options in (("libx264", {"bf": "3"}), ("mpeg4", {"bf": "2"})):
        path = make_video(tmp_path / "in.avi", 40, codec=codec, options=options)
        images, clip = taken(path)
        assert [number(image) for image in images] == list(range(40)), codec
        assert (clip.length, clip.damaged) == (40, 0)
        assert float(clip.duration) == pytest.approx(1.6, abs=0.05), codec


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
@pytest.mark.parametrize("length", [7, 50])
def test_the_last_picture_lasts_as_long_as_the_others(
    tmp_path: Path, suffix: str, length: int
) -> None:
    codec = "mpeg1video" if suffix == ".mpg" else "libx264"
    clip = taken(make_video(tmp_path / f"in{suffix}", length, codec=codec))[1]
    assert (clip.length, clip.rate, float(clip.duration)) == (length, 25, length / 25)


@pytest.mark.parametrize(
    ("delays", "shown"),
    [
        ([1, 1, 1], [0, 0.1, 0.2, 0.3]),
        ([0, 5, 0], [0, 0.1, 0.15, 0.25]),
        ([2, 3, 4], [0, 0.02, 0.05, 0.09]),
        ([1, 200, 1], [0, 0.1, 2.1, 2.2]),
    ],
)
def test_a_gif_is_timed_as_browsers_time_it(
    tmp_path: Path, delays: list[int], shown: list[float]
) -> None:
    path = tmp_path / "in.gif"
    pictures = [PIL.Image.fromarray(numbered(index)) for index in range(len(delays))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50)
    data, place = bytearray(path.read_bytes()), 0
    for delay in delays:
        place = data.index(b"\x21\xf9\x04", place) + 4
        data[place : place + 2] = delay.to_bytes(2, "little")
    path.write_bytes(data)
    clip = taken(path)[1]
    assert [clip.seconds(i) for i in range(clip.length)] == pytest.approx(shown[:-1])
    assert float(clip.duration) == pytest.approx(shown[-1])


def test_the_picture_of_a_test_is_the_one_that_was_made() -> None:
    data = (HERE / "data" / "moving.avif").read_bytes()
    assert base64.b64encode(data[4:12]) == b"ZnR5cGF2aXM="  # ftypavis: an animation
