"""The run's folder: what is finished, keyed by a digest of all that it depends on.

Every file is written whole under another name and then renamed, so that a file that is there is
finished, also after `kill -9`. A damaged one counts as missing, as does one under another's name:
pictures end in a checksum, JSON in a seal, and both know the file's name. Of workspaces from before
JSON was sealed, pictures and the drawn seed are taken; the other facts are found anew, unpainted.

    clips/DIGEST.json         the clip that a spool holds; written last
    spool/DIGEST/000000.qoi   the source's frames at the working size
    facts/DIGEST.json         cuts, key frames, and what is known of each finished frame, with a
                              small map of the frames in which its pixels were painted
    facts/seed.json           the seed, where one was drawn; clips/seed.json is a second copy
    frames/DIGEST.qoi         finished frames
    painted/DIGEST.qoi, .png  what was painted fresh in a frame, and where
    drafts/DIGEST.bin         what an unfinished frame is made of; deleted when it is used up
    beside-DIGEST.mp4         the film beside its source, if somebody has asked for it
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lib_ofgen.errors import WorkspaceError
from lib_ofgen.imaging import images
from lib_ofgen.store import draft_file
from lib_ofgen.system import files, sealed_json
from lib_ofgen.values import Draft, Image, Painted

__all__ = [
    "PROMPTS",
    "REPORT",
    "Workspace",
    "check_writable",
    "delete_workspace",
    "digest",
    "file_digest",
    "load_report",
    "require",
    "side_by_side_path",
    "write_whole",
]  # fmt: skip

_Value = TypeVar("_Value")
_FOLDERS = ("clips", "spool", "facts", "frames", "painted", "drafts")
PROMPTS = "prompts.csv"
"""The list of what the frames of the last job were painted by."""
REPORT = "report.json"
"""What the last job says of itself; it is sealed under this name."""
_SUMMARIES = (REPORT, "report.html", "keys.png", PROMPTS)
"""What a job writes beside the folders when it ends."""
_OURS = re.compile(
    rf"{files.LEFT_OVER}|([0-9a-f]{{32}}|[0-9]{{6,}}|seed)\.(json|qoi|png|bin)|"
    r"\.([0-9a-f]{32}|[0-9]{6,}|seed)\.(json|qoi|png|bin)\.partial"
)
"""Names of artifacts, finished or not; the last are of partial files as they were named before."""
_BESIDE = re.compile(
    rf"{files.LEFT_OVER}|beside-[0-9a-f]{{32}}\.mp4|\.beside-[0-9a-f]{{32}}\.mp4\.lock|"
    r"\.beside-[0-9a-f]{32}-[0-9a-f]{8}\.partial\.mp4"
)
"""Names of films beside their source, finished or not, and of what dead jobs have left."""
_SEEDS = ("clips/seed.json", "facts/seed.json")
_SEED = sealed_json.whole(0, 2**32 - 1)
_MISSING = frozenset({
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG,
})  # fmt: skip
"""What the system says of a file that is not there, or can never be read again."""
_SEAL = 4
"""Bytes of the checksum after a picture; viewers pay no heed to it."""


def digest(*parts: object) -> str:
    """32 hex digits that change when any part (anything JSON holds) does."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """The digest of a file's content."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()[:32]


