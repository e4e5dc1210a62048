"""What a plan promises: work, time by earlier jobs, room, and what to say beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lib_ofgen import forecast
from lib_ofgen.coverage import Gap
from lib_ofgen.forecast import Pace
from lib_ofgen.values import Size

SIZE = Size(48, 80)
STAGES = {"decode": 1, "analyse": 2, "flow": 8, "paint": 20, "fuse": 4, "encode": 1, "measure": 1}


def facts(**seconds: float) -> dict[str, Any]:
    """Of a report: 10 frames, two of them in keys, one in holes."""
    return {
        "clip": {"frames": 10, "width": 80, "height": 48},
        "seconds": {**STAGES, **seconds},
        "flow": {"estimator": "dis"},
        "painted": {"keys": 0.2, "holes": 0.1},
        "settings": {"steps": 10, "strength": 0.5, "hole_strength": 0.25},
    }


def foretold(pace: Pace, frames: int = 10, **changes: Any) -> float | None:
    todo = forecast.Work(frames, SIZE, 0.2 * frames, 0.1 * frames, 3)
    asked = {"flow": "dis", "painter": "a", "steps": 10, "strengths": (0.5, 0.25), **changes}
    return pace.seconds(todo, **asked)


def test_the_same_job_again_takes_the_same_time(tmp_path: Path) -> None:
    pace = Pace(tmp_path / "pace.json")
    assert foretold(pace) is None
    pace.learn(facts(), "a")
    assert foretold(pace) == pytest.approx(sum(STAGES.values()))
    assert foretold(pace, 20) == pytest.approx(2 * sum(STAGES.values()))
    assert foretold(pace, steps=20) == pytest.approx(sum(STAGES.values()) + 20)


def test_what_was_never_measured_is_not_guessed(tmp_path: Path) -> None:
    pace = Pace(tmp_path / "pace.json")
    pace.learn(facts(), "a")
    assert foretold(pace, painter="another") is None
    assert foretold(pace, flow="raft") is None
    (tmp_path / "pace.json").write_text("[1]", encoding="utf-8")
    assert foretold(pace) is None


def test_a_slower_job_moves_the_rate_towards_it(tmp_path: Path) -> None:
    pace = Pace(tmp_path / "pace.json")
    pace.learn(facts(), "a")
    pace.learn(facts(paint=40), "a")
    assert foretold(Pace(tmp_path / "pace.json")) == pytest.approx(sum(STAGES.values()) + 10)


def test_only_gaps_that_lack_a_hole_are_painted() -> None:
    gaps = [Gap(0, 4, 0.5, 0.5), Gap(4, 9, 0.999, 0.0)]
    todo = forecast.work(10, SIZE, whole=1, keys=3, gaps=gaps, least=100)
    assert todo.calls == 3 + 3
    assert todo.painted == 1.5 * 48 * 80


@pytest.mark.parametrize(
    ("size", "native", "free", "told"),
    [
        (Size(512, 512), 512, 100, []),
        (Size(272, 640), 512, 100, ["64"]),
        (Size(128, 256), 512, 100, ["small"]),
        (Size(1088, 1920), 512, 100, ["large"]),
        (Size(512, 512), 1024, 100, ["small"]),
        (Size(512, 512), 512, 5, ["disk"]),
    ],
)
def test_what_needs_a_remedy_is_told(size: Size, native: int, free: int, told: list[str]) -> None:
    lines = forecast.advice(size, native, free * 10**9, 10 * 10**9)
    assert len(lines) == len(told)
    assert all(word in line for word, line in zip(told, lines, strict=True))
