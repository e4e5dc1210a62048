"""The frames of a finished job, out of its workspace: what was, and what came of it."""

from __future__ import annotations

import re
from pathlib import Path

from lib_ofgen import frame_store, images, markup, report, seals
from lib_ofgen.errors import WorkspaceError
from lib_ofgen.prompts import Words, infotext
from lib_ofgen.values import Clip, Image, Size
from lib_ofgen.workspace import Workspace, known_report

__all__ = ["Reel"]

_WIDEST = 1280
"""px: the most that a picture for comparing has on a side."""
_QUALITY = 90
_SHARE = seals.number(0, 1)
_PLACE = seals.whole(0)


def _digest(value: object) -> bool:
    """The shape of a digest."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value) is not None


_SHAPE = seals.record(
    kept=seals.record(spool=_digest, frames=seals.items(_digest, least=1)),
    clip=seals.record(frames=seals.whole(1), width=seals.whole(1), height=seals.whole(1)),
    settings=seals.record(),
    seed=_PLACE,
    keys=seals.items(seals.record(index=_PLACE), least=1),
    prompts=seals.items(
        seals.record(start=_PLACE, stop=_PLACE, prompt=seals.text, negative_prompt=seals.text),
        least=1,
    ),
    frames=seals.items(seals.record(painted=_SHARE, sources=seals.items(_PLACE)), least=1),
)
"""What is read of a report here, in `reseeding` and in the tab."""


class Reel:
    """Frames by their index, read from disk when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """That of the workspace `folder`.

        Raises:
            WorkspaceError: it holds no finished job's frames.
        """
        facts = known_report(folder, _SHAPE)
        if facts is None:
            raise WorkspaceError(
                f"'{folder}' holds no frames of a finished film; run the same job again"
            )
        self.facts, self.folder = facts, folder
        self._spool: str = facts["kept"]["spool"]
        self._frames: list[str] = facts["kept"]["frames"]
        self._workspace = Workspace(folder)

    def __len__(self) -> int:
        """The number of frames."""
        return len(self._frames)

    @property
    def clip(self) -> Clip:
        """Size and time of the frames.

        Raises:
            WorkspaceError: frames of the source are missing.
        """
        clip = frame_store.known_clip(self._workspace, self._spool)
        if clip is None:
            raise WorkspaceError(
                f"'{self.folder}' lacks frames of the source; run the same job again"
            )
        return clip

    def source(self, index: int) -> Image:
        """The source's frame, as it was taken.

        Raises:
            WorkspaceError: it is not there any more.
        """
        return self._workspace.source(self._spool, index)

    def result(self, index: int) -> Image:
        """The finished frame.

        Raises:
            WorkspaceError: it is not there any more.
        """
        image = self._workspace.frame(self._frames[index])
        if image is None:
            raise WorkspaceError(
                f"frame {index} is missing in '{self.folder}'; run the same job again"
            )
        return image

    def text(self, index: int) -> str:
        """What the frame was painted by, as the webui's PNG Info reads it."""
        clip, rows = self.facts["clip"], self.facts["prompts"]
        row = next(row for row in rows if row["start"] <= index < row["stop"])
        about = report.about(
            self.facts["settings"],
            row.get("seed", self.facts["seed"]),
            Size(clip["height"], clip["width"]),
        )
        return infotext(Words(row["prompt"], row["negative_prompt"]), about)

    def compared(self, index: int) -> str:
        """Both, one over the other, as HTML; the range's value says up to where the first shows.

        The page's own script moves the border: it sets `--at` of the figure.
        """
        before, after = (self._shown(one) for one in (self.source(index), self.result(index)))
        return (
            f'<figure class="compare" style="--at:50%">'
            f"{markup.image(before, f'frame {index} of the source')}"
            f"{markup.image(after, f'frame {index} of the film')}"
            f'<input type="range" min="0" max="100" value="50" '
            f'aria-label="how much of the source is shown">'
            f"<figcaption>Frame {index}: the source on the left, the film on the right</figcaption>"
            "</figure>"
        )

    def _shown(self, image: Image) -> bytes:
        size = images.size_of(image)
        shrunk = min(1.0, _WIDEST / max(size))
        small = images.scaled(size, shrunk)
        return images.encode_jpeg(images.resize(image, small), _QUALITY)
