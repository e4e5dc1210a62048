"""Prompts: from tags, rules and lists to what each frame is painted by.

Every frame has a prompt: that of the row of the list in which it lies or, where no row says one,
what the settings say, with the tags of the key frame before it in its scene.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from lib_ofgen.settings.infotext import format_infotext
from lib_ofgen.values import PromptRow, Scene, Tags, Words

__all__ = [
    "LEAST",
    "Phrasing",
    "Prompts",
    "by_key",
    "infotext",
    "join_parts",
    "make_words",
    "read_blacklist",
    "read_rules",
    "steady_tags",
    "tag_to_words",
]

LEAST = 0.05
"""Confidence under which no tag is ever taken."""
_ARROW = "->"
_WORD = re.compile(r"[^\W_]{2}")
_BRACKETS = re.compile(r"([\\()\[\]])")
_JOINT = " \t\r\n,"


@dataclass(frozen=True)
class Phrasing:
    """How prompts are made; the pipeline reads these from the settings."""

    prompt: str
    negative_prompt: str
    prefix: str = ""
    suffix: str = ""
    general: float = 0.35
    """0..1: a general tag is taken from above this confidence."""
    character: float = 0.85
    """The same, for tags that name characters."""
    slack: float = 0.0
    """0..1: how far below its threshold a tag may fall before it is dropped."""
    blacklist: frozenset[str] = frozenset()
    """Tags that are never taken, as `read_blacklist` gives them."""
    rules: Mapping[str, str] | None = None
    """What stands for a tag, as `read_rules` gives them."""


def read_blacklist(text: str) -> frozenset[str]:
    """The tags of a text in which commas or ends of lines part them."""
    return frozenset(filter(None, map(_plain, re.split(r"[,\n]", text))))


def read_rules(text: str) -> dict[str, str]:
    """Tag to text, of lines `tag -> text`; empty lines say nothing.

    Raises:
        ValueError: a line is no rule, or names a tag once more; the message names the line.
    """
    rules: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        tag, arrow, said = line.partition(_ARROW)
        if not arrow or not _plain(tag):
            raise ValueError(
                f"line {number} {line.strip()!r} is no rule; write tag {_ARROW} text, such as "
                f"smile {_ARROW} (smile:1.2)"
            )
        if _plain(tag) in rules:
            raise ValueError(f"line {number} has another rule for {tag.strip()!r}; keep one")
        rules[_plain(tag)] = said.strip()
    return rules


def tag_to_words(tag: str) -> str:
    """The tag as a prompt has it: spaces for underscores, brackets and backslashes escaped.

    A tag without two letters or digits in a row is a face, such as `o_o` or `^_^`, and keeps its
    underscores.
    """
    words = tag.replace("_", " ") if _WORD.search(tag) else tag
    return _BRACKETS.sub(r"\\\1", words)


def steady_tags(found: Sequence[Tags], phrasing: Phrasing) -> list[tuple[str, ...]]:
    """The tags of the key frames of one scene, in order.

    A tag is taken when its confidence rises above its threshold and dropped when it falls more
    than the slack below. Characters come before the others; tags that stay keep their order, and
    new ones follow, surest first.
    """
    held: tuple[str, ...] = ()
    lists: list[tuple[str, ...]] = []
    for tags in found:
        kinds = ((tags.characters, phrasing.character), (tags.general, phrasing.general))
        held = tuple(
            tag
            for confidences, threshold in kinds
            for tag in _taken(confidences, threshold, phrasing, held)
        )
        lists.append(held)
    return lists


def _taken(
    confidences: Mapping[str, float], threshold: float, phrasing: Phrasing, held: Iterable[str]
) -> list[str]:
    """Those of one kind: the ones that stay, then the new ones."""
    least = max(LEAST, threshold - phrasing.slack)
    stay = [tag for tag in held if confidences.get(tag, 0.0) >= least]
    new = [tag for tag, sure in confidences.items() if sure > threshold and tag not in stay]
    new.sort(key=lambda tag: -confidences[tag])
    return [tag for tag in (*stay, *new) if _plain(tag) not in phrasing.blacklist]


def make_words(phrasing: Phrasing, tags: Iterable[str] = ()) -> Words:
    """The words of a frame with these tags: prefix, prompt, tags, suffix.

    A tag for which there is a rule is said as the rule has it; one that prefix, prompt or suffix
    name already is not said again, nor is any text twice.
    """
    fixed = (phrasing.prefix, phrasing.prompt, phrasing.suffix)
    said = {_plain(part) for text in fixed for part in text.split(",")}
    texts: list[str] = []
    for tag in tags:
        rule = (phrasing.rules or {}).get(_plain(tag))
        text = tag_to_words(tag) if rule is None else rule
        if _plain(text) not in said:
            said.add(_plain(text))
            texts.append(text)
    prompt = join_parts([phrasing.prefix, phrasing.prompt, *texts, phrasing.suffix])
    return Words(prompt, phrasing.negative_prompt)


def join_parts(parts: Iterable[str]) -> str:
    """The parts with a comma between them; a single one stays as it is."""
    there = [part for part in parts if part.strip(_JOINT)]
    return there[0] if len(there) == 1 else ", ".join(part.strip(_JOINT) for part in there)


def _plain(tag: str) -> str:
    """The form in which tags are compared: lower case, spaces for underscores, no escapes."""
    return " ".join(re.sub(r"\\(.)", r"\1", tag.replace("_", " ")).split()).casefold()


def infotext(words: Words, about: Mapping[str, object]) -> str:
    """The text of a picture as the webui's PNG Info reads it; of `about`, what is not empty."""
    return format_infotext(words.prompt, words.negative_prompt, about)


