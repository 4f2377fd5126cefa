"""What is recorded of a run, in memory: by path, and in the order in which it came.

A key is the hashes of what a step does and is given, by which its record is recognised
(docs/design.md).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

import blake3

from maverick.checkpoints import Checkpoint, Store
from maverick.checkpoints.trees.codec import encode
from maverick.dsl.paths import ancestors
from maverick.dsl.workflow.outcome import Record

if TYPE_CHECKING:
    from maverick.dsl.workflow.outcome import Key
    from maverick.values import Value

HEX_DIGITS = 20
"""Of each part's hash: 80 bits, since a key only has to tell apart the versions of one step."""


def key_of(parts: Mapping[str, Value]) -> Key:
    """The key of a step whose parts are *parts*; a part that is null counts as absent."""
    return {name: _digest(part) for name, part in sorted(parts.items()) if part is not None}


def _digest(part: Value) -> str:
    return blake3.blake3(encode(part).data).hexdigest()[:HEX_DIGITS]


STEPS: Final = "steps"
ASKED: Final = "asked"
Facts = Mapping[str, object]
"""What may differ from run to run without meaning anything: times, attempts, host. Never part of
the state.
"""


class Records:
    """The records of a run's steps (`path`) and decisions (`path?what`).

    `again` says of a path where in the order somebody asked for it to run again. `asked` is an
    order, too: what is older may run again where it changed, since somebody asked for that.
    """

    def __init__(self) -> None:
        self.again: dict[str, int] = {}
        self.asked = 0
        self._by_path: dict[str, Record] = {}
        self._latest = 0
        self._finished: list[str] | None = None

    @classmethod
    def stored(cls, store: Store, tip: Checkpoint, load: Callable[[str], Value]) -> Records:
        """Those that the checkpoint *tip* holds. *load* reads the output of the step at a path when
        it is asked for.
        """
        records = cls()
        snapshot = store.snapshot(tip)
        entries = snapshot.entries((STEPS,)) if snapshot.find((STEPS,)) is not None else {}
        notes = snapshot.facts((STEPS,)) if snapshot.find_fact((STEPS,)) is not None else {}
        facts = {path: json.loads(entry.note) for path, entry in notes.items()}
        records.again = {path: told["again"] for path, told in facts.items() if "again" in told}
        asked = snapshot.find_fact((ASKED,))
        records.asked = int(asked.note) if asked is not None else 0
        for path, entry in entries.items():
            kept, told = json.loads(entry.note), facts.get(path, {})
            record = Record(
                kept["status"], kept["key"], _loading(load, path), order=told.get("order", 0)
            )
            marks = {name: kept[name] for name in ("undoing", "by_hand") if name in kept}
            if marks or "asked" in told:
                record = record._replace(**marks, asked="asked" in told)
            records[path] = record
        orders = [record.order for record in records._by_path.values()]
        records._latest = max([records.asked, *orders, *records.again.values()])
        return records

    def get(self, path: str) -> Record | None:
        """The record at *path*; None if there is none."""
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

    def next_order(self) -> int:
        """A place behind all that is recorded."""
        self._latest += 1
        return self._latest

    def standing(self, path: str) -> Facts:
        """The facts that say where the step at *path* stands in the order."""
        record, again = self.get(path), self.again.get(path)
        facts: dict[str, object] = {}
        if record is not None and record.order:
            facts["order"] = record.order
        if record is not None and record.asked:
            facts["asked"] = True
        return facts if again is None else {**facts, "again": again}

    def finished(self, ancestor: str, newest: int) -> Iterator[str]:
        """The finished steps at or below *ancestor* that are not being undone.

        Records older than *newest* do not count: a step before them ran again since.
        """
        if self._finished is None:
            known = self._by_path.items()
            self._finished = sorted(
                path for path, it in known if "?" not in path and it.key and not it.undoing
            )
        for prefix in (ancestor, f"{ancestor}.", f"{ancestor}["):
            for path in islice(self._finished, bisect_left(self._finished, prefix), None):
                if path != ancestor and not (path.startswith(prefix) and prefix != ancestor):
                    break
                if self._by_path[path].order >= newest:
                    yield path

    def orders(self) -> dict[str, int]:
        """Where in the order each step came, by path; of those made of steps, their latest
        record.
        """
        orders: dict[str, int] = {}
        for path, record in self._by_path.items():
            if "?" not in path:
                for around in (*ancestors(path), path):
                    orders[around] = max(orders.get(around, 0), record.order)
        return orders

    def undoing(self) -> list[str]:
        """The paths of the steps whose rollback had begun when the run was interrupted."""
        return [path for path, record in self._by_path.items() if record.undoing]


def _loading(load: Callable[[str], Value], path: str) -> Callable[[], Value]:
    return lambda: load(path)
