"""What the page shows of jobs that wait, run, and have just ended, as HTML."""

from __future__ import annotations

import contextlib
import html
from pathlib import Path
from urllib.parse import quote

from lib_ofgen import growing
from lib_ofgen.errors import OfgenError
from lib_ofgen.webui.job import HostJob, places
from lib_ofgen.webui.lines import doing, note
from lib_ofgen.webui.shelf import Record

__all__ = ["bar", "changed", "link", "picture", "queue", "so_far", "url", "video"]


def bar(job: HostJob) -> str:
    """How far a job is."""
    told = job.reporter
    left = told.left()
    eta = "" if left is None or told.paused else f", about {_span(left)} left"
    held = "paused, " if told.waits else "pausing, " if told.paused else ""
    text = f"{held}{doing(*told.place)}{eta}"
    share = 100 * told.fraction
    return (
        f"<div data-busy data-job='{job.id}' role='progressbar' aria-valuenow='{share:.0f}'>"
        f"<div class='ofgen-bar'><div style='width:{share:.1f}%'></div></div>"
        f"<p>{html.escape(job.source.name)}: {share:.0f} %<br>{html.escape(text)}</p></div>"
    )


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def picture(job: HostJob, seen: object) -> tuple[object, str]:
    """What there is to see of a running job, and a mark of it; no HTML if that is `seen`."""
    film = job.growing
    newest = film.newest() if film else None
    if film is not None and newest is not None:
        mark = (job.id, newest)
        if mark == seen:
            return mark, ""
        with contextlib.suppress(OfgenError, KeyError):  # it is being made anew
            return mark, growing.drawn(film.glimpse(newest))
        return seen, ""
    preview = job.reporter.preview
    mark = (job.id, *job.reporter.place)
    if preview is None or mark == seen:
        return seen, ""
    return mark, growing.preview(preview)


def so_far(job: HostJob | None) -> str:
    """The film as far as it is done, as a player; or a line that says why not."""
    film = job.growing if job else None
    if job is None or film is None or not film.count():
        return note("no frame is finished yet")
    try:
        folder = places().output / "so-far"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{job.id}.mp4"
        count = film.so_far(path)
    except (OfgenError, KeyError) as error:
        return note(error, failed=True)
    return video(path, f"The first {count} of {film.clip.length} frames")


def queue(records: list[Record], *, held: bool) -> str:
    """Those that wait, in their order."""
    if not records:
        return ""
    items = "".join(f"<li>{html.escape(one.source.name)}</li>" for one in records)
    why = " They waited when the webui ended: press Go on." if held else ""
    return f"<p>{len(records)} waiting.{why}</p><ol>{items}</ol>"


def url(path: Path) -> str:
    """Where the page finds a file, relative, so that it holds behind any address."""
    return f"file={quote(str(path))}?{changed(path)}"


def changed(path: Path) -> int:
    """When the file was written, in ns; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def video(path: Path, text: str) -> str:
    """A player with a line below.

    It is sent to the first frame, which browsers else leave black where the panel is not seen yet.
    """
    source = f"{url(path)}#t=0.001"
    return (
        f"<figure><video controls playsinline preload='metadata' src='{source}'></video>"
        f"<figcaption>{html.escape(text)}</figcaption></figure>"
    )


def link(path: Path, text: str, *, save: bool = False) -> str:
    """A link to a file, to open beside or to save."""
    how = f"download='{html.escape(path.name)}'" if save else "target='_blank' rel='noopener'"
    return f"<a href='{url(path)}' {how}>{html.escape(text)}</a>"
