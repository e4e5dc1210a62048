"""HTML of jobs that wait, run, and have just ended."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from urllib.parse import quote

from lib_ofgen.errors import OfgenError
from lib_ofgen.pipeline.progress.job_progress import format_seconds
from lib_ofgen.report import live_preview
from lib_ofgen.system.files import modified_ns
from lib_ofgen.webui.jobs import partial_film
from lib_ofgen.webui.jobs.job import JobRun
from lib_ofgen.webui.jobs.store import JobRecord
from lib_ofgen.webui.messages import escape, note, progress_text

__all__ = [
    "file_url",
    "link",
    "partial_film_player",
    "preview",
    "progress_bar",
    "queue_list",
    "video_player",
]


def progress_bar(run: JobRun) -> str:
    """Return how far a job is."""
    reporter = run.reporter
    left = reporter.seconds_left()
    rest = "" if left is None or reporter.paused else f", about {format_seconds(left)} left"
    pause = "paused, " if reporter.waits else "pausing, " if reporter.paused else ""
    text = f"{pause}{progress_text(*reporter.place)}{rest}"
    share = 100 * reporter.fraction
    return (
        f"<div data-busy data-job='{run.id}' role='progressbar' aria-valuenow='{share:.0f}'>"
        f"<div class='ofgen-bar'><div style='width:{share:.1f}%'></div></div>"
        f"<div>{escape(run.source.name)}: {share:.0f} %<br>{escape(text)}</div></div>"
    )


def preview(run: JobRun, seen: object) -> tuple[object, str]:
    """Return a mark of the newest preview of a running job, and its HTML.

    Args:
        run: The job.
        seen: The mark that the page has already; then there is no HTML.
    """
    film = run.preview
    newest = film.newest() if film else None
    if film is not None and newest is not None:
        mark = (run.id, newest)
        if mark == seen:
            return mark, ""
        with contextlib.suppress(OfgenError, KeyError):  # the frame is being made again
            return mark, live_preview.frame_view_html(film.view_frame(newest))
        return seen, ""
    picture = run.reporter.preview
    mark = (run.id, *run.reporter.place)
    if picture is None or mark == seen:
        return seen, ""
    return mark, live_preview.source_frame_html(picture)


def partial_film_player(run: JobRun | None) -> str:
    """Return a player of the finished frames; or a line that says why there is none."""
    film = run.preview if run else None
    if run is None or film is None or not film.count_finished():
        return note("no frame is finished yet")
    count = film.count_finished()
    try:
        path = partial_film.write(run.id, film, count, is_active=lambda: run.is_active)
    except (OfgenError, KeyError, OSError) as error:
        return note(error, failed=True)
    if path is None:
        return note("the film is finished")
    return video_player(path, f"The first {count} of {film.clip.length} frames")


def queue_list(records: list[JobRecord], *, held: bool) -> str:
    """Return the jobs that wait, in their order.

    Args:
        records: The jobs.
        held: Whether they waited when the webui ended, and wait for "Go on".
    """
    if not records:
        return ""
    items = "".join(f"<li>{escape(one.source.name)}</li>" for one in records)
    reason = " They waited when the webui ended: press Go on." if held else ""
    return f"<div>{len(records)} waiting.{reason}</div><ol>{items}</ol>"


def file_url(path: Path) -> str:
    """Return the address of a file for the page; relative, so that it works behind proxies."""
    return f"file={quote(os.fsencode(path))}?{modified_ns(path)}"


def video_player(path: Path, text: str) -> str:
    """Return a player with a line below.

    The player seeks to the first frame; otherwise browsers show black while the panel is hidden.
    """
    source = f"{file_url(path)}#t=0.001"
    return (
        f"<figure><video controls playsinline preload='metadata' src='{source}'></video>"
        f"<figcaption>{escape(text)}</figcaption></figure>"
    )


def link(path: Path, text: str, *, save: bool = False) -> str:
    """Return a link to a file, to open in a new page or to save."""
    how = f"download='{escape(path.name)}'" if save else "target='_blank' rel='noopener'"
    return f"<a href='{file_url(path)}' {how}>{escape(text)}</a>"
