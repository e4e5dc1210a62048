"""`ofgen presets`, and the options by which all commands take their settings."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from lib_ofgen.cli import console
from lib_ofgen.errors import SettingsError
from lib_ofgen.settings import presets
from lib_ofgen.settings.fields import Settings
from lib_ofgen.settings.presets import Store
from lib_ofgen.store.workspace import write_whole

__all__ = ["add_commands", "add_settings", "read_settings"]

_OWN_OPTIONS = ("flow", "start", "end", "max_frames")
"""Settings that have an option of their own."""
_SOURCES = "NAME|FILE|LINK"
_MAX_CHARACTERS = 1 << 22
"""Characters that are read from standard input."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--preset`, `--set` and the like to a command."""
    parser.add_argument("--preset", metavar=_SOURCES)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs")
    for name in _OWN_OPTIONS:
        parser.add_argument(
            f"--{name.replace('_', '-')}", metavar="VALUE", help=f"--set {name}=VALUE"
        )
    _add_folder(parser)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    text = "folder of your presets; default: in your own data folder"
    parser.add_argument("--presets-dir", type=Path, metavar="DIR", help=text)


def _store(options: argparse.Namespace) -> Store:
    own = user_data_path("ofgen", appauthor=False) / "presets"
    return Store(options.presets_dir or own)


def read_settings(options: argparse.Namespace) -> Settings:
    """Return the settings: the command line wins over the preset, the preset over the defaults.

    Raises:
        SettingsError: if there is no such preset, or a setting is bad.
    """
    return Settings().replace(_read_changes(options))


def _read_changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the preset and the command line name."""
    preset = presets.find(options.preset, _store(options)).settings if options.preset else {}
    texts: dict[str, str] = {}
    for pair in options.pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set {pair!r} is not of the form key=value")
        texts[name.strip()] = value
    short = {name: getattr(options, name) for name in _OWN_OPTIONS}
    texts |= {name: value for name, value in short.items() if value is not None}
    return {**preset, **Settings.parse(texts)}


def add_commands(commands: Any) -> None:
    """Add `presets` to the commands."""
    group = commands.add_parser("presets", help="named settings")
    verbs = group.add_subparsers(required=True, metavar="COMMAND")
    listing = verbs.add_parser("list", help="show the bundled presets and yours")
    listing.set_defaults(run=_list)
    _add_folder(listing)
    for verb, run, text in (
        ("show", _show, "print the preset's document"),
        ("validate", _validate, "check whether it can be used here"),
        ("link", _link, "print one line of text to paste into a chat"),
        ("infotext", _infotext, "print lines to paste into the webui's prompt"),
        ("delete", _delete, "delete one of yours"),
    ):
        command = verbs.add_parser(verb, help=text)
        command.add_argument("name", metavar="NAME" if verb == "delete" else _SOURCES)
        command.set_defaults(run=run)
        _add_folder(command)
    _add_writing(verbs)


def _add_writing(verbs: Any) -> None:
    import_ = verbs.add_parser("import", help="save a preset that somebody has shared")
    import_.add_argument(
        "what", metavar="FILE|LINK|TEXT|-", help="JSON, link text, infotext or PNG"
    )
    import_.add_argument("--name", help="save it under this name")
    import_.add_argument("--clip", action="store_true", help="with the settings of its clip")
    import_.set_defaults(run=_import)
    _add_folder(import_)
    save = verbs.add_parser("save", help="save the given settings as a preset")
    export = verbs.add_parser("export", help="write a preset, or the given settings, to a file")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.json")
    for command, run in ((save, _save), (export, _export)):
        command.add_argument("name", metavar="NAME")
        command.add_argument("--description", default="", metavar="TEXT")
        add_settings(command)
        command.set_defaults(run=run)
    for command in (import_, save):
        command.add_argument("--replace", action="store_true", help="replace a preset of that name")


def _list(options: argparse.Namespace) -> int:
    store, bundled = _store(options), presets.bundled_presets()
    for name, preset in presets.list_presets(store).items():
        owner = "" if name in bundled else " (yours)"
        console.say(f"{name}{owner}: {preset.description}".rstrip(": "), out=True)
        console.say(f"    {json.dumps(preset.settings)}", out=True)
    folded = [presets.fold_name(name) for name in bundled]
    hidden = [name for name in store.all() if presets.fold_name(name) in folded]
    for fault in (*store.faults(), *(f"a bundled preset hides yours: {name}" for name in hidden)):
        console.say(f"ofgen: note: {fault}")
    return 0


def _show(options: argparse.Namespace) -> int:
    console.say(presets.dump(presets.find(options.name, _store(options))).rstrip(), out=True)
    return 0


def _validate(options: argparse.Namespace) -> int:
    preset = presets.find(options.name, _store(options))
    console.say(f"{preset.name!r} is valid: it names {len(preset.settings)} settings", out=True)
    return 0


def _link(options: argparse.Namespace) -> int:
    console.say(presets.to_link(presets.find(options.name, _store(options))), out=True)
    return 0


def _infotext(options: argparse.Namespace) -> int:
    console.say(presets.to_infotext(presets.find(options.name, _store(options))), out=True)
    return 0


def _delete(options: argparse.Namespace) -> int:
    _store(options).delete(options.name)
    return 0


def _import(options: argparse.Namespace) -> int:
    if options.what == "-":
        preset = presets.take(sys.stdin.read(_MAX_CHARACTERS), clip=options.clip)
    else:
        preset = presets.find(options.what, clip=options.clip)
    name = preset.name if options.name is None else options.name
    if not name and Path(options.what[:1000]).is_file():
        name = Path(options.what).stem[:60]
    preset = presets.make_preset(name, *preset[1:])
    path = _store(options).save(preset, replace=options.replace)
    console.say(f"{preset.name!r} is saved in '{path}'", out=True)
    return 0


def _save(options: argparse.Namespace) -> int:
    preset = presets.make_preset(options.name, _read_changes(options), options.description)
    path = _store(options).save(preset, replace=options.replace)
    console.say(f"{preset.name!r} is saved in '{path}'", out=True)
    return 0


def _export(options: argparse.Namespace) -> int:
    changes = _read_changes(options)
    if changes or options.preset:
        preset = presets.make_preset(options.name, changes, options.description)
    else:
        preset = presets.get_preset(options.name, _store(options))
    write_whole(options.output, presets.dump(preset).encode("utf-8", "backslashreplace"))
    return 0
