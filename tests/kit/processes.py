"""`Bench`: real processes under a `Processes` in a folder, and looking at who runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.patience import PATIENCE_SECONDS
from maverick.dsl.processes import groups
from maverick.dsl.processes.child import OnOutput
from maverick.dsl.processes.processes import Completed, NotedGroup, Processes, Stop

IGNORES_TERM = "trap '' TERM; echo $$; while :; do sleep 60; done"


def until(condition: Callable[[], Any]) -> Any:
    """What *condition* gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
    return result


def runs(pid: int) -> bool:
    process = groups.find_process(pid)
    return process is not None and not process.zombie


@dataclass
class Bench:
    """A `Processes` in a folder, with what it noted."""

    folder: Path
    stop: Stop = field(default_factory=Stop)
    noted: list[list[NotedGroup]] = field(default_factory=list)
    grace: float = 5.0

    def __post_init__(self) -> None:
        self.processes = Processes(self.stop, self.noted.append, grace=self.grace)

    def sh(self, script: str, **options: Any) -> Completed:
        return self.processes.run(["bash", "-c", script], cwd=self.folder, **options)

    def python(self, script: str, **options: Any) -> Completed:
        options.setdefault("cwd", self.folder)
        return self.processes.run([sys.executable, "-c", script], **options)

    @property
    def leader(self) -> int:
        """The pid of the first command, once that is noted."""
        return next(group["pid"] for noted in self.noted for group in noted if "pid" in group)

    def stop_once(self, *_: object) -> None:
        """Ask to stop at the first output, and not again (which would make it urgent)."""
        if not self.stop.requested:
            self.stop.request("enough")

    def stop_at(self, word: bytes) -> OnOutput:
        """Give what asks to stop once *word* is written; a shell may write something of its own
        before.
        """
        return lambda _stream, data: self.stop_once() if word in data else None


class Clock:
    """Stands in for the module `time`: real, until somebody lets it jump over every timeout."""

    def __init__(self) -> None:
        self._jumped = 0.0

    def jump(self, *_: object) -> None:
        """Let a thousand seconds pass."""
        self._jumped = 1000.0

    def monotonic(self) -> float:
        return time.monotonic() + self._jumped
