"""Prompts: tags that do not flicker, rules, and lists that a person edits."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_ofgen.errors import SettingsError
from lib_ofgen.pipeline.analysis.prompting import parse_phrasing
from lib_ofgen.planning import prompts
from lib_ofgen.planning.prompts import (
    Phrasing,
    Prompts,
    by_key,
    make_words,
    read_rules,
    steady_tags,
    tag_to_words,
)
from lib_ofgen.settings import prompt_rows
from lib_ofgen.system import limits
from lib_ofgen.values import PromptRow, Scene, Tags, Words


def tags(characters: dict[str, float] | None = None, /, **general: float) -> Tags:
    return Tags({"explicit": 0.99}, characters or {}, general)


# tags


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("long_hair", "long hair"),
        ("o_o", "o_o"),
        ("^_^", "^_^"),
        ("|_|", "|_|"),
        (">_<", ">_<"),
        ("(o)_(o)", r"\(o\)_\(o\)"),
        ("saber_(fate)", r"saber \(fate\)"),
        ("\\m/", r"\\m/"),
        ("a_[b]cd", r"a \[b\]cd"),
    ],
)
def test_a_tag_is_said_as_a_prompt_has_it(tag: str, said: str) -> None:
    assert tag_to_words(tag) == said


def test_tags_come_surest_first_and_characters_before_them() -> None:
    found = tags({"miku": 0.9, "rin": 0.86, "len": 0.85}, hat=0.4, tree=0.9, low=0.35)
    assert steady_tags([found], Phrasing("", "")) == [("miku", "rin", "tree", "hat")]
    assert (
        "explicit"
        not in make_words(Phrasing("", ""), steady_tags([found], Phrasing("", ""))[0]).prompt
    )


def test_a_tag_enters_above_one_threshold_and_leaves_below_a_lower_one() -> None:
    phrasing = Phrasing("", "", general=0.5, slack=0.2)
    values = [0.45, 0.51, 0.45, 0.31, 0.29, 0.45, 0.49, 0.6, 0.3]
    lists = steady_tags([tags(cat=value) for value in values], phrasing)
    assert [bool(one) for one in lists] == [
        False, True, True, True, False, False, False, True, True,
    ]  # fmt: skip
    hard = steady_tags([tags(cat=value) for value in values], Phrasing("", "", general=0.5))
    assert [bool(one) for one in hard] == [value > 0.5 for value in values]


def test_tags_that_stay_keep_their_order() -> None:
    found = [tags(a=0.9, b=0.8), tags(a=0.7, b=0.9, c=0.99), tags(c=0.6, b=0.5)]
    assert steady_tags(found, Phrasing("", "")) == [("a", "b"), ("a", "b", "c"), ("b", "c")]


def test_no_tag_is_kept_on_nothing() -> None:
    found = [tags(a=0.9), tags(a=0.05), tags(a=0.04), tags()]
    lists = steady_tags(found, Phrasing("", "", slack=1.0))
    assert lists == [("a",), ("a",), (), ()]


@given(
    st.lists(st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1)), max_size=12),
    st.floats(0.1, 0.9),
    st.floats(0, 0.5),
)
def test_more_slack_never_changes_tags_more_often(
    values: list[dict[str, float]], threshold: float, slack: float
) -> None:
    def changes(by: float) -> int:
        lists = steady_tags(
            [Tags({}, {}, one) for one in values], Phrasing("", "", general=threshold, slack=by)
        )
        held = [set[str](), *map(set, lists)]
        return sum(len(a ^ b) for a, b in pairwise(held))

    assert changes(slack) <= changes(0)


def test_each_scene_begins_anew() -> None:
    found = {0: tags(cat=0.6), 4: tags(cat=0.45), 8: tags(cat=0.45), 12: tags(cat=0.6)}
    words = by_key(
        [0, 4, 8, 12], [Scene(0, 8), Scene(8, 20)], found, Phrasing("", "", general=0.5, slack=0.2)
    )
    assert [bool(words[key].prompt) for key in (0, 4, 8, 12)] == [True, True, False, True]


# words


def test_prefix_prompt_tags_and_suffix_are_joined_once() -> None:
    phrasing = Phrasing("oil painting,\n ", "blur", prefix=" best , ", suffix=", by night")
    assert make_words(phrasing, ["long_hair", "1girl"]) == Words(
        "best, oil painting, long hair, 1girl, by night", "blur"
    )
    assert make_words(Phrasing("", ""), []) == Words("", "")


@pytest.mark.parametrize("prompt", ["", " a, b, ", "one\ntwo", "(x:1.2) AND y,"])
def test_a_prompt_alone_stays_as_it_is(prompt: str) -> None:
    assert make_words(Phrasing(prompt, "")).prompt in (prompt, "")


def test_what_is_said_already_is_not_said_again() -> None:
    phrasing = Phrasing("Long Hair, saber \\(fate\\)", "", suffix="hat")
    said = make_words(phrasing, ["long_hair", "saber_(fate)", "hat", "tree", "tree"]).prompt
    assert said == "Long Hair, saber \\(fate\\), tree, hat"


def test_rules_say_what_stands_for_a_tag() -> None:
    rules = read_rules(
        "hatsune miku -> <lora:miku:0.7>\n\n  Long_Hair->(long hair:1.2), shiny \nhat ->\n"
    )
    phrasing = Phrasing("p", "", rules=rules)
    assert make_words(phrasing, ["hatsune_miku", "long_hair", "hat", "tree"]).prompt == (
        "p, <lora:miku:0.7>, (long hair:1.2), shiny, tree"
    )


def test_the_blacklist_takes_either_spelling() -> None:
    blacklist = prompts.read_blacklist("Long Hair, o_o\nsaber_(fate),,")
    found = tags({"saber_(fate)": 1.0}, long_hair=0.9, o_o=0.9, hat=0.9)
    assert steady_tags([found], Phrasing("", "", blacklist=blacklist)) == [("hat",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a -> b\nno rule", "line 2 'no rule'"),
        ("-> b", "line 1 '-> b'"),
        ("a -> b\nA -> c", "line 2 has a second rule for 'A'"),
    ],
)
def test_a_rule_that_is_none_is_named(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match="tag_rules") as caught:
        parse_phrasing(text, "", prompt="", negative_prompt="")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# every frame


def test_frames_between_keys_take_the_words_of_the_key_before_them() -> None:
    own = {0: Words("a", "n"), 6: Words("b", "n"), 10: Words("c", "n")}
    made = Prompts(14, own)
    assert [made.of(i).prompt for i in range(14)] == list("aaaaaabbbbcccc")
    assert made.rows() == (
        PromptRow(0, 6, "a", "n"), PromptRow(6, 10, "b", "n"), PromptRow(10, 14, "c", "n"),
    )  # fmt: skip


def test_of_rows_with_a_seed_alone_the_last_wins_and_says_nothing_else() -> None:
    own = {0: Words("a", "n"), 6: Words("b", "n")}
    rows = [
        PromptRow(2, None, "X", "", 3), PromptRow(8, None, "Y", ""),
        PromptRow(7, None, "", "", 5), PromptRow(1, 4, "", "", 4), PromptRow(9, 10, "", "", 6),
    ]  # fmt: skip
    made = Prompts(11, own, rows)
    assert "".join(made.of(i).prompt for i in range(11)) == "aaXXXXXXYYY"
    assert [made.of(i).seed for i in range(11)] == [None, 4, 4, 4, 3, 3, 3, 5, 5, 6, 5]


@given(st.data())
def test_a_seed_changes_no_words(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 20))
    frames = st.integers(0, 25)
    words = [PromptRow(4, 9, "X", ""), PromptRow(12, None, "", "Y")]
    seeds = [
        PromptRow(start, data.draw(st.none() | st.just(start + 3)), "", "", seed)
        for start, seed in data.draw(st.lists(st.tuples(frames, st.integers(0, 3)), max_size=5))
    ]
    own = {0: Words("a", "n"), length // 2: Words("b", "n")}
    plain, made = Prompts(length, own, words), Prompts(length, own, [*words, *seeds])
    for index in range(length):
        seed = None
        for row in seeds:
            if row.start <= index < (row.stop or length):
                seed = row.seed
        assert made.of(index) == plain.of(index)._replace(seed=seed)


def test_rows_win_where_they_say_something() -> None:
    own = {0: Words("a", "n"), 6: Words("b", "n")}
    rows = [PromptRow(2, 4, "X", ""), PromptRow(5, None, "", "Z"), PromptRow(8, None, "Y", "Z")]
    made = Prompts(10, own, rows)
    assert "".join(made.of(i).prompt for i in range(10)) == "aaXXaabbYY"
    assert "".join(made.of(i).negative_prompt for i in range(10)) == "nnnnnZZZZZ"


def _seeds(count: int) -> st.SearchStrategy[list[int | None]]:
    return st.lists(st.none() | st.integers(0, 2**32 - 1), min_size=count, max_size=count)


@given(st.data())
def test_the_rows_of_prompts_repeat_them(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 30))
    texts = st.sampled_from(["a", "b, c"])
    keys = {0, *data.draw(st.sets(st.integers(0, length - 1), max_size=5))}
    own = {key: Words(data.draw(texts), "n") for key in keys}
    starts = sorted(data.draw(st.sets(st.integers(0, 40), max_size=4)))
    rows = [
        PromptRow(start, data.draw(st.sampled_from([None, start + 1])), data.draw(texts), "", seed)
        for start, seed in zip(starts, data.draw(_seeds(len(starts))), strict=True)
    ]
    made = Prompts(length, own, rows)
    again = Prompts(length, {0: Words("", "")}, made.rows())
    assert [made.of(i) for i in range(length)] == [again.of(i) for i in range(length)]
    assert made.rows()[0].start == 0
    assert made.rows()[-1].stop == length


# lists

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=30)


@given(st.sets(st.integers(0, 10**6), max_size=6), st.data(), st.sampled_from([".csv", ".json"]))
def test_lists_come_back(starts: set[int], data: st.DataObject, form: str) -> None:
    seeds = data.draw(_seeds(len(starts)))
    drawn = [
        PromptRow(
            start, data.draw(st.sampled_from([None, start + 1])), data.draw(_text),
            data.draw(_text), seed,
        )
        for start, seed in zip(sorted(starts), seeds, strict=True)
    ]  # fmt: skip
    rows = tuple(sorted(drawn, key=lambda row: row.only_seed))
    assert prompt_rows.parse_rows(prompt_rows.dump_rows(rows, form), form, "it") == rows
    assert prompt_rows.check_rows(prompt_rows.to_json(rows), "it") == rows


@pytest.mark.parametrize(
    "text",
    [
        "start,stop,prompt,negative_prompt\n0,4,\"a, b\",n\n4,,c,\n",
        "\ufeffStart;Stop;Prompt;Negative_Prompt\r\n0;4;a, b;n\r\n4;;c;\r\n\r\n",
        "prompt\tstart\tstop\tnegative_prompt\na, b\t0\t4\tn\nc\t4\n",
        "negative_prompt,prompt,stop,start\n,c,,4\nn,\"a, b\",4, 0 \n",
    ],
)  # fmt: skip
def test_lists_of_spreadsheets_are_read(text: str) -> None:
    assert prompt_rows.parse_rows(text.encode(), ".csv", "it") == (
        PromptRow(0, 4, "a, b", "n"), PromptRow(4, None, "c", ""),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (".csv", "start,stop,seed\n4,,7\n0, 2 , 0009 \n"),
        (".csv", "start;stop;prompt;negative_prompt;seed\n4;;;;7\n0;2;;;9\n"),
        (".json", '[{"start": 4, "seed": 7}, {"start": 0, "stop": 2, "seed": "9"}]'),
    ],
)
def test_rows_with_a_seed_alone_keep_their_order(form: str, text: str) -> None:
    assert prompt_rows.parse_rows(text.encode(), form, "it") == (
        PromptRow(4, None, "", "", 7), PromptRow(0, 2, "", "", 9),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "start,prompt\n0,a\nx,b\n", ["line 3", "start 'x'", "index of a frame"]),
        ("a.csv", "start,prompt\n0,a\n,b\n", ["line 3", "start nothing"]),
        ("a.csv", "start,prompt\n-1,a\n", ["line 2", "'-1'", "from 0"]),
        ("a.csv", "start,prompt\n1.5,a\n", ["line 2", "'1.5'"]),
        ("a.csv", "start,stop,prompt\n4,4,a\n", ["line 2", "stops at frame 4", "no longer"]),
        ("a.csv", "start,stop,prompt\n0,6,a\n4,,b\n", ["line 3", "inside line 2", "let one end"]),
        ("a.csv", "start,prompt\n0,a\n0,b\n", ["line 3", "inside line 2"]),
        ("a.csv", "start,prompt\n0,a, b\n", ["line 2", "3 cells", "quotes"]),
        ("a.csv", "start,prompt,mood\n0,a,b\n", ["line 2", "'mood'", "negative_prompt"]),
        ("a.csv", "0,a\n", ["column names", "start,stop,prompt,negative_prompt,seed"]),
        ("a.csv", "start,stop\n0,4\n", ["column names"]),
        ("a.csv", "start,seed\n0,-1\n", ["line 2", "seed '-1'", "0 to 4294967295"]),
        ("a.csv", "start,seed\n0,4294967296\n", ["line 2", "seed '4294967296'"]),
        ("a.csv", "start,seed\n0,red\n", ["line 2", "seed 'red'", "the job's own"]),
        ("a.csv", "start,prompt,seed\n0,a,1\n0,b,\n", ["line 3", "inside line 2"]),
        ("a.json", '[{"start": 0, "seed": 1.5}]', ["row 1", "seed 1.5"]),
        ("a.json", '[{"start": 0, "seed": true}]', ["row 1", "seed True"]),
        ("a.json", '[{"start": 0, "seed": [1]}]', ["row 1", "seed [1]"]),
        ("a.json", f'[{{"start": 0, "seed": {"9" * 5000}}}]', ["not JSON"]),
        ("a.csv", "", ["column names"]),
        ("a.csv", 'start,prompt\n0,"a', ["is not CSV", "quotes"]),
        ("a.json", "{", ["not JSON"]),
        ("a.json", "[" * 100000, ["not JSON"]),
        ("a.json", "{}", ["is not a list of rows"]),
        ("a.json", "[7]", ["row 1", "is not an object"]),
        ("a.json", '[{"start": 0, "prompt": 7}]', ["row 1", "is not text"]),
        ("a.json", '[{"start": true}]', ["row 1", "start True"]),
        ("a.json", '[{"start": 0.5}]', ["row 1", "start 0.5"]),
        ("a.json", '[{"start": 0}, {"start": 3, "stop": 2}]', ["row 2", "stops at frame 2"]),
        ("a.json", '[{"start": 0, "end": 3}]', ["row 1", "'end'"]),
        ("a.txt", "start,prompt\n", [".csv or .json"]),
    ],
)
def test_what_is_no_list_is_named(tmp_path: Path, name: str, content: str, said: list[str]) -> None:
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(SettingsError) as caught:
        prompt_rows.read_rows(path)
    assert all(word in str(caught.value) for word in [name, *said]), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SettingsError, match=path.name):
            prompt_rows.read_rows(path)
    (tmp_path / "l.csv").write_bytes("start,prompt\n0,é\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"l\.csv.*not UTF-8 at byte 15"):
        prompt_rows.read_rows(tmp_path / "l.csv")
    with pytest.raises(SettingsError, match=r"\.csv or \.json"):
        prompt_rows.dump_rows([], ".txt")


def test_json_says_no_more_than_it_must() -> None:
    text = prompt_rows.dump_rows([PromptRow(0, None, "é", "")], ".json").decode()
    assert json.loads(text) == [{"start": 0, "prompt": "é", "negative_prompt": ""}]
    assert "é" in text


# as spreadsheets save them, and as nobody does

CSV = "start,prompt,seed\n0,a meadow,5\n12,sea,\n"
ROWS = (PromptRow(0, None, "a meadow", "", 5), PromptRow(12, None, "sea", ""))
SAVED = {
    "sep=;": ("sep=;\r\n" + CSV.replace(",", ";")).encode(),
    "quoted sep": ('"sep=;"\n' + CSV.replace(",", ";")).encode(),
    "sep of tabs": ("SEP=\t\n" + CSV.replace(",", "\t")).encode(),
    "blank lines first": ("\n  \r\n" + CSV).encode(),
    "UTF-8 with a mark": CSV.encode("utf-8-sig"),
    "mark, blank line and sep": ("\n\nsep=,\n" + CSV).encode("utf-8-sig"),
    "UTF-16": CSV.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + CSV.encode("utf-16-be"),
    "UTF-32": CSV.encode("utf-32"),
    "lines that end in CR": CSV.replace("\n", "\r").encode(),
    "lines that end in CR LF": CSV.replace("\n", "\r\n").encode(),
    "head in quotes and capitals": CSV.replace("start,prompt", '"Start", "PROMPT"').encode(),
}


@pytest.mark.parametrize("how", SAVED)
def test_a_list_is_read_however_it_was_saved(how: str) -> None:
    if how == "head in quotes and capitals":
        SAVED[how] = SAVED[how].replace(b', "', b',"')
    assert prompt_rows.parse_rows(SAVED[how], ".csv", "it") == ROWS


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("start,prompt\n0,é\n".encode("latin-1"), "looks like Latin-1 or Windows-1252"),
        (CSV.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (CSV.encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (CSV.encode("utf-16")[:-1], "damaged UTF-16 at byte"),
        (b"start,prompt\n0," + b"x" * 200_000, "larger than field limit"),
    ],
)
def test_another_encoding_is_refused_by_its_name(data: bytes, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        prompt_rows.parse_rows(data, ".csv", "it")
    assert len(str(refused.value)) < 300


def test_a_fault_below_blank_lines_is_told_by_its_line() -> None:
    with pytest.raises(SettingsError, match=r"it, line 5 has start 'x'"):
        prompt_rows.parse_rows(b"\n\nsep=;\nstart;prompt\nx;sea\n", ".csv", "it")


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'[{"start": ' + b"1" * 5000 + b"}]",
        b'[{"start": 1e400, "prompt": "a"}]',
        b'[{"start": NaN, "prompt": "a"}]',
        b'[{"start": true, "prompt": "a"}]',
        b'[{"start": 0, "prompt": {"deep": []}}]',
        b'[{"start": 0, "' + b"k" * 100_000 + b'": 1}]',
        b'[{"start": "' + b"9" * 100_000 + b'", "prompt": "a"}]',
        b'[{"start": 0, "seed": ' + b"7" * 4000 + b"}]",
    ],
)
def test_hostile_json_is_refused_in_one_short_line(data: bytes) -> None:
    with pytest.raises(SettingsError) as refused:
        prompt_rows.parse_rows(data, ".json", "it")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("form", [".csv", ".json"])
def test_more_rows_than_the_limit_are_refused(form: str) -> None:
    rows = [PromptRow(index, None, "a", "") for index in range(12)]
    before = limits.current().rows
    limits.change(["rows=11"])
    try:
        with pytest.raises(SettingsError, match=r"more than 11 rows; .* --limit rows="):
            prompt_rows.parse_rows(prompt_rows.dump_rows(rows, form), form, "it")
    finally:
        limits.change([f"rows={before}"])


def simple_words(index: int, own: dict[int, Words], rows: list[PromptRow]) -> Words:
    """What a frame is painted by, found by looking at every row."""
    words = own[max(key for key in own if key <= index)]
    before = [row for row in rows if row.start <= index and not row.only_seed]
    row = max(before, key=lambda one: one.start, default=None)
    if row is not None and row.holds(index):
        negative = row.negative_prompt or words.negative_prompt
        words = Words(row.prompt or words.prompt, negative, row.seed)
    seeds = [row.seed for row in rows if row.only_seed and row.holds(index)]
    return words._replace(seed=seeds[-1]) if seeds else words


A_ROW = st.builds(
    lambda start, length, prompt, negative, seed: PromptRow(
        start, None if length is None else start + length, prompt, negative, seed
    ),
    st.integers(0, 45), st.none() | st.integers(1, 20), st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "n"]), st.none() | st.integers(0, 9),
)  # fmt: skip


@given(st.integers(1, 40), st.sets(st.integers(1, 39)), st.lists(A_ROW, max_size=12))
def test_every_frame_has_the_words_of_its_row(
    length: int, keys: set[int], rows: list[PromptRow]
) -> None:
    own = {key: Words(f"key {key}", "none") for key in {0, *keys}}
    found = Prompts(length, own, rows)
    assert [found.of(index) for index in range(length)] == [
        simple_words(index, own, rows) for index in range(length)
    ]
