"""The list of prompts that a user can edit: rows as CSV or JSON.

A row gives the prompts of the frames `start` to `stop - 1`; without a `stop` it holds up to the
next row. Frames are counted from 0, over those taken from the source. A row with only a seed does
not change prompts: such rows may overlap other rows, and each other.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import reprlib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from lib_ofgen.errors import SettingsError
from lib_ofgen.system import limits
from lib_ofgen.values import PromptRow

__all__ = ["check_rows", "dump_rows", "parse_rows", "read_rows", "to_json"]

_COLUMNS = PromptRow._fields
_MAX_BYTES = 1 << 24
"""Most bytes of a list."""
_BEFORE_HEAD = re.compile(r'\s*(?i:"?sep=(?P<told>[,;\t|])"?[^\S\r\n]*(?:\r\n?|\n)\s*)?')
"""What may come before the line of column names."""
_MAX_HEAD = 4096
"""Number of characters in which the separator is searched."""
_LAST_FRAME = 10**9 - 1
_LAST_SEED = 2**32 - 1


def read_rows(path: Path) -> tuple[PromptRow, ...]:
    """Return the rows of a file whose name ends in .csv or .json.

    Raises:
        SettingsError: if it cannot be read, or a row is wrong; the message names file, row and
            remedy.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            f"cannot read the prompts '{path}': {error.strerror}; give a .csv or .json file"
        ) from error
    if len(data) > _MAX_BYTES:
        raise SettingsError(
            f"'{path}' is larger than {_MAX_BYTES >> 20} MiB, too large for a list of prompts"
        )
    return parse_rows(data, path.suffix.lower(), f"'{path}'")


def parse_rows(data: bytes, form: str, name: str) -> tuple[PromptRow, ...]:
    """Return the rows of a file's content; `form` is `.csv` or `.json`, `name` is for messages.

    Raises:
        SettingsError: if the content is wrong; the message names the row.
    """
    text = _decode(data, name)
    if form == ".json":
        try:
            loaded = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{name} is not JSON: {error}") from error
        return check_rows(loaded, name)
    if form != ".csv":
        raise SettingsError(f"{name} is not a list of prompts; end its name in .csv or .json")
    return _parse_rows(_read_csv(text, name), name)


def _decode(data: bytes, name: str) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Raises:
        SettingsError: if it is in another encoding; the message names what it looks like.
    """
    marks = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
             codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
    encoding = next((code for mark, code in marks.items() if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise SettingsError(
                f"{name} is damaged {encoding.upper()} at byte {error.start}; save it as UTF-8"
            ) from error
        raise SettingsError(
            f"{name} is not UTF-8 at byte {error.start}, it looks like Latin-1 or Windows-1252; "
            "save it as UTF-8"
        ) from error
    if "\0" in text:
        raise SettingsError(
            f"{name} holds zero bytes, it looks like UTF-16 without a byte order mark; save it as "
            "UTF-8"
        )
    return text


def check_rows(given: object, name: str) -> tuple[PromptRow, ...]:
    """Return the rows of a JSON array of objects, sorted; `name` is for messages.

    Rows with only a seed come last, in the order of the array.

    Raises:
        SettingsError: if it is not an array, or a row is wrong; the message names the row, counted
            from 1.
    """
    if not isinstance(given, list):
        raise SettingsError(
            f'{name} is not a list of rows; write [{{"start": 0, "prompt": "a meadow"}}]'
        )
    rows = cast("list[object]", given)
    _check_count(len(rows), name)
    return _parse_rows(((f"row {n}", row) for n, row in enumerate(rows, 1)), name)


def _check_count(count: int, name: str) -> None:
    """Check that a list may have so many rows.

    Raises:
        SettingsError: if it has too many.
    """
    most = limits.current().rows
    if count > most:
        raise SettingsError(
            f"{name} has more than {most} rows; make it shorter, or raise the limit with "
            f"--limit rows={max(count, 2 * most)}"
        )


def dump_rows(rows: Iterable[PromptRow], form: str, name: str = "the list") -> bytes:
    """Return the content of a file of the rows; `form` is `.csv` or `.json`.

    Raises:
        SettingsError: if `form` is neither.
    """
    if form == ".json":
        text = json.dumps(to_json(rows), indent=1, ensure_ascii=False) + "\n"
        return text.encode("utf-8", "backslashreplace")
    if form != ".csv":
        raise SettingsError(f"{name} is not a list of prompts; end its name in .csv or .json")
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(("" if value is None else value for value in row) for row in rows)
    return file.getvalue().encode("utf-8", "backslashreplace")


def to_json(rows: Iterable[PromptRow]) -> list[dict[str, Any]]:
    """Return the rows as JSON."""
    return [
        {name: value for name, value in row._asdict().items() if value is not None} for row in rows
    ]


def _read_csv(text: str, name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return each row with its place in the file.

    The separator is the one between the column names. Blank lines before these are skipped, and so
    is a line `sep=;`, which tells Excel the separator.
    """
    before = _BEFORE_HEAD.match(text)
    skipped = before.end() if before else 0
    above = len(text[:skipped].splitlines())
    head = next(iter(text[skipped : skipped + _MAX_HEAD].splitlines()), "")
    separator = (before and before["told"]) or max(",;\t", key=head.count)
    try:
        lines = csv.reader(
            io.StringIO(text[skipped:], newline=""), delimiter=separator, strict=True
        )
        names = [column.strip().lower() for column in next(lines, list[str]())]
        if "start" not in names or not {"prompt", "seed"} & set(names):
            raise SettingsError(
                f"{name} must begin with a line of column names: {','.join(_COLUMNS)} "
                "(stop, negative_prompt and one of prompt and seed may be left out)"
            )
        found: list[tuple[str, dict[str, Any]]] = []
        for cells in lines:
            if any(cell.strip() for cell in cells):
                _check_count(len(found) + 1, name)
                place = f"line {above + lines.line_num}"
                if len(cells) > len(names):
                    raise SettingsError(
                        f"{name}, {place} has {len(cells)} cells and the head {len(names)}; put "
                        "quotes around a prompt that holds commas"
                    )
                found.append((place, dict(zip(names, cells, strict=False))))
    except csv.Error as error:
        raise SettingsError(f"{name} is not CSV: {error}; check its quotes") from error
    return found


