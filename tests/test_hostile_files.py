"""Files that strangers made: what names another file, and small ones that ask for much."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_ofgen.cli.commands import main
from lib_ofgen.errors import VideoError
from lib_ofgen.imaging import flow_io, images
from lib_ofgen.system import limits
from lib_ofgen.values import Sampling
from lib_ofgen.video.demuxing import container
from lib_ofgen.video.demuxing.container import extension_of
from lib_ofgen.video.reader import open_video
from support.paths import ROOT
from support.videos import make_video

NAMING = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{path}'\n",
    "DASH": """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"
 profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" minBufferTime="PT1S"><Period>
<AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="1000" codecs="avc1.64000d">
<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>
""",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "PLS": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "ASX": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "IMF": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/'
    '2067-3/2016"><Id>urn:uuid:0</Id></CompositionPlaylist>',
    "Smooth Streaming": '<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2"/>',
}
TEXTS = {
    "html": "<!DOCTYPE html><html><script>alert(1)</script></html>",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>',
    "xhtml": '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>',
    "js": "alert(document.cookie)\n",
    "vobsub": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n",
    "text": "not a video\n" * 100,
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("film") / "film.mp4", 5)


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.mpd", "a.ffconcat", "a%d.png", "a.idx"])
@pytest.mark.parametrize("kind", [*NAMING, *TEXTS])
def test_a_file_that_names_others_is_refused_under_any_name(
    tmp_path: Path, film: Path, kind: str, name: str
) -> None:
    shutil.copy(film, tmp_path / "a1.png")
    shutil.copy(film, tmp_path / "a.sub")
    text = {**NAMING, **TEXTS}[kind].replace("{url}", film.as_uri()).replace("{path}", str(film))
    (tmp_path / name).write_text(text)
    says = rf"playlist \({kind}\) that names other files; give" if kind in NAMING else "it is a te"
    for take in (open_video, extension_of):
        with pytest.raises(VideoError, match=says) as refused:
            take(tmp_path / name)
        assert refused.value.exit_status == 2
        assert "\n" not in str(refused.value)


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "link.mp4").symlink_to("fifo.mp4")
    for path in (tmp_path / "fifo.mp4", tmp_path / "link.mp4", Path("/dev/zero"), tmp_path):
        with pytest.raises(VideoError, match=r"Is a directory|it is a pipe or a device"):
            open_video(path)


@pytest.mark.parametrize("name", ["film.html", "film", "film.%d.png", "film.m3u8"])
def test_the_extension_is_that_of_what_is_found_in_the_file(
    tmp_path: Path, film: Path, name: str
) -> None:
    shutil.copy(film, tmp_path / name)
    assert extension_of(tmp_path / name) == ".mp4"


def test_every_clip_has_the_extension_of_its_container(data: Path) -> None:
    for path in [*(data / "clips").iterdir(), *(data / "bad").iterdir()]:
        if path.name not in ("text_renamed.mp4", "truncated_no_moov.mp4", "zero_bytes.mp4"):
            assert extension_of(path) == path.suffix


@pytest.fixture
def small_limit() -> Iterator[None]:
    before = limits.current()
    limits.change(["pixels=10000"])
    yield
    limits.change(f"{name}={value}" for name, value in vars(before).items())


def refused(path: Path, says: str, **options: Any) -> None:
    """Reading all of it ends in one line and exit status 2."""
    with (
        pytest.raises(VideoError, match=says) as error,
        open_video(path, Sampling(**options)) as source,
    ):
        for _ in source:
            pass
    assert error.value.exit_status == 2
    assert "\n" not in str(error.value)


def peak(*arguments: str | Path) -> tuple[int, int, str]:
    """Exit status, peak memory in MB and standard error of a command.

    The process's own peak: what `getrusage` tells begins with that of whoever has started it.
    """
    code = (
        "import re, sys; from pathlib import Path; from lib_ofgen.cli.commands import main\n"
        "status = main(sys.argv[1:]); told = Path('/proc/self/status').read_text('ascii')\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', told)[1]) // 1024); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, int(done.stdout.split()[-1]), done.stderr


def gif(width: int, height: int) -> bytes:
    """Of 20 frames of one pixel on a canvas; the canvas is made anew for each."""
    frame = b"\x21\xf9\x04\x08\x04\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + (frame + b"\x02\x02\x44\x01\x00") * 20 + b"\x3b"


def png(width: int, height: int) -> bytes:
    """Its header tells the size, its data a part of the first row."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + data


