"""The panel that shows a film while it is made, and the queue behind it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.webui.jobs.service import SERVICE
from lib_ofgen.webui.jobs.state import JobState
from lib_ofgen.webui.jobs.store import JobRecord
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab import job_view
from lib_ofgen.webui.tab.form import Form, error_note, read_document
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["FilmPanel"]


class FilmPanel:
    """Buttons beside the prompts, and a panel; `refresh` shows what has become of the job."""

    def build_buttons(self) -> None:
        """Build the buttons that start, pause and stop a job, at the current place in the page."""
        with gr.Row():
            self.generate = gr.Button(
                "Generate",
                variant="primary",
                scale=3,
                min_width=160,
                elem_id=element_id("generate"),
            )
            self.plan = gr.Button("Plan", min_width=80, elem_id=element_id("plan"))
            self.pause = gr.Button("Pause", min_width=80, elem_id=element_id("pause"))
            self.stop = gr.Button("Stop", min_width=80, elem_id=element_id("interrupt"))
        self.note = gr.HTML(elem_id=element_id("told"))
        self.progress = gr.HTML(elem_id=element_id("progress"))

    def build_panel(self) -> None:
        """Build the panel."""
        self.live = gr.HTML(elem_id=element_id("live"))
        self.so_far = gr.HTML(elem_id=element_id("so_far"))
        self.play = gr.Button("Play what is done so far", visible=False, elem_id=element_id("play"))
        self.queue = gr.HTML(elem_id=element_id("queue"))
        self.go_on = gr.Button(
            "Go on", elem_id=element_id("go_on"), visible=bool(SERVICE.jobs.store.held)
        )

    @property
    def outputs(self) -> list[Any]:
        """The outputs of `refresh`."""
        return [self.progress, self.live, self.so_far, self.queue, self.go_on, self.pause,
                self.play]  # fmt: skip

    def connect(self, form: Form, tabs: Any) -> None:
        """Bind the buttons.

        Args:
            form: Gives the job document.
            tabs: The tabs that hold the panel.
        """

        def generate(*values: Any) -> list[Any]:
            try:
                run = SERVICE.queue.add(read_document(*values))
            except OfgenError as error:
                return [error_note(error), gr.update()]
            ahead = len(SERVICE.queue.list_waiting()) - 1
            line = note(f"queued behind {ahead}") if ahead > 0 else ""
            return [f"<div data-job='{run.id}'>{line}</div>", gr.update(selected="film")]

        quick = {"queue": False, "show_progress": False}
        self.generate.click(
            generate, inputs=form.inputs, outputs=[self.note, tabs], api_name="ofgen_generate",
            **quick,
        )  # fmt: skip
        self.stop.click(_stop, outputs=[self.note], **quick)
        self.pause.click(_pause, outputs=[self.note, self.pause], **quick)
        self.go_on.click(SERVICE.queue.go_on, outputs=[], **quick)
        self.play.click(
            lambda: job_view.partial_film_player(SERVICE.queue.current),
            outputs=[self.so_far],
            show_progress=False,
        )

    def refresh(self, seen: dict[str, Any]) -> list[Any]:
        """Return the outputs; `seen` remembers what the page shows already."""
        queue, store = SERVICE.queue, SERVICE.jobs.store
        version = store.version
        waiting, held = queue.list_waiting(), bool(store.held)
        run = queue.current  # after `waiting`: a job that starts now must be in one of the two
        is_known = seen.get("queue") == version
        listed = gr.update() if is_known else job_view.queue_list(waiting, held=held)
        seen["queue"] = version
        if run is None:
            if not waiting or held:
                seen["job"] = queue.last or seen.get("job", "")  # it may have ended meanwhile
            ended = [self._end_note(seen), "", "" if seen.pop("live", None) else gr.update()]
            buttons = [gr.update(visible=held), gr.update(value="Pause"), gr.update(visible=False)]
            return [*ended, listed, *buttons]
        seen["job"] = run.id
        seen["live"], preview = job_view.preview(run, seen.get("live"))
        live = preview or gr.update()
        pause = gr.update(value="Resume" if run.reporter.paused else "Pause")
        buttons = [gr.update(visible=held), pause, gr.update(visible=True)]
        return [job_view.progress_bar(run), live, gr.update(), listed, *buttons]

    def take_finished(self, seen: dict[str, Any]) -> JobRecord | None:
        """Return the watched job when its film is new to the page; else None."""
        record = SERVICE.jobs.store.get(seen.get("job", ""))
        if record is None or record.state is not JobState.DONE:
            return None
        mark = (record.id, job_view.modified_ns(record.output))
        if seen.get("shown") == mark:
            return None
        seen["shown"] = mark
        return record

    def _end_note(self, seen: dict[str, Any]) -> Any:
        """Return the line about the end of the job that was watched last."""
        record = SERVICE.jobs.store.get(seen.get("job", ""))
        if record is None:
            return ""
        done = f"{record.source.name}: {record.summary}"
        return note(record.message or done, failed=record.state is JobState.FAILED)


def _stop() -> str:
    run = SERVICE.queue.current
    if run is None:
        return note("nothing is running")
    run.stop()
    return note("stopping; what is done is kept")


def _pause() -> tuple[str, Any]:
    """Pause the running job, or let it go on."""
    run = SERVICE.queue.current
    if run is None:
        return note("nothing is running"), gr.update()
    run.reporter.pause(on=not run.reporter.paused)
    paused = run.reporter.paused
    return (
        note("paused after the frame that is being made" if paused else ""),
        gr.update(value="Resume" if paused else "Pause"),
    )
