"""The frames of a finished job, read from its workspace: those of the source and of the film."""

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
"""px: largest side of a picture of the comparison."""
_QUALITY = 90
"""JPEG quality of these pictures, 0..100."""


class ResultFrames:
    """The frames of a finished job by their index; each is read from disk when it is needed."""

    def __init__(self, folder: Path) -> None:
        """Read the report of the workspace `folder`.

        Raises:
            WorkspaceError: if the workspace has no frames of a finished job.
        """
        facts = report.read_report(folder)
        if facts is None:
            raise WorkspaceError(
                f"'{folder}' has no frames of a finished film; run the same job again"
            )
        self.facts, self.folder = facts, folder
        self._workspace = Workspace(folder)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.facts.kept.frames)

    @property
    def clip(self) -> Clip:
        """The size and the times of the frames.

        Raises:
            WorkspaceError: if frames of the source are missing.
        """
        clip = frame_store.load_clip(self._workspace, self.facts.kept.spool)
        if clip is None:
            raise WorkspaceError(
                f"frames of the source are missing in '{self.folder}'; run the same job again"
            )
        return clip

    def source(self, index: int) -> Image:
        """Return the source's frame, at the size of the film.

        Raises:
            WorkspaceError: if the frame is missing.
        """
        return self._workspace.source(self.facts.kept.spool, index)

    def result(self, index: int) -> Image:
        """Return the finished frame.

        Raises:
            WorkspaceError: if the frame is missing.
        """
        image = self._workspace.frame(self.facts.kept.frames[index])
        if image is None:
            raise WorkspaceError(
                f"frame {index} is missing in '{self.folder}'; run the same job again"
            )
        return image

    def text(self, index: int) -> str:
        """Return the infotext of the frame, as the webui's PNG Info reads it."""
        facts = self.facts
        row = next(row for row in facts.prompts if row.holds(index))
        words = Words(row.prompt, row.negative_prompt, row.seed)
        about = report.infotext_fields(facts.settings, words.seed_or(facts.seed), facts.clip.size)
        return infotext(words, about)

    def comparison_html(self, index: int) -> str:
        """Return HTML with the source's frame and the finished one, one over the other.

        The value of the range, in percent of the width, is where the source's frame ends. The
        script of the page moves that border: it sets `--at` of the figure.

        Raises:
            WorkspaceError: if one of the frames is missing.
        """
        before, after = (
            self._encode_small(one) for one in (self.source(index), self.result(index))
        )
        return (
            f'<figure class="compare" style="--at:50%">'
            f"{elements.image(before, f'frame {index} of the source')}"
            f"{elements.image(after, f'frame {index} of the film')}"
            f'<input type="range" min="0" max="100" value="50" '
            f'aria-label="how much of the source is shown">'
            f"<figcaption>Frame {index}: the source on the left, the film on the right</figcaption>"
            "</figure>"
        )

    def _encode_small(self, image: Image) -> bytes:
        size = images.size_of(image)
        shrunk = min(1.0, _WIDEST / max(size))
        small = images.scale_size(size, shrunk)
        return images.encode_jpeg(images.resize(image, small), _QUALITY)
