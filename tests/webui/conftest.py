"""The running webui, and the clip that it is given."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.webui.films import JOB, alike, walk
from support.webui.host import PYTHON, SUPPORT, WEBUI, Answer, Host

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = "" if os.environ.get("OFGEN_WEBUI") else "OFGEN_WEBUI does not name a webui's folder"
    if not lacking and not (WEBUI / "launch.py").is_file():
        lacking = f"OFGEN_WEBUI={WEBUI} is no webui: it has no launch.py"
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.webui)
            if lacking:
                item.add_marker(pytest.mark.skip(reason=lacking))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([PYTHON, "-W", "ignore", SUPPORT / "tiny_checkpoint.py", folder], check=True)
    whole = (folder / "tiny.ckpt").read_bytes()
    (folder / "damaged.ckpt").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.yaml").write_bytes((folder / "tiny.yaml").read_bytes())
    return folder


@pytest.fixture(scope="session")
def host(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    running = Host(tmp_path_factory.mktemp("data"), models, "--api")
    try:
        yield running.ready("Model loaded in")
        faults = running.faults()
    finally:
        running.close()
    assert faults == [], f"the webui's log, {running.data / 'webui.log'}, tells of errors"


@pytest.fixture(scope="session")
def clip(host: Host) -> Path:
    """The clip where the webui may read it."""
    return walk(host)


@pytest.fixture(scope="session")
def plain(host: Host) -> NDArray[np.uint8]:
    """What the user's checkpoint paints before any job of ours."""
    return host.plain()


@pytest.fixture(scope="session")
def user(host: Host, plain: NDArray[np.uint8]) -> dict[str, Any]:
    """The host's options before any job of ours."""
    return host.options()


@pytest.fixture
def restored(host: Host, plain: NDArray[np.uint8], user: dict[str, Any]) -> Iterator[None]:
    """After the test the host is as the user had it: its options, and the checkpoint loaded."""
    yield
    assert host.options() == user
    start = len(host.log())
    assert alike(host.plain(), plain)
    assert host.loads(start) == [], "the user's checkpoint had not been loaded again"


@pytest.fixture(scope="session")
def done(host: Host, clip: Path, user: dict[str, Any]) -> Answer:
    """A finished job by /sdapi/v1/img2img, for tests that only look at it."""
    return host.film({"input": str(clip), "settings": JOB})
