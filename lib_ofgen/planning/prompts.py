"""Prompts: from tags, rules and rows to the prompt of each frame.

Every frame has a prompt. It comes from the row in which the frame lies. If no row gives one, it
comes from the settings, with the tags of the last key frame in its scene.
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
    "MIN_CONFIDENCE",
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

MIN_CONFIDENCE = 0.05
"""0..1: a tag below this confidence is never used."""
_ARROW = "->"
_WORD = re.compile(r"[^\W_]{2}")
_BRACKETS = re.compile(r"([\\()\[\]])")
_SEPARATORS = " \t\r\n,"


@dataclass(frozen=True)
class Phrasing:
    """How prompts are made, as the settings say."""

    prompt: str
    negative_prompt: str
    prefix: str = ""
    suffix: str = ""
    general: float = 0.35
    """0..1: a general tag is used above this confidence."""
    character: float = 0.85
    """0..1: a tag that names a character is used above this confidence."""
    slack: float = 0.0
    """0..1: how far below its threshold a tag may fall before it is dropped."""
    blacklist: frozenset[str] = frozenset()
    """Tags that are never used, as `read_blacklist` returns them."""
    rules: Mapping[str, str] | None = None
    """Texts that replace tags, as `read_rules` returns them."""


def read_blacklist(text: str) -> frozenset[str]:
    """Return the tags of a text, which are separated by commas or line ends."""
    return frozenset(filter(None, map(_normalise, re.split(r"[,\n]", text))))


def read_rules(text: str) -> dict[str, str]:
    """Return the text for each tag, from lines `tag -> text`; empty lines are skipped.

    Raises:
        ValueError: if a line is not a rule, or has a tag a second time; the message names the line.
    """
    rules: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        tag, arrow, said = line.partition(_ARROW)
        if not arrow or not _normalise(tag):
            raise ValueError(
                f"line {number} {line.strip()!r} is not a rule; write tag {_ARROW} text, such as "
                f"smile {_ARROW} (smile:1.2)"
            )
        if _normalise(tag) in rules:
            raise ValueError(f"line {number} has a second rule for {tag.strip()!r}; keep one")
        rules[_normalise(tag)] = said.strip()
    return rules


def tag_to_words(tag: str) -> str:
    """Return the tag as prompts write it: spaces for underscores, brackets and backslashes escaped.

    A tag without two letters or digits in a row is a face, such as `o_o` or `^_^`, and keeps its
    underscores.
    """
    words = tag.replace("_", " ") if _WORD.search(tag) else tag
    return _BRACKETS.sub(r"\\\1", words)


def steady_tags(found: Sequence[Tags], phrasing: Phrasing) -> list[tuple[str, ...]]:
    """Return the tags of the key frames of one scene, in order.

    A tag is added when its confidence rises above its threshold, and dropped when it falls more
    than the slack below. Characters come before the others. Tags that stay keep their order; new
    ones follow, the most confident first.
    """
    held: tuple[str, ...] = ()
    lists: list[tuple[str, ...]] = []
    for tags in found:
        kinds = ((tags.characters, phrasing.character), (tags.general, phrasing.general))
        held = tuple(
            tag
            for confidences, threshold in kinds
            for tag in _select_tags(confidences, threshold, phrasing, held)
        )
        lists.append(held)
    return lists


def _select_tags(
    confidences: Mapping[str, float], threshold: float, phrasing: Phrasing, held: Iterable[str]
) -> list[str]:
    """Return the tags of one kind: those that stay, then the new ones."""
    least = max(MIN_CONFIDENCE, threshold - phrasing.slack)
    stay = [tag for tag in held if confidences.get(tag, 0.0) >= least]
    new = [tag for tag, sure in confidences.items() if sure > threshold and tag not in stay]
    new.sort(key=lambda tag: -confidences[tag])
    return [tag for tag in (*stay, *new) if _normalise(tag) not in phrasing.blacklist]


def make_words(phrasing: Phrasing, tags: Iterable[str] = ()) -> Words:
    """Return the prompts of a frame with these tags: prefix, prompt, tags, suffix.

    A rule's text replaces its tag. A tag that prefix, prompt or suffix have already is left out,
    and no text appears twice.
    """
    fixed = (phrasing.prefix, phrasing.prompt, phrasing.suffix)
    said = {_normalise(part) for text in fixed for part in text.split(",")}
    texts: list[str] = []
    for tag in tags:
        rule = (phrasing.rules or {}).get(_normalise(tag))
        text = tag_to_words(tag) if rule is None else rule
        if _normalise(text) not in said:
            said.add(_normalise(text))
            texts.append(text)
    prompt = join_parts([phrasing.prefix, phrasing.prompt, *texts, phrasing.suffix])
    return Words(prompt, phrasing.negative_prompt)


def join_parts(parts: Iterable[str]) -> str:
    """Return the parts with a comma between them; a single part is returned unchanged."""
    there = [part for part in parts if part.strip(_SEPARATORS)]
    return there[0] if len(there) == 1 else ", ".join(part.strip(_SEPARATORS) for part in there)


def _normalise(tag: str) -> str:
    """Return the form in which tags are compared: lower case, spaces, no escapes."""
    return " ".join(re.sub(r"\\(.)", r"\1", tag.replace("_", " ")).split()).casefold()


def infotext(words: Words, about: Mapping[str, object]) -> str:
    """Return the infotext of a picture, as the webui's PNG Info reads it.

    Fields of `about` whose value is an empty text are left out.
    """
    return format_infotext(words.prompt, words.negative_prompt, about)


class Prompts:
    """The prompts of every frame of a clip."""

    def __init__(
        self,
        length: int,
        own: Mapping[int, Words],
        rows: Sequence[PromptRow] = (),
    ) -> None:
        """Take the prompts of the key frames, and rows that win over them.

        Args:
            length: number of frames.
            own: the prompts of each key frame by its index; it must have frame 0.
            rows: of several rows with only a seed that hold a frame, the last wins.
        """
        given = {row.start for row in rows}
        ends = {row.stop for row in rows if row.stop is not None}
        self._starts = sorted(start for start in {*own, *given, *ends} if start < length)
        self._length = length
        self._words = list(_words_at(self._starts, own, rows))

    def of(self, index: int) -> Words:
        """Return the prompts of frame `index`."""
        return self._words[bisect_right(self._starts, index) - 1]

    def rows(self) -> tuple[PromptRow, ...]:
        """Return the prompts of all frames as rows without gaps."""
        stops = (*self._starts[1:], self._length)
        return tuple(
            PromptRow(start, stop, *words)
            for start, stop, words in zip(self._starts, stops, self._words, strict=True)
        )


def _words_at(
    places: Sequence[int], own: Mapping[int, Words], rows: Sequence[PromptRow]
) -> Iterator[Words]:
    """Yield the prompts of the frames in `places`, which are sorted.

    A frame has the prompts of its row, or of its key frame where the row is empty. The time grows
    with the number of rows as sorting does.
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
    """Yield each frame's seed, from the last row with only a seed that holds it, or None."""
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
    """Return the prompts of each key frame, with its tags if there are any, scene by scene."""
    words: dict[int, Words] = {}
    for scene in scenes:
        inner = [key for key in keys if scene.start <= key < scene.stop]
        lists = steady_tags([found[key] for key in inner], phrasing) if found else [()] * len(inner)
        words |= {key: make_words(phrasing, tags) for key, tags in zip(inner, lists, strict=True)}
    return words
