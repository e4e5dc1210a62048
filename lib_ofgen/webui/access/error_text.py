"""What clients of the API are told: on one line, and without paths of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lib_ofgen.system.safe_text import to_one_line

__all__ = ["without_paths"]

_QUOTED = re.compile(r"""(?<=['"])(?:/|[A-Za-z]:[\\/]|[\\/]{2})[^'"\n]*[\\/](?=[^'"\n]*['"])""")
_BARE = re.compile(
    r"""(?<![\w.~/\\:-])(?:/(?:[^/\s'"<>|]+/)+|(?:[A-Za-z]:)?[\\/]+(?:[^\\/\s'"<>|]+[\\/]+)+)"""
)
"""Folders of a path that begins at a root, in quotes and without."""


def without_paths(text: str, folders: Iterable[str], own: Iterable[str] = ()) -> str:
    """The text on one line, in which no path from a root of this machine stands.

    What lies below one of `folders` is told from there on, else a file by its name. Words of `own`
    stay: they are the client's.
    """
    line = to_one_line(" ".join(text.split("\n")))
    spoken = {word for one in own if one for word in (one, repr(one)[1:-1])}
    known = sorted({one.rstrip("/\\") for one in folders} - {""}, key=len, reverse=True)
    if not spoken:
        return _cut(line, known)
    parts = re.split(f"({'|'.join(map(re.escape, sorted(spoken, key=len, reverse=True)))})", line)
    return "".join(part if part in spoken else _cut(part, known) for part in parts)


def _cut(text: str, folders: list[str]) -> str:
    for folder in folders:
        text = re.sub(rf"{re.escape(folder)}(?:[\\/]+|(?![\w.-]))", "", text)
    return _BARE.sub("", _QUOTED.sub("", text))