def side_by_side_path(folder: Path, name: str) -> Path:
    """Where a workspace keeps a film beside its source; `name` is the digest of their frames."""
    return folder / f"beside-{name}.mp4"


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` under `path`, or leave everything as it was; a symbolic link stays one.

    Raises:
        WorkspaceError: it cannot be written; the message says where and why.
    """
    with _placed(path):
        files.write_file(path, data)


def check_writable(path: Path) -> None:
    """Nothing, if a file can be written to `path`; its folder is made.

    Raises:
        WorkspaceError: it cannot.
    """
    with _placed(path):
        files.Partial(path).drop()


@contextlib.contextmanager
def _placed(path: Path) -> Iterator[None]:
    """Make the folder of a file that is written inside; what the system refuses is one line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise WorkspaceError(files.write_error_line(path, error)) from error


def require(index: int, artifact: _Value | None, place: object) -> _Value:
    """The artifact, which was there a moment ago."""
    if artifact is None:
        raise WorkspaceError(
            f"frame {index} was damaged in the workspace '{place}'; run the "
            "same command again: it is made anew and the rest is kept"
        )
    return artifact


def delete_workspace(folder: Path) -> int:
    """Delete a workspace; the bytes that this frees. What no job put there stays.

    Raises:
        WorkspaceError: the folder is no workspace, or a job is using it.
    """
    freed = 0
    try:
        if not all((folder / name).is_dir() for name in _FOLDERS):
            raise WorkspaceError(f"'{folder}' is no workspace; give a folder that a job has made")
        with Workspace(folder).lock(keep=False):
            for item in list(_artifacts(folder)):
                freed += item.stat().st_size
                item.unlink()
    except OSError as error:
        raise WorkspaceError(f"cannot delete '{folder}': {error.strerror or error}") from error
    for place in (*(folder / "spool").iterdir(), *(folder / name for name in _FOLDERS), folder):
        with contextlib.suppress(OSError):  # what is not empty holds another's files
            place.rmdir()
    return freed


def _artifacts(folder: Path) -> Iterator[Path]:
    """The files that jobs have put into a workspace, but for the lock."""
    for name in _FOLDERS:
        yield from (item for item in (folder / name).rglob("*") if _is_ours(item, _OURS))
    locks = {f".{name}.lock" for name in _SUMMARIES}
    for item in folder.iterdir():
        if item.name in {*_SUMMARIES, *locks} or _is_ours(item, _BESIDE):
            yield item


def _is_ours(path: Path, names: re.Pattern[str]) -> bool:
    return names.fullmatch(path.name) is not None and not path.is_dir()


class Workspace:
    """One folder of artifacts; makes it if it is not there."""

    def __init__(self, folder: Path) -> None:
        """Take `folder` as the workspace.

        Raises:
            WorkspaceError: it cannot be made or written.
        """
        self.folder = folder
        try:
            for name in _FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            place = Path(error.filename or folder)
            raise WorkspaceError(files.write_error_line(place, error)) from error

    @contextlib.contextmanager
    def lock(self, *, keep: bool = True) -> Iterator[None]:
        """Inside, no other process can use the workspace; the lock goes with the process.

        What dead writers have left is deleted. The lock's file stays, unless it is not to be kept.

        Raises:
            WorkspaceError: another one does.
        """
        place = self.folder / "lock"
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(files.hold_lock(place, keep=keep))
            except BlockingIOError as error:
                raise WorkspaceError(
                    f"another job is using the workspace '{self.folder}'; wait for it, or name "
                    "another with --workspace"
                ) from error
            except OSError as error:
                raise WorkspaceError(files.write_error_line(place, error)) from error
            spools = [one for one in (self.folder / "spool").glob("*") if one.is_dir()]
            for folder in (*spools, *(self.folder / name for name in _FOLDERS), self.folder):
                files.delete_leftovers(folder)
            yield

    def save_facts(self, key: str, facts: Any) -> None:
        """Keep a JSON value."""
        self._save(f"facts/{key}.json", facts)

    def facts(self, key: str, shape: sealed_json.Shape = sealed_json.any_value) -> Any | None:
        """The JSON value kept under `key`; None where it is missing or of another shape."""
        return self._kept(f"facts/{key}.json", shape)

    def save_clip(self, key: str, clip: dict[str, Any]) -> None:
        """Say that the spool under `key` is whole, and what it holds."""
        self._save(f"clips/{key}.json", clip)

    def clip(
        self, key: str, shape: sealed_json.Shape = sealed_json.any_value
    ) -> dict[str, Any] | None:
        """What the spool under `key` holds, or None where a frame of it is missing or damaged."""
        timed = sealed_json.record(ticks=sealed_json.items(sealed_json.whole(0), least=1))
        clip = self._kept(f"clips/{key}.json", lambda value: timed(value) and shape(value))
        if clip is None or not all(self._whole(_source(key, i)) for i in range(len(clip["ticks"]))):
            return None
        return clip

    def save_seed(self, seed: int) -> None:
        """Keep the seed that was drawn, twice: all paint depends on it, and nothing gives it back.

        Raises:
            WorkspaceError: it cannot be written.
        """
        for name in _SEEDS:
            self._put(name, sealed_json.seal("seed", seed))

    def seed(self) -> int | None:
        """The seed that was drawn, or None; a copy that is lost or damaged is written anew."""
        before = self._seed_of_before()
        copies = [
            self._read(name, lambda data: int(sealed_json.open_sealed("seed", data, _SEED)))
            for name in _SEEDS
        ]
        found = next((copy for copy in (*copies, before) if copy is not None), None)
        if found is not None and None in copies:
            self.save_seed(found)
        return found

    def _seed_of_before(self) -> int | None:
        """The seed of a workspace from before there were seals: it has no second copy."""
        second, first = (self.folder / name for name in _SEEDS)
        try:
            if second.exists():
                return None
            found = json.loads(first.read_bytes())
        except (OSError, ValueError):
            return None
        return found if _SEED(found) else None

    def check(self) -> None:
        """Nothing, if what a job writes beside the folders when it ends can be written.

        Raises:
            WorkspaceError: it cannot, such as where a folder is in the way.
        """
        for name in _SUMMARIES:
            check_writable(self.folder / name)

    def save_source(self, key: str, index: int, image: Image) -> None:
        """Add a frame to the spool."""
        self._save_bytes(_source(key, index), images.pack(image))

    def source(self, key: str, index: int) -> Image:
        """Frame `index` of the spool.

        Raises:
            WorkspaceError: it is missing or damaged.
        """
        image = self._bytes(_source(key, index), images.unpack)
        if image is None:
            raise WorkspaceError(
                f"frame {index} is damaged in the workspace '{self.folder}'; run the same command "
                "again: the frames are read anew and what is painted is kept"
            )
        return image

    def save_frame(self, key: str, image: Image) -> None:
        """Keep a finished frame."""
        self._save_bytes(f"frames/{key}.qoi", images.pack(image))

    def frame(self, key: str) -> Image | None:
        """The finished frame, or None."""
        return self._bytes(f"frames/{key}.qoi", images.unpack)

    def has_frame(self, key: str) -> bool:
        """Whether the finished frame is there, and whole."""
        return self._whole(f"frames/{key}.qoi")

    def save_painted(self, key: str, painted: Painted) -> None:
        """Keep what was painted fresh."""
        mask = painted.mask.astype(np.uint8) * np.uint8(255)
        for form, data in (("qoi", images.pack(painted.image)), ("png", images.encode_png(mask))):
            self._save_bytes(f"painted/{key}.{form}", data)

    def painted(self, key: str, index: int) -> Painted | None:
        """What was painted fresh in frame `index`, or None."""
        image = self._bytes(f"painted/{key}.qoi", images.unpack)
        mask = self._bytes(f"painted/{key}.png", images.decode_png)
        return None if image is None or mask is None else Painted(index, image, mask[..., 0] > 0)

    def has_painted(self, key: str) -> bool:
        """Whether what was painted fresh is there, and whole."""
        return all(self._whole(f"painted/{key}.{form}") for form in ("qoi", "png"))

    def save_draft(self, key: str, draft: Draft) -> None:
        """Keep what a frame is made of, its places as `warp.rounded` and its weights to 1/255."""
        self._save_bytes(f"drafts/{key}.bin", draft_file.pack(draft))

    def draft(self, key: str) -> Draft | None:
        """What a frame is made of, or None."""
        return self._bytes(f"drafts/{key}.bin", draft_file.unpack)

    def drop_draft(self, key: str) -> None:
        """Forget it, if it is there."""
        with contextlib.suppress(OSError):  # one that stays costs its room, and nothing else
            (self.folder / "drafts" / f"{key}.bin").unlink(missing_ok=True)

    def _save(self, name: str, value: object) -> None:
        self._put(name, sealed_json.seal(name, value))

    def _kept(self, name: str, shape: sealed_json.Shape) -> Any | None:
        return self._read(name, lambda data: sealed_json.open_sealed(name, data, shape))

    def _save_bytes(self, name: str, data: bytes) -> None:
        self._put(name, data + _checksum(data, name))

    def _bytes(self, name: str, parse: Callable[[bytes], _Value]) -> _Value | None:
        return self._read(name, lambda data: parse(_unsealed(name, data)))

    def _whole(self, name: str) -> bool:
        """Whether a sealed picture is there and as it was written."""
        return self._bytes(name, len) is not None

    def _put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        with contextlib.suppress(OSError):  # an empty folder in the way holds nothing of anybody's
            path.rmdir()
        write_whole(path, data)

    def _read(self, name: str, parse: Callable[[bytes], _Value]) -> _Value | None:
        """What the file holds, or None where it is missing; a damaged one is, and is deleted."""
        path = self.folder / name
        try:
            return _parsed(path, parse)
        except ValueError:
            with contextlib.suppress(OSError):  # whoever makes it anew tells of it
                path.unlink(missing_ok=True)
            return None


def load_report(folder: Path, shape: sealed_json.Shape) -> dict[str, Any] | None:
    """What the last job in a workspace said of itself, or None where that is missing or damaged.

    Raises:
        WorkspaceError: it may not be read.
    """
    try:
        return _parsed(folder / REPORT, lambda data: sealed_json.open_sealed(REPORT, data, shape))
    except ValueError:
        return None


def _parsed(path: Path, parse: Callable[[bytes], _Value]) -> _Value | None:
    """What the file holds, or None where it is missing; ValueError where it is damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        folder = os.name == "nt" and path.is_dir()  # there to read a folder is forbidden
        if error.errno in _MISSING or folder:
            return None
        raise WorkspaceError(
            f"cannot read '{path}': {error.strerror or error}; see to it that it may be read, "
            "or name another workspace with --workspace"
        ) from error
    return parse(data)


def _source(key: str, index: int) -> str:
    return f"spool/{key}/{index:06}.qoi"


def _checksum(data: bytes, name: str = "") -> bytes:
    """Of the data and the file's name; without a name, as it was before names were in it."""
    return zlib.crc32(data, zlib.crc32(name.encode()) if name else 0).to_bytes(_SEAL, "big")


def _unsealed(name: str, data: bytes) -> bytes:
    """The data before their checksum; ValueError where they are not what they were."""
    held, seal = data[:-_SEAL], data[-_SEAL:]
    if not held or seal not in (_checksum(held, name), _checksum(held)):
        raise ValueError("the checksum is another")
    return held
