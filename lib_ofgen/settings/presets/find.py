"""Finds a preset by its name, file, link or infotext."""

from __future__ import annotations

from pathlib import Path

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.choice import shorten
from lib_ofgen.settings.presets.document import MAX_BYTES, Preset, bundled_presets, fold_name, load
from lib_ofgen.settings.presets.infotext import FIELD, PNG, from_infotext, from_png
from lib_ofgen.settings.presets.link import SCHEME, from_link
from lib_ofgen.settings.presets.store import Store
from lib_ofgen.system.regular_file import regular_file

__all__ = ["find", "get_preset", "list_presets", "take"]


def list_presets(store: Store | None = None) -> dict[str, Preset]:
    """Return the bundled presets, then the user's; a bundled one hides others of its name."""
    ours = bundled_presets()
    taken = set(map(fold_name, ours))
    theirs = store.all() if store else {}
    return {**ours, **{name: one for name, one in theirs.items() if fold_name(name) not in taken}}


def get_preset(name: str, store: Store | None = None) -> Preset:
    """Return the preset of that name.

    Raises:
        SettingsError: if there is none; the message names those that there are.
    """
    names, wanted = list_presets(store), fold_name(name)
    for one, preset in names.items():
        if fold_name(one) == wanted:
            return preset
    raise SettingsError(f"no preset {shorten(name)}; take one of {', '.join(names)}")


def take(content: str | bytes, *, clip: bool = False) -> Preset:
    """Return the preset of a content: JSON, link, infotext, or a PNG file with infotext.

    `clip` also takes from infotext what says something of the clip only.

    Raises:
        SettingsError: if it has none.
    """
    if isinstance(content, bytes):
        if content.startswith(PNG):
            return from_png(content, clip=clip)
        if len(content) > MAX_BYTES:
            raise SettingsError(f"more than {MAX_BYTES} bytes are not a preset; they are small")
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        return load(content if isinstance(content, bytes) else content.lstrip("\ufeff"))
    if f"{FIELD}: " in text:
        return from_infotext(text, clip=clip)
    return from_link(text) if SCHEME in text else load(content)


def find(word: str, store: Store | None = None, *, clip: bool = False) -> Preset:
    """Return the preset that `word` names: by name, link, infotext, JSON, or the path of a file.

    Raises:
        SettingsError: if there is none.
    """
    names = list_presets(store)
    if fold_name(word) in map(fold_name, names):
        return get_preset(word, store)
    if SCHEME in word or f"{FIELD}: " in word or word.lstrip().startswith("{"):
        return take(word, clip=clip)
    try:
        with regular_file(Path(word)) as file:
            content = file.read(MAX_BYTES + 1)
    except ValueError as error:
        raise SettingsError(f"no preset {shorten(word)}; no file can have that name") from error
    except OSError as error:
        cause = error.strerror or str(error)
        raise SettingsError(
            f"no preset {shorten(word)} ({cause}); take a file, link text, or one of "
            f"{', '.join(names)}"
        ) from error
    return take(content, clip=clip)
