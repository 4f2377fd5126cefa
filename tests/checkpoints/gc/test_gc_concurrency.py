"""Saves, in threads and in processes, while gc runs again and again."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kit.gc_saver import save_runs
from kit.patience import PATIENCE_SECONDS
from kit.stores import extend, read_all, take_in
from maverick.checkpoints import Store, blob, exports
from maverick.checkpoints.refs.refs import LOG_LENGTH

ROUNDS = 12

# Every run writes what the runs before it wrote, so that it finds objects which gc is about to
# remove.
SAVER = """
import sys
from pathlib import Path
from kit.gc_saver import save_runs
save_runs(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), owned=sys.argv[4] == "owned")
"""


def collect_until(done: threading.Event, root: Path) -> int:
    store, rounds = Store.open(root), 0
    while not done.is_set():
        store.plan_gc(keep_last=1).execute()
        rounds += 1
    store.plan_gc(keep_last=1).execute()
    return rounds


def assert_all_is_whole(root: Path, prefixes: list[str]) -> None:
    store = Store.open(root)
    for prefix in prefixes:
        ref = store.ref(f"{prefix}-open")
        for position in ref.positions:
            read_all(store, store.checkpoint(position.checkpoint))
        assert b"common" * 100 == store.load(f"{prefix}-open").data("common")
    assert [] == list(store.check(read_data=True))


@pytest.mark.parametrize("owned", [True, False])
def test_saves_of_threads_lose_nothing_to_gc(tmp_path: Path, *, owned: bool) -> None:
    """They share one store, and what it remembers of packs and nodes."""
    root = tmp_path / "store"
    store = Store.create(root)
    done = threading.Event()
    failed: list[BaseException] = []
    prefixes = ["a", "b"]

    def work(prefix: str) -> None:
        try:
            save_runs(store, prefix, ROUNDS, owned=owned)
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(prefix,)) for prefix in prefixes]
    collector = threading.Thread(target=collect_until, args=(done, root))
    for thread in (*threads, collector):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    collector.join()

    assert [] == failed
    assert_all_is_whole(root, prefixes)


@pytest.mark.parametrize("how", ["owned", "free"])
def test_saves_of_processes_lose_nothing_to_gc(tmp_path: Path, how: str) -> None:
    """With a run that stays owned each has an open pack all the time."""
    root = tmp_path / "store"
    Store.create(root)
    done = threading.Event()
    prefixes = ["a", "b"]
    path = [str(Path(__file__).parents[2]), *sys.path]
    savers = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, str(root), prefix, str(ROUNDS), how],
            env={"PYTHONPATH": ":".join(path)},
        )
        for prefix in prefixes
    ]
    collector = threading.Thread(target=collect_until, args=(done, root))
    collector.start()
    codes = [saver.wait(PATIENCE_SECONDS) for saver in savers]
    done.set()
    collector.join()

    assert [0, 0] == codes
    assert_all_is_whole(root, prefixes)


def test_what_is_brought_back_whole_while_gc_works_stays_whole(tmp_path: Path) -> None:
    """A run that was lost in part, of which gc has spared what it found, is imported again."""
    store = Store.create(tmp_path / "store")
    aux = store.save("aux", {("d", "x"): blob(b"x")}, parent=None, kind="final")
    before = set((store.root / "objects").iterdir())
    at = store.save("run-1", {("d", "x"): blob(b"x"), ("d", "y"): blob(b"y")}, parent=None)
    (first,) = set((store.root / "objects").iterdir()) - before
    at = extend(store, at, range(LOG_LENGTH))
    path = store.root.parent / "run-1.run"
    exports.export(store, at, path)
    (store.root / "refs" / "run-1").unlink()
    first.unlink()
    collecting = Store.open(store.root)
    plan = collecting.plan_gc(keep_last=0)
    assert [aux.run] == [it.run for it in plan.runs if it.dropped]

    take_in(Store.open(store.root), path)
    plan.execute()

    read_all(Store.open(store.root), at)
    assert [] == [it for it in store.check(read_data=True) if it.severity == "error"]
