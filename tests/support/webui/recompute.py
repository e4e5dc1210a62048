"""Makes a finished job's frames again from its paint, with the interpreter that made them.

    recompute.py WORKSPACE SOURCE [MASK]

Prints, for each frame that was not painted whole: how many of its pixels are not, bit for bit,
what its contributions give; how many samples were taken where their origin painted nothing; how
far the weights are from 1; how much of it shows paint of its own, and how much shows none; and the
box around all pixels that are not the source's, before encoding.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.imaging import fusion
from lib_ofgen.imaging.render import Renderer
from lib_ofgen.pipeline.rendering.layers import SingleLayer
from lib_ofgen.pipeline.rendering.propagation import Propagator
from lib_ofgen.pipeline.rendering.stabilise import Stabiliser
from lib_ofgen.pipeline.run import SourceAnalysis
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Draft, Image, Painted, Repaint, Stage
from support.rendering import rendered


class Keeper:
    """A painter and reporter that knows who has painted, and refuses to paint anything anew."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    @contextlib.contextmanager
    def stage(self, kind: Stage) -> Iterator[None]:
        yield

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        raise AssertionError(f"{len(jobs)} pictures of a finished job were to be painted again")

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        pass

    def should_stop(self) -> bool:
        return False


def compared(folder: Path, source: Path, mask: Path | None = None) -> Iterator[dict[str, Any]]:
    """The facts of each frame of the job in the workspace `folder`; it paints nothing."""
    facts = json.loads((folder / "report.json").read_text("utf-8"))
    settings = Settings().replace(facts["settings"])
    keeper = Keeper(facts["painter"])
    rows = prompt_rows.check_rows(facts["prompts"], "the report's list")
    known, renderers = rendered(
        source,
        Workspace(folder),
        settings,
        keeper,
        keeper,
        mask=mask,
        seed=facts["seed"],
        rows=rows,
    )
    maker, finisher = renderers.propagator, renderers.stabiliser
    for frame in facts["frames"]:
        if frame["sources"]:
            yield _frame(known, maker, finisher, frame["index"])


def _frame(
    known: SourceAnalysis, maker: Propagator, finisher: Stabiliser, index: int
) -> dict[str, Any]:
    fused, stored = finisher.stable_draft(index), finisher.picture(index)
    own = np.zeros(fused.holes.shape, np.float32)
    stray, weights = 0, np.zeros(fused.holes.shape, np.float32)
    for one in fused.contributions:
        lender: Painted = maker.lend(one.origin)
        inside = fusion.lendable(lender, one.vectors, (one.box.top, one.box.left))
        one.box.crop(weights)[...] += one.weight
        if one.origin.frame == index:
            one.box.crop(own)[...] += one.weight
            still = ~one.vectors.any(axis=0)
            inside |= still & one.box.crop(lender.mask)
        stray += int(((one.weight > 0) & ~inside).sum())
    again = known.layers.compose(index, Renderer(maker.lend).sharp(fused))
    ys, xs = np.nonzero((stored != known.frames.frame(index).image).any(-1))
    return {
        "index": index,
        "holes": bool(fused.holes.any()),
        "wrong": int((stored != again).any(-1).sum()),
        "stray": stray,
        "unmapped": _unmapped(known.layers, fused, finisher.origins(index)),
        "whole": float(np.abs(weights - 1).max()),
        "own": float((own > 0).mean()),
        "others": float((own == 0).mean()),
        "sources": sorted(one.origin.frame for one in fused.contributions),
        "changed": [int(edge) for edge in (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)],
    }


def _unmapped(layers: SingleLayer, fused: Draft, kept: NDArray[np.int32]) -> int:
    """In how many places the map of origins that was kept is not the frame's own."""
    step = -(-fused.holes.shape[0] // len(kept))
    return int((fused.origin_frames(layers.frame_number)[::step, ::step] != kept).sum())


def main() -> None:
    """Compare them all."""
    json.dump(list(compared(*map(Path, sys.argv[1:]))), sys.stdout)


if __name__ == "__main__":
    main()
