"""What may be shown of an address, and of words that strangers give."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lib_ofgen.system.safe_text import hide_secrets, strip_secrets, to_one_line
from support.addresses import SHAPES

SECRETS = st.text(min_size=6, max_size=20)


@given(st.sampled_from(SHAPES), st.text(max_size=12), SECRETS)
def test_no_address_shows_its_credentials(shape: str, user: str, secret: str) -> None:
    url = shape.format(user=user, secret=secret)
    hidden = secret.strip()
    assume(len(hidden) >= 6)
    assume(hidden not in shape.format(user="", secret=""))
    # Without an @ it may be a port and a path, and nobody can tell.
    assume("@" in shape or not re.match(r"\d{0,5}(/|$)", hidden))
    assert hidden not in hide_secrets(url)
    assert hide_secrets(url).splitlines() in ([hide_secrets(url)], [])
    if "@" in shape or re.match(r"[A-Za-z][\w+.-]+://", url.strip()):
        assert hidden not in strip_secrets(f"cannot read '{url}': no", [url])


@pytest.mark.parametrize(
    "url",
    ["http://host:7860", "https://[::1]:7860/webui", "http://bücher.example/a/b.html", "http://[::1",
     "localhost:1", "http://host:99999", "ftp://host/x", "file:///etc/passwd", "http://a b", ""],
)  # fmt: skip
def test_an_address_without_secrets_is_shown_whole(url: str) -> None:
    assert hide_secrets(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://user:pw@host:99999", "http://...@host:99999"),
        ("user:pw@host", "...@host"),
        ("http://user:p@w@host/webui", "http://...@host/webui"),
        ("http://user:p/w@host", "http://..."),
        ("http://host/?token=secret", "http://host/?..."),
        ("http://host/files/0123456789abcdef0123456789abcdef0/more", "http://host/files/..."),
    ],
)
def test_what_is_left_out_is_marked(url: str, said: str) -> None:
    assert hide_secrets(url) == said


def test_words_of_a_command_line_stand_in_messages_without_secrets() -> None:
    words = ["--painter=http://ann:hunter22@host", "http://ann:hunter22@host/a.mp4"]
    path = Path(words[1]).absolute()
    text = strip_secrets(f"'{words[0]}' and '{path}' are no {words[1]!r}", words)
    assert "hunter22" not in text
    assert text.startswith("'--painter=http://...@host' and '")
    ordinary = ["C:\\Users\\me@work\\a.mp4", "me@work.mp4", "prompt=a:b"]
    assert strip_secrets(f"no {ordinary}", ordinary) == f"no {ordinary}"


@given(st.text())
def test_plain_text_moves_no_cursor(text: str) -> None:
    said = to_one_line(text)
    categories = {unicodedata.category(one) for one in said}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert to_one_line(said) == said


def test_codes_are_seen_and_words_stay() -> None:
    assert to_one_line("a\x1b[31mb\x07\r\x9b\u202ec\u200bd\udcff") == (
        "a\\u001b[31mb\\u0007\\u000d\\u009b\\u202ec\\u200bd\\udcff"
    )
    assert to_one_line("größe 　日本 🎨") == "größe 　日本 🎨"
    assert to_one_line("a\nb\tc\x1b", keep="\n\t") == "a\nb\tc\\u001b"
