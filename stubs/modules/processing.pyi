from collections.abc import Sequence
from typing import Any

from modules.scripts import ScriptRunner

class StableDiffusionProcessing:
    scripts: ScriptRunner | None
    script_args: Sequence[Any]
    def __init__(self, **fields: Any) -> None: ...
    def close(self) -> None: ...

class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    batch_size: int
    color_corrections: Any
    denoising_strength: float
    image_mask: Any
    init_images: list[Any]
    def init(self, all_prompts: Any, all_seeds: Any, all_subseeds: Any) -> None: ...

class Processed:
    comments: str
    images: list[Any]
    def __init__(
        self,
        p: StableDiffusionProcessing,
        images_list: list[Any],
        seed: int = -1,
        info: str = "",
        *,
        infotexts: list[str] | None = None,
    ) -> None: ...
    def js(self) -> str: ...

def create_infotext(
    p: StableDiffusionProcessing,
    all_prompts: list[str],
    all_seeds: list[int],
    all_subseeds: list[int],
) -> str: ...
def process_images(p: StableDiffusionProcessing) -> Processed: ...
