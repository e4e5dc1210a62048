"""A preset by whatever a user has of it: a name, a file, a link, an infotext."""

from __future__ import annotations

from pathlib import Path

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.choice import shorten
from lib_ofgen.settings.presets.document import LARGEST, Preset, bundled_presets, fold, load
from lib_ofgen.settings.presets.infotext import FIELD, PNG, from_infotext, from_png
from lib_ofgen.settings.presets.link import SCHEME, from_link
from lib_ofgen.settings.presets.store import Store
from lib_ofgen.system.regular_file import regular_file

__all__ = ["find", "get_preset", "list_presets", "take"]


def list_presets(store: Store | None = None) -> dict[str, Preset]:
    """The bundled presets and then the user's, by name; a bundled one hides another of its name."""
    ours = bundled_presets()
    taken = set(map(fold, ours))
    theirs = store.all() if store else {}
    return {**ours, **{name: one for name, one in theirs.items() if fold(name) not in taken}}


def get_preset(name: str, store: Store | None = None) -> Preset:
    """The preset of that name.

    Raises:
        SettingsError: there is none; the message tells which there are.
    """
    names, wanted = list_presets(store), fold(name)
    for one, preset in names.items():
        if fold(one) == wanted:
            return preset
    raise SettingsError(f"no preset {shorten(name)}; take one of {', '.join(names)}")


def take(content: str | bytes, *, clip: bool = False) -> Preset:
    """The preset in a content: JSON, link text, infotext, or a PNG file with infotext.

    `clip` also takes from infotext what says something of the clip only.

    Raises:
        SettingsError: it holds none.
    """
    if isinstance(content, bytes):
        if content.startswith(PNG):
            return from_png(content, clip=clip)
        if len(content) > LARGEST:
            raise SettingsError(f"more than {LARGEST} bytes are no preset; they are small")
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        return load(content if isinstance(content, bytes) else content.lstrip("\ufeff"))
    if f"{FIELD}: " in text:
        return from_infotext(text, clip=clip)
    return from_link(text) if SCHEME in text else load(content)


def find(word: str, store: Store | None = None, *, clip: bool = False) -> Preset:
    """The preset of that name, of that link, infotext or JSON, or in the file of that path.

    Raises:
        SettingsError: there is none, or the file holds none.
    """
    names = list_presets(store)
    if fold(word) in map(fold, names):
        return get_preset(word, store)
    if SCHEME in word or f"{FIELD}: " in word or word.lstrip().startswith("{"):
        return take(word, clip=clip)
    try:
        with regular_file(Path(word)) as file:
            content = file.read(LARGEST + 1)
    except ValueError as error:
        raise SettingsError(f"no preset {shorten(word)}; no file can have that name") from error
    except OSError as error:
        cause = error.strerror or str(error)
        raise SettingsError(
            f"no preset {shorten(word)} ({cause}); take a file, link text, or one of "
            f"{', '.join(names)}"
        ) from error
    return take(content, clip=clip)
