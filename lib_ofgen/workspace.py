"""The run's folder: what is finished, keyed by a digest of all that it depends on.

Every file is written whole under another name and then renamed, so that a file that is there is
finished, also after `kill -9`. A damaged one counts as missing: pictures end in a checksum.

    clips/DIGEST.json         the clip that a spool holds; written last
    spool/DIGEST/000000.qoi   the source's frames at the working size
    facts/DIGEST.json         cuts, key frames, and what is known of each finished frame, with a
                              small map of the frames in which its pixels were painted
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
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lib_ofgen import images, warp
from lib_ofgen.errors import WorkspaceError
from lib_ofgen.values import Box, Contribution, Fused, Image, Painted

__all__ = [
    "PROMPTS", "Workspace", "beside", "check_place", "clean", "digest", "file_digest",
    "write_whole",
]  # fmt: skip

_Value = TypeVar("_Value")
_PARTIAL = ".partial"
_FOLDERS = ("clips", "spool", "facts", "frames", "painted", "drafts")
PROMPTS = "prompts.csv"
"""The list of what the frames of the last job were painted by."""
_SUMMARIES = re.compile(
    rf"report\.json|report\.html|keys\.png|{re.escape(PROMPTS)}|"
    r"\.?beside-[0-9a-f]{32}(-[0-9a-f]{8}\.partial)?\.mp4"
)
"""Names of what stands beside the folders, a film's partial name too."""
_OURS = re.compile(
    rf"\.?([0-9a-f]{{32}}|\d{{6,}}|seed)\.(json|qoi|png|bin)({re.escape(_PARTIAL)})?"
)
"""Names of artifacts, finished or not."""
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


