"""Where things stand in a store's folder, and `format.json`, which says who may read and write
it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import (
    MISPLACED,
    DenialExplained,
    create_folder,
    open_lock,
    replace,
)
from maverick.errors import FormatDamaged, NotFound, StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
import re
from functools import lru_cache

from maverick.errors import UsageError

VERSION = 2
LAST_COMMIT_OF_VERSION_1 = "ea2b6a2"
RESERVE_BYTES = 1 << 20
FOLDERS = ("objects", "refs", "owners", "tmp", "trash", "quarantine", "cache")
LOGS = "logs"
LOCKS = ("store.lock", "gc.lock", "refs.lock")
_MAVERICK, _CHECKPOINTS = ".maverick", "checkpoints"
"""A project's store is the one in the other."""


class Format(NamedTuple):
    """What `format.json` says: the version, and the features that a reader, a writer or gc must
    know.
    """

    version: int
    read: frozenset[str]
    write: frozenset[str]
    gc: frozenset[str]

    def require_read(self, root: Path) -> None:
        """Raise StoreTooNew if this version cannot read the store."""
        if self.version < VERSION:
            raise StoreTooNew(
                f"the store {root} has format {self.version}, which was never released; the last "
                f"commit that reads it is {LAST_COMMIT_OF_VERSION_1}; move the store away to begin "
                "a new one"
            )
        if self.version > VERSION:
            raise StoreTooNew(
                f"the store {root} has format {self.version}, this version knows {VERSION}; "
                "update maverick"
            )
        _require("read", self.read, root)

    def require_write(self, root: Path) -> None:
        """Raise StoreTooNew if this version can read the store but must not save into it."""
        _require("write", self.write, root)

    def require_gc(self, root: Path) -> None:
        """Raise StoreTooNew if this version must not remove anything from the store."""
        self.require_write(root)
        _require("gc", self.gc, root)


def _require(use: str, features: frozenset[str], root: Path) -> None:
    if features:
        raise StoreTooNew(
            f"the store {root} has features that this version does not know ({use}: "
            f"{', '.join(sorted(features))}); update maverick"
        )


_OWN_NAMES = frozenset({*FOLDERS, *LOCKS, LOGS, "byhand", "reserve", ".gitignore", "format.json"})
"""What stands in a store's folder."""
_PROJECT_NAMES = frozenset({".git", _MAVERICK, "maverick.yaml"})
CURRENT = Format(VERSION, frozenset(), frozenset(), frozenset())
"""What a new store says; there are no features yet that only some versions know."""


def encode_format(form: Format) -> bytes:
    """Give the bytes of `format.json`."""
    features = {"gc": sorted(form.gc), "read": sorted(form.read), "write": sorted(form.write)}
    return sealed.seal(
        {"features": features, "format": "maverick checkpoints", "version": form.version}
    )


def read_format(files: Files, root: Path) -> Format:
    """Read `format.json`.

    Raises:
        NotFound: there is no store.
        FormatDamaged: it is missing while there are objects or refs, or is torn or altered.
        StoreTooNew: this version cannot read the store.
    """
    form = None
    try:
        form = _parse_format(sealed.unseal(files.read(root / "format.json")))
    except (FileNotFoundError, NotADirectoryError):
        if _has_content(files, root):
            raise FormatDamaged(
                f"{root}/format.json is missing, but the store holds objects; run `maverick "
                "checkpoint fsck --repair`"
            ) from None
        raise NotFound(f"there is no checkpoint store at {root}; the first run makes one") from None
    except OSError as error:
        if error.errno not in MISPLACED:
            raise
    if form is None:
        raise FormatDamaged(
            f"{root}/format.json is torn or altered; run `maverick checkpoint fsck --repair`"
        )
    form.require_read(root)
    return form


