"""`ofgen weights list | fetch | verify | convert`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from platformdirs import user_data_path
from tqdm import tqdm

from lib_ofgen.cli import console
from lib_ofgen.errors import FlowError, LibraryError, SettingsError, TaggerError, WeightsError
from lib_ofgen.models import flow, tagger
from lib_ofgen.models.weights import checkpoint_io, download, registry
from lib_ofgen.models.weights.registry import CHECKPOINTS, Checkpoint
from lib_ofgen.system import files
from lib_ofgen.system.safe_text import hide_secrets

__all__ = ["add", "folders"]

_ROOM = ".fetching"
"""Below a models folder, the place of files that are not whole yet or not looked at."""


class _Wanted(NamedTuple):
    """A file that is to be fetched."""

    target: Path
    url: str
    size: int
    """Bytes; 0 where that is not known."""


def folders(given: list[Path]) -> tuple[Path, ...]:
    """Where weights are looked for: what is given, then the user's own folder."""
    return (*given, user_data_path("ofgen", appauthor=False) / "models")


def add(commands: Any, add_models: Any) -> None:
    """Add the commands to the command line's; `add_models` adds the option --models-dir."""
    group = commands.add_parser("weights", help="weights of flow estimators and taggers")
    verbs = group.add_subparsers(required=True, metavar="COMMAND")
    told = verbs.add_parser("list", help="which there are, their licences, and where they lie")
    told.set_defaults(run=_list)
    fetch = verbs.add_parser("fetch", help="download weights")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument("--accept-licence", action="store_true", help="without being asked")
    fetch.add_argument("--from", dest="url", metavar="URL", help="another place of the same file")
    fetch.set_defaults(run=_fetch)
    verify = verbs.add_parser("verify", help="check that weights are whole and load")
    verify.add_argument("what", nargs="*", metavar="NAME|FILE", help="default: all that are found")
    verify.set_defaults(run=_verify)
    for one in (told, fetch, verify):
        add_models(one)
    convert = verbs.add_parser("convert", help="write weights as safetensors")
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("out", type=Path, nargs="?", metavar="OUT")
    convert.set_defaults(run=_convert)


def _list(options: argparse.Namespace) -> int:
    for one in CHECKPOINTS.values():
        place = registry.find(one, folders(options.models_dir))
        console.say(f"{one.name}  {one.purpose}", out=True)
        found = f"{place} ({place.stat().st_size >> 20} MiB)" if place else "not found"
        rows = (
            ("file", found), ("licence", one.licence), ("source", one.source), ("at", one.page),
            ("checked", one.pinned),
        )  # fmt: skip
        for name, text in rows:
            console.say(f"    {name:8} {text}", out=True)
    return 0


def _fetch(options: argparse.Namespace) -> int:
    one = _named(options.name)
    if options.url and not download.is_address(options.url):
        raise SettingsError(
            f"--from {hide_secrets(options.url)} is no address of http or https; give one, "
            "without a user and password"
        )
    models = folders(options.models_dir)[0]
    place = models / one.file
    everything = [
        _Wanted(place, one.url, one.size),
        *(_Wanted(beside, each.url, each.size) for each, beside in one.companions(place)),
    ]
    lacking = [wanted for wanted in everything if not os.path.lexists(wanted.target)]
    for target, *_ in everything:
        if os.path.lexists(target) and not target.is_file():
            raise WeightsError(f"'{target}' is there and is no file; move it away")
    if not lacking:
        console.say(f"'{place}' is there already; `ofgen weights verify {one.name}` checks it")
        return 0
    console.say(f"{one.name}: {one.source}\nlicence: {one.licence}")
    if not options.accept_licence:
        _ask(one)
    try:
        _fetch_together(one, models, lacking, options.url)
    except KeyboardInterrupt:
        console.say("ofgen: stopped; the same command goes on where it was")
        return 130
    except WeightsError as error:
        raise WeightsError(
            f"could not fetch {one.name}: {error}; get it from {one.page} and put it at '{place}'"
        ) from error
    console.say(str(place), out=True)
    return 0


