"""Options, state and styles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from modules.command_line import cmd_opts

__all__ = ["cmd_opts", "opts", "prompt_styles", "sd_model", "state"]


class Options:
    """The user's options; what is set lasts as long as the server."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {
            "sd_model_checkpoint": "brush.safetensors [0123456789]",
            "sd_vae": "Automatic",
            "live_previews_enable": True,
        }
        self.data_labels = dict.fromkeys(self.data)

    def __getattr__(self, name: str) -> Any:
        return self.data[name]

    def set(self, name: str, value: Any, *, is_api: bool, run_callbacks: bool) -> None:
        self.data[name] = value


class State:
    """Whose turn it is, how far it is, and what was pressed."""

    def __init__(self) -> None:
        self.job = self.textinfo = ""
        self.job_count = self.job_no = self.sampling_steps = self.sampling_step = 0
        self.time_start = 0.0
        self.interrupted = self.skipped = self.stopping_generation = False
        self.picture: Any = None

    def begin(self, job: str) -> None:
        self.__init__()
        self.job = job

    def end(self) -> None:
        self.__init__()

    def interrupt(self) -> None:
        self.interrupted = True

    def assign_current_image(self, image: Any) -> None:
        self.picture = image


class Styles:
    """Two texts to a name; `{prompt}` stands for what was written."""

    def __init__(self) -> None:
        self.reload()

    def reload(self) -> None:
        self.styles = {"oil": ("{prompt}, oil painting", "photo")}

    def apply_styles_to_prompt(self, prompt: str, names: list[str]) -> str:
        return self._applied(prompt, names, 0)

    def apply_negative_styles_to_prompt(self, prompt: str, names: list[str]) -> str:
        return self._applied(prompt, names, 1)

    def _applied(self, prompt: str, names: list[str], place: int) -> str:
        for name in names:
            text = self.styles[name][place]
            with_prompt = text.replace("{prompt}", prompt)
            prompt = with_prompt if "{prompt}" in text else ", ".join(filter(None, [prompt, text]))
        return prompt


opts, state, prompt_styles = Options(), State(), Styles()
sd_model = SimpleNamespace(is_sd1=True)
