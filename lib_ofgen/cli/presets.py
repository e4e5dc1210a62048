"""`ofgen presets`, and the options by which every command takes its settings."""

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

__all__ = ["add", "add_settings", "settings_of"]

_SHORT = ("flow", "start", "end", "max_frames")
"""Settings that have an option of their own."""
_WHAT = "NAME|FILE|LINK"
_LARGEST = 1 << 22
"""Characters that are read from standard input."""


def add_settings(one: argparse.ArgumentParser) -> None:
    """Add `--preset`, `--set` and their like."""
    one.add_argument("--preset", metavar=_WHAT)
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="pairs")
    for name in _SHORT:
        one.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=f"--set {name}=VALUE")
    _add_folder(one)


def _add_folder(one: argparse.ArgumentParser) -> None:
    text = "folder of your presets; default: below your own data folder"
    one.add_argument("--presets-dir", type=Path, metavar="DIR", help=text)


def _store(options: argparse.Namespace) -> Store:
    own = user_data_path("ofgen", appauthor=False) / "presets"
    return Store(options.presets_dir or own)


def settings_of(options: argparse.Namespace) -> Settings:
    """Defaults, then the preset, then what was said on the command line."""
    return Settings().replace(_named(options))


def _named(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the preset and the command line name."""
    named = presets.find(options.preset, _store(options)).settings if options.preset else {}
    said: dict[str, str] = {}
    for pair in options.pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set {pair!r} is not of the form key=value")
        said[name.strip()] = value
    given = {name: getattr(options, name) for name in _SHORT}
    said |= {name: value for name, value in given.items() if value is not None}
    return {**named, **Settings.parse(said)}


def add(commands: Any) -> None:
    """Add `presets` to the command line's commands."""
    group = commands.add_parser("presets", help="named settings")
    verbs = group.add_subparsers(required=True, metavar="COMMAND")
    shown_all = verbs.add_parser("list", help="the bundled ones and yours")
    shown_all.set_defaults(run=_list)
    _add_folder(shown_all)
    for verb, run, text in (
        ("show", _show, "its document"),
        ("validate", _validate, "whether it can be used here"),
        ("link", _link, "one line of text to paste into a chat"),
        ("infotext", _infotext, "lines to paste into the webui's prompt"),
        ("delete", _delete, "forget one of yours"),
    ):
        deed = verbs.add_parser(verb, help=text)
        deed.add_argument("name", metavar="NAME" if verb == "delete" else _WHAT)
        deed.set_defaults(run=run)
        _add_folder(deed)
    _add_keeping(verbs)


def _add_keeping(verbs: Any) -> None:
    taken = verbs.add_parser("import", help="keep what another has shared")
    taken.add_argument("what", metavar="FILE|LINK|TEXT|-", help="JSON, link text, infotext or PNG")
    taken.add_argument("--name", help="keep it under this name")
    taken.add_argument("--clip", action="store_true", help="with the clip's own settings")
    taken.set_defaults(run=_import)
    _add_folder(taken)
    save = verbs.add_parser("save", help="keep the given settings as a preset")
    export = verbs.add_parser("export", help="write a preset, or the given settings as one")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.json")
    for deed, run in ((save, _save), (export, _export)):
        deed.add_argument("name", metavar="NAME")
        deed.add_argument("--description", default="", metavar="TEXT")
        add_settings(deed)
        deed.set_defaults(run=run)
    for deed in (taken, save):
        deed.add_argument("--replace", action="store_true", help="in place of one of that name")


def _list(options: argparse.Namespace) -> int:
    store, ours = _store(options), presets.bundled_presets()
    for name, preset in presets.list_presets(store).items():
        whose = "" if name in ours else " (yours)"
        console.say(f"{name}{whose}: {preset.description}".rstrip(": "), out=True)
        console.say(f"    {json.dumps(preset.settings)}", out=True)
    hidden = [
        name for name in store.all() if presets.fold_name(name) in map(presets.fold_name, ours)
    ]
    for fault in (*store.faults(), *(f"a bundled preset hides yours: {name}" for name in hidden)):
        console.say(f"ofgen: note: {fault}")
    return 0


def _show(options: argparse.Namespace) -> int:
    console.say(presets.dump(presets.find(options.name, _store(options))).rstrip(), out=True)
    return 0


def _validate(options: argparse.Namespace) -> int:
    preset = presets.find(options.name, _store(options))
    console.say(f"{preset.name!r} is good: it names {len(preset.settings)} settings", out=True)
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
        preset = presets.take(sys.stdin.read(_LARGEST), clip=options.clip)
    else:
        preset = presets.find(options.what, clip=options.clip)
    name = preset.name if options.name is None else options.name
    if not name and Path(options.what[:1000]).is_file():
        name = Path(options.what).stem[:60]
    preset = presets.make_preset(name, *preset[1:])
    path = _store(options).save(preset, replace=options.replace)
    console.say(f"{preset.name!r} is kept in '{path}'", out=True)
    return 0


def _save(options: argparse.Namespace) -> int:
    preset = presets.make_preset(options.name, _named(options), options.description)
    path = _store(options).save(preset, replace=options.replace)
    console.say(f"{preset.name!r} is kept in '{path}'", out=True)
    return 0


def _export(options: argparse.Namespace) -> int:
    given = _named(options)
    if given or options.preset:
        preset = presets.make_preset(options.name, given, options.description)
    else:
        preset = presets.get_preset(options.name, _store(options))
    write_whole(options.output, presets.dump(preset).encode("utf-8", "backslashreplace"))
    return 0