def find_store(files: Files, folder: Path) -> tuple[Path, Format]:
    """Give where the store is that *folder* is, or is the project of; and what its format says.

    Raises as `read_format`, of *folder* itself where it holds no store.
    """
    try:
        return folder, read_format(files, folder)
    except (NotFound, FormatDamaged) as error:
        inside = _CHECKPOINTS if folder.name == _MAVERICK else f"{_MAVERICK}/{_CHECKPOINTS}"
        root = folder / inside
        if os.path.lexists(root):
            with suppress(NotFound):
                return root, read_format(files, root)
        if isinstance(error, NotFound):
            raise NotFound(
                f"there is no checkpoint store at {folder}, nor at {root}; the first run makes one"
            ) from None
        raise


def require_own_folder(files: Files, root: Path) -> None:
    """Refuse to make a store where it would write into what is somebody else's.

    Raises:
        UsageError: *root* is a project or `.maverick`, or holds such names as a store does beside
            others.
    """
    try:
        names = set(files.list(root))
    except (FileNotFoundError, NotADirectoryError):  # Making it tells what is wrong with a file.
        names = set()
    others = names - _OWN_NAMES
    marks = (names & _PROJECT_NAMES) or (others and names & _OWN_NAMES)
    if root.name == _MAVERICK:
        raise UsageError(
            f"{root} is no place for a checkpoint store; make it at {root / _CHECKPOINTS}"
        )
    if marks:
        raise UsageError(
            f"{root} cannot become a checkpoint store: it holds {min(marks)} and other files; make "
            f"it at {root / _MAVERICK / _CHECKPOINTS}"
        )


def _parse_format(fields: object) -> Format | None:
    match fields:
        case {
            "format": "maverick checkpoints",
            "version": int(version),
            "features": {"read": list(read), "write": list(write), "gc": list(gc)},
        }:
            return Format(version, frozenset(read), frozenset(write), frozenset(gc))
    return None


def _has_content(files: Files, root: Path) -> bool:
    for folder in ("objects", "refs"):
        try:
            if files.list(root / folder):
                return True
        except (FileNotFoundError, NotADirectoryError):
            continue
    return False


def create(files: Files, root: Path) -> None:
    """Make what is missing of a store at *root*; `format.json` comes last, so a half-made one is
    none.

    Safe while another process does the same: both write the same bytes.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    for missing in reversed(made[1:]):
        with suppress(FileExistsError):
            create_folder(missing, 0o777)
    files.make_folder(root)
    for folder in FOLDERS:
        files.make_folder(root / folder)
    for lock in LOCKS:
        os.close(open_lock(root / lock))
    replace(files, temporary(root), root / ".gitignore", [b"*\n"])
    fill_reserve(files, root)
    replace(files, temporary(root), root / "format.json", [encode_format(CURRENT)])
    for new in made:
        files.sync_folder(new.parent)


def mend(files: Files, root: Path) -> None:
    """Make the folders again that hold nothing for long, where somebody has removed them."""
    for folder in FOLDERS:
        if folder not in ("objects", "refs"):
            with suppress(OSError):  # a read-only store needs none of them
                files.make_folder(root / folder)


def misplaced(files: Files, root: Path) -> Iterator[str]:
    """Yield the paths in the store *root* at which it has a folder, and there is none, or a file;
    what is missing is not misplaced.
    """
    for folder in (*FOLDERS, LOGS, "byhand"):
        if os.path.lexists(root / folder) and not (root / folder).is_dir():
            yield folder
    inside = [
        f"{folder}/{name}"
        for folder in ("objects", "refs", "owners", "byhand")
        if (root / folder).is_dir()
        for name in sorted(files.list(root / folder))
    ]
    for file in ("format.json", *LOCKS, *inside):
        path = root / file
        with DenialExplained("read", path):
            is_lock = file in LOCKS or path.parent.name == "owners"
            is_right = path.is_file() and not (is_lock and path.is_symlink())
            if not is_right and os.path.lexists(path):
                yield file


def list_folder(files: Files, root: Path, name: str) -> list[str]:
    """Give the names in `objects/`, `refs/` or `owners/`.

    Raises:
        StoreDamaged: the folder is missing, or is none.
    """
    try:
        return files.list(root / name)
    except (FileNotFoundError, NotADirectoryError) as error:
        is_there = isinstance(error, NotADirectoryError)
        why = f"{root}/{name} is no folder" if is_there else f"the folder {root}/{name} is missing"
        raise StoreDamaged(f"{why}; run `maverick checkpoint fsck`") from None


_PACK = re.compile(r"[0-9a-f]{64}\.pack|[0-9a-f]{32}\.open")


def is_pack(file: str) -> bool:
    """Say whether *file* is the name of a pack's file, sealed or open."""
    return _PACK.fullmatch(file) is not None


