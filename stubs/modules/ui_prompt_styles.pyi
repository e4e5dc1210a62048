from typing import Any

styles_materialize_symbol: str

def materialize_styles(prompt: str, negative_prompt: str, styles: list[str]) -> list[Any]: ...
