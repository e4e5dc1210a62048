"""The doors of the extension, at the fake host; `webui/test_doors.py` tries a real one's."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from support.attacks import Doors, furnish
from support.attacks import away as away
from support.attacks import made as made
from support.attacks import page as page
from support.fake_host import FakeHost, interpreter
from support.server import watched
from support.videos import make_video, walking

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "walk.mp4"
    return make_video(path, walking(4), rate=Fraction(12), sound="aac", click=0.1)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    data = tmp_path_factory.mktemp("data")
    furnish(data)
    with watched(FakeHost(interpreter("OFGEN_GRADIO_PYTHON"), data)) as running:
        yield running


class TestFakeHost(Doors):
    """All of them."""
