"""The tab: a video and a look go in; a plan, progress and the film come out."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lib_ofgen.webui.jobs.job import TITLE
from lib_ofgen.webui.tab import send_to_tab
from lib_ofgen.webui.tab.film_panel import FilmPanel
from lib_ofgen.webui.tab.form import Form
from lib_ofgen.webui.tab.history_panel import HistoryPanel
from lib_ofgen.webui.tab.plan_panel import PlanPanel
from lib_ofgen.webui.tab.preset_bar import Bar
from lib_ofgen.webui.tab.result_panel import ResultPanel
from lib_ofgen.webui.tab.widgets import element

__all__ = ["tabs"]


def tabs() -> list[tuple[Any, str, str]]:
    """What the host's `on_ui_tabs` wants."""
    return [(_page(), TITLE, "ofgen")]


def _page() -> Any:
    form, film = Form(), FilmPanel()
    with gr.Blocks(analytics_enabled=False) as page:
        bar = Bar()
        with gr.Row(elem_id=element("page")):
            with gr.Column(elem_id=element("asked")):
                with gr.Column(elem_id=element("words")):
                    form.video()
                    form.words()
                    form.style_row()
                with gr.Column(elem_id=element("settings")):
                    form.painter()
                    form.accordions()
            with gr.Column(elem_id=element("made")):
                with gr.Column(elem_id=element("actions")):
                    film.buttons()
                with (
                    gr.Column(elem_id=element("results")),
                    gr.Tabs(elem_id=element("tabs")) as shown,
                ):
                    with gr.Tab("Plan", id="plan"):
                        planned = PlanPanel()
                    with gr.Tab("Film", id="film"):
                        film.panel()
                        result = ResultPanel()
                    with gr.Tab("History", id="history"):
                        history = HistoryPanel()
        bar.connect(form.settings, form.lists)
        form.connect()
        send_to_tab.connect(form, bar.told)
        planned.connect(form, film.plan, lambda: gr.update(selected="plan"), shown)
        film.connect(form, shown)
        result.connect()
        history.connect(result.show, result.outputs, shown)
        _watch(planned, film, result, history)
    return page


def _watch(planned: PlanPanel, film: FilmPanel, result: ResultPanel, history: HistoryPanel) -> None:
    """The button that the page's script presses, as often as there is something to see."""
    look = gr.Button("Look", visible=False, elem_id=element("look"))
    beat = gr.HTML(visible=False, elem_id=element("beat"))
    seen = gr.State({})

    def looked(seen: dict[str, Any], wanted: str, shown: str) -> list[Any]:
        seen = {**seen, "beat": seen.get("beat", 0) + 1}
        told = [f"<i data-beat='{seen['beat']}'></i>", *planned.look(wanted, seen)]
        ended = result.show(film.ended(seen))
        pair = result.beside.look(shown, seen)
        return [*told, *film.look(seen), *ended, *pair, *history.look(seen), seen]

    look.click(
        looked, inputs=[seen, planned.wanted, result.shown], queue=False, show_progress=False,
        outputs=[
            beat, *planned.outputs, *film.outputs, *result.outputs, *result.beside.outputs,
            *history.outputs, seen,
        ],
    )  # fmt: skip
