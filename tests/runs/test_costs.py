"""What steps, saves and resumptions cost, as counts of operations and bytes."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import pytest

from kit.runs import PointedFiles, Runs
from maverick.checkpoints import Store, note, value
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.dsl.journal.recorder import Recorder
from maverick.dsl.journal.tree import StepNote
from maverick.runs import find

STEPS = 2_000
FLOW = f"""
- name: each
  type: loop
  for_each: range({STEPS})
  steps:
    - {{name: one, type: python, action: give, args: ["${{{{ item }}}}"]}}
- {{name: last, type: python, action: unless, args: [last, ready]}}
"""
KEY = {"action": "0" * 20, "args": "1" * 20, "type": "2" * 20}


@dataclass
class Long:
    """A run of many steps whose last one is to do. Most of its records were made by a single
    save.
    """

    runs: Runs
    early: list[int]
    """Bytes written for each of the steps 5 to 15."""
    late: list[int]
    """Bytes written for each of the last ten steps but one."""
    syncs: list[int]
    stored: list[int]
    """By how many bytes the pack grew in each of the first 15 steps."""


def _output(number: int) -> str:
    return "".join(hashlib.sha256(f"{number} {part}".encode()).hexdigest() for part in range(16))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Long:
    runs = Runs(tmp_path_factory.mktemp("long"), FLOW)
    runs.kill_before("each[0].one")
    files = PointedFiles.unwatched()
    store = Store.open(runs.root / ".maverick" / "checkpoints", files=files)
    syncs: list[int] = []
    stored: list[int] = []

    def pack_bytes() -> int:
        return sum(pack.size for pack in store.objects.packs.listed())

    def finish(journal: Recorder, number: int) -> int:
        before, synced, size = files.bytes_written, files.syncs, pack_bytes()
        journal.finish(
            f"each[{number}].one",
            "done",
            KEY,
            _output(number),
            {"seconds": 0.001, "started": 1, "attempts": 1},
        )
        syncs.append(files.syncs - synced)
        stored.append(pack_bytes() - size)
        return files.bytes_written - before

    with store.own(runs.run):
        journal = Recorder(store, find.newest_readable(store, runs.run))
        written = [finish(journal, number) for number in range(15)]
        note_text = StepNote("done", KEY).text()
        between = range(15, STEPS - 10)
        tip = store.save(
            runs.run,
            {
                ("steps", f"each[{number}].one"): value(_output(number), note=note_text)
                for number in between
            },
            parent=journal.tip,
            facts={
                ("steps", f"each[{n}].one"): note(
                    f'{{"attempts":1,"generation":1,"order":{n + 1}}}'
                )
                for n in between
            },
        )
        journal = Recorder(store, tip)
        late = [finish(journal, number) for number in range(STEPS - 10, STEPS)]
    return Long(runs, written[5:15], late, syncs, stored[:15])


def test_a_recorded_step_costs_one_sync(long: Long) -> None:
    """However many steps there are; the first of an execution brings what there is up to date."""
    assert {1} == set(long.syncs[1:])


def test_a_recorded_step_stores_few_bytes_beside_its_output(long: Long) -> None:
    """Trees, checkpoint, ids and framing."""
    beside = [size - len(_output(number)) // 2 for number, size in enumerate(long.stored)]

    assert sum(beside) <= 450 * len(beside)


def test_saving_step_1000_writes_at_most_twice_what_saving_step_10_writes(long: Long) -> None:
    """Cost grows with what changed, not with what exists."""
    assert sum(long.late) <= 2 * sum(long.early)


def test_resuming_behind_2000_steps_reads_few_objects(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of two trees, where it stands what has finished and how late; and each output once, for
    the loop's.
    """
    read = Store.read
    reads: list[ObjectId] = []

    def counted(store: Store, object_id: ObjectId) -> bytes:
        reads.append(object_id)
        return read(store, object_id)

    monkeypatch.setattr(Store, "read", counted)

    resumed = long.runs.resume(policy="recorded")

    assert (["last"], STEPS) == (resumed.executed, len(resumed.recalled))
    trees = 2 * (1 + 16 + 256)  # For up to some 4,000 steps.
    assert len(reads) <= trees + STEPS + 10


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
        runs.store.objects.packs.refresh()
        packs = runs.store.objects.packs.listed()
        return sum(record.counts[ObjectKind.BLOB] for pack in packs for record in pack.records)

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

    assert 6 == failed_again.files.syncs  # for the pack that it goes on with 2, a save 1, an end 3


def test_a_step_that_writes_nothing_costs_no_log(runs: Runs) -> None:
    """Its file is neither made, looked for nor removed."""
    runs.flow("""
    - name: each
      type: loop
      for_each: [1, 2, 3, 4, 5]
      steps:
        - {name: silent, type: python, action: give, args: ["${{ item }}"]}
    """)

    done = runs.start()

    operations = Counter(done.files.done)
    assert (0, 0) == (operations["append"], operations["unlink"])
