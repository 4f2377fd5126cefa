"""What both ways to use the git binary share: the environment, reading and comparing commits, `git
gc`.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@example.com",
}


class Git:
    """A repository's folder, and commands in it. Nobody's configuration but the repository's
    counts.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder / "store"
        self.work = folder / "work"
        self.environment = _ENVIRONMENT | {
            "GIT_DIR": str(self.folder),
            "GIT_WORK_TREE": str(self.work),
        }
        self.work.mkdir(parents=True, exist_ok=True)
        if not self.folder.exists():
            self.run("init", "--quiet", "--initial-branch=none")
            for name, value in settings.items():
                self.run("config", name, value)

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Give the output of a git command."""
        return subprocess.run(
            ["git", *arguments],
            env=self.environment,
            cwd=self.work,
            input=stdin,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a git command that is talked to."""
        return subprocess.Popen(
            ["git", *arguments],
            env=self.environment,
            cwd=self.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def load(self, commit: str) -> dict[str, bytes]:
        """Read a whole commit in one process."""
        with tarfile.open(
            fileobj=io.BytesIO(self.run("archive", "--format=tar", commit))
        ) as archive:
            return {member.name: _read(archive, member) for member in archive if member.isfile()}

    def diff(self, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """Compare two commits in one process, read what differs in a second."""
        lines = self.run("diff-tree", "-r", "--no-renames", old, new).decode().splitlines()
        found = {line.partition("\t")[2]: line.split()[2:4] for line in lines}
        wanted = "".join(f"{each}\n" for pair in found.values() for each in pair)
        output = io.BytesIO(self.run("cat-file", "--batch", stdin=wanted.encode()))
        return {name: (_next(output), _next(output)) for name in found}

    def collect(self, keep: list[str]) -> None:
        """Remove the other branches and their logs, then collect what nothing leads to."""
        kept = {f"refs/heads/{run}" for run in keep}
        refs = self.run("for-each-ref", "--format=%(refname)", "refs/heads/").decode().split()
        commands = "".join(f"delete {ref}\n" for ref in refs if ref not in kept)
        self.run("update-ref", "--stdin", stdin=commands.encode())
        self.run("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
        self.run("gc", "--quiet", "--prune=now")


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _next(output: io.BytesIO) -> bytes:
    size = int(output.readline().split()[2])
    data = output.read(size)
    output.read(1)
    return data
