"""A job's folder: finished artifacts, each under a digest of everything that it depends on.

Every file is written under another name and then renamed, so that an existing file is complete,
also after `kill -9`. A damaged or renamed file counts as missing: pictures end in a checksum, JSON
in a seal, and both include the file's name. From workspaces of versions without seals, pictures and
the drawn seed are used; the other facts are computed again, without painting.

    clips/DIGEST.json         the clip whose frames are in the spool; written last
    spool/DIGEST/000000.qoi   the source's frames at the working size
    facts/DIGEST.json         cuts, key frames, and a record of each finished frame, with a small
                              map of the frames in which its pixels were painted
    facts/seed.json           the seed, if one was drawn; clips/seed.json is a second copy
    frames/DIGEST.qoi         finished frames
    painted/DIGEST.qoi, .png  what was painted in a frame, and its mask
    drafts/DIGEST.bin         the draft of an unfinished frame; deleted after use
    beside-DIGEST.mp4         the film beside its source, if that was asked for
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lib_ofgen.errors import WorkspaceError
from lib_ofgen.imaging import images
from lib_ofgen.store import artifact_file, draft_file
from lib_ofgen.system import files, sealed_json
from lib_ofgen.system.regular_file import hash_file
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
"""The list of the prompts of the last job's frames."""
REPORT = "report.json"
"""The last job's report; it is sealed under this name."""
_SUMMARIES = (REPORT, "report.html", "keys.png", PROMPTS)
"""Files that a job writes beside the folders when it ends."""
_OURS = re.compile(
    rf"{files.LEFT_OVER}|([0-9a-f]{{32}}|[0-9]{{6,}}|seed)\.(json|qoi|png|bin)|"
    r"\.([0-9a-f]{32}|[0-9]{6,}|seed)\.(json|qoi|png|bin)\.partial"
)
"""Names of artifacts, finished or not; the last are partial files of earlier versions."""
_BESIDE = re.compile(
    rf"{files.LEFT_OVER}|beside-[0-9a-f]{{32}}\.mp4|\.beside-[0-9a-f]{{32}}\.mp4\.lock|"
    r"\.beside-[0-9a-f]{32}-[0-9a-f]{8}\.partial\.mp4"
)
"""Names of films beside their source, finished or not, and of files that dead jobs left."""
_SEEDS = ("clips/seed.json", "facts/seed.json")
_SEED = sealed_json.whole(0, 2**32 - 1)


def digest(*parts: object) -> str:
    """Return 32 hex digits that change when any part (any JSON value) does."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: Path) -> str:
    """Return 32 hex digits that change when the file's content does.

    Raises:
        OSError: if it cannot be read, or is not a regular file.
    """
    return hash_file(path)[:32]


def side_by_side_path(folder: Path, name: str) -> Path:
    """Return the path of a film beside its source; `name` is the digest of their frames."""
    return folder / f"beside-{name}.mp4"


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, or leave everything as it was; a symbolic link stays one.

    Raises:
        WorkspaceError: if it cannot be written; the message says where and why.
    """
    with _make_folder(path):
        files.write_file(path, data)


def check_writable(path: Path) -> None:
    """Check that a file can be written to `path`; its folder is made.

    Raises:
        WorkspaceError: if it cannot be written.
    """
    with _make_folder(path):
        files.Partial(path).drop()


