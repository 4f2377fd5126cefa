"""Records that threads make at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kit.patience import PATIENCE_SECONDS
from maverick.checkpoints import Store, value
from maverick.checkpoints.disk.files import Files
from maverick.dsl.journal.recorder import Recorder
from maverick.dsl.workflow.outcome import Key

KEY: Key = {"type": "shell"}


class _SlowFiles(Files):
    """Holds up the first file that is made once it is told to, until told to go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.armed = False

    def create(self, path: Path) -> int:
        if self.armed:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_SECONDS)
        return super().create(path)


def test_steps_that_finish_while_a_save_is_under_way_share_the_next_one(tmp_path: Path) -> None:
    """Seven records, two checkpoints: a wide loop does not wait for one save after the other."""
    files = _SlowFiles()
    store = Store.create(tmp_path / "checkpoints", files=files)
    begun = store.save("run-1", {("inputs",): value({})}, parent=None, group="flow")
    journal = Recorder(store, begun)
    files.armed = True

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(journal.finish, "all[0].a", "done", KEY, 0, {})
        assert files.reached.wait(PATIENCE_SECONDS)
        others = [
            pool.submit(journal.finish, f"all[{n}].a", "done", KEY, n, {}) for n in range(1, 7)
        ]
        while len(journal._draft._saves._waiting) < len(others):
            threading.Event().wait(0.001)
        journal.note_composite("inner", "done", "rides along with what comes later", {})
        files.armed = False
        files.go_on.set()
        for each in (first, *others):
            each.result(PATIENCE_SECONDS)

    assert begun.sequence + 2 == journal.tip.sequence
    reason = store.ref("run-1").positions[-1].reason
    assert reason.endswith(" and 3 more")
    assert "all[0].a" not in reason
    read = Recorder(Store.open(tmp_path / "checkpoints"), journal.tip)
    assert list(range(7)) == [read.records[f"all[{n}].a"].load() for n in range(7)]
    assert "rides along with what comes later" == read.records["inner"].load()
    assert 7 == len({read.records[f"all[{n}].a"].order for n in range(7)})


def test_a_decision_that_is_being_saved_is_waited_for(tmp_path: Path) -> None:
    """`settle` returns when it is on the disk: another thread's save has it, and may yet fail."""
    files = _SlowFiles()
    store = Store.create(tmp_path / "checkpoints", files=files)
    journal = Recorder(
        store, store.save("run-1", {("inputs",): value({})}, parent=None, group="flow")
    )
    journal.note_decision("a?when", {}, answer=True, urgent=True)
    files.armed = True

    with ThreadPoolExecutor(2) as pool:
        saving = pool.submit(journal.finish, "b", "done", KEY, 0, {})
        assert files.reached.wait(PATIENCE_SECONDS)
        settling = pool.submit(journal.settle)
        while not journal._draft._saves._waiting:
            threading.Event().wait(0.001)
        unsettled = not settling.done()
        files.armed = False
        files.go_on.set()
        saving.result(PATIENCE_SECONDS)
        settling.result(PATIENCE_SECONDS)

    assert unsettled
    assert "b" == store.ref("run-1").positions[-1].reason, "nothing was left to be saved"
    assert True is Recorder(store, journal.tip).records["a?when"].load()
