"""Running a job on the host, and what a document's video and flow look like before that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from lib_ofgen.errors import OfgenError, Stopped
from lib_ofgen.pipeline import run as pipeline
from lib_ofgen.pipeline import stage_options
from lib_ofgen.settings import control_units
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image
from lib_ofgen.webui.host.controlnet import UserScripts
from lib_ofgen.webui.host.environment import (
    allowed_paths,
    model_folders,
    preset_store,
    queue_lock,
)
from lib_ofgen.webui.host.painter import HostTurn, PainterOptions, WebuiPainter
from lib_ofgen.webui.host.vram import SharingEstimator
from lib_ofgen.webui.jobs.document import JobDocument, find_input, read_settings
from lib_ofgen.webui.jobs.job import JobRun
from lib_ofgen.webui.jobs.state import JobState
from lib_ofgen.webui.messages import adapt_message

__all__ = ["describe_video", "draw_flow", "execute", "make_painter_options"]

Lock = Callable[[], AbstractContextManager[Any]]


def execute(
    run: JobRun, options: PainterOptions, lock: Lock, scripts: UserScripts | None = None
) -> None:
    """Run a job to its end, which the run's state and message tell.

    Args:
        run: The run; it is `running`, and has ended afterwards.
        options: What paints.
        lock: Gives our turn at the host, for one batch at a time.
        scripts: The user's always-on scripts with their values; None: with their first values.

    Raises:
        BaseException: any error that is not an `OfgenError`; the job has failed then.
    """
    state, message = JobState.FAILED, ""
    try:
        message = _make_film(run, options, lock, scripts)
        state = JobState.DONE
    except Stopped as stop:
        state, message = JobState.STOPPED, str(stop)
    except OfgenError as error:
        message = adapt_message(error)
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        raise
    finally:
        run.preview = None
        run.reporter.leave()
        run.finish(state, message)


def _make_film(
    run: JobRun, options: PainterOptions, lock: Lock, scripts: UserScripts | None
) -> str:
    """Make the film; return what went wrong afterwards, which hides no film."""
    run.reporter.step("decode", 0, 1)
    inputs = run.inputs

    def take_turn() -> AbstractContextManager[None]:
        return _turn(run, lock)

    turn = HostTurn(take_turn, run.reporter.should_stop)
    painter = WebuiPainter(options, turn, inputs.settings.paint_batch, scripts)
    run.checkpoint = painter.checkpoint
    try:
        job = pipeline.Job(
            inputs.source, inputs.output, run.workspace, inputs.settings,
            models=model_folders(), mask=inputs.mask, prompts=inputs.prompts,
        )  # fmt: skip
        run.result = pipeline.run_job(
            job,
            painter,
            run.reporter,
            lambda estimator: SharingEstimator(estimator, take_turn),
            lambda preview: setattr(run, "preview", preview),
        )
    finally:
        problem = _close(painter)
    return problem


def _close(painter: WebuiPainter) -> str:
    """Give the user's checkpoint back; return what went wrong."""
    try:
        painter.close()
    except OfgenError as error:
        return str(error)
    return ""


@contextmanager
def _turn(run: JobRun, lock: Lock) -> Iterator[None]:
    """Inside, the host and its state belong to the run."""
    with lock():
        run.reporter.turn()
        try:
            yield
        finally:
            run.reporter.tell()


def make_painter_options(settings: Settings, **host_options: Any) -> PainterOptions:
    """Return the painter's options by the settings.

    Args:
        settings: The job's settings.
        host_options: Options of the host that hold while we paint.
    """
    return PainterOptions(
        checkpoint=settings.checkpoint,
        inpaint_checkpoint=settings.inpaint_checkpoint,
        sampler=settings.sampler,
        scheduler=settings.scheduler,
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        units=control_units.parse_units(settings.control_units),
        other_scripts=settings.other_scripts,
        options=host_options,
    )


def describe_video(document: JobDocument) -> str:
    """Return a line about the document's video, and what its settings take of it.

    Raises:
        OfgenError: if the video cannot be read.
    """
    settings = read_settings(document, {}, preset_store())
    with stage_options.open_source(find_input(document, allowed_paths()), settings) as video:
        sound = f", sound ({video.sound.codec})" if video.sound else ", no sound"
        seconds = float(video.expected / video.rate)
        return (
            f"{video.path.name}: {video.display_size}{sound}. Taken: about {video.expected} frames "
            f"of {video.size} at {float(video.rate):.4g} a second, {seconds:.1f} s"
        )


def draw_flow(document: JobDocument, index: int) -> Image:
    """Return the flow of frame `index` of the document's video to the next frame, as a picture.

    Raises:
        OfgenError: if the video or the estimator is not there.
    """
    settings = read_settings(document, {}, preset_store())
    return pipeline.draw_frame_flow(
        find_input(document, allowed_paths()),
        settings,
        index,
        model_folders(),
        lambda estimator: SharingEstimator(estimator, queue_lock),
    )