@contextlib.contextmanager
def _make_folder(path: Path) -> Iterator[None]:
    """Make the folder of a file that is written inside; explain errors in one line."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise WorkspaceError(files.write_error_line(path, error)) from error


def require(index: int, artifact: _Value | None, place: object) -> _Value:
    """Return the artifact, which must exist.

    Raises:
        WorkspaceError: if it is None: it was damaged meanwhile.
    """
    if artifact is None:
        raise WorkspaceError(
            f"frame {index} was damaged in the workspace '{place}'; run the "
            "same command again: it is made anew and the rest is kept"
        )
    return artifact


def delete_workspace(folder: Path) -> int:
    """Delete a workspace; return the freed bytes. Files that no job put there stay.

    Raises:
        WorkspaceError: if the folder is not a workspace, or a job is using it.
    """
    freed = 0
    try:
        if not all((folder / name).is_dir() for name in _FOLDERS):
            raise WorkspaceError(
                f"'{folder}' is not a workspace; give a folder that a job has made"
            )
        with Workspace(folder).lock(keep=False):
            for item in list(_artifacts(folder)):
                freed += item.stat().st_size
                item.unlink()
    except OSError as error:
        raise WorkspaceError(f"cannot delete '{folder}': {error.strerror or error}") from error
    for place in (*(folder / "spool").iterdir(), *(folder / name for name in _FOLDERS), folder):
        with contextlib.suppress(OSError):  # a folder that is not empty holds other files
            place.rmdir()
    return freed


def _artifacts(folder: Path) -> Iterator[Path]:
    """Yield the files that jobs have put into a workspace, except the lock."""
    for name in _FOLDERS:
        yield from (item for item in (folder / name).rglob("*") if _is_ours(item, _OURS))
    locks = {f".{name}.lock" for name in _SUMMARIES}
    for item in folder.iterdir():
        if item.name in {*_SUMMARIES, *locks} or _is_ours(item, _BESIDE):
            yield item


def _is_ours(path: Path, names: re.Pattern[str]) -> bool:
    return names.fullmatch(path.name) is not None and not path.is_dir()


class Workspace:
    """One folder of artifacts; made if it is missing."""

    def __init__(self, folder: Path) -> None:
        """Take `folder` as the workspace.

        Raises:
            WorkspaceError: if it cannot be made or written.
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
        """Lock the workspace against other processes inside; the lock ends with the process.

        Unfinished files of dead writers are deleted. Without `keep`, the lock's file is too.

        Raises:
            WorkspaceError: if another process uses the workspace.
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
        """Store a JSON value."""
        self._save(f"facts/{key}.json", facts)

    def facts(self, key: str, shape: sealed_json.Shape = sealed_json.any_value) -> Any | None:
        """Return the JSON value under `key`; None if it is missing or has another shape."""
        return self._load(f"facts/{key}.json", shape)

    def save_clip(self, key: str, clip: dict[str, Any]) -> None:
        """Store the clip under `key`, after all of its frames."""
        self._save(f"clips/{key}.json", clip)

    def clip(
        self, key: str, shape: sealed_json.Shape = sealed_json.any_value
    ) -> dict[str, Any] | None:
        """Return the clip under `key`, or None if a frame of it is missing or damaged."""
        timed = sealed_json.record(ticks=sealed_json.items(sealed_json.whole(0), least=1))
        clip = self._load(f"clips/{key}.json", lambda value: timed(value) and shape(value))
        if clip is None or not all(self._whole(_source(key, i)) for i in range(len(clip["ticks"]))):
            return None
        return clip

    def save_seed(self, seed: int) -> None:
        """Store the drawn seed twice: all painting depends on it, and it cannot be computed again.

        Raises:
            WorkspaceError: if it cannot be written.
        """
        for name in _SEEDS:
            self._write(name, sealed_json.seal("seed", seed))

    def seed(self) -> int | None:
        """Return the drawn seed, or None; write a lost or damaged copy again."""
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
        """Return the seed of a workspace of a version without seals: it has no second copy."""
        second, first = (self.folder / name for name in _SEEDS)
        try:
            if second.exists():
                return None
            found = json.loads(first.read_bytes())
        except (OSError, ValueError):
            return None
        return found if _SEED(found) else None

    def check(self) -> None:
        """Check that the files that a job writes beside the folders can be written.

        Raises:
            WorkspaceError: if one cannot, for example because a folder has its name.
        """
        for name in _SUMMARIES:
            check_writable(self.folder / name)

    def save_source(self, key: str, index: int, image: Image) -> None:
        """Store a frame of the source."""
        self._save_bytes(_source(key, index), images.pack(image))

    def source(self, key: str, index: int) -> Image:
        """Return the source's frame `index`.

        Raises:
            WorkspaceError: if it is missing or damaged.
        """
        image = self._load_bytes(_source(key, index), images.unpack)
        if image is None:
            raise WorkspaceError(
                f"frame {index} is damaged in the workspace '{self.folder}'; run the same command "
                "again: the frames are read anew and what is painted is kept"
            )
        return image

    def save_frame(self, key: str, image: Image) -> None:
        """Store a finished frame."""
        self._save_bytes(f"frames/{key}.qoi", images.pack(image))

    def frame(self, key: str) -> Image | None:
        """Return the finished frame, or None."""
        return self._load_bytes(f"frames/{key}.qoi", images.unpack)

    def has_frame(self, key: str) -> bool:
        """Whether the finished frame exists and is undamaged."""
        return self._whole(f"frames/{key}.qoi")

    def save_painted(self, key: str, painted: Painted) -> None:
        """Store what was painted in a frame."""
        mask = painted.mask.astype(np.uint8) * np.uint8(255)
        for form, data in (("qoi", images.pack(painted.image)), ("png", images.encode_png(mask))):
            self._save_bytes(f"painted/{key}.{form}", data)

    def paint(self, key: str, index: int) -> Painted | None:
        """Return what was painted in frame `index`, or None."""
        image = self._load_bytes(f"painted/{key}.qoi", images.unpack)
        mask = self._load_bytes(f"painted/{key}.png", images.decode_png)
        return None if image is None or mask is None else Painted(index, image, mask[..., 0] > 0)

    def has_painted(self, key: str) -> bool:
        """Whether what was painted exists and is undamaged."""
        return all(self._whole(f"painted/{key}.{form}") for form in ("qoi", "png"))

    def save_draft(self, key: str, draft: Draft) -> None:
        """Store a draft, its vectors rounded to 1/`warp.FINEST` px and its weights to 1/255."""
        self._save_bytes(f"drafts/{key}.bin", draft_file.pack(draft))

    def draft(self, key: str) -> Draft | None:
        """Return the draft, or None."""
        return self._load_bytes(f"drafts/{key}.bin", draft_file.unpack)

    def drop_draft(self, key: str) -> None:
        """Delete the draft, if it exists."""
        with contextlib.suppress(OSError):  # a draft that stays only takes room
            (self.folder / "drafts" / f"{key}.bin").unlink(missing_ok=True)

    def _save(self, name: str, value: object) -> None:
        self._write(name, sealed_json.seal(name, value))

    def _load(self, name: str, shape: sealed_json.Shape) -> Any | None:
        return self._read(name, lambda data: sealed_json.open_sealed(name, data, shape))

    def _save_bytes(self, name: str, data: bytes) -> None:
        self._write(name, artifact_file.add_checksum(name, data))

    def _load_bytes(self, name: str, parse: Callable[[bytes], _Value]) -> _Value | None:
        return self._read(name, lambda data: parse(artifact_file.remove_checksum(name, data)))

    def _whole(self, name: str) -> bool:
        """Whether a picture exists and is undamaged."""
        return self._load_bytes(name, len) is not None

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        with contextlib.suppress(OSError):  # an empty folder in the way holds no files
            path.rmdir()
        write_whole(path, data)

    def _read(self, name: str, parse: Callable[[bytes], _Value]) -> _Value | None:
        """Return the parsed file, or None if it is missing; a damaged one is deleted."""
        path = self.folder / name
        try:
            return artifact_file.read_file(path, parse)
        except ValueError:
            with contextlib.suppress(OSError):  # writing it again will report the error
                path.unlink(missing_ok=True)
            return None


def load_report(folder: Path, shape: sealed_json.Shape) -> dict[str, Any] | None:
    """Return the report of the last job in a workspace, or None if it is missing or damaged.

    Raises:
        WorkspaceError: if it may not be read.
    """
    try:
        return artifact_file.read_file(
            folder / REPORT, lambda data: sealed_json.open_sealed(REPORT, data, shape)
        )
    except ValueError:
        return None


def _source(key: str, index: int) -> str:
    return f"spool/{key}/{index:06}.qoi"
