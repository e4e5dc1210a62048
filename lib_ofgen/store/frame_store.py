"""The clip's frames at the working size, kept in the workspace; the few used last in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from lib_ofgen.imaging import light
from lib_ofgen.store.workspace import Workspace, digest, file_digest
from lib_ofgen.system import sealed_json
from lib_ofgen.system.stopping import report_step
from lib_ofgen.values import Clip, Frame, Jump, Reporter, Sampling, Size, Sound
from lib_ofgen.video.reader import open_video

__all__ = ["RECENT", "FrameStore", "load_clip", "memory_frames", "read_source"]

_READER = 1
"""Version of the reader's pixels and times; a new one makes videos be read again."""
RECENT = 32
"""Frames kept in memory, if they fit into `_ROOM`; at least 8 are kept."""
_ROOM = 1 << 27
"""Bytes."""
_CLIP = sealed_json.record(
    size=sealed_json.row(sealed_json.whole(1), sealed_json.whole(1)),
    rate=sealed_json.fraction,
    time_base=sealed_json.fraction,
    start=sealed_json.fraction,
    end=sealed_json.whole(1),
    sound=sealed_json.maybe(
        sealed_json.record(
            codec=sealed_json.text, rate=sealed_json.whole(0), channels=sealed_json.whole(0)
        )
    ),
    jumps=sealed_json.items(sealed_json.row(*[sealed_json.fraction] * 3)),
    damaged=sealed_json.whole(0),
)
"""The shape of a clip that `_plain` returned, without its ticks."""


def memory_frames(size: Size) -> int:
    """Return how many frames of `size` are kept in memory."""
    return max(8, min(RECENT, _ROOM // (3 * size.height * size.width)))


class FrameStore:
    """The clip's frames in the workspace; the few used last stay in memory."""

    def __init__(self, workspace: Workspace, key: str, clip: Clip) -> None:
        """Take the complete frames under `key` in the workspace."""
        self.workspace, self.key, self.clip = workspace, key, clip
        room = memory_frames(clip.size)
        self._read = lru_cache(maxsize=room)(lambda index: workspace.source(key, index))
        # a view has a quarter of a frame's bytes
        self.view = lru_cache(maxsize=4 * room)(lambda index: light.view(self._read(index)))
        """Returns frame `index` as (h, w, 3) levels on the grid of `light`."""

    def frame(self, index: int) -> Frame:
        """Return frame `index`."""
        return Frame(index, self._read(index))

    def frames(self) -> Iterator[Frame]:
        """Yield all frames, in order, each read from disk."""
        for index in range(self.clip.length):
            yield Frame(index, self.workspace.source(self.key, index))


def read_source(
    workspace: Workspace, path: Path, sampling: Sampling, reporter: Reporter
) -> FrameStore:
    """Read the frames of `path` that `sampling` takes into the workspace, or find them there.

    Raises:
        VideoError: if the file cannot be read.
        Stopped: if the user asked to stop.
    """
    with open_video(path, sampling) as source:
        taken = (file_digest(path), dataclasses.asdict(sampling), source.size, *source.traits)
        key = digest("spool", _READER, *taken)
        held = load_clip(workspace, key)
        if held is not None:
            return FrameStore(workspace, key, held)
        done = 0
        for frame in source:
            workspace.save_source(key, frame.index, frame.image)
            done = frame.index + 1
            report_step(reporter, "decode", done, max(done, source.expected), frame.image)
        workspace.save_clip(key, _plain(source.clip))
        reporter.step("decode", done, done)
        return FrameStore(workspace, key, source.clip)


def load_clip(workspace: Workspace, key: str) -> Clip | None:
    """Return the clip whose frames are stored under `key`, or None if one is missing."""
    known = {one.name for one in dataclasses.fields(Clip)}
    held = workspace.clip(key, lambda value: _CLIP(value) and {*cast("Any", value)} <= known)
    return None if held is None else _clip_of(held)


def _plain(clip: Clip) -> dict[str, Any]:
    """Return the clip as a JSON value."""
    plain = dataclasses.asdict(clip) | {"jumps": [[*map(str, jump)] for jump in clip.jumps]}
    return {name: str(v) if isinstance(v, Fraction) else v for name, v in plain.items()}


def _clip_of(plain: dict[str, Any]) -> Clip:
    """Return the clip of a value that `_plain` returned."""
    exact = {name: Fraction(plain[name]) for name in ("rate", "time_base", "start")}
    sound = Sound(**plain["sound"]) if plain["sound"] else None
    jumps = tuple(Jump(*map(Fraction, jump)) for jump in plain["jumps"])
    rest = {"size": Size(*plain["size"]), "ticks": tuple(plain["ticks"]), "sound": sound}
    rest["jumps"] = jumps
    return Clip(**{**plain, **exact, **rest})
