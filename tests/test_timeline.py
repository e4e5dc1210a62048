"""The drawing of a plan says what the plan says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lib_ofgen.imaging import images
from lib_ofgen.planning.coverage import Gap
from lib_ofgen.report.html import plan_view
from lib_ofgen.report.html.plan_view import PlanFacts
from lib_ofgen.values import KeyFrame, Scene, Size
from support.html_reader import Reader
from support.videos import numbered, plain_clip

SIZE = Size(40, 96)


def planned(length: int = 30, keys: int = 3) -> PlanFacts:
    clip = plain_clip(length, size=SIZE)
    places = np.linspace(0, length - 1, keys).astype(int).tolist()
    chosen = [KeyFrame(place, 0.0, "coverage") for place in places]
    gaps = [Gap(a, b, 0.75, 0.5) for a, b in pairwise(places)]
    scenes = [Scene(0, length // 2), Scene(length // 2, length)]
    return PlanFacts(clip, scenes, chosen, gaps, plan_view.key_strip(clip, numbered))


def test_each_key_frame_is_a_button_at_its_time() -> None:
    drawn = Reader(plan_view.plan_html(planned()).encode())
    keys = [attributes for tag, attributes in drawn.attributes if tag == "button"]
    assert [int(key["data-index"]) for key in keys] == [0, 14, 29]
    assert [key["style"] for key in keys] == ["left:1.667%", "left:48.33%", "left:98.33%"]
    assert "14, 0.56 s: coverage" in keys[1]["aria-label"]
    assert "3 key frames" in "".join(drawn.text)


def test_the_strip_shows_frames_in_order() -> None:
    pictures = planned().strip
    assert [index for index, _ in pictures] == sorted({index for index, _ in pictures})
    assert {images.decode_png(jpeg).shape for _, jpeg in pictures} == {(47, 112, 3)}
    assert len(planned(length=5, keys=2).strip) == 5


def test_so_many_keys_that_none_could_be_grasped_are_no_buttons() -> None:
    drawn = Reader(plan_view.plan_html(planned(1000, 1000)).encode())
    assert drawn.tags["button"] == 0
    assert drawn.tags["tr"] < 50
