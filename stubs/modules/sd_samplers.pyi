from typing import Any, NamedTuple

class SamplerData(NamedTuple):
    name: str
    constructor: Any
    aliases: list[str]
    options: dict[str, Any]

all_samplers: list[SamplerData]

def get_sampler_and_scheduler(sampler_name: str, scheduler_name: str | None) -> tuple[str, str]: ...
