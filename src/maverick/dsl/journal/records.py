"""What is recorded of a run, in memory: by path, and in the order in which it came.

A key is the hashes of what a step does and is given; its record is recognised by them
(docs/design.md).

`Recall` is what a walk asks for at every step, and nothing of it can be changed.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import blake3

from maverick.checkpoints.trees.codec import encode
from maverick.dsl.journal.tree import RunTree, StepNote
from maverick.dsl.paths import StepPath, is_decision, is_within
from maverick.dsl.workflow.costs import Costs
from maverick.dsl.workflow.outcome import Record

if TYPE_CHECKING:
    from maverick.checkpoints import Entry
    from maverick.dsl.journal.tree import RunTree
    from maverick.dsl.workflow.outcome import Key
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
        return self._tree.checkpoint.run if self._tree is not None else ""

    def _load(self, path: str) -> Value:
        tree = self.tree
        return tree.output_of(path) if tree is not None else None

    def artifacts(self, path: str) -> Entry | None:
        """Give the files that the step at *path* recorded; None if it recorded none."""
        tree = self.tree
        return tree.artifacts(path) if tree is not None else None

    def paths(self) -> list[StepPath]:
        """Give the paths of all steps that are recorded, or were begun and failed."""
        tree = self.tree
        begun = tree.begun if tree is not None else []
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
        begun = f"{self.run}\0{self._seed}" if self._seed else self.run
        return blake3.blake3(f"{begun}\0{path}\0{generation}".encode()).hexdigest(length=16)

    @cached_property
    def _seed(self) -> str:
        return self._tree.seed if self._tree is not None else ""

    def _generation(self, path: str) -> int:
        with self._lock:
            if path not in self._generations:
                self._generations[path] = self.stored_facts(path).get("generation", 0)
            return self._generations[path]

    def failed_attempts(self, path: str) -> int:
        """Count the failed attempts at the step at *path* since it was recorded or rolled back."""
        return int(self.stored_facts(path).get("failed_attempts", 0))

    def costs(self, path: str) -> Costs:
        """Give what the step at *path* has cost before, whatever came of it."""
        return Costs.of_step(self.stored_facts(path))

    def stored_facts(self, path: str) -> Mapping[str, Any]:
        """Give what the newest checkpoint notes of the step at *path*; one that runs asks often."""
        tree, cached = self.tree, self._cached_facts
        if tree is None:
            return {}
        if cached is None or (cached[0], cached[1]) != (tree.checkpoint.id, path):
            self._cached_facts = cached = (tree.checkpoint.id, path, tree.facts_of(path))
        return cached[2]


HEX_DIGITS = 20
"""Of each part's hash: 80 bits, since a key only has to tell apart the versions of one step."""


def key_of(parts: Mapping[str, Value]) -> Key:
    """Give the key of a step that has *parts*; a part that is null counts as absent."""
    return {name: _digest(part) for name, part in sorted(parts.items()) if part is not None}


def _digest(part: Value) -> str:
    return blake3.blake3(encode(part).data).hexdigest()[:HEX_DIGITS]


Facts = Mapping[str, object]
"""What may differ between runs and mean nothing: times, attempts, host. No part of the state."""


class Records:
    """The records of a run's steps (`path`) and decisions (`path?what`).

    `again` says at which order somebody asked for a path to run again, or the step around it
    failed: then `failed` has it, too. `asked` is an order as well: what is older may run again
    where it changed.
    """

    def __init__(self) -> None:
        self.again: dict[str, int] = {}
        self.failed: set[str] = set()
        self.asked = 0
        self._by_path: dict[str, Record] = {}
        self._latest = 0
        self._finished: list[str] | None = None

    @classmethod
    def load(cls, tree: RunTree, load_output: Callable[[str], Value]) -> Records:
        """Load those that *tree* holds; *load_output* reads an output when it is asked for."""
        records = cls()
        facts = tree.facts
        records.again = {path: own["again"] for path, own in facts.items() if "again" in own}
        records.failed = {path for path, own in facts.items() if "again_failed" in own}
        records.asked = tree.asked
        for path, entry in tree.entries.items():
            step, own = StepNote.of(entry), facts.get(path, {})
            records[path] = Record(
                step.status,
                step.key,
                partial(load_output, path),
                undoing=step.undoing,
                by_hand=step.by_hand,
                order=own.get("order", 0),
                asked="asked" in own,
            )
        orders = [record.order for record in records._by_path.values()]
        records._latest = max([records.asked, *orders, *records.again.values()])
        return records

    def get(self, path: str) -> Record | None:
        return self._by_path.get(path)

    def __getitem__(self, path: str) -> Record:
        return self._by_path[path]

    def __setitem__(self, path: str, record: Record) -> None:
        self._by_path[path] = record
        self._finished = None

    def pop(self, path: str) -> Record | None:
        """Remove and give the record at *path*, if there is one."""
        self._finished = None
        return self._by_path.pop(path, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_path)

    def inside(self, path: str) -> list[str]:
        """Give what is recorded at or below *path*, but for whether the step there runs."""
        return [name for name in self if is_within(name, path) and name != f"{path}?when"]

    def next_order(self) -> int:
        """Give an order later than all that is recorded."""
        self._latest += 1
        return self._latest

    def standing(self, path: str) -> Facts:
        """Give the facts that say where the step at *path* stands in the order."""
        record, again = self.get(path), self.again.get(path)
        facts: dict[str, object] = {}
        if record is not None and record.order:
            facts["order"] = record.order
        if record is not None and record.asked:
            facts["asked"] = True
        if again is not None:
            facts["again"] = again
            if path in self.failed:
                facts["again_failed"] = True
        return facts

    def finished(self, ancestor: str, newest: int) -> Iterator[str]:
        """Yield the finished steps at or below *ancestor* that are not being undone.

        Records older than *newest* do not count: a step before them ran again since.
        """
        if self._finished is None:
            self._finished = sorted(
                path
                for path, record in self._by_path.items()
                if record.key and not record.undoing and not is_decision(path)
            )
        for prefix in (ancestor, f"{ancestor}.", f"{ancestor}["):
            for path in islice(self._finished, bisect_left(self._finished, prefix), None):
                if path != ancestor and not (path.startswith(prefix) and prefix != ancestor):
                    break
                if self._by_path[path].order >= newest:
                    yield path

    def orders(self) -> dict[str, int]:
        """Give the order of each step by path; that of a composite is its latest record's."""
        orders: dict[str, int] = {}
        for path, record in self._by_path.items():
            if not is_decision(path):
                for place in (*StepPath(path).ancestors(), path):
                    orders[place] = max(orders.get(place, 0), record.order)
        return orders

    def undoing(self) -> list[StepPath]:
        """Give the paths of the steps whose rollback had begun when the run was interrupted."""
        return [StepPath(path) for path, record in self._by_path.items() if record.undoing]
