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

__all__ = ["add_commands", "model_folders"]

_STAGING = ".fetching"
"""Folder in a models folder for files that are incomplete or not checked yet."""


class _File(NamedTuple):
    """A file of weights to download."""

    target: Path
    url: str
    size: int
    """Bytes; 0 if unknown."""


def model_folders(given: list[Path]) -> tuple[Path, ...]:
    """Return the folders that may hold weights: the given ones, then the user's own."""
    return (*given, user_data_path("ofgen", appauthor=False) / "models")


def add_commands(commands: Any, add_models: Any) -> None:
    """Add `weights` to the commands.

    Args:
        commands: The parser's commands.
        add_models: Adds the option --models-dir to a command.
    """
    group = commands.add_parser("weights", help="weights of flow estimators and taggers")
    verbs = group.add_subparsers(required=True, metavar="COMMAND")
    listing = verbs.add_parser("list", help="show weights, licences, and where the files are")
    listing.set_defaults(run=_list)
    fetch = verbs.add_parser("fetch", help="download weights")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument("--accept-licence", action="store_true", help="do not ask about the licence")
    fetch.add_argument("--from", dest="url", metavar="URL", help="another address of the same file")
    fetch.set_defaults(run=_fetch)
    verify = verbs.add_parser("verify", help="check that weights are complete and can be loaded")
    verify.add_argument(
        "what", nargs="*", metavar="NAME|FILE", help="default: all weights that are found"
    )
    verify.set_defaults(run=_verify)
    for one in (listing, fetch, verify):
        add_models(one)
    convert = verbs.add_parser("convert", help="write weights as safetensors")
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("out", type=Path, nargs="?", metavar="OUT")
    convert.set_defaults(run=_convert)


def _list(options: argparse.Namespace) -> int:
    for one in CHECKPOINTS.values():
        place = registry.find(one, model_folders(options.models_dir))
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
    one = _get_checkpoint(options.name)
    if options.url and not download.is_address(options.url):
        raise SettingsError(
            f"--from {hide_secrets(options.url)} is not an http or https address; give one "
            "without a user and password"
        )
    models = model_folders(options.models_dir)[0]
    place = models / one.file
    downloads = [
        _File(place, one.url, one.size),
        *(_File(beside, each.url, each.size) for each, beside in one.companions(place)),
    ]
    missing = [wanted for wanted in downloads if not os.path.lexists(wanted.target)]
    for target, *_ in downloads:
        if os.path.lexists(target) and not target.is_file():
            raise WeightsError(f"'{target}' is there and is not a file; move it away")
    if not missing:
        console.say(f"'{place}' is there already; `ofgen weights verify {one.name}` checks it")
        return 0
    console.say(f"{one.name}: {one.source}\nlicence: {one.licence}")
    if not options.accept_licence:
        _confirm_licence(one)
    try:
        _download_all(one, models, missing, options.url)
    except KeyboardInterrupt:
        console.say("ofgen: stopped; the same command continues the download")
        return 130
    except WeightsError as error:
        raise WeightsError(
            f"could not fetch {one.name}: {error}; get it from {one.page} and put it at '{place}'"
        ) from error
    console.say(str(place), out=True)
    return 0


def _download_all(one: Checkpoint, models: Path, missing: Sequence[_File], url: str | None) -> None:
    """Download the missing files into a staging folder, and move them in place if all are valid.

    The staging folder keeps incomplete files when the connection breaks. Existing files stay as
    they are.

    Raises:
        WeightsError: if a file cannot be downloaded or is not valid, or if another process is
            downloading it.
    """
    folder = models / _STAGING / one.name  # nobody looks for taggers there
    try:
        models.mkdir(parents=True, exist_ok=True)
        with files.hold_lock(models / f".{one.name}.lock"):
            staged = {wanted.target: folder / wanted.target.name for wanted in missing}
            for wanted in missing:
                if not staged[wanted.target].is_file():
                    _download(one, wanted, staged[wanted.target], url)
            try:
                digest = _check_staged(one, models / one.file, staged)
                _move_in_place(staged)
            except WeightsError:
                _delete_staging(folder)
                raise
            _delete_staging(folder)
            registry.record(models / one.file, digest)
    except BlockingIOError as error:
        raise WeightsError("another process is fetching it; wait for that") from error
    except OSError as error:
        raise WeightsError(f"cannot write into '{models}': {error.strerror or error}") from error