def _parse_rows(given: Iterable[tuple[str, object]], name: str) -> tuple[PromptRow, ...]:
    """Return the rows, sorted; those with only a seed come last, in the given order.

    Each row comes with its place, for messages.
    """
    read = [(where, _parse_row(row, f"{name}, {where}")) for where, row in given]
    seeds = [row for _, row in read if row.only_seed]
    placed = sorted(
        ((where, row) for where, row in read if not row.only_seed), key=lambda one: one[1].start
    )
    for (before, one), (where, other) in pairwise(placed):
        if one.start == other.start or (one.stop is not None and one.stop > other.start):
            raise SettingsError(
                f"{name}, {where} begins at frame {other.start}, inside {before}; let one end "
                "where the other begins"
            )
    return (*(row for _, row in placed), *seeds)


def _parse_row(given: object, where: str) -> PromptRow:
    """Return a row; `where` is its place, with which an error message begins."""
    if not isinstance(given, Mapping):
        raise SettingsError(f'{where} is not an object; write {{"start": 0, "prompt": "a meadow"}}')
    row = cast("Mapping[str, Any]", given)
    extra = [str(column) for column in row if column not in _COLUMNS]
    if extra:
        raise SettingsError(f"{where} has {_quote(extra[0])}; a row has {', '.join(_COLUMNS)}")
    prompt, negative = (row.get(column) or "" for column in ("prompt", "negative_prompt"))
    if not isinstance(prompt, str) or not isinstance(negative, str):
        raise SettingsError(f"{where} has a prompt that is not text; put it into quotes")
    start = _parse_frame(row.get("start"), "start", where)
    stop, seed = (row.get(column) for column in ("stop", "seed"))
    end = None if _is_empty(stop) else _parse_frame(stop, "stop", where)
    if end is not None and end <= start:
        raise SettingsError(
            f"{where} stops at frame {end} and starts at {start}; stop is the first frame that is "
            "no longer in it"
        )
    return PromptRow(
        start, end, prompt, negative, None if _is_empty(seed) else _parse_seed(seed, where)
    )


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _parse_frame(value: object, column: str, where: str) -> int:
    """Return the index of a frame."""
    if not _is_whole(value, _LAST_FRAME):
        shown = "nothing" if _is_empty(value) else _quote(value)
        raise SettingsError(f"{where} has {column} {shown}; give the index of a frame, from 0")
    return int(str(value))


def _parse_seed(value: object, where: str) -> int:
    """Return the seed of a row; none is drawn, so that a list always gives the same film."""
    if not _is_whole(value, _LAST_SEED):
        raise SettingsError(
            f"{where} has seed {_quote(value)}; give a whole number from 0 to {_LAST_SEED}, or "
            "nothing for the job's own"
        )
    return int(str(value))


def _quote(value: object) -> str:
    """Return the value for a message, shortened; a number may have millions of digits."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of many digits"
    return reprlib.repr(value)


def _is_whole(value: object, most: int) -> bool:
    """Whether the value, or the text of it, is a whole number from 0 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    if isinstance(value, int) and abs(value) > most:
        return False
    text = str(value).strip()
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    return digits and int(text) <= most
