"""What tests of workspaces do again and again: look at a tree, count reads, and fail or stop a
restore.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kit.faults import Killed
from maverick.checkpoints import Checkpoint, Store
from maverick.checkpoints.workspace import (
    CaptureReport,
    Disk,
    Places,
    Workspace,
    capture,
    open_workspace,
    plan_restore,
)

Tree = dict[str, tuple[str, bytes]]


def later() -> int:
    """Ten seconds from now, in nanoseconds: nothing was touched just before it."""
    return time.time_ns() + 10_000_000_000


class CountingDisk(Disk):
    """Knows which files were read."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def read(self, path: str, size: int) -> tuple[bytes, os.stat_result]:
        self.paths.append(path)
        return super().read(path, size)

    @contextmanager
    def parts(
        self, path: str
    ) -> Iterator[tuple[Callable[[int], bytes], Callable[[], os.stat_result]]]:
        self.paths.append(path)
        with super().parts(path) as opened:
            yield opened

    def read_link(self, path: str) -> tuple[bytes, os.stat_result]:
        self.paths.append(path)
        return super().read_link(path)

    def names(self) -> list[str]:
        """The names of the files read since the last call."""
        names = sorted(Path(path).name for path in self.paths)
        self.paths.clear()
        return names


class WatchedPlaces(Places):
    """Calls `before` ahead of each operation; `done` lists them."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def before(self, operation: str) -> None:
        self.done.append(operation)

    def make_folder(self, folder: int, name: str) -> None:
        self.before("make_folder")
        super().make_folder(folder, name)

    def create(self, folder: int, name: str, mode: int) -> int:
        self.before("create")
        return super().create(folder, name, mode)

    def write(self, descriptor: int, data: bytes) -> None:
        self.before("write")
        super().write(descriptor, data)

    def link(self, folder: int, name: str, target: bytes) -> None:
        self.before("link")
        super().link(folder, name, target)

    def rename(self, folder: int, source: str, target: str) -> None:
        self.before("rename")
        super().rename(folder, source, target)

    def unlink(self, folder: int, name: str) -> None:
        self.before("unlink")
        super().unlink(folder, name)

    def remove_folder(self, folder: int, name: str) -> None:
        self.before("remove_folder")
        super().remove_folder(folder, name)


class CrashingPlaces(WatchedPlaces):
    """Ends the process ahead of operation number *after*; a write gets half its bytes out."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after
        self._crashed = False

    def before(self, operation: str) -> None:
        if self._crashed or len(self.done) == self._after:
            self._crashed = True
            raise Killed
        super().before(operation)

    def write(self, descriptor: int, data: bytes) -> None:
        if len(self.done) == self._after and not self._crashed:
            os.write(descriptor, data[: len(data) // 2])
        super().write(descriptor, data)


class FullPlaces(WatchedPlaces):
    """Gives an error from operation number *after* on, but for removals."""

    def __init__(self, after: int, code: int) -> None:
        super().__init__()
        self._after = after
        self._code = code
        self.failed = False

    def before(self, operation: str) -> None:
        if (
            operation in {"make_folder", "create", "write", "link"}
            and len(self.done) >= self._after
        ):
            self.failed = True
            raise OSError(self._code, os.strerror(self._code))
        super().before(operation)


class Project:
    """A folder with files, a store beside it, and the run that its snapshots are saved to."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.root = folder / "project"
        self.root.mkdir(parents=True, exist_ok=True)
        self.store = Store.create(folder / "store")
        self.disk = CountingDisk()
        self.options = options
        self.tip: Checkpoint | None = None

    @property
    def workspace(self) -> Workspace:
        options = {"git": False, "disk": self.disk, "clock": later, **self.options}
        return open_workspace(self.root, **options)  # type: ignore[arg-type]

    def put(self, path: str, text: str | bytes = "") -> Path:
        """Write a file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def save(self, *, skip_unreadable: bool = False) -> CaptureReport:
        """Save a snapshot."""
        taken = capture(self.store, self.workspace, skip_unreadable=skip_unreadable)
        self.tip = self.store.save("run", taken.changes, parent=self.tip)
        return taken.report

    def restore(
        self, revision: str, places: Places | None = None, paths: tuple[str, ...] = ()
    ) -> None:
        """Restore the files of a checkpoint."""
        plan_restore(self.store, self.store.load(revision), self.workspace, paths).execute(
            places=places
        )

    def saved(self) -> list[str]:
        """The paths in the newest snapshot; folders that are not empty are left out."""
        snapshot = self.store.load("run")
        if snapshot.entry("workspace").kind != "tree":
            return []
        return [
            "/".join(path[1:]) for path, entry in snapshot.walk("workspace") if entry.kind != "tree"
        ]


def look(root: Path) -> Tree:
    """Everything below *root* but `.git`: what it is, and its bytes. A folder counts if it is
    empty.
    """
    found: Tree = {}
    for path in root.iterdir():
        if path.name in {".git", ".maverick"}:
            continue
        name = path.name
        if path.is_symlink():
            found[name] = ("link", os.fsencode(path.readlink()))
        elif path.is_dir():
            inside = look(path)
            found |= {f"{name}/{below}": it for below, it in inside.items()} or {
                name: ("folder", b"")
            }
        elif path.is_file():
            found[name] = ("program" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
    return found


def git(root: Path, *arguments: str) -> str:
    """Run git; gives what it says."""
    words = [
        "git",
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "protocol.file.allow=always",
        *arguments,
    ]
    return subprocess.run(words, cwd=root, check=True, capture_output=True, text=True).stdout
