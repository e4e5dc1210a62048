from typing import Any

from gradio import Button, Component

class ParamBinding:
    def __init__(
        self,
        paste_button: Button,
        tabname: str,
        source_text_component: Component | None = None,
        source_image_component: Component | None = None,
    ) -> None: ...

def parse_generation_parameters(x: str) -> dict[str, Any]: ...
def register_paste_params_button(binding: ParamBinding) -> None: ...
