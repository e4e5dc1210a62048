"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from support.paths import ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("OFGEN_DATA", ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip("the data folder is not there; name it with OFGEN_DATA")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
