"""A film is looked at while it grows, and comes out as if nobody had looked."""

from __future__ import annotations

from pathlib import Path

from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.pipeline.run import Job, run_job
from lib_ofgen.report import live_preview
from lib_ofgen.report.figures import FrameView
from lib_ofgen.report.live_preview import LivePreview
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image
from lib_ofgen.video.reader import open_video
from support.jobs import BASE, pictures
from support.videos import make_video

LENGTH = 14


class Watcher:
    """A reporter that looks at all there is to see, at every step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.film: LivePreview | None = None
        self.counts: list[int] = []
        self.films: list[int] = []
        self.views: dict[int, FrameView] = {}

    def watched(self, film: LivePreview) -> None:
        self.film = film
        assert film.newest() is None
        assert film.write_partial(self.folder / "none.mp4") == 0

    def step(self, phase: str, done: int, of: int, preview: Image | None = None) -> None:
        if phase != "paint" or self.film is None or self.film.newest() is None:
            return
        newest = self.film.newest()
        assert newest is not None
        self.views[newest] = self.film.view_frame(newest)
        if self.film.count_finished() not in self.counts:
            self.counts.append(self.film.count_finished())
            path = self.folder / f"{done}.mp4"
            assert self.film.write_partial(path) == self.film.count_finished()
            with open_video(path) as video:
                self.films.append(sum(1 for _ in video))

    def should_stop(self) -> bool:
        return False


def test_a_film_can_be_watched_while_it_is_made(tmp_path: Path) -> None:
    source = make_video(tmp_path / "clip.mp4", pictures(LENGTH))
    settings, watcher = Settings().replace(BASE), Watcher(tmp_path)
    films = []
    for name, watched in (("seen", watcher.watched), ("unseen", lambda film: None)):
        job = Job(source, tmp_path / f"{name}.mp4", tmp_path / name, settings)
        run_job(job, BrushPainter(), watcher, watch=watched)
        films.append(job.output.read_bytes())
        watcher.film = None
    assert films[0] == films[1]
    assert watcher.films == watcher.counts
    assert watcher.counts == sorted(watcher.counts)
    assert len(watcher.counts) > 2
    whole = [one for one in watcher.views.values() if one.whole]
    between = [one for one in watcher.views.values() if not one.whole]
    assert all(one.painted == 1 for one in whole)
    assert any(0 < one.painted < 1 for one in between)
    assert all(one.legend for one in between)
    assert "Where its pixels were painted" in live_preview.frame_view_html(between[0])
