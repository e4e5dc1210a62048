from argparse import Namespace
from collections.abc import Sequence
from typing import Any

class Options:
    data: dict[str, Any]
    data_labels: dict[str, Any]
    def __getattr__(self, name: str) -> Any: ...
    def set(
        self, key: str, value: Any, is_api: bool = False, run_callbacks: bool = True
    ) -> bool: ...

class State:
    interrupted: bool
    job: str
    job_count: int
    job_no: int
    sampling_step: int
    sampling_steps: int
    skipped: bool
    stopping_generation: bool
    textinfo: str | None
    time_start: float | None
    def assign_current_image(self, image: Any) -> None: ...
    def begin(self, job: str = "(unknown)") -> None: ...
    def end(self) -> None: ...
    def interrupt(self) -> None: ...

class StyleDatabase:
    styles: dict[str, Any]
    def apply_negative_styles_to_prompt(self, prompt: str, styles: Sequence[str]) -> str: ...
    def apply_styles_to_prompt(self, prompt: str, styles: Sequence[str]) -> str: ...
    def reload(self) -> None: ...

cmd_opts: Namespace
opts: Options
prompt_styles: StyleDatabase
sd_model: Any
state: State
