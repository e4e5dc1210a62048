"""A film in the making, for those who watch: its newest frame, and all that is done so far."""

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
from lib_ofgen.report.figures import KEPT, Film, Glimpse, Origin
from lib_ofgen.report.html import elements
from lib_ofgen.values import Clip, Frame, Image, Size
from lib_ofgen.video.writer import write_video

__all__ = ["LivePreview", "glimpse_html", "preview_html"]

_WIDEST = 640
"""px: the most that the film so far has on a side."""
_QUALITY = 80
_CRF = 26


@dataclass(frozen=True)
class LivePreview:
    """Costs nothing but when something is asked of it, from any thread."""

    clip: Clip
    film: Film
    finished: Mapping[int, object]
    """By the index of each finished frame; it grows in the order of finishing."""
    whole: Callable[[int], bool]
    """Whether a finished frame was painted whole."""
    _written: dict[Path, int] = field(default_factory=dict)
    """Films so far, and how many frames they have."""
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def newest(self) -> int | None:
        """The frame that was finished last."""
        return next(iter(list(self.finished)[-1:]), None)

    def count(self) -> int:
        """How many frames are finished without a gap, from the first on."""
        done = set(self.finished)
        return next(index for index in range(self.clip.length + 1) if index not in done)

    def glimpse(self, index: int) -> Glimpse:
        """A finished frame, and what it is made of."""
        return pictures.glimpse(self.film, index, whole=self.whole(index))

    def so_far(self, path: Path, most: int | None = None) -> int:
        """Write the film as far as it is done, small and without sound; the number of frames.

        It has at most so many frames, if `most` is given. One writer at a time; a film that has
        the frames already is not written again.

        Raises:
            VideoError: it cannot be written.
        """
        with self._writing:
            count = self.count() if most is None else min(most, self.count())
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


def glimpse_html(one: Glimpse) -> str:
    """The glimpse as HTML: three pictures, the last with its legend."""
    fresh = "painted whole" if one.whole else f"painted fresh: {elements.share(one.painted)}"
    legend = "".join(_origin(origin, one.frame) for origin in one.legend[:6])
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


def preview_html(image: Image) -> str:
    """A frame of the source as HTML, for the time before there is a finished one."""
    jpeg = images.encode_jpeg(contact_sheet.thumb(image), _QUALITY)
    return _row(
        [f"{elements.image(jpeg, 'a frame of the source')}<figcaption>The source</figcaption>"]
    )


def _row(figures: Iterable[str]) -> str:
    shown = "".join(f"<figure>{one}</figure>" for one in figures)
    return f'<div class="pictures">{shown}</div>'


def _origin(origin: Origin, frame: int) -> str:
    """A line of the legend of origins."""
    named = f"frame {origin.frames[0]}" if len(origin.frames) == 1 else "other frames"
    if origin.frames == (KEPT,):
        named = "the source, kept"
    if origin.frames == (frame,):
        named = "itself"
    swatch = f'<i class="swatch" style="background:{elements.rgb(origin.colour)}"></i>'
    return f"<li>{swatch}{escape(named)}: {elements.share(origin.share)}</li>"
