"""Keys painted beside finished ones, by the host."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.webui.films import JOB, KEYS, LENGTH, alike, frames_of, told_of
from support.webui.host import Answer, Host


@pytest.mark.usefixtures("restored")
def test_keys_on_a_canvas_are_painted_whole(host: Host, clip: Path, done: Answer) -> None:
    """The first as ever, the others from another start, with the look of what is beside them."""
    settings = {**JOB, "key_agreement": "canvas"}
    answer = host.film({"input": str(clip), "settings": settings})
    assert answer.film["state"] == "done"
    facts = json.loads(Path(answer.film["report"]).read_text("utf-8"))
    assert all(facts["frames"][key]["painted"] == 1 for key in KEYS)
    assert facts["frames"][0]["coverage"] == 0
    assert all(facts["frames"][key]["coverage"] > 0.5 for key in KEYS[1:])
    film, independent, source = (
        frames_of(path) for path in (answer.film["video"], done.film["video"], clip)
    )
    assert len(film) == LENGTH
    assert alike(film[0], independent[0])
    for key in KEYS[1:]:
        assert not alike(film[key], independent[key])
        assert np.abs(film[key].astype(int) - source[key]).mean() > 12
    again = host.film({"input": str(clip), "settings": settings})
    assert told_of(again) == told_of(answer)
