"""A step that gives finished frames, and the chain of such steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from lib_ofgen.pipeline.rendering.context import RenderContext
from lib_ofgen.store.workspace import require
from lib_ofgen.values import Image, Scene

__all__ = ["FramePass", "WindowPass", "run_passes"]


class FramePass(Protocol):
    """Makes the pictures of frames, in the order of showing."""

    @property
    def done(self) -> Mapping[int, object]:
        """The frames that are made, by index. It grows in the order of making."""
        ...

    def render_ready(self) -> Iterator[int]:
        """Make the frames that can be made now; yields the index of each."""
        ...

    def key(self, index: int) -> str | None:
        """Return the digest of the picture; None if it is not made yet."""
        ...

    def picture(self, index: int) -> Image:
        """Return the picture of a frame that is made."""
        ...


def run_passes(passes: Sequence[FramePass]) -> Iterator[int]:
    """Make what the last pass can make now, each pass fed by the one before; yields indices."""
    first, *rest = passes
    for index in first.render_ready():
        if rest:
            yield from run_passes(rest)
        else:
            yield index


class WindowPass(ABC):
    """A pass that makes each frame from `reach` frames before and after it, in its scene."""

    def __init__(self, context: RenderContext, before: FramePass, reach: int) -> None:
        """`before` gives the frames that this pass changes."""
        self._context, self._before = context, before
        self._frames, self._workspace = context.frames, context.workspace
        self._stopwatch, self._layers = context.stopwatch, context.layers
        self._queue = deque(
            (target, scene) for scene in context.scenes for target in range(scene.start, scene.stop)
        )
        self._reach = reach
        self._keys: dict[int, str] = {}

    @property
    def done(self) -> Mapping[int, object]:
        """See `FramePass`."""
        return self._keys

    def render_ready(self) -> Iterator[int]:
        """Make the frames whose neighbours are made."""
        while self._queue:
            target, scene = self._queue[0]
            start = max(scene.start, target - self._reach)
            window = range(start, min(scene.stop, target + self._reach + 1))
            keys = [self._before.key(index) for index in window]
            if not all(keys):
                return
            self._queue.popleft()
            self._keys[target] = self._make(target, scene, keys)
            yield target

    def key(self, index: int) -> str | None:
        """See `FramePass`."""
        return self._keys.get(index)

    def picture(self, index: int) -> Image:
        """See `FramePass`."""
        return require(index, self._workspace.frame(self._keys[index]), self._workspace.folder)

    @abstractmethod
    def _make(self, target: int, scene: Scene, keys: Sequence[str | None]) -> str:
        """Make the frame from the pictures under `keys`; return the digest of its picture."""
