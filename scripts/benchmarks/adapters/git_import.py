"""`git fast-import`: one process for all saves, a branch for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from adapters.git_process import Git
from adapters.subject import content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapters.subject import State


class FastImport:
    """Commits streamed into one pack, which becomes readable when the stream ends."""

    name: ClassVar[str] = "git fast-import"
    durable: ClassVar[str] = "no"
    how: ClassVar[str] = (
        "one stream, a save is done when `get-mark` answers; all are lost if it dies; `git gc`"
    )
    skips: ClassVar[Mapping[str, str]] = {"large": "as the next row: most is zlib"}
    settings: ClassVar[dict[str, str]] = {"gc.auto": "0", "fastimport.unpackLimit": "1"}
    checkpoints: ClassVar[bool] = False

    def open(self, folder: Path) -> None:
        """Open or make the repository."""
        self.git = Git(folder, self.settings)
        self.process = None
        self.marks = 0
        self.known: set[str] = set()

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Send a commit and wait until it is acknowledged."""
        if self.process is None:
            self.process = self.git.start("fast-import", "--quiet", "--done")
        send = self.process.stdin
        self.marks += 1
        send.write(f"commit refs/heads/{run}\nmark :{self.marks}\n".encode())
        send.write(b"committer bench <bench@example.com> 1700000000 +0000\ndata 10\ncheckpoint\n")
        for name, piece in changed.items():
            data = content(piece)
            send.write(f"M 100644 inline {name}\ndata {len(data)}\n".encode())
            send.write(data)
            send.write(b"\n")
        if self.checkpoints:
            send.write(b"checkpoint\n")
        send.write(f"get-mark :{self.marks}\n".encode())
        send.flush()
        answer = self.process.stdout.readline().decode().strip()
        if len(answer) != 40:
            raise RuntimeError(f"git fast-import answered {answer!r}")
        return answer

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Read a commit."""
        self._end()
        return self.git.load(checkpoint)

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Compare two commits."""
        self._end()
        return self.git.diff(old, new)

    def collect(self, keep: list[str]) -> None:
        """Collect garbage."""
        self._end()
        self.git.collect(keep)

    def close(self) -> None:
        """End the stream."""
        self._end()

    def _end(self) -> None:
        if self.process is not None:
            self.process.stdin.write(b"done\n")
            self.process.communicate()
            if self.process.returncode:
                raise RuntimeError(f"git fast-import ended with {self.process.returncode}")
            self.process = None


class FastImportSynced(FastImport):
    """A `checkpoint` after each commit: the pack is closed and synced, the branch moved."""

    name: ClassVar[str] = "git fast-import, checkpoint"
    durable: ClassVar[str] = "content"
    how: ClassVar[str] = (
        "the same with `checkpoint` after each commit and `core.fsync = committed,reference`"
    )
    skips: ClassVar[Mapping[str, str]] = dict.fromkeys(("load", "diff", "gc"), "as the row before")
    settings: ClassVar[dict[str, str]] = FastImport.settings | {"core.fsync": "committed,reference"}
    checkpoints: ClassVar[bool] = True
