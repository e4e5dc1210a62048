"""The scenes and key frames of a clip, before anything is painted.

The workspace keeps the results, so a second look costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

from lib_ofgen.errors import SettingsError
from lib_ofgen.pipeline.analysis.flow_reach import FlowReach
from lib_ofgen.planning import coverage, keyframes, shots
from lib_ofgen.planning.keyframes import KeyFrameRule
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.store.workspace import Workspace, digest
from lib_ofgen.system import sealed_json
from lib_ofgen.system.stopping import report_step
from lib_ofgen.values import Cause, Frame, KeyFrame, Reporter, Scene

__all__ = ["find_key_frames", "find_scenes"]

_METHOD = 3
"""Increase it when the same rule finds other key frames, so that old ones are not used."""
_CHOOSE = {"coverage": coverage.by_coverage, "pyramid": coverage.by_pyramid}


def find_scenes(
    frames: FrameStore, threshold: float, reporter: Reporter
) -> tuple[tuple[Scene, ...], str]:
    """Return the scenes between cuts, and the digest of what they depend on."""
    key = digest("scenes", frames.key, threshold)

    def search() -> list[Scene]:
        finder = shots.CutFinder(threshold)
        for frame in _report_frames(frames, reporter):
            finder.add(frame)
        return list(finder.scenes())

    found = _load_or_search(frames.workspace, key, search, _scene_shape(frames))
    return tuple(Scene(*one) for one in found), key


def find_key_frames(
    frames: FrameStore, scenes: tuple[tuple[Scene, ...], str], rule: KeyFrameRule, reach: FlowReach
) -> list[KeyFrame]:
    """Return the key frames by the rule; `scenes` is what `find_scenes` returned.

    Raises:
        SettingsError: if a chosen frame does not exist.
    """
    cuts, cuts_key = scenes
    if rule.kind == "chosen":
        try:
            return keyframes.by_choice(cuts, rule.indices)
        except ValueError as error:
            raise SettingsError(f"{error}; name frames of the clip") from error
    if rule.kind in ("every", "interval"):
        interval = 1 if rule.kind == "every" else rule.interval
        return keyframes.by_interval(cuts, interval, last=rule.last)

    def search() -> list[KeyFrame]:
        if rule.kind == "edges":
            edges = _report_frames(frames, reach.reporter)
            return keyframes.by_edges(edges, cuts, frames.clip, rule.edges, last=rule.last)
        return _CHOOSE[rule.kind](cuts, rule.in_frames(frames.clip), reach.share_without_source)

    key = digest("keys", cuts_key, _METHOD, rule.digest_parts())
    found = _load_or_search(frames.workspace, key, search, _key_shape(frames))
    return [KeyFrame(*one) for one in found]


def _load_or_search(
    workspace: Workspace,
    key: str,
    search: Callable[[], Sequence[tuple[Any, ...]]],
    shape: sealed_json.Shape,
) -> list[list[Any]]:
    """Return what the workspace has under `key`; if it has nothing of that shape, search it."""
    facts = workspace.facts(key, shape)
    if facts is None:
        facts = [list(item) for item in search()]
        workspace.save_facts(key, facts)
    return facts


def _scene_shape(frames: FrameStore) -> sealed_json.Shape:
    length = frames.clip.length
    return sealed_json.items(
        sealed_json.row(sealed_json.whole(0, length - 1), sealed_json.whole(1, length)), least=1
    )


def _key_shape(frames: FrameStore) -> sealed_json.Shape:
    place, distance = sealed_json.whole(0, frames.clip.length - 1), sealed_json.number(0, math.inf)
    return sealed_json.items(
        sealed_json.row(place, distance, lambda cause: cause in get_args(Cause)), least=1
    )


def _report_frames(frames: FrameStore, reporter: Reporter) -> Iterator[Frame]:
    """Yield the frames of the clip and report each.

    Raises:
        Stopped: if the user asked to stop.
    """
    for frame in frames.frames():
        yield frame
        report_step(reporter, "analyse", frame.index + 1, frames.clip.length, frame.image)
