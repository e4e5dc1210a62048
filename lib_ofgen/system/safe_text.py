"""Text of strangers that may be shown: addresses without secrets, words without control codes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

__all__ = ["hide_secrets", "strip_secrets", "to_one_line"]

_LEFT_OUT = "..."
_SCHEME = re.compile(r"[A-Za-z][\w+.-]{0,15}://")
_HOST = re.compile(r"(?:(?:[\w. -]+|\[[0-9A-Fa-f:.]*\]?)(?::[0-9]{0,5})?)?")
_STEP = re.compile(r"[\w.~ +-]{0,32}|[\w.~ +-]+\.[A-Za-z]{2,11}")
"""One step of a path that is no token: short, or the name of a file."""
_MAY_HOLD = re.compile(r"(?![A-Za-z]:[\\/])(?:.*:.*@|.*[A-Za-z][\w+.-]+:/)", re.DOTALL)
"""A word that may hold credentials; a path of Windows is none."""
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode that move a cursor, turn the direction of text round, or are not seen."""


def hide_secrets(url: str) -> str:
    """The address on one line without anything that may be secret; `...` is what was left out.

    Neither a user and password nor a query or fragment is shown, and of host, port and path only
    what cannot be taken for one of them. Takes any text, whether it is an address or not.
    """
    text = url.strip()
    found = _SCHEME.match(text)
    scheme = found.group() if found else ""
    known, at, rest = text[len(scheme) :].rpartition("@")
    place, *more = re.split(r"[?#]", rest, maxsplit=1)
    host, *steps = place.split("/")
    # An @ behind one of these is of a password that is not escaped, or of a path or query.
    if re.search(r"[/?#\\]", known) or not _HOST.fullmatch(host):
        return scheme + _LEFT_OUT
    good = list(takewhile(_STEP.fullmatch, steps))
    path = good if len(good) == len(steps) else [*good, _LEFT_OUT]
    before = _LEFT_OUT + at if at else ""
    return to_one_line(
        scheme + before + "/".join([host, *path]) + (f"?{_LEFT_OUT}" if more else "")
    )


def strip_secrets(text: str, words: Iterable[str]) -> str:
    """The text, where each of `words` that may be an address stands only as `shown` gives it.

    `words` are what a user typed; a message may quote them, or name paths that begin with them.
    """
    for word in words:
        value = word.partition("=")[2] if re.match(r"-[^:@]*=", word) else word
        if _MAY_HOLD.match(value):
            for form in (value, repr(value)[1:-1], str(Path(value))):
                text = text.replace(form, hide_secrets(value))
    return text


def to_one_line(text: str, keep: str = "") -> str:
    r"""The text with control codes and what is not seen as `\u001b`, but for those in `keep`.

    So nothing in it moves the cursor, changes colours, rings, or lets text run backwards.
    """
    if text.isprintable():
        return text
    return "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in _UNSAFE and one not in keep else one
        for one in text
    )
