"""Frames become a film while they are made, and whoever waits hears how far it is."""

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
"""Seconds between two pictures for the reporter; each is read from disk."""


def report_frames(
    paced: Iterator[tuple[int | None, float]],
    clip: Clip,
    pictures: FramePass,
    easel: PainterSession,
    reporter: Reporter,
) -> Iterator[int]:
    """The indices, with the reporter told how far all is, and shown a frame now and then."""
    shown, latest = 0.0, -1
    for index, share in paced:
        latest = latest if index is None else index
        due = latest >= 0 and perf_counter() - shown >= _PREVIEW
        image = pictures.picture(latest) if due else None
        reporter.step("paint", max(1, round(share * clip.length)), clip.length, image)
        shown = perf_counter() if due else shown
        easel.raise_if_stopped()
        if index is not None:
            yield index


def write_outputs(
    output: Path,
    clip: Clip,
    order: Iterator[int],
    pictures: FramePass,
    watch: Stopwatch,
    *,
    sound_from: Path | None,
    crf: int,
    folder: FrameFolder | None,
) -> None:
    """Write the film while it is made: encoding has a thread of its own.

    `order` gives the frames as they are finished, `folder` gets each of them as PNG.
    """
    with (
        write_video(output, clip, sound_from=sound_from, crf=crf) as writer,
        ThreadPoolExecutor(max_workers=1) as encoder,
    ):
        sinks: list[FrameSink] = [writer, folder] if folder else [writer]
        try:
            _feed(encoder, order, clip.length, _writer(sinks, pictures, watch))
            if folder:
                folder.end(clip.length)
        except BaseException:
            encoder.shutdown(cancel_futures=True)
            raise


def _writer(
    sinks: Sequence[FrameSink], pictures: FramePass, watch: Stopwatch
) -> Callable[[int], None]:
    """What puts a finished frame into every sink."""

    def write(index: int) -> None:
        with watch("encode"):
            image: Image = pictures.picture(index)
            for sink in sinks:
                sink.write(Frame(index, image))

    return write


def _feed(
    encoder: ThreadPoolExecutor, order: Iterator[int], length: int, write: Callable[[int], None]
) -> None:
    """Hand finished frames to the encoder in the order of showing; its errors rise here."""
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
