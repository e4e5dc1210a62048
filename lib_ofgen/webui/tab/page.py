"""The page of the tab."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lib_ofgen.webui.messages import TITLE
from lib_ofgen.webui.tab import send_to_tab
from lib_ofgen.webui.tab.film_panel import FilmPanel
from lib_ofgen.webui.tab.form import Form
from lib_ofgen.webui.tab.history_panel import HistoryPanel
from lib_ofgen.webui.tab.plan_panel import PlanPanel
from lib_ofgen.webui.tab.preset_bar import PresetBar
from lib_ofgen.webui.tab.result_panel import ResultPanel
from lib_ofgen.webui.tab.widgets import element_id

__all__ = ["build_tabs"]


def build_tabs() -> list[tuple[Any, str, str]]:
    """Return our tab; for the host's `on_ui_tabs`."""
    return [(_build_page(), TITLE, "ofgen")]


def _build_page() -> Any:
    form, film = Form(), FilmPanel()
    with gr.Blocks(analytics_enabled=False) as page:
        bar = PresetBar()
        with gr.Row(elem_id=element_id("page")):
            with gr.Column(elem_id=element_id("asked")):
                with gr.Column(elem_id=element_id("words")):
                    form.build_video()
                    form.build_prompts()
                    form.build_styles()
                with gr.Column(elem_id=element_id("settings")):
                    form.build_painter()
                    form.build_accordions()
            with gr.Column(elem_id=element_id("made")):
                with gr.Column(elem_id=element_id("actions")):
                    film.build_buttons()
                with (
                    gr.Column(elem_id=element_id("results")),
                    gr.Tabs(elem_id=element_id("tabs")) as tabs,
                ):
                    with gr.Tab("Plan", id="plan"):
                        plan = PlanPanel()
                    with gr.Tab("Film", id="film"):
                        film.build_panel()
                        result = ResultPanel()
                    with gr.Tab("History", id="history"):
                        history = HistoryPanel()
        bar.connect(form.settings, form.lists)
        form.connect()
        send_to_tab.connect(form, bar.note)
        plan.connect(form, film.plan, lambda: gr.update(selected="plan"), tabs)
        film.connect(form, tabs)
        result.connect()
        history.connect(result.show, result.outputs, tabs)
        _connect_refresh(plan, film, result, history)
    return page


def _connect_refresh(
    plan: PlanPanel, film: FilmPanel, result: ResultPanel, history: HistoryPanel
) -> None:
    """Add the hidden button that the page's script presses to refresh all panels."""
    button = gr.Button("Look", visible=False, elem_id=element_id("look"))
    beat = gr.HTML(visible=False, elem_id=element_id("beat"))
    seen = gr.State({})

    def refresh(seen: dict[str, Any], plan_id: str, job_id: str) -> list[Any]:
        seen = {**seen, "beat": seen.get("beat", 0) + 1}
        first = [f"<i data-beat='{seen['beat']}'></i>", *plan.refresh(plan_id, seen)]
        progress = film.refresh(seen)  # first: it notes the job that ended last
        finished = result.show(film.take_finished(seen))
        beside = result.side_by_side.refresh(job_id, seen)
        return [*first, *progress, *finished, *beside, *history.refresh(seen), seen]

    button.click(
        refresh, inputs=[seen, plan.plan_id, result.job_id], queue=False, show_progress=False,
        outputs=[
            beat, *plan.outputs, *film.outputs, *result.outputs, *result.side_by_side.outputs,
            *history.outputs, seen,
        ],
    )  # fmt: skip
