"""What a run has done, as a walk asks for it at every step; nothing here changes it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import blake3

from maverick.dsl.journal.records import Records
from maverick.dsl.paths import StepPath, is_decision

if TYPE_CHECKING:
    from maverick.checkpoints import Entry
    from maverick.dsl.journal.tree import RunTree
    from maverick.values import Value


class Recall:
    """The records of one run, and what is noted of its steps. Threads may share it.

    `records` is empty where there is no tree: the run has not begun.
    """

    def __init__(self, tree: RunTree | None) -> None:
        self._tree = tree
        self._lock = threading.RLock()
        self._generations: dict[str, int] = {}
        self._cached_facts: tuple[str, str, Mapping[str, Any]] | None = None
        self.records = Records() if tree is None else Records.load(tree, self._load)

    @property
    def tree(self) -> RunTree | None:
        """What the run's newest checkpoint holds."""
        return self._tree

    @property
    def run(self) -> str:
        """The run's id; empty where it has not begun."""
        return self.tree.checkpoint.run if self.tree is not None else ""

    def _load(self, path: str) -> Value:
        return self.tree.output_of(path) if self.tree is not None else None

    def artifacts(self, path: str) -> Entry | None:
        """Give the files that the step at *path* recorded; None if it recorded none."""
        return self.tree.artifacts(path) if self.tree is not None else None

    def paths(self) -> list[StepPath]:
        """Give the paths of all steps that are recorded, or were begun and failed."""
        begun = self.tree.begun if self.tree is not None else []
        recorded = (StepPath(name) for name in self.records if not is_decision(name))
        return sorted({*recorded, *begun})

    def idempotency_key(self, path: str) -> str:
        """Give the key of all attempts at the step at *path*, until it is recorded or rolled back.

        Forks have other ones: the run's id is part of it.
        """
        return self._key_of_generation(path, self._generation(path))

    def former_idempotency_key(self, path: str) -> str:
        """Give the key that the step at *path*, recorded since, had when it ran."""
        return self._key_of_generation(path, self._generation(path) - 1)

    def _key_of_generation(self, path: str, generation: int) -> str:
        return blake3.blake3(f"{self.run}\0{path}\0{generation}".encode()).hexdigest(length=16)

    def _generation(self, path: str) -> int:
        with self._lock:
            if path not in self._generations:
                self._generations[path] = self._stored_facts(path).get("generation", 0)
            return self._generations[path]

    def failed_attempts(self, path: str) -> int:
        """Count the failed attempts at the step at *path* since it was recorded or rolled back."""
        return int(self._stored_facts(path).get("failed_attempts", 0))

    def _stored_facts(self, path: str) -> Mapping[str, Any]:
        """Give what the newest checkpoint notes of the step at *path*; one that runs asks often."""
        tree, cached = self.tree, self._cached_facts
        if tree is None:
            return {}
        if cached is None or (cached[0], cached[1]) != (tree.checkpoint.id, path):
            self._cached_facts = cached = (tree.checkpoint.id, path, tree.facts_of(path))
        return cached[2]
