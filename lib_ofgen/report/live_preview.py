"""The live preview of a running job: its newest frame, and the film up to now."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from lib_ofgen.imaging import images
from lib_ofgen.report import contact_sheet
from lib_ofgen.report import figures as pictures
from lib_ofgen.report.figures import FilmPictures, FrameView, Origin
from lib_ofgen.report.html import elements
from lib_ofgen.values import Clip, Frame, Image, Size
from lib_ofgen.video.writer import write_video

__all__ = ["LivePreview", "frame_view_html", "source_frame_html"]

_WIDEST = 640
"""px: longest side of the partial film."""
_QUALITY = 80
_CRF = 26


@dataclass(frozen=True)
class LivePreview:
    """A film while it is made. It works only when it is asked, and from any thread."""

    clip: Clip
    film: FilmPictures
    finished: Mapping[int, object]
    """Has the index of each finished frame as a key, in the order in which they were finished."""
    whole: Callable[[int], bool]
    """Whether a finished frame was painted whole."""
    _written: dict[Path, int] = field(default_factory=dict)
    """Number of frames of each partial film that was written."""
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def newest(self) -> int | None:
        """Return the frame that was finished last, or None."""
        return next(iter(list(self.finished)[-1:]), None)

    def count_finished(self) -> int:
        """Return the number of frames that are finished without a gap, from the first."""
        done = set(self.finished)
        return next(index for index in range(self.clip.length + 1) if index not in done)

    def view_frame(self, index: int) -> FrameView:
        """Return a view of a finished frame."""
        return pictures.view_frame(self.film, index, whole=self.whole(index))

    def write_partial(self, path: Path, most: int | None = None) -> int:
        """Write the film up to now, small and without sound; return its number of frames.

        It has at most `most` frames. One thread writes at a time; a film that has these frames
        already is not written again.

        Raises:
            VideoError: if the file cannot be written.
        """
        with self._writing:
            count = self.count_finished() if most is None else min(most, self.count_finished())
            if count and not (self._written.get(path) == count and path.is_file()):
                self._write(path, count)
                self._written[path] = count
            return count

    def _write(self, path: Path, count: int) -> None:
        clip = self.clip
        shrunk = min(1.0, _WIDEST / max(clip.size))
        size = Size(*(max(8, round(side * shrunk / 8) * 8) for side in clip.size))
        end = clip.ticks[count] if count < clip.length else clip.end
        part = dataclasses.replace(
            clip, size=size, ticks=clip.ticks[:count], end=end, sound=None, damaged=0
        )
        with write_video(path, part, crf=_CRF) as film:
            for index in range(count):
                film.write(Frame(index, images.resize(self.film.result(index), size)))


def frame_view_html(one: FrameView) -> str:
    """Return a view as HTML: three pictures, the last with its legend."""
    fresh = "painted whole" if one.whole else f"painted fresh: {elements.percentage(one.painted)}"
    legend = "".join(_legend_line(origin, one.frame) for origin in one.legend[:6])
    figures = [
        (one.result, f"Frame {one.frame}", ""),
        (one.holes, "Its holes", f"; {fresh}"),
        (one.origins, "Where its pixels were painted", f'<ul class="legend">{legend}</ul>'),
    ]
    shown = (
        f"{elements.image(jpeg, text, one.size)}<figcaption>{text}{more}</figcaption>"
        for jpeg, text, more in figures
    )
    return _row(shown)


def source_frame_html(image: Image) -> str:
    """Return a frame of the source as HTML, to show before the first frame is finished."""
    jpeg = images.encode_jpeg(contact_sheet.make_thumbnail(image), _QUALITY)
    return _row(
        [f"{elements.image(jpeg, 'a frame of the source')}<figcaption>The source</figcaption>"]
    )


def _row(figures: Iterable[str]) -> str:
    shown = "".join(f"<figure>{one}</figure>" for one in figures)
    return f'<div class="pictures">{shown}</div>'


def _legend_line(origin: Origin, frame: int) -> str:
    """Return a line of the legend of origins."""
    named = f"frame {origin.frames[0]}" if len(origin.frames) == 1 else "other frames"
    if not origin.frames:
        named = "the source, kept"
    if origin.frames == (frame,):
        named = "itself"
    swatch = f'<i class="swatch" style="background:{elements.css_colour(origin.colour)}"></i>'
    return f"<li>{swatch}{escape(named)}: {elements.percentage(origin.share)}</li>"
