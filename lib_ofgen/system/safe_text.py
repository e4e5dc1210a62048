"""Text of strangers, made safe to print: addresses without secrets, no control codes."""

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
"""A step of a path that is not a token: it is short, or a file name."""
_MAY_HOLD = re.compile(r"(?![A-Za-z]:[\\/])(?:.*:.*@|.*[A-Za-z][\w+.-]+:/)", re.DOTALL)
"""A word that may hold credentials; a Windows path does not."""
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that move a cursor, reverse the text direction, or are invisible."""


def hide_secrets(url: str) -> str:
    """Return an address on one line, with `...` for everything that may be secret.

    User, password, query and fragment are hidden, and those parts of host, port and path that may
    be one of them. Any text is accepted, whether it is an address or not.
    """
    text = url.strip()
    found = _SCHEME.match(text)
    scheme = found.group() if found else ""
    known, at, rest = text[len(scheme) :].rpartition("@")
    place, *more = re.split(r"[?#]", rest, maxsplit=1)
    host, *steps = place.split("/")
    # An @ behind one of these belongs to an unescaped password, or to a path or query.
    if re.search(r"[/?#\\]", known) or not _HOST.fullmatch(host):
        return scheme + _LEFT_OUT
    good = list(takewhile(_STEP.fullmatch, steps))
    path = good if len(good) == len(steps) else [*good, _LEFT_OUT]
    before = _LEFT_OUT + at if at else ""
    return to_one_line(
        scheme + before + "/".join([host, *path]) + (f"?{_LEFT_OUT}" if more else "")
    )


def strip_secrets(text: str, words: Iterable[str]) -> str:
    """Return the text with `hide_secrets` applied to each of `words` that may be an address.

    `words` are what a user typed; a message may quote them, or name paths that begin with them.
    """
    for word in words:
        value = word.partition("=")[2] if re.match(r"-[^:@]*=", word) else word
        if _MAY_HOLD.match(value):
            for form in (value, repr(value)[1:-1], str(Path(value))):
                text = text.replace(form, hide_secrets(value))
    return text


def to_one_line(text: str, keep: str = "") -> str:
    r"""Return the text with control codes and invisible characters as `\u001b`, except `keep`.

    Then it cannot move the cursor, change colours, ring, or reverse the text direction.
    """
    if text.isprintable():
        return text
    return "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in _UNSAFE and one not in keep else one
        for one in text
    )