def beside(folder: Path, name: str) -> Path:
    """Where a workspace keeps a film beside its source; `name` is the digest of their frames."""
    return folder / f"beside-{name}.mp4"


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` under `path`, or leave everything as it was.

    Raises:
        WorkspaceError: it cannot be written; the message says where and why.
    """
    with _partial(path) as partial:
        partial.write_bytes(data)
        partial.replace(path)


def check_place(path: Path) -> None:
    """Nothing, if a file can be written to `path`; its folder is made.

    Raises:
        WorkspaceError: it cannot.
    """
    with _partial(path) as partial:
        partial.touch()


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, its folder made; nothing is left under it."""
    if path.is_dir():
        raise WorkspaceError(f"cannot write '{path}': it is a folder; give the name of a file")
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
    except OSError as error:
        raise WorkspaceError(_why(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _why(path: Path, error: OSError) -> str:
    remedy = "choose another place, such as another --workspace"
    if error.errno == errno.ENOSPC:
        remedy = "make room on the disk and run the same command again: what is done is kept"
    return f"cannot write '{path}': {error.strerror or error}; {remedy}"


def clean(folder: Path) -> int:
    """Delete a workspace; the bytes that this frees. What no job put there stays.

    Raises:
        WorkspaceError: the folder is no workspace, or a job is using it.
    """
    if not all((folder / name).is_dir() for name in _FOLDERS):
        raise WorkspaceError(f"'{folder}' is no workspace; give a folder that a job has made")
    freed = 0
    try:
        with Workspace(folder).locked():
            for item in list(_artifacts(folder)):
                freed += item.stat().st_size
                item.unlink()
    except OSError as error:
        raise WorkspaceError(f"cannot delete '{folder}': {error.strerror or error}") from error
    (folder / "lock").unlink(missing_ok=True)
    for place in (*(folder / "spool").iterdir(), *(folder / name for name in _FOLDERS), folder):
        with contextlib.suppress(OSError):  # what is not empty holds another's files
            place.rmdir()
    return freed


def _artifacts(folder: Path) -> Iterator[Path]:
    """The files that jobs have put into a workspace, but for the lock."""
    for name in _FOLDERS:
        yield from (item for item in (folder / name).rglob("*") if _OURS.fullmatch(item.name))
    yield from (item for item in folder.iterdir() if _SUMMARIES.fullmatch(item.name))


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
            raise WorkspaceError(_why(folder, error)) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, no other process can use the workspace; the lock goes with the process.

        Raises:
            WorkspaceError: another one does.
        """
        with _opened(self.folder / "lock") as file:
            try:
                _lock(file)
            except OSError as error:
                raise WorkspaceError(
                    f"another job is using the workspace '{self.folder}'; wait for it, or name "
                    "another with --workspace"
                ) from error
            yield

    def save_facts(self, key: str, facts: Any) -> None:
        """Keep a JSON value."""
        write_whole(self.folder / "facts" / f"{key}.json", _dumped(facts))

    def facts(self, key: str) -> Any | None:
        """The JSON value kept under `key`, or None."""
        return _read(self.folder / "facts" / f"{key}.json", json.loads)

    def save_clip(self, key: str, clip: dict[str, Any]) -> None:
        """Say that the spool under `key` is whole, and what it holds."""
        write_whole(self.folder / "clips" / f"{key}.json", _dumped(clip))

    def clip(self, key: str) -> dict[str, Any] | None:
        """What the spool under `key` holds, or None where a frame of it is missing or damaged."""
        clip = _read(self.folder / "clips" / f"{key}.json", json.loads)
        if clip is None or not all(_whole(self._source(key, i)) for i in range(len(clip["ticks"]))):
            return None
        return clip

    def save_source(self, key: str, index: int, image: Image) -> None:
        """Add a frame to the spool."""
        write_whole(self._source(key, index), _sealed(images.pack(image)))

    def source(self, key: str, index: int) -> Image:
        """Frame `index` of the spool.

        Raises:
            WorkspaceError: it is missing or damaged.
        """
        image = _read_sealed(self._source(key, index), images.unpack)
        if image is None:
            raise WorkspaceError(
                f"frame {index} is damaged in the workspace '{self.folder}'; run the same command "
                "again: the frames are read anew and what is painted is kept"
            )
        return image

    def _source(self, key: str, index: int) -> Path:
        return self.folder / "spool" / key / f"{index:06}.qoi"

    def save_frame(self, key: str, image: Image) -> None:
        """Keep a finished frame."""
        write_whole(self.folder / "frames" / f"{key}.qoi", _sealed(images.pack(image)))

    def frame(self, key: str) -> Image | None:
        """The finished frame, or None."""
        return _read_sealed(self.folder / "frames" / f"{key}.qoi", images.unpack)

    def save_painted(self, key: str, painted: Painted) -> None:
        """Keep what was painted fresh."""
        mask = painted.mask.astype(np.uint8) * np.uint8(255)
        for form, data in (("qoi", images.pack(painted.image)), ("png", images.encode_png(mask))):
            write_whole(self.folder / "painted" / f"{key}.{form}", _sealed(data))

    def painted(self, key: str, index: int) -> Painted | None:
        """What was painted fresh in frame `index`, or None."""
        image = _read_sealed(self.folder / "painted" / f"{key}.qoi", images.unpack)
        mask = _read_sealed(self.folder / "painted" / f"{key}.png", images.decode_png)
        return None if image is None or mask is None else Painted(index, image, mask[..., 0] > 0)

    def has_painted(self, key: str) -> bool:
        """Whether what was painted fresh is there, and whole."""
        return all(_whole(self.folder / "painted" / f"{key}.{form}") for form in ("qoi", "png"))

    def save_draft(self, key: str, draft: Fused) -> None:
        """Keep what a frame is made of, its places as `warp.rounded` and its weights to 1/255."""
        write_whole(self._draft(key), _sealed(_packed(draft)))

    def draft(self, key: str) -> Fused | None:
        """What a frame is made of, or None."""
        return _read_sealed(self._draft(key), _unpacked)

    def drop_draft(self, key: str) -> None:
        """Forget it, if it is there."""
        self._draft(key).unlink(missing_ok=True)

    def _draft(self, key: str) -> Path:
        return self.folder / "drafts" / f"{key}.bin"

    def has_frame(self, key: str) -> bool:
        """Whether the finished frame is there, and whole."""
        return _whole(self.folder / "frames" / f"{key}.qoi")


def _packed(draft: Fused) -> bytes:
    """The bytes of a draft: a line of JSON, then arrays; `_unpacked` reads them."""
    head: dict[str, Any] = {"size": draft.holes.shape, "parts": []}
    arrays: list[NDArray[Any]] = [np.packbits(draft.holes, axis=None)]
    for one in draft.contributions:
        fine = max(1 / warp.FINEST, float(np.abs(one.vectors).max()) / 32767)
        head["parts"].append([one.origin, one.box, fine])
        arrays.append(np.rint(one.vectors / np.float32(fine)).astype("<i2"))
        arrays.append(np.rint(one.weight * 255).astype(np.uint8))
    return b"".join([json.dumps(head).encode(), b"\n", *(array.tobytes() for array in arrays)])


def _unpacked(data: bytes) -> Fused:
    line, _, rest = data.partition(b"\n")
    head = json.loads(line)
    place, size = 0, tuple(head["size"])

    def take(kind: str, count: int) -> NDArray[Any]:
        nonlocal place
        array = np.frombuffer(rest, kind, count, place)
        place += array.nbytes
        return array

    holes = np.unpackbits(take("u1", -(-math.prod(size) // 8)), count=math.prod(size))
    parts: list[Contribution] = []
    for origin, sides, fine in head["parts"]:
        box = Box(*sides)
        vectors = take("<i2", 2 * math.prod(box.size)).reshape(2, *box.size)
        weight = take("u1", math.prod(box.size)).reshape(box.size)
        exact = vectors.astype(np.float32) * np.float32(fine)
        share = weight.astype(np.float32) * np.float32(1 / 255)
        parts.append(Contribution(origin, box, exact, share))
    return Fused(tuple(parts), holes.reshape(size).astype(np.bool_))


def _dumped(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def _read(path: Path, parse: Callable[[bytes], _Value]) -> _Value | None:
    """What the file holds, or None where it is missing; a damaged one is deleted, and missing."""
    try:
        return parse(path.read_bytes())
    except OSError:
        return None
    except ValueError:
        path.unlink(missing_ok=True)
        return None


def _sealed(data: bytes) -> bytes:
    """The data and their checksum."""
    return data + zlib.crc32(data).to_bytes(_SEAL, "big")


def _unsealed(data: bytes) -> bytes:
    """The data that `_sealed` was given; ValueError where they are not what they were."""
    if zlib.crc32(data[:-_SEAL]) != int.from_bytes(data[-_SEAL:], "big") or len(data) <= _SEAL:
        raise ValueError("the checksum is another")
    return data[:-_SEAL]


def _read_sealed(path: Path, parse: Callable[[bytes], _Value]) -> _Value | None:
    return _read(path, lambda data: parse(_unsealed(data)))


def _whole(path: Path) -> bool:
    """Whether a sealed file is there and as it was written."""
    return _read(path, _unsealed) is not None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("ab")
    except OSError as error:
        raise WorkspaceError(_why(path, error)) from error
    with file:
        yield file


def _lock(file: IO[bytes]) -> None:
    """Take the file for this process until it is closed; OSError where another has it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