def _fetch_together(
    one: Checkpoint, models: Path, lacking: Sequence[_Wanted], asked: str | None
) -> None:
    """Fetch the files that lack into a room of their own, and put them in place if all are right.

    The room keeps what has come when a line breaks off. What was there before stays as it is.

    Raises:
        WeightsError: if a file cannot be had or is not what it should be, or another process is
            fetching it.
    """
    room = models / _ROOM / one.name  # where no tagger is looked for
    try:
        models.mkdir(parents=True, exist_ok=True)
        with files.hold_lock(models / f".{one.name}.lock"):
            staged = {wanted.target: room / wanted.target.name for wanted in lacking}
            for wanted in lacking:
                if not staged[wanted.target].is_file():
                    _come(one, wanted, staged[wanted.target], asked)
            try:
                found = _proved(one, models / one.file, staged)
                _put(staged)
            except WeightsError:
                _clear(room)
                raise
            _clear(room)
            registry.record(models / one.file, found)
    except BlockingIOError as error:
        raise WeightsError("another process is fetching it; wait for that") from error
    except OSError as error:
        raise WeightsError(f"cannot write into '{models}': {error.strerror or error}") from error


def _clear(room: Path) -> None:
    """Delete what has come and is of no use any more."""
    shutil.rmtree(room, ignore_errors=True)
    with contextlib.suppress(OSError):
        room.parent.rmdir()


def _put(staged: Mapping[Path, Path]) -> None:
    """Put all files in their places, or none."""
    done: list[Path] = []
    try:
        for target, lies in staged.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                raise WeightsError(f"'{target}' has come from elsewhere meanwhile, and stays")
            done.append(target)
            lies.replace(target)
    except BaseException:
        for target in done:
            target.unlink(missing_ok=True)
        raise


def _elsewhere(given: str | None, one: Checkpoint, target: Path) -> str:
    """Where --from says that a file is: the file's own address or, of several, their folder's."""
    return f"{given.rstrip('/')}/{target.name}" if given and one.beside else given or ""


def _come(one: Checkpoint, wanted: _Wanted, staged: Path, asked: str | None) -> None:
    """Have a file of the weights whole as `staged`: by the hub's own client, where that is."""
    target = wanted.target
    if one.hub and not asked and download.has_hub():
        target.parent.mkdir(parents=True, exist_ok=True)
        download.from_hub(one.hub.repository, one.hub.revision, staged)
        return
    url = _elsewhere(asked, one, target) or wanted.url
    with tqdm(unit="B", unit_scale=True, desc=target.name, leave=False) as bar:

        def told(done: int, of: int) -> None:
            bar.total = of or None
            bar.update(done - bar.n)

        download.fetch(url, target, told, size=wanted.size, whole=staged)


def _proved(one: Checkpoint, place: Path, staged: Mapping[Path, Path]) -> str:
    """The SHA-256 of the weights, if what has come is what was asked for.

    Raises:
        WeightsError: if it is not.
        FlowError: if nothing but trying it could tell, and a library for that is missing.
    """
    found = registry.verify_all(place, one, staged)
    room = next(iter(staged.values())).parent
    for path in (place, *(beside for _, beside in one.companions(place))):
        if path not in staged:  # what was there before is tried together with what has come
            download.link_or_copy(path, room / path.name)
    try:
        _check(one, room / place.name)
    except (WeightsError, TaggerError) as error:
        raise WeightsError(str(error).replace(str(room), str(place.parent))) from error
    except FlowError as error:
        if not one.is_pinned:
            raise FlowError(
                f"{one.name} is fetched and has to be tried: {error}; then run the same command "
                "again"
            ) from error
        console.say(f"{one.name} is what was published; it was not tried, for {error}")
    return found


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
            todo.append((CHECKPOINTS[what], registry.need(CHECKPOINTS[what], given)))
        else:
            todo.append((_of_file(Path(what)), Path(what)))
    if not options.what:
        found = ((one, registry.find(one, given)) for one in CHECKPOINTS.values())
        todo = [(one, place) for one, place in found if place]
    if not todo:
        raise WeightsError("no weights are found; `ofgen weights list` says which there are")
    good = True
    for one, place in todo:
        try:
            digest = registry.verify_all(place, one) if one and place.is_file() else ""
            count = _check(one, place)
            console.say(f"good  {place}  {count} entries  {digest}".rstrip(), out=True)
        except (FlowError, LibraryError, TaggerError, WeightsError) as error:
            good = False
            console.say(f"bad   {error}", out=True)
    return 0 if good else 1


def _check(one: Checkpoint | None, place: Path) -> int:
    """How many entries the file holds; those of its network, or its tags, where that is known."""
    if one.kind == "tagger" if one else place.name == tagger.MODEL:
        return tagger.check_model(place.parent)
    return flow.check_weights(one.name, place) if one else len(checkpoint_io.load(place))


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
    checkpoint_io.convert(options.file, out)
    console.say(str(out), out=True)
    return 0
