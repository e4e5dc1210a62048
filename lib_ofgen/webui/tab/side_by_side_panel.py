"""A finished film beside its source: made when it is asked for, in a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lib_ofgen.errors import OfgenError
from lib_ofgen.pipeline.results import side_by_side
from lib_ofgen.pipeline.results.frames import ResultFrames
from lib_ofgen.webui.jobs.store import Record, shelf
from lib_ofgen.webui.messages import note
from lib_ofgen.webui.tab.job_view import video
from lib_ofgen.webui.tab.widgets import element

__all__ = ["BesidePanel"]

_REMEMBERED = 20
"""Jobs whose pair is shown again at once."""


@dataclass
class _Making:
    """The pair of one job in the making; pages look at it as often as they like."""

    record: Record
    done: int = 0
    length: int = 0
    path: Path | None = None
    """The film, once it is whole."""
    message: str = ""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.path is None and not self.message

    def work(self) -> None:
        """Find or make the film; what goes wrong is the message."""
        try:
            reel = ResultFrames(self.record.workspace)
            self.length, path = len(reel), side_by_side.side_by_side_file(reel)
            if not path.is_file():
                for count in side_by_side.write_side_by_side(reel, self.record.output):
                    self.done = count
            self.path = path
        except OfgenError as error:
            self.message = str(error)
        except BaseException as error:
            self.message = f"{type(error).__name__}: {error}"
            raise

    def html(self) -> str:
        """How far it is, or the player."""
        if self.running:
            told = f"frame {self.done} of {self.length}" if self.done else "reading its frames"
            return f"<div data-busy>{note(told)}</div>"
        name = self.record.source.name
        told = f"{name}: the source on the left, the film on the right"
        return video(self.path, told) if self.path else note(self.message, failed=True)


_MAKING: dict[str, _Making] = {}
"""By the id of the job."""


class BesidePanel:
    """A button, and the player that it brings."""

    def __init__(self) -> None:
        """Lay it out where we are in the page."""
        self.play = gr.Button("Play beside the source", elem_id=element("beside_play"))
        self.film = gr.HTML(elem_id=element("beside"))

    @property
    def outputs(self) -> list[Any]:
        """What `look` gives."""
        return [self.film]

    def connect(self, shown: Any) -> None:
        """Bind the button; `shown` holds the id of the job on the panel."""
        self.play.click(_begin, inputs=[shown], outputs=[], queue=False, show_progress=False)

    def look(self, shown: str, seen: dict[str, Any]) -> list[Any]:
        """The outputs; `seen` remembers what the page has already."""
        making = _MAKING.get(shown)
        now = (shown, making and (making.done, making.running, id(making)))
        if seen.get("beside") == now:
            return [gr.update()]
        seen["beside"] = now
        return [making.html() if making else ""]


def _begin(shown: str) -> None:
    """See to it that the pair of the job is there or under way."""
    record, known = shelf().get(shown), _MAKING.get(shown)
    if record is None or (known and known.running):
        return
    making = _MAKING[shown] = _Making(record)
    for old in list(_MAKING)[:-_REMEMBERED]:
        _MAKING.pop(old, None)
    threading.Thread(target=making.work, name=f"ofgen-beside-{shown}", daemon=True).start()