class Prompts:
    """The words of every frame of a clip."""

    def __init__(
        self,
        length: int,
        own: Mapping[int, Words],
        rows: Sequence[PromptRow] = (),
    ) -> None:
        """`own` has those of each key frame, the first frame among them; `rows` win over them.

        Of several rows with a seed alone that hold a frame, the last wins.
        """
        given = {row.start for row in rows}
        ends = {row.stop for row in rows if row.stop is not None}
        self._starts = sorted(start for start in {*own, *given, *ends} if start < length)
        self._length = length
        self._words = list(_words_at(self._starts, own, rows))

    def of(self, index: int) -> Words:
        """Those of frame `index`."""
        return self._words[bisect_right(self._starts, index) - 1]

    def rows(self) -> tuple[PromptRow, ...]:
        """The same as rows without gaps."""
        stops = (*self._starts[1:], self._length)
        return tuple(
            PromptRow(start, stop, *words)
            for start, stop, words in zip(self._starts, stops, self._words, strict=True)
        )


def _words_at(
    places: Sequence[int], own: Mapping[int, Words], rows: Sequence[PromptRow]
) -> Iterator[Words]:
    """The words of frames, whose rising indices are `places`.

    Those of its row, and of its key where the row says nothing. The time grows with the rows as
    sorting them does.
    """
    keys = sorted(own)
    worded = {row.start: row for row in reversed(rows) if not row.only_seed}
    starts = sorted(worded)
    seeds = _seeds_at(places, rows)
    for index, seed in zip(places, seeds, strict=True):
        words = own[keys[bisect_right(keys, index) - 1]]
        place = bisect_right(starts, index) - 1
        row = worded[starts[place]] if place >= 0 else None
        if row is not None and row.holds(index):
            negative = row.negative_prompt or words.negative_prompt
            words = Words(row.prompt or words.prompt, negative, row.seed)
        yield words if seed is None else words._replace(seed=seed)


def _seeds_at(places: Sequence[int], rows: Sequence[PromptRow]) -> Iterator[int | None]:
    """Of rows with a seed alone, the seed of the last that holds each frame; else None."""
    coming = [(row.start, -place) for place, row in enumerate(rows) if row.only_seed]
    coming.sort(reverse=True)
    holding: list[int] = []  # a heap: the last row first
    for index in places:
        while coming and coming[-1][0] <= index:
            heappush(holding, coming.pop()[1])
        while holding and not rows[-holding[0]].holds(index):
            heappop(holding)
        yield rows[-holding[0]].seed if holding else None


def by_key(
    keys: Sequence[int], scenes: Sequence[Scene], found: Mapping[int, Tags], phrasing: Phrasing
) -> dict[int, Words]:
    """The words of each key frame, by its tags where some were found; each scene begins anew."""
    words: dict[int, Words] = {}
    for scene in scenes:
        inner = [key for key in keys if scene.start <= key < scene.stop]
        lists = steady_tags([found[key] for key in inner], phrasing) if found else [()] * len(inner)
        words |= {key: make_words(phrasing, tags) for key, tags in zip(inner, lists, strict=True)}
    return words
