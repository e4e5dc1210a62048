"""The clip's frames at the working size, kept in the workspace; the few used last in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from lib_ofgen.store.workspace import Workspace, digest, file_digest
from lib_ofgen.system import sealed_json
from lib_ofgen.system.stopping import report_step
from lib_ofgen.values import Clip, Frame, Jump, Reporter, Sampling, Size, Sound
from lib_ofgen.video.reader import open_video

__all__ = ["RECENT", "FrameStore", "load_clip", "memory_frames", "read_source"]

_READER = 1
"""Goes up when the reader's pixels or times change, so that old spools are read anew."""
RECENT = 32
"""Frames kept in memory, if they take no more than `_ROOM`; 8 whatever they take."""
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
"""The shape of a clip as `_plain` has it, beside its ticks."""


def memory_frames(size: Size) -> int:
    """How many frames of `size` may be kept in memory."""
    return max(8, min(RECENT, _ROOM // (3 * size.height * size.width)))


class FrameStore:
    """The clip's frames in the workspace; the few used last stay in memory."""

    def __init__(self, workspace: Workspace, key: str, clip: Clip) -> None:
        """The spool under `key`, which is whole."""
        self.workspace, self.key, self.clip = workspace, key, clip
        keep = lru_cache(maxsize=memory_frames(clip.size))
        self._read = keep(lambda index: workspace.source(key, index))

    def frame(self, index: int) -> Frame:
        """Frame `index`."""
        return Frame(index, self._read(index))

    def frames(self) -> Iterator[Frame]:
        """All frames, in order, each read from disk."""
        for index in range(self.clip.length):
            yield Frame(index, self.workspace.source(self.key, index))


def read_source(
    workspace: Workspace, path: Path, sampling: Sampling, reporter: Reporter
) -> FrameStore:
    """The frames of `path` that `sampling` takes, as a spool.

    Raises:
        VideoError: the file cannot be read.
        Stopped: the user asked to stop.
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
    """The clip whose frames the spool under `key` holds, or None where it is not whole."""
    known = {one.name for one in dataclasses.fields(Clip)}
    held = workspace.clip(key, lambda value: _CLIP(value) and {*cast("Any", value)} <= known)
    return None if held is None else _clip_of(held)


def _plain(clip: Clip) -> dict[str, Any]:
    """The clip as JSON has it."""
    plain = dataclasses.asdict(clip) | {"jumps": [[*map(str, jump)] for jump in clip.jumps]}
    return {name: str(v) if isinstance(v, Fraction) else v for name, v in plain.items()}


def _clip_of(plain: dict[str, Any]) -> Clip:
    """The clip that `_plain` described."""
    exact = {name: Fraction(plain[name]) for name in ("rate", "time_base", "start")}
    sound = Sound(**plain["sound"]) if plain["sound"] else None
    jumps = tuple(Jump(*map(Fraction, jump)) for jump in plain["jumps"])
    rest = {"size": Size(*plain["size"]), "ticks": tuple(plain["ticks"]), "sound": sound}
    rest["jumps"] = jumps
    return Clip(**{**plain, **exact, **rest})
