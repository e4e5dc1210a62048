"""Films of every shape: with their report and their sheets, whose size is bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_ofgen.cli.commands import main
from lib_ofgen.imaging import images
from lib_ofgen.report import contact_sheet
from lib_ofgen.values import Size
from lib_ofgen.video.reader import open_video
from support.videos import make_video

SIDES = st.integers(8, 9000)


def moved(size: Size, length: int = 4) -> list[Any]:
    """A texture that moves by 2 px a frame."""
    rng = np.random.default_rng(3)
    wide = np.kron(rng.integers(0, 255, (size.height // 4, size.width // 4 + 4, 3)),
                   np.ones((4, 4, 1))).astype(np.uint8)  # fmt: skip
    return [wide[:, 2 * place : 2 * place + size.width] for place in range(length)]


@pytest.mark.parametrize("size", [Size(4000, 16), Size(8192, 8), Size(8, 8), Size(8, 4096)])
def test_a_film_a_plan_and_their_sheets(tmp_path: Path, size: Size) -> None:
    source = make_video(tmp_path / "in.mkv", moved(size), codec="ffv1", form="bgr0")
    out, plan = tmp_path / "out.mp4", tmp_path / "plan.png"
    quick = ("--quiet", "--set", "key_frames=interval", "--set", "key_interval=3")
    assert main(["animate", str(source), "-o", str(out), *quick]) == 0
    assert main(["plan", str(source), "-o", str(plan), "--quiet"]) == 0
    for picture in (plan, tmp_path / "out.mp4.ofgen" / "keys.png"):
        shown = images.size_of(images.decode_png(picture.read_bytes()))
        assert shown.width <= 960
        assert shown.height <= 6 * 502
    assert (tmp_path / "out.mp4.ofgen" / "report.html").stat().st_size < 3_000_000


@given(SIDES, SIDES)
def test_a_thumb_fits_its_place_and_is_never_empty(height: int, width: int) -> None:
    size = images.fit_size(Size(height, width), Size(480, 240))
    assert 8 <= size.height <= 480
    assert 8 <= size.width <= 240


@given(SIDES, SIDES, st.floats(0.001, 1.0))
def test_no_side_is_scaled_to_less_than_eight(height: int, width: int, share: float) -> None:
    size = images.scale_size(Size(height, width), share)
    assert min(size) >= 8
    assert size.height == max(8, round(height * share))


def test_a_thumb_of_the_usual_shape_is_as_wide_as_it_was() -> None:
    assert images.size_of(contact_sheet.make_thumbnail(np.zeros((360, 640, 3), np.uint8))) == (
        135,
        240,
    )
    assert images.size_of(contact_sheet.make_thumbnail(np.zeros((640, 360, 3), np.uint8))) == (
        427,
        240,
    )


def test_interlaced_pictures_too_small_to_weave_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), mode="w") as output:
        stream: Any = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 2, 2, "yuv444p"
        stream.codec_context.flags |= 1 << 18  # interlaced
        for shade in (10, 200, 90):
            picture = np.full((2, 2, 3), shade, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv444p")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with open_video(path) as source:
        assert [round(frame.image.mean(), -1) for frame in source] == [10, 200, 90]
