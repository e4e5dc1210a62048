"""Counters of tokens; a word counts as one."""

from __future__ import annotations


def update_token_counter(text: str, steps: int, styles: list[str]) -> str:
    return f"<span>{len(text.split())}/75</span>"


update_negative_prompt_token_counter = update_token_counter
