"""Encode the frames while they are rendered, and report the progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from lib_ofgen.pipeline.painter_session import PainterSession
from lib_ofgen.pipeline.rendering.frame_pass import FramePass
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.values import Clip, Frame, FrameSink, Image, Reporter
from lib_ofgen.video.writer import FrameFolder, write_video

__all__ = ["report_frames", "write_outputs"]

_PREVIEW = 0.5
"""Seconds between two previews for the reporter; each of them is read from disk."""


def report_frames(
    steps: Iterator[tuple[int | None, float]],
    clip: Clip,
    pictures: FramePass,
    session: PainterSession,
    reporter: Reporter,
) -> Iterator[int]:
    """Yield the indices of finished frames; report the progress, with a preview now and then.

    Each of `steps` has the index of a finished frame, or None, and the share 0..1 of the phase
    that is done.

    Raises:
        Stopped: if the user asked to stop.
    """
    shown, latest = 0.0, -1
    for index, share in steps:
        latest = latest if index is None else index
        due = latest >= 0 and perf_counter() - shown >= _PREVIEW
        image = pictures.picture(latest) if due else None
        reporter.step("paint", max(1, round(share * clip.length)), clip.length, image)
        shown = perf_counter() if due else shown
        session.raise_if_stopped()
        if index is not None:
            yield index


def write_outputs(
    output: Path,
    clip: Clip,
    order: Iterator[int],
    pictures: FramePass,
    stopwatch: Stopwatch,
    *,
    sound_from: Path | None,
    crf: int,
    folder: FrameFolder | None,
) -> None:
    """Write the film while it is rendered: a second thread encodes it.

    `order` yields the indices of frames as they are finished. `folder` gets each frame as PNG.
    """
    with (
        write_video(output, clip, sound_from=sound_from, crf=crf) as writer,
        ThreadPoolExecutor(max_workers=1) as encoder,
    ):
        sinks: list[FrameSink] = [writer, folder] if folder else [writer]
        try:
            _feed(encoder, order, clip.length, _writer(sinks, pictures, stopwatch))
            if folder:
                folder.end(clip.length)
        except BaseException:
            encoder.shutdown(cancel_futures=True)
            raise


def _writer(
    sinks: Sequence[FrameSink], pictures: FramePass, stopwatch: Stopwatch
) -> Callable[[int], None]:
    """Return a function that writes a finished frame to every sink."""

    def write(index: int) -> None:
        with stopwatch("encode"):
            image: Image = pictures.picture(index)
            for sink in sinks:
                sink.write(Frame(index, image))

    return write


def _feed(
    encoder: ThreadPoolExecutor, order: Iterator[int], length: int, write: Callable[[int], None]
) -> None:
    """Give finished frames to the encoder, sorted by index; raise the encoder's errors here."""
    ready: set[int] = set()
    following = 0
    written: list[Future[None]] = []
    for index in order:
        ready.add(index)
        while following in ready:
            ready.remove(following)
            written.append(encoder.submit(write, following))
            following += 1
        while written and written[0].done():
            written.pop(0).result()
    if following != length:
        raise AssertionError(f"the plan left out frame {following} of {length}")
    for each in written:
        each.result()
