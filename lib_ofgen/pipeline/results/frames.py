"""The frames of a finished job, out of its workspace: what was, and what came of it."""

from __future__ import annotations

from pathlib import Path

from lib_ofgen.errors import WorkspaceError
from lib_ofgen.imaging import images
from lib_ofgen.planning.prompts import Words, infotext
from lib_ofgen.report import facts as report
from lib_ofgen.report.html import elements
from lib_ofgen.store import frame_store
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Clip, Image

__all__ = ["ResultFrames"]

_WIDEST = 1280
"""px: the most that a picture for comparing has on a side."""
_QUALITY = 90


class ResultFrames:
    """Frames by their index, read from disk when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """That of the workspace `folder`.

        Raises:
            WorkspaceError: it holds no finished job's frames.
        """
        facts = report.read_report(folder)
        if facts is None:
            raise WorkspaceError(
                f"'{folder}' holds no frames of a finished film; run the same job again"
            )
        self.facts, self.folder = facts, folder
        self._workspace = Workspace(folder)

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.facts.kept.frames)

    @property
    def clip(self) -> Clip:
        """Size and time of the frames.

        Raises:
            WorkspaceError: frames of the source are missing.
        """
        clip = frame_store.load_clip(self._workspace, self.facts.kept.spool)
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
        return self._workspace.source(self.facts.kept.spool, index)

    def result(self, index: int) -> Image:
        """The finished frame.

        Raises:
            WorkspaceError: it is not there any more.
        """
        image = self._workspace.frame(self.facts.kept.frames[index])
        if image is None:
            raise WorkspaceError(
                f"frame {index} is missing in '{self.folder}'; run the same job again"
            )
        return image

    def text(self, index: int) -> str:
        """What the frame was painted by, as the webui's PNG Info reads it."""
        facts = self.facts
        row = next(row for row in facts.prompts if row.holds(index))
        words = Words(row.prompt, row.negative_prompt, row.seed)
        about = report.infotext_fields(facts.settings, words.seed_or(facts.seed), facts.clip.size)
        return infotext(words, about)

    def comparison_html(self, index: int) -> str:
        """Both, one over the other, as HTML; the range's value says up to where the first shows.

        The page's own script moves the border: it sets `--at` of the figure.
        """
        before, after = (self._shown(one) for one in (self.source(index), self.result(index)))
        return (
            f'<figure class="compare" style="--at:50%">'
            f"{elements.image(before, f'frame {index} of the source')}"
            f"{elements.image(after, f'frame {index} of the film')}"
            f'<input type="range" min="0" max="100" value="50" '
            f'aria-label="how much of the source is shown">'
            f"<figcaption>Frame {index}: the source on the left, the film on the right</figcaption>"
            "</figure>"
        )

    def _shown(self, image: Image) -> bytes:
        size = images.size_of(image)
        shrunk = min(1.0, _WIDEST / max(size))
        small = images.scale_size(size, shrunk)
        return images.encode_jpeg(images.resize(image, small), _QUALITY)