def _delete_staging(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _move_in_place(staged: Mapping[Path, Path]) -> None:
    """Move all files to their targets, or none.

    Args:
        staged: Target to staged file.
    """
    done: list[Path] = []
    try:
        for target, source in staged.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                raise WeightsError(
                    f"'{target}' was created by somebody else in the meantime; it stays"
                )
            done.append(target)
            source.replace(target)
    except BaseException:
        for target in done:
            target.unlink(missing_ok=True)
        raise


def _url_by_option(given: str | None, one: Checkpoint, target: Path) -> str:
    """Return the address of a file by --from, which names the file, or the folder of several."""
    return f"{given.rstrip('/')}/{target.name}" if given and one.beside else given or ""


def _download(one: Checkpoint, wanted: _File, staged: Path, url: str | None) -> None:
    """Download one file to `staged`, by the hub's own client if it is installed."""
    target = wanted.target
    if one.hub and not url and download.has_hub():
        target.parent.mkdir(parents=True, exist_ok=True)
        download.from_hub(one.hub.repository, one.hub.revision, staged)
        return
    address = _url_by_option(url, one, target) or wanted.url
    with tqdm(unit="B", unit_scale=True, desc=target.name, leave=False) as bar:

        def show(done: int, of: int) -> None:
            bar.total = of or None
            bar.update(done - bar.n)

        download.fetch(address, target, show, size=wanted.size, whole=staged)


def _check_staged(one: Checkpoint, place: Path, staged: Mapping[Path, Path]) -> str:
    """Return the SHA-256 of the weights, if the staged files are the right ones.

    Raises:
        WeightsError: if they are not.
        FlowError: if only loading them could tell, and a library for that is missing.
    """
    digest = registry.verify_all(place, one, staged)
    folder = next(iter(staged.values())).parent
    for path in (place, *(beside for _, beside in one.companions(place))):
        if path not in staged:  # existing files are checked together with the new ones
            download.link_or_copy(path, folder / path.name)
    try:
        _check(one, folder / place.name)
    except (WeightsError, TaggerError) as error:
        raise WeightsError(str(error).replace(str(folder), str(place.parent))) from error
    except FlowError as error:
        if not one.is_pinned:
            raise FlowError(
                f"{one.name} is downloaded but cannot be checked: {error}; then run the same "
                "command again"
            ) from error
        console.say(f"{one.name} has the published digest; it was not loaded: {error}")
    return digest


def _confirm_licence(one: Checkpoint) -> None:
    """Ask the user to accept the licence.

    Raises:
        SettingsError: if there is nobody to ask, or the user does not accept.
    """
    if not sys.stdin.isatty():
        raise SettingsError(
            f"the licence of {one.name} must be accepted; add --accept-licence to do so"
        )
    console.say("Do you accept it? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise SettingsError("the licence was not accepted; nothing was fetched")


def _verify(options: argparse.Namespace) -> int:
    given = model_folders(options.models_dir)
    todo: list[tuple[Checkpoint | None, Path]] = []
    for what in options.what:
        if what in CHECKPOINTS:
            todo.append((CHECKPOINTS[what], registry.need(CHECKPOINTS[what], given)))
        else:
            todo.append((_find_checkpoint(Path(what)), Path(what)))
    if not options.what:
        found = ((one, registry.find(one, given)) for one in CHECKPOINTS.values())
        todo = [(one, place) for one, place in found if place]
    if not todo:
        raise WeightsError("no weights are found; see `ofgen weights list`")
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
    """Load the file; return the number of its entries, of its network's tensors, or of its tags."""
    if one.kind == "tagger" if one else place.name == tagger.MODEL:
        return tagger.check_model(place.parent)
    return flow.check_weights(one.name, place) if one else len(checkpoint_io.load(place))


def _find_checkpoint(path: Path) -> Checkpoint | None:
    """Return the known weights that have files of that name."""
    path = path.absolute()
    return next((one for one in CHECKPOINTS.values() if any(map(path.match, one.files))), None)


def _get_checkpoint(name: str) -> Checkpoint:
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
