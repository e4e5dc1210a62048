"""The limits of a process, as the command line and the webui set them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lib_ofgen.errors import SettingsError, VideoError
from lib_ofgen.system import limits
from support.paths import ROOT


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = limits.current()
    yield
    limits.change(f"{name}={value}" for name, value in vars(before).items())


def test_a_limit_is_changed_and_the_others_stay() -> None:
    before = limits.current()
    limits.change(["pixels=1000", " rows = 5"])
    assert (limits.current().pixels, limits.current().rows) == (1000, 5)
    assert limits.current().silence == before.silence


@pytest.mark.parametrize("pair", ["pixel=1", "pixels", "pixels=", "pixels=-1", "pixels=0",
                                  "pixels=1.5", "pixels=1e9", "", "=4", "pixels=²"])  # fmt: skip
def test_a_limit_that_is_none_is_refused_in_one_line(pair: str) -> None:
    before = limits.current()
    with pytest.raises(SettingsError) as refused:
        limits.change(["rows=7", pair])
    assert "\n" not in str(refused.value)
    assert limits.current() == before


def test_a_picture_over_the_limit_is_refused_with_the_number_that_would_let_it_pass() -> None:
    limits.change(["pixels=100"])
    limits.check_pixels(10, 10, "it")
    with pytest.raises(VideoError, match="pixels=110") as refused:
        limits.check_pixels(11, 10, "it")
    assert refused.value.exit_status == 2


def test_the_table_tells_every_limit_with_its_default() -> None:
    table = limits.table()
    assert all(f"`{name}` | {value}" in table for name, value in vars(limits.Limits()).items())


def test_the_documentation_has_the_table() -> None:
    assert limits.table() in (ROOT / "docs" / "security.md").read_text("utf-8")
