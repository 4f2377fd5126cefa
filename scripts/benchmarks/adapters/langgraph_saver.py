"""langgraph-checkpoint-sqlite: a thread for each run, a channel for each entry, the whole state in
each checkpoint.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite import SqliteSaver

from adapters.subject import contents, differences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapters.subject import State


class LangGraph:
    """`SqliteSaver.put`, as a compiled graph calls it. SQLite's default, WAL with `synchronous =
    FULL`, syncs each.
    """

    name: ClassVar[str] = "langgraph-checkpoint-sqlite"
    durable: ClassVar[str] = "yes"
    how: ClassVar[str] = (
        "`SqliteSaver.put` of all channel values (a graph also calls `put_writes`); `delete_thread`"
    )
    skips: ClassVar[Mapping[str, str]] = {}

    def open(self, folder: Path) -> None:
        """Open or make the database."""
        (folder / "store").mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(
            folder / "store" / "checkpoints.sqlite", check_same_thread=False
        )
        self.saver = SqliteSaver(self.connection)
        self.saver.setup()
        self.configs: dict[str, Any] = {}
        self.versions: dict[str, dict[str, int]] = {}

    def save(self, run: str, changed: State, whole: State, *, last: bool = False) -> str:
        """Put the whole state."""
        config = self.configs.get(run, {"configurable": {"thread_id": run, "checkpoint_ns": ""}})
        versions = self.versions.setdefault(run, {})
        step = max(versions.values(), default=0) + 1
        new = dict.fromkeys(changed, step)
        versions.update(new)
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = contents(whole)
        checkpoint["channel_versions"] = dict(versions)
        saved = self.saver.put(
            config, checkpoint, {"source": "loop", "step": step, "parents": {}}, new
        )
        self.configs[run] = saved
        return str(saved["configurable"]["checkpoint_id"])

    def load(self, run: str, checkpoint: str) -> dict[str, bytes]:
        """Get the tuple of that checkpoint."""
        where = {
            "configurable": {"thread_id": run, "checkpoint_ns": "", "checkpoint_id": checkpoint}
        }
        found = self.saver.get_tuple(where)
        if found is None:
            raise KeyError(checkpoint)
        return dict(found.checkpoint["channel_values"])

    def diff(self, run: str, old: str, new: str) -> dict[str, tuple[bytes, bytes]]:
        """It has none: load both and compare."""
        return differences(self.load(run, old), self.load(run, new))

    def collect(self, keep: list[str]) -> None:
        """Delete the other threads, and give the space back."""
        threads = [
            row[0] for row in self.connection.execute("SELECT DISTINCT thread_id FROM checkpoints")
        ]
        for thread in threads:
            if thread not in keep:
                self.saver.delete_thread(thread)
        self.connection.execute("VACUUM")

    def close(self) -> None:
        """Close the database."""
        self.connection.close()
