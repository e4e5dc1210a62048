"""Several pictures in one call of the host, each with its own mask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Image
from support.webui.films import JOB, KEYS, frames_of
from support.webui.host import Answer, Host


def _kept(answer: Answer, kind: str) -> dict[str, Image]:
    """Pictures of the workspace by digest: `frames`, or what was `painted` in holes."""
    workspace = Workspace(Path(answer.film["workspace"]))
    names = [path.stem for path in (workspace.folder / kind).glob("*.qoi")]
    read = workspace.frame if kind == "frames" else lambda name: workspace.paint(name, 0)
    found = {name: read(name) for name in names}
    return {
        name: one if isinstance(one, np.ndarray) else one.image
        for name, one in found.items()
        if one is not None
    }


def _changes(one: dict[str, Image], other: dict[str, Image]) -> Iterator[float]:
    """Of each picture, the share of values that are not the same; none by more than one level."""
    assert one.keys() == other.keys(), "a digest depends on the batch"
    for name, image in one.items():
        difference = np.abs(image.astype(int) - other[name])
        assert difference.max() <= 1, name
        yield float((difference > 0).mean())


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M SDE"])
def test_pictures_of_a_batch_are_those_painted_alone(host: Host, clip: Path, sampler: str) -> None:
    calls, films = [], []
    for batch in (1, 4):
        start = len(host.log())
        settings = {**JOB, "paint_batch": batch, "hole_lending": False}
        films.append(
            host.film({"input": str(clip), "settings": settings}, seed=81, sampler_name=sampler)
        )
        calls.append(host.sampled(start))
    for kind, least in (("frames", len(KEYS)), ("painted", 4)):
        one, other = (_kept(film, kind) for film in films)
        changed = list(_changes(one, other))
        assert len(changed) >= least
        assert max(changed) < 0.01
    assert calls[0] - calls[1] >= len(KEYS), "no more than the keys were painted together"
    played = (frames_of(film.film["video"]) for film in films)
    for one, other in zip(*played, strict=True):  # the encoder makes more of a level
        assert np.abs(one.astype(int) - other).mean() < 1.5
    facts = [json.loads(Path(film.film["report"]).read_text("utf-8")) for film in films]
    assert facts[0]["frames"] == facts[1]["frames"]