def temporary(root: Path) -> Path:
    """Give a name in `tmp/` that nobody else has."""
    return root / f"tmp/{os.getpid()}-{os.urandom(8).hex()}"


def fill_reserve(files: Files, root: Path) -> None:
    """Write `reserve` unless it is there: bytes to give away when the disk is full."""
    if "reserve" not in files.list(root):
        # Random, because a file system that compresses would keep no space for zeros.
        replace(files, temporary(root), root / "reserve", [os.urandom(RESERVE_BYTES)])


_GRACE_MS = 3_600_000


def is_leftover(files: Files, path: Path) -> bool:
    """Say whether the file *path* in `tmp/` was left by a writer that is gone: its process has
    ended, or it is an hour old. Raises FileNotFoundError.
    """
    age_ms = time.time_ns() // 1_000_000 - files.modified(path)
    return age_ms >= _GRACE_MS or not writer_lives(path.name)


def writer_lives(name: str) -> bool:
    """Say whether the process that gave a temporary file its *name* lives; True if the name does
    not say who.
    """
    pid = name.partition("-")[0]
    if not (pid.isascii() and pid.isdigit() and 0 < int(pid) < 1 << 31):
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


_MAX_FILE_NAME_BYTES = 200


_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_ESCAPES = {byte: chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in range(256)}
_SHORT_ESCAPES = _ESCAPES | {
    byte: f"^{chr(byte).lower()}" for byte in range(ord("A"), ord("Z") + 1)
}


@lru_cache(maxsize=1 << 12)
def file_name(run: str) -> str:
    """Give the file name that stands for *run*: `a-z0-9-_` and `.` (not first) as they are, else
    `%xx`; where that is too long, of a capital letter `^` and the small one.

    Raises:
        UsageError: the run's id is empty, longer than a file name can be, or not printable.
    """
    if not run or not run.isprintable():
        raise UsageError(f"{run!r} cannot be the id of a run: it must be printable text")
    name = _escaped(run, _ESCAPES)
    if len(name) > _MAX_FILE_NAME_BYTES:
        name = _escaped(run, _SHORT_ESCAPES)
    if len(name) > _MAX_FILE_NAME_BYTES:
        raise UsageError(
            f"the run id {run[:40]!r}… is too long: escaped it may have {_MAX_FILE_NAME_BYTES} "
            "bytes"
        )
    return name


def _escaped(run: str, escapes: Mapping[int, str]) -> str:
    name = "".join(escapes[byte] for byte in run.encode("utf-8"))
    return f"%2e{name[1:]}" if name.startswith(".") else name


def run_name(name: str) -> str | None:
    """Give the run that the file *name* stands for; None if it stands for none."""
    try:
        raw = re.sub(
            rb"%([0-9a-f]{2})|\^([a-z])",
            lambda match: bytes([int(match[1], 16)]) if match[1] else match[2].upper(),
            name.encode("utf-8"),
        )
        run = raw.decode("utf-8")
        return run if file_name(run) == name else None
    except (UnicodeError, UsageError):
        return None
