"""`ofgen weights list | fetch | verify | convert`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from platformdirs import user_data_path
from tqdm import tqdm

from lib_ofgen import checkpoints, console, download, flow, tagging, weights
from lib_ofgen.errors import SettingsError, TaggerError, WeightsError
from lib_ofgen.weights import CHECKPOINTS, Checkpoint

__all__ = ["add", "folders"]


def folders(given: list[Path]) -> tuple[Path, ...]:
    """Where weights are looked for: what is given, then the user's own folder."""
    return (*given, user_data_path("ofgen", appauthor=False) / "models")


def add(commands: Any, add_models: Any) -> None:
    """Add the commands to the command line's; `add_models` adds the option --models-dir."""
    group = commands.add_parser("weights", help="weights of flow estimators and taggers")
    verbs = group.add_subparsers(required=True, metavar="COMMAND")
    shown = verbs.add_parser("list", help="which there are, their licences, and where they lie")
    shown.set_defaults(run=_list)
    fetch = verbs.add_parser("fetch", help="download weights")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument("--accept-licence", action="store_true", help="without being asked")
    fetch.add_argument("--from", dest="url", metavar="URL", help="another place of the same file")
    fetch.set_defaults(run=_fetch)
    verify = verbs.add_parser("verify", help="check that weights are whole and load")
    verify.add_argument("what", nargs="*", metavar="NAME|FILE", help="default: all that are found")
    verify.set_defaults(run=_verify)
    for one in (shown, fetch, verify):
        add_models(one)
    convert = verbs.add_parser("convert", help="write weights as safetensors")
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("out", type=Path, nargs="?", metavar="OUT")
    convert.set_defaults(run=_convert)


def _list(options: argparse.Namespace) -> int:
    for one in CHECKPOINTS.values():
        place = weights.find(one, folders(options.models_dir))
        console.say(f"{one.name}  {one.purpose}", out=True)
        found = f"{place} ({place.stat().st_size >> 20} MiB)" if place else "not found"
        rows = ("file", found), ("licence", one.licence), ("source", one.source), ("at", one.page)
        for name, text in rows:
            console.say(f"    {name:8} {text}", out=True)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    one = _named(options.name)
    place = folders(options.models_dir)[0] / one.file
    files = [(place, one.url), *((beside, each.url) for each, beside in one.companions(place))]
    lacking = [(target, url) for target, url in files if not target.is_file()]
    if not lacking:
        console.say(f"'{place}' is there already; `ofgen weights verify {one.name}` checks it")
        return 0
    console.say(f"{one.name}: {one.source}\nlicence: {one.licence}")
    if not options.accept_licence:
        _ask(one)
    try:
        for target, url in lacking:
            _come(one, target, _elsewhere(options.url, one, target) or url, asked=options.url)
        _proved(one, place)
    except KeyboardInterrupt:
        console.say("ofgen: stopped; the same command goes on where it was")
        return 130
    except WeightsError as error:
        raise WeightsError(
            f"could not fetch {one.name}: {error}; get it from {one.page} and put it at '{place}'"
        ) from error
    console.say(str(place), out=True)
    return 0


def _elsewhere(given: str | None, one: Checkpoint, target: Path) -> str:
    """Where --from says that a file is: the file's own address or, of several, their folder's."""
    return f"{given.rstrip('/')}/{target.name}" if given and one.beside else given or ""


def _come(one: Checkpoint, target: Path, url: str, *, asked: str | None) -> None:
    """Put a file of the weights in its place: from the hub by its own client, where that is."""
    if one.hub and not asked and download.has_hub():
        download.from_hub(one.hub.repository, one.hub.revision, target)
        return
    with tqdm(unit="B", unit_scale=True, desc=target.name, leave=False) as bar:

        def told(done: int, of: int) -> None:
            bar.total = of or None
            bar.update(done - bar.n)

        download.fetch(url, target, told)


def _proved(one: Checkpoint, place: Path) -> None:
    """Nothing, if what has come is what was asked for; else it is deleted."""
    try:
        weights.verify_all(place, one)
        _check(one, place)
    except (WeightsError, TaggerError) as error:
        for path in (place, *(beside for _, beside in one.companions(place))):
            path.unlink(missing_ok=True)
        place.with_name(place.name + ".sha256").unlink(missing_ok=True)
        raise WeightsError(str(error)) from error


def _ask(one: Checkpoint) -> None:
    """Nothing, if the user accepts the licence.

    Raises:
        SettingsError: there is nobody to ask, or the user does not.
    """
    if not sys.stdin.isatty():
        raise SettingsError(
            f"the licence of {one.name} must be accepted; add --accept-licence to do so"
        )
    console.say("Do you accept it? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SettingsError("the licence was not accepted; nothing was fetched")


def _verify(options: argparse.Namespace) -> int:
    given = folders(options.models_dir)
    todo: list[tuple[Checkpoint | None, Path]] = []
    for what in options.what:
        if what in CHECKPOINTS:
            todo.append((CHECKPOINTS[what], weights.need(CHECKPOINTS[what], given)))
        else:
            todo.append((_of_file(Path(what)), Path(what)))
    if not options.what:
        found = ((one, weights.find(one, given)) for one in CHECKPOINTS.values())
        todo = [(one, place) for one, place in found if place]
    if not todo:
        raise WeightsError("no weights are found; `ofgen weights list` says which there are")
    good = True
    for one, place in todo:
        try:
            digest = weights.verify_all(place, one) if one and place.is_file() else ""
            count = _check(one, place)
            console.say(f"good  {place}  {count} entries  {digest}".rstrip(), out=True)
        except (WeightsError, TaggerError) as error:
            good = False
            console.say(f"bad   {error}", out=True)
    return 0 if good else 1


def _check(one: Checkpoint | None, place: Path) -> int:
    """How many entries the file holds; those of its network, or its tags, where that is known."""
    if one.kind == "tagger" if one else place.name == tagging.MODEL:
        return tagging.check_model(place.parent)
    return flow.check_weights(one.name, place) if one else len(checkpoints.load(place))


def _of_file(path: Path) -> Checkpoint | None:
    path = path.absolute()
    return next((one for one in CHECKPOINTS.values() if any(map(path.match, one.files))), None)


def _named(name: str) -> Checkpoint:
    if name not in CHECKPOINTS:
        raise SettingsError(f"no weights {name!r}; there are {', '.join(CHECKPOINTS)}")
    return CHECKPOINTS[name]


def _convert(options: argparse.Namespace) -> int:
    name = options.file.name.removesuffix(".tar")
    out = options.out or options.file.with_name(Path(name).stem + ".safetensors")
    if out.exists():
        raise WeightsError(f"'{out}' is there already; name another file")
    checkpoints.convert(options.file, out)
    console.say(str(out), out=True)
    return 0
