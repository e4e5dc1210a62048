"""Error texts for clients of the API: on one line, and without paths of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lib_ofgen.system.safe_text import to_one_line

__all__ = ["remove_paths"]

_QUOTED = re.compile(r"""(?<=['"])(?:/|[A-Za-z]:[\\/]|[\\/]{2})[^'"\n]*[\\/](?=[^'"\n]*['"])""")
_BARE = re.compile(
    r"""(?<![\w.~/\\:-])(?:/(?:[^/\s'"<>|]+/)+|(?:[A-Za-z]:)?[\\/]+(?:[^\\/\s'"<>|]+[\\/]+)+)"""
)
"""The folders of an absolute path, in quotes and without quotes."""


def remove_paths(text: str, folders: Iterable[str], own: Iterable[str] = ()) -> str:
    """Return the text on one line without absolute paths of this machine.

    Args:
        text: Any text.
        folders: Folders of this machine. A path below one of them is shown from there on; of any
            other path only the file name stays.
        own: Words of the client; they stay.
    """
    line = to_one_line(" ".join(text.split("\n")))
    own_words = {word for one in own if one for word in (one, repr(one)[1:-1])}
    known = sorted({one.rstrip("/\\") for one in folders} - {""}, key=len, reverse=True)
    if not own_words:
        return _cut(line, known)
    pattern = "|".join(map(re.escape, sorted(own_words, key=len, reverse=True)))
    parts = re.split(f"({pattern})", line)
    return "".join(part if part in own_words else _cut(part, known) for part in parts)


def _cut(text: str, folders: list[str]) -> str:
    for folder in folders:
        text = re.sub(rf"{re.escape(folder)}(?:[\\/]+|(?![\w.-]))", "", text)
    return _BARE.sub("", _QUOTED.sub("", text))
