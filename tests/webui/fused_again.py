"""Fuses a workspace's frames again, with the interpreter that made them: `fused_again.py FOLDER`.

Prints, for each frame that is no key, how much of it should be the warp bit for bit, how many
pixels are not, and how many of them have one source alone and are not that source's warp.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib_ofgen import fuse, pipeline, plan, warp
from lib_ofgen.flow.dis import DisEstimator
from lib_ofgen.making import Maker, Stopwatch
from lib_ofgen.settings import Settings
from lib_ofgen.survey import Spool
from lib_ofgen.values import Image, Painted, Repaint, Stage, Step
from lib_ofgen.workspace import Workspace


class Keeper:
    """A painter and reporter that knows who has painted, and refuses to paint anything anew."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    @contextlib.contextmanager
    def stage(self, kind: Stage) -> Iterator[None]:
        yield

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        raise AssertionError(f"{len(jobs)} pictures of a finished job were to be painted again")

    def step(self, stage: str, done: int, of: int, preview: Image | None = None) -> None:
        pass

    def stopped(self) -> bool:
        return False


class Again:
    """Every frame of a finished job, and how it was made."""

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / "report.json").read_text("utf-8"))
        self.settings = Settings().replace(facts["settings"])
        keeper, watch = Keeper(facts["painter"]), Stopwatch()
        self.workspace = Workspace(folder)
        known = pipeline.look(Path(sys.argv[2]), self.workspace, self.settings, keeper, watch)
        self.spool: Spool = known.spool
        self.estimator = DisEstimator(self.settings.confidence_radius)
        rules = pipeline._rules(self.settings, facts["seed"])
        self.maker = Maker(self.spool, rules, (self.estimator, keeper, keeper), watch)
        for _ in pipeline._made(self.maker, known, guided=False):
            pass
        gaps = plan.group_between(known.keys, known.scenes, guided=False)
        self.steps = [step for gap in gaps for level in gap for step in level]

    def painted(self, index: int) -> Painted | None:
        """What was painted fresh in a frame."""
        made = self.maker.made[index]
        if not made.sources:
            image = self.maker.picture(index)
            return Painted(index, image, np.ones(image.shape[:2], np.bool_))
        return self.workspace.painted(made.painted, index) if made.painted else None

    def candidates(self, step: Step) -> list[fuse.Candidate]:
        """Sources with a share, then others for as long as something is missing."""
        least = self.settings.hole_min
        found: list[fuse.Candidate] = []
        offers = sorted(zip(step.sources, step.shares, strict=True), key=lambda o: o[1] == 0)
        for index, share in offers:
            lender = self.painted(index)
            if lender is None:
                continue
            if share == 0 and not fuse.missing(found, least).any():
                break
            pair = (self.spool.frame(index), self.spool.frame(step.target))
            (flow,) = self.estimator.estimate([pair])
            found.append(
                fuse.candidate(lender, flow, share, threshold=self.settings.confidence, least=least)
            )
        return found

    def compared(self, step: Step) -> dict[str, Any]:
        """The stored frame against the warp, outside of what was painted."""
        candidates = self.candidates(step)
        fused = fuse.merge(candidates, self.settings.hole_min)
        fresh, stored = self.painted(step.target), self.maker.picture(step.target)
        sure = np.ones(stored.shape[:2], np.bool_) if fresh is None else ~fresh.mask
        alone = 0
        for candidate, weight in zip(candidates, fused.weights, strict=True):
            moved = warp.backward(candidate.painted.image, candidate.flow.vectors)
            alone += int(((stored != moved).any(-1) & sure & (weight == 1)).sum())
        return {
            "index": step.target,
            "holes": bool(fused.holes.any()),
            "sure": float(sure.mean()),
            "wrong": int(((stored != fused.image).any(-1) & sure).sum()),
            "single": float((fused.weights.max(0)[sure] == 1).mean()),
            "alone": alone,
            "repainted": float((stored != fused.image).any(-1).mean()),
        }


def main() -> None:
    """Compare them all."""
    again = Again(Path(sys.argv[1]))
    json.dump([again.compared(step) for step in again.steps], sys.stdout)


if __name__ == "__main__":
    main()