def jpeg(width: int, height: int) -> bytes:
    _, data = cv2.imencode(".jpg", np.zeros((64, 96, 3), np.uint8))
    at = data.tobytes().index(b"\xff\xc0") + 5
    return data.tobytes()[:at] + struct.pack(">HH", height, width) + data.tobytes()[at + 4 :]


def webp(width: int, height: int, kind: bytes = b"VP8L") -> bytes:
    quality = 101 if kind == b"VP8L" else 50  # above 100: without loss
    _, data = cv2.imencode(
        ".webp", np.zeros((64, 96, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, quality]
    )
    found = bytearray(data.tobytes())
    assert found[12:16] == kind
    if kind == b"VP8L":
        struct.pack_into("<I", found, 21, (width - 1) | (height - 1) << 14)
    else:
        struct.pack_into("<HH", found, 26, width, height)
    return bytes(found)


def extended_webp(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + sides + webp(96, 64)[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(width: int, height: int) -> bytes:
    sizes = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + sizes + bytes(100)


def tiff(width: int, height: int) -> bytes:
    data = zlib.compress(bytes(1000))
    tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (273, 8), (277, 1)]
    tags += [(278, height), (279, len(data))]
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    at = struct.pack("<I", 8 + len(data))
    return b"II*\0" + at + data + struct.pack("<H", len(tags)) + packed + bytes(4)


PICTURES: dict[str, Callable[[int, int], bytes]] = {
    "png": png, "jpg": jpeg, "webp": webp, "bmp": bmp,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["gif", *PICTURES])
def test_a_small_file_of_a_large_picture_is_refused_before_it_is_unpacked(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"large.{kind}"
    path.write_bytes({**PICTURES, "gif": gif}[kind](16000, 16000))
    status, memory, says = peak("plan", path, "--set", "width=64")
    assert (status, says.count("\n")) == (2, 1)
    assert "is 16000x16000 and over the limit" in says
    assert memory < 300


def test_a_large_tiff_is_no_picture_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.tiff"
    path.write_bytes(tiff(16000, 16000))
    for arguments in (["plan", path], ["flow", path, path, "-o", tmp_path / "f.flo"]):
        status, memory, says = peak(*arguments)
        assert (status, says.count("\n")) == (2, 1)
        assert memory < 300


def test_a_film_of_the_largest_pictures_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "full.gif"
    path.write_bytes(gif(65535, 541))
    status, memory, _ = peak("plan", path, "--set", "width=64", "--max-frames", "4")
    assert status == 0
    assert memory < 600


@pytest.mark.parametrize("kind", [*PICTURES, "lossy webp", "extended webp"])
def test_the_header_of_a_picture_is_asked_for_its_size(tmp_path: Path, kind: str) -> None:
    makes = {
        **PICTURES,
        "lossy webp": lambda width, height: webp(width, height, b"VP8 "),
        "extended webp": extended_webp,
    }
    path = tmp_path / "picture.png"
    for width, height in ((16000, 16000), (3, 16383)):
        path.write_bytes(makes[kind](width, height))
        with path.open("rb") as file:
            if width == 3:
                assert images.check_header(file) == (height, width)
                continue
            for take in (images.check_header, lambda file: images.decode_png(file.read())):
                file.seek(0)
                with pytest.raises(VideoError, match="is 16000x16000 and over the limit"):
                    take(file)
    path.write_bytes(makes[kind](16000, 16000))
    for arguments in (
        ["flow", path, path, "-o", tmp_path / "f.flo"],
        ["plan", make_video(tmp_path / "film.mp4", 2), "--mask", path],
    ):
        assert main([str(one) for one in arguments]) == 2
    assert not (tmp_path / "f.flo").exists()


@given(data=st.binary(max_size=200), kind=st.sampled_from(sorted(PICTURES)))
def test_damaged_headers_of_pictures_are_no_pictures_or_pictures(data: bytes, kind: str) -> None:
    whole = PICTURES[kind](96, 64)
    for part in (whole[: len(data)], whole[:16] + data, data + whole[len(data) :]):
        with contextlib.suppress(ValueError, VideoError):
            images.check_header(io.BytesIO(part))


def test_no_more_of_a_file_is_read_than_its_picture_can_need(tmp_path: Path) -> None:
    path = tmp_path / "padded.png"
    path.write_bytes(images.encode_png(np.full((8, 8, 3), 7, np.uint8)))
    os.truncate(path, 1 << 40)
    assert (images.read_picture(path) == 7).all()


@pytest.mark.parametrize("codec", ["mjpeg", "libx264", "libx265", "mpeg2video", "libvpx",
                                   "libvpx-vp9", "libsvtav1", "png"])  # fmt: skip
def test_pictures_that_grow_in_mid_stream_are_refused(
    tmp_path: Path, small_limit: None, codec: str
) -> None:
    path = grown(tmp_path, codec)
    refused(path, r"a picture of 'grown\.\w+' is (384x256 and )?over the limit")


def grown(folder: Path, codec: str) -> Path:
    """A film whose header says 96x64, and whose pictures become 384x256."""
    form = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(codec, "yuv420p")
    kind = {"mjpeg": "mov", "png": "mov", "libx264": "ts", "libx265": "ts"}.get(codec, "mkv")
    container.silence()  # x265 would wait for the interpreter with its log
    packets = []
    for width, height in ((96, 64), (384, 256)):
        encoder: Any = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, form
        encoder.time_base = Fraction(1, 25)
        for place in range(20):
            picture = np.full((height, width, 3), 10 * place, np.uint8)
            frame: Any = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=form)
            frame.pts, frame.time_base = place, encoder.time_base
            packets += [(bytes(one), one.is_keyframe) for one in encoder.encode(frame)]
        packets += [(bytes(one), one.is_keyframe) for one in encoder.encode(None)]
    path = folder / f"grown.{kind}"
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, form
        output.start_encoding()
        for place, (data, key) in enumerate(packets):
            packet: Any = av.Packet(data)
            packet.pts = packet.dts = place
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, key
            output.mux(packet)
    return path


def test_pictures_with_alpha_that_grow_are_refused_before_another_decoder_sees_them(
    tmp_path: Path, small_limit: None
) -> None:
    path = grown(tmp_path, "libvpx-vp9")
    with av.open(str(path)) as source, av.open(str(tmp_path / "alpha.webm"), "w") as output:
        stream: Any = output.add_stream_from_template(source.streams.video[0])
        stream.metadata["alpha_mode"] = "1"
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    content = (tmp_path / "alpha.webm").read_bytes()  # Matroska's muxer writes it in capitals
    (tmp_path / "alpha.webm").write_bytes(content.replace(b"ALPHA_MODE", b"alpha_mode"))
    refused(tmp_path / "alpha.webm", "over the limit")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.h264"])
@pytest.mark.parametrize("aspect", [Fraction(20), Fraction(1, 20)])
def test_pixels_of_absurd_aspect_are_refused(tmp_path: Path, name: str, aspect: Fraction) -> None:
    def prepare(codec: Any) -> None:
        codec.sample_aspect_ratio = aspect

    path = make_video(tmp_path / name, 10, prepare=prepare)
    told = f"{aspect.numerator}:{aspect.denominator}"
    refused(path, rf"the pixels of '{name}' are {told} and over the limit of 8:1.*aspect=20")


def test_a_pasp_of_2000_to_1_is_refused(tmp_path: Path) -> None:
    def prepare(codec: Any) -> None:
        codec.sample_aspect_ratio = Fraction(2)

    path = make_video(tmp_path / "pasp.mp4", 3, prepare=prepare)
    content = path.read_bytes()
    at = content.index(b"pasp") + 4
    path.write_bytes(content[:at] + struct.pack(">II", 2000, 1) + content[at + 8 :])
    refused(path, "2000:1")


def test_the_shown_size_and_the_working_size_are_within_the_limit(
    tmp_path: Path, small_limit: None
) -> None:
    def prepare(codec: Any) -> None:
        codec.sample_aspect_ratio = Fraction(4)

    wide = make_video(tmp_path / "wide.mp4", 3, prepare=prepare)
    refused(wide, "in square pixels is 384x40 and over the limit")
    film = make_video(tmp_path / "film.mp4", 3)
    refused(film, r"the film of 'film\.mp4' is .* and over the limit", width=8000)


def test_a_flow_file_is_refused_by_its_header(small_limit: None) -> None:
    for width, height in ((-1, -1), (0, 0), (-2, -4), (1 << 30, 1 << 30)):
        with pytest.raises((ValueError, VideoError), match=r"no pixels|over the limit"):
            flow_io.from_flo(b"PIEH" + struct.pack("<ii", width, height) + bytes(8))


def test_the_least_pyav_is_the_same_wherever_it_is_said() -> None:
    wanted = f"av>={container.LEAST[0]}.{container.LEAST[1]}"
    for name in ("requirements.txt", "requirements-4.txt"):
        assert wanted in (ROOT / "tests/fake_host" / name).read_text("utf-8").split()
    assert f'"{wanted}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'"av": {container.LEAST}' in (ROOT / "install.py").read_text("utf-8")


def test_a_pyav_that_is_too_old_is_told_in_a_line(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "__version__", "14.2.0")
    with pytest.raises(VideoError, match=r"PyAV 14\.2\.0 is too old.*install av>=17\.1"):
        open_video(film)


def test_a_film_whose_data_lies_in_another_file_is_not_followed(tmp_path: Path, film: Path) -> None:
    path = tmp_path / "elsewhere.mov"
    path.write_bytes(referring(film.read_bytes(), film))
    refused(path, "is not a video that can be read")


def referring(content: bytes, other: Path) -> bytes:
    """An MP4 film whose track says, by an alias, that its data lies in another file."""
    name = bytes(other)
    alias = struct.pack(">IHH2x", 0, 0, 2) + b"\x04disk".ljust(28, b"\0") + bytes(12)
    alias += b"\x08film.mp4".ljust(64, b"\0") + bytes(16) + struct.pack(">hh14x", 1, 1)
    alias += struct.pack(">hh", 2, len(name)) + name + bytes(len(name) % 2)
    alias += struct.pack(">hh", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    box = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    at = content.index(b"dref") - 4
    old = int.from_bytes(content[at : at + 4], "big")
    found = bytearray(content)
    found[at : at + old] = box
    for outer in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = content.rindex(outer, 0, at + 4) - 4
        size = int.from_bytes(content[place : place + 4], "big") + len(box) - old
        struct.pack_into(">I", found, place, size)
    return bytes(found)


def test_a_pipe_is_no_mask_and_no_picture(tmp_path: Path, film: Path) -> None:
    for name in ("pipe", "pipe.png"):
        os.mkfifo(tmp_path / name)
        pipe = str(tmp_path / name)
        assert main(["flow", pipe, pipe, "-o", str(tmp_path / "f.flo")]) == 2
        assert main(["plan", str(film), "--mask", pipe]) == 2
        assert main(["plan", pipe]) == 2


def test_where_libav_stands_in_a_file_is_the_same_by_seeking(data: Path) -> None:
    with open_video(
        data / "clips/sintel_cuts_9s_640x272.mp4", Sampling(start=6.0, max_frames=2)
    ) as source:
        sought = [frame.image for frame in source]
    with open_video(data / "clips/sintel_cuts_9s_640x272.mp4", Sampling(max_frames=146)) as source:
        read = [frame.image for frame in source]
    assert np.array_equal(sought, read[144:])
