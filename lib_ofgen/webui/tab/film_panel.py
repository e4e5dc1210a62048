"""The panel that shows a film grow, and what waits behind it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.webui.jobs.queue import RUNNER
from lib_ofgen.webui.jobs.store import Record, shelf
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab import job_view
from lib_ofgen.webui.tab.form import Form, document, refusal
from lib_ofgen.webui.tab.widgets import element

__all__ = ["FilmPanel"]


class FilmPanel:
    """Buttons beside the words, and a panel; `look` tells what has become of the job."""

    def buttons(self) -> None:
        """Lay out what begins, pauses and ends a job, where we are in the page."""
        with gr.Row():
            self.generate = gr.Button(
                "Generate", variant="primary", scale=3, min_width=160, elem_id=element("generate")
            )
            self.plan = gr.Button("Plan", min_width=80, elem_id=element("plan"))
            self.pause = gr.Button("Pause", min_width=80, elem_id=element("pause"))
            self.stop = gr.Button("Stop", min_width=80, elem_id=element("interrupt"))
        self.told = gr.HTML(elem_id=element("told"))
        self.progress = gr.HTML(elem_id=element("progress"))

    def panel(self) -> None:
        """Lay out what is to be seen."""
        self.live = gr.HTML(elem_id=element("live"))
        self.so_far = gr.HTML(elem_id=element("so_far"))
        self.play = gr.Button("Play what is done so far", visible=False, elem_id=element("play"))
        self.queue = gr.HTML(elem_id=element("queue"))
        self.go_on = gr.Button("Go on", elem_id=element("go_on"), visible=bool(shelf().left))

    @property
    def outputs(self) -> list[Any]:
        """What `look` gives."""
        return [self.progress, self.live, self.so_far, self.queue, self.go_on, self.pause,
                self.play]  # fmt: skip

    def connect(self, form: Form, tabs: Any) -> None:
        """Bind the buttons; `tabs` holds the panel."""

        def generate(*values: Any) -> list[Any]:
            try:
                job = RUNNER.add(document(*values))
            except OfgenError as error:
                return [refusal(error), gr.update()]
            ahead = len(RUNNER.waiting()) - 1
            told = note(f"queued behind {ahead}") if ahead > 0 else ""
            return [f"<div data-job='{job.id}'>{told}</div>", gr.update(selected="film")]

        quick = {"queue": False, "show_progress": False}
        self.generate.click(
            generate, inputs=form.inputs, outputs=[self.told, tabs], api_name="ofgen_generate",
            **quick,
        )  # fmt: skip
        self.stop.click(_stop, outputs=[self.told], **quick)
        self.pause.click(_pause, outputs=[self.told, self.pause], **quick)
        self.go_on.click(RUNNER.go_on, outputs=[], **quick)
        self.play.click(
            lambda: job_view.so_far(RUNNER.current), outputs=[self.so_far], show_progress=False
        )

    def look(self, seen: dict[str, Any]) -> list[Any]:
        """The outputs; `seen` remembers what the page has already."""
        known = shelf().version
        waiting, held = RUNNER.waiting(), bool(shelf().left)
        job = RUNNER.current  # after those that wait, lest one that begins now be in neither
        queue = gr.update() if seen.get("queue") == known else job_view.queue(waiting, held=held)
        seen["queue"] = known
        if job is None:
            if not waiting or held:
                seen["job"] = RUNNER.last or seen.get("job", "")  # it may have ended unseen
            ended = [self._ended(seen), "", "" if seen.pop("live", None) else gr.update()]
            shown = [gr.update(visible=held), gr.update(value="Pause"), gr.update(visible=False)]
            return [*ended, queue, *shown]
        seen["job"] = job.id
        seen["live"], shown = job_view.picture(job, seen.get("live"))
        live = shown or gr.update()
        pause = gr.update(value="Resume" if job.reporter.paused else "Pause")
        buttons = [gr.update(visible=held), pause, gr.update(visible=True)]
        return [job_view.bar(job), live, gr.update(), queue, *buttons]

    def ended(self, seen: dict[str, Any]) -> Record | None:
        """The job that was watched last, once for each time that it has made its film."""
        record = shelf().get(seen.get("job", ""))
        if record is None or record.state != "done":
            return None
        mark = (record.id, job_view.modified_ns(record.output))
        if seen.get("shown") == mark:
            return None
        seen["shown"] = mark
        return record

    def _ended(self, seen: dict[str, Any]) -> Any:
        """The line that tells what became of the job that was watched last."""
        record = shelf().get(seen.get("job", ""))
        if record is None:
            return ""
        done = f"{record.source.name}: {record.told}"
        return note(record.message or done, failed=record.state == "failed")


def _stop() -> str:
    job = RUNNER.current
    if job is None:
        return note("nothing is running")
    job.stop()
    return note("stopping; what is done is kept")


def _pause() -> tuple[str, Any]:
    """Hold the running job, or let it go on."""
    job = RUNNER.current
    if job is None:
        return note("nothing is running"), gr.update()
    job.reporter.pause(on=not job.reporter.paused)
    paused = job.reporter.paused
    return (
        note("paused after the frame that is being made" if paused else ""),
        gr.update(value="Resume" if paused else "Pause"),
    )
