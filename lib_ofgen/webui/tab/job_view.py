"""What the page shows of jobs that wait, run, and have just ended, as HTML."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from urllib.parse import quote

from lib_ofgen.errors import OfgenError
from lib_ofgen.report import live_preview
from lib_ofgen.system.files import modified_ns
from lib_ofgen.webui.jobs import partial_film
from lib_ofgen.webui.jobs.job import HostJob
from lib_ofgen.webui.jobs.store import Record
from lib_ofgen.webui.messages import doing, note, shown

__all__ = ["bar", "link", "picture", "queue", "so_far", "url", "video"]


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
        f"<div>{shown(job.source.name)}: {share:.0f} %<br>{shown(text)}</div></div>"
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
            return mark, live_preview.frame_view_html(film.view_frame(newest))
        return seen, ""
    preview = job.reporter.preview
    mark = (job.id, *job.reporter.place)
    if preview is None or mark == seen:
        return seen, ""
    return mark, live_preview.source_frame_html(preview)


def so_far(job: HostJob | None) -> str:
    """The film as far as it is done, as a player; or a line that says why not."""
    film = job.growing if job else None
    if job is None or film is None or not film.count_finished():
        return note("no frame is finished yet")
    count = film.count_finished()
    try:
        path = partial_film.write(job.id, film, count, running=lambda: job.under_way)
    except (OfgenError, KeyError, OSError) as error:
        return note(error, failed=True)
    if path is None:
        return note("the film is finished")
    return video(path, f"The first {count} of {film.clip.length} frames")


def queue(records: list[Record], *, held: bool) -> str:
    """Those that wait, in their order."""
    if not records:
        return ""
    items = "".join(f"<li>{shown(one.source.name)}</li>" for one in records)
    why = " They waited when the webui ended: press Go on." if held else ""
    return f"<div>{len(records)} waiting.{why}</div><ol>{items}</ol>"


def url(path: Path) -> str:
    """Where the page finds a file, relative, so that it holds behind any address."""
    return f"file={quote(os.fsencode(path))}?{modified_ns(path)}"


def video(path: Path, text: str) -> str:
    """A player with a line below.

    It is sent to the first frame, which browsers else leave black where the panel is not seen yet.
    """
    source = f"{url(path)}#t=0.001"
    return (
        f"<figure><video controls playsinline preload='metadata' src='{source}'></video>"
        f"<figcaption>{shown(text)}</figcaption></figure>"
    )


def link(path: Path, text: str, *, save: bool = False) -> str:
    """A link to a file, to open beside or to save."""
    how = f"download='{shown(path.name)}'" if save else "target='_blank' rel='noopener'"
    return f"<a href='{url(path)}' {how}>{shown(text)}</a>"
