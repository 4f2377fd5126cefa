"""What steps, saves and resumptions cost, as counts of operations and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from kit_runs import Execution, Runs
from maverick.checkpoints import Store
from maverick.checkpoints.ids import ObjectId
from maverick.dsl.events import Event

STEPS = 1_010
FLOW = f"""
- name: each
  type: loop
  for_each: range({STEPS})
  steps:
    - {{name: one, type: python, action: kilobyte, args: ["${{{{ item }}}}"]}}
- {{name: last, type: python, action: unless, args: [last, ready]}}
"""
ACTIONS = """
import hashlib

def kilobyte(number):
    return "".join(hashlib.sha256(f"{number} {part}".encode()).hexdigest() for part in range(16))
"""


@dataclass
class Long:
    """A run of many steps whose last one failed, and what it had written when each of the others was done."""

    runs: Runs
    started: Execution
    written: list[int]
    syncs: list[int]

    def bytes_of(self, number: int) -> int:
        """What saving step *number* wrote."""
        return self.written[number] - self.written[number - 1]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Long:
    runs = Runs(tmp_path_factory.mktemp("long"), actions=ACTIONS)
    runs.flow(FLOW)
    written: list[int] = []
    syncs: list[int] = []

    def watch(execution: Execution, event: Event) -> None:
        if event.event == "step_done" and event.type == "python":
            written.append(execution.files.bytes_written)
            syncs.append(execution.files.syncs)

    return Long(runs, runs.watched(watch), written, syncs)


def test_a_recorded_step_costs_four_syncs(long: Long) -> None:
    """However many steps there are."""
    assert {4} == {after - before for before, after in pairwise(long.syncs)}


def test_saving_step_1000_writes_at_most_twice_what_saving_step_10_writes(long: Long) -> None:
    """Cost grows with what changed, not with what exists."""
    early = sum(map(long.bytes_of, range(5, 16)))
    for first in (500, 995):
        assert sum(map(long.bytes_of, range(first, first + 11))) <= 2 * early


def test_resuming_behind_a_thousand_steps_reads_few_objects(long: Long, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees, not outputs: that a step has finished is a note in a tree, how late it did one in another."""
    read = Store.read
    reads: list[ObjectId] = []

    def counted(store: Store, object_id: ObjectId) -> bytes:
        reads.append(object_id)
        return read(store, object_id)

    monkeypatch.setattr(Store, "read", counted)

    resumed = long.runs.resume()

    assert (["last"], STEPS) == (resumed.executed, len(resumed.recalled))
    assert len(reads) <= 2 * 273 + 10  # Two trees of at most 1 + 16 + 256 nodes, up to some 4,000 steps.


def test_a_run_repeated_unchanged_adds_no_blob(runs: Runs) -> None:
    """Its outputs, its definition and its inputs are there."""
    runs.flow("""
    inputs: {names: {type: array, default: [a, b]}}
    steps:
      - name: each
        type: loop
        for_each: inputs.names
        steps:
          - {name: one, type: python, action: do, args: ["${{ item }}"], when: item != 'c'}
      - {name: mark, type: checkpoint}
      - {name: odd, type: python, action: give, args: [{deep: [1, 2.5, null]}]}
    """)

    def blobs() -> int:
        runs.store.objects.refresh()
        kinds = [place.kind.name for pack in runs.store.objects.packs() for _, place in pack.with_prefix("")]
        return kinds.count("BLOB")

    runs.start()
    before = blobs()
    runs.start()

    assert before == blobs() > 5


def test_a_resumption_that_reports_a_done_run_writes_nothing(runs: Runs) -> None:
    """No file is made, written or synced."""
    runs.flow("- {name: a, type: python, action: do, args: [a]}")
    runs.start()

    reported = runs.resume()

    assert ([], 0, 0) == (reported.files.done, reported.files.bytes_written, reported.files.syncs)


def test_recalling_writes_nothing_but_the_end(runs: Runs) -> None:
    """A resumed run saves what it runs, and that it ended."""
    runs.flow("""
    - {name: a, type: python, action: do, args: [a], when: not exists('x')}
    - name: each
      type: loop
      for_each: [1, 2, 3]
      steps:
        - {name: one, type: python, action: give, args: ["${{ item }}"]}
    - {name: last, type: python, action: unless, args: [last, ready]}
    """)
    runs.start()

    failed_again = runs.resume()

    assert 4 == failed_again.files.syncs
