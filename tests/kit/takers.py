"""Processes that go on with an open pack when they are told to, all at one instant."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from maverick.checkpoints import Store, blob


class Takers:
    """So many processes, until the block ends. `gate` is one pipe from which all of them read."""

    def __init__(self, root: Path, count: int) -> None:
        self._count = count
        self._argv = [sys.executable, "-m", "kit.takers", str(root)]

    def __enter__(self) -> Self:
        gate, self._gate = os.pipe()
        path = ":".join([str(Path(__file__).parents[1]), *sys.path])
        with ExitStack() as stack:
            self._processes = [
                stack.enter_context(
                    subprocess.Popen(
                        [*self._argv, str(gate)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                        env={"PYTHONPATH": path},
                        pass_fds=[gate],
                    )
                )
                for _ in range(self._count)
            ]
            self._stack = stack.pop_all()
        os.close(gate)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        self._stack.close()
        os.close(self._gate)

    def own(self, runs: list[str]) -> None:
        """Have each process own one of *runs*; they are about to save then."""
        for process, run in zip(self._processes, runs, strict=True):
            self._tell(process, run)
        self._hear("owns")

    def save(self) -> list[str]:
        """Have all of them save at once; gives the checkpoints."""
        os.write(self._gate, bytes(self._count))
        return [self._line(process) for process in self._processes]

    def leave(self) -> None:
        """Have them leave their runs."""
        for process in self._processes:
            self._tell(process, "leave")
        self._hear("left")

    def _tell(self, process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()

    def _hear(self, line: str) -> None:
        for process in self._processes:
            assert line == self._line(process)

    def _line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()


def take_as_told(root: Path, gate: int) -> None:
    """Own the run of each line of standard input, save it once the gate opens, and leave it with
    the next line.
    """
    store = Store.open(root)
    for line in sys.stdin:
        run = line.strip()
        with store.own(run):
            say("owns")
            os.read(gate, 1)
            say(store.save(run, {("of",): blob(run.encode() * 50)}, parent=None).id)
            sys.stdin.readline()
        say("left")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    take_as_told(Path(sys.argv[1]), int(sys.argv[2]))
