"""Processes that save into one store at once, into open packs and sealed ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kit.stores import begin, read_all
from maverick.checkpoints import Store

SAVES = 12
_WORKER = """
import sys
from contextlib import nullcontext
from maverick.checkpoints import Store, value
from maverick.errors import RefMoved

root, run, path, saves, step = sys.argv[1:]
store = Store.open(root)
sys.stdin.readline()
with store.own(run) if path == "owned" else nullcontext():
    for number in range(int(saves)):
        while True:
            ref = store.find_ref(run)
            parent = store.checkpoint(ref.checkpoint) if ref else None
            output = {"out": step + str(number), "same": "x" * 500}
            try:
                store.save(run, {("steps", f"{step}{number}"): value(output)}, parent=parent)
            except RefMoved:
                continue
            break
"""


def _at_once(root: Path, workers: Sequence[tuple[str, str, str]]) -> None:
    """Let processes save, each into a run, by a path, outputs of a step; meanwhile all that is
    announced can be read.
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, root, run, path, str(SAVES), step],
            stdin=subprocess.PIPE,
            text=True,
        )
        for run, path, step in workers
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("begin\n")
        process.stdin.flush()
    reader, seen = Store.open(root), dict.fromkeys([run for run, _, _ in workers], 0)
    while any(process.poll() is None for process in processes):
        for store in (reader, Store.open(root)):
            for ref in store.refs():
                assert seen.get(ref.run, 0) <= ref.sequence
                seen[ref.run] = ref.sequence
                assert read_all(store, store.checkpoint(ref.checkpoint))
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        assert 0 == process.wait()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Store.create(tmp_path / "store").root


@pytest.mark.parametrize("paths", [["owned"] * 3, ["sealed"] * 3, ["owned", "sealed", "owned"]])
def test_processes_that_save_runs_of_their_own_lose_nothing(root: Path, paths: list[str]) -> None:
    """What one announces every other one can read at once."""
    _at_once(root, [(f"run-{n}", path, "s") for n, path in enumerate(paths)])

    store = Store.open(root)
    assert [SAVES] * 3 == [ref.sequence for ref in store.refs()]
    for ref in store.refs():
        saved = store.load(ref.run)
        assert {f"s{n}" for n in range(SAVES)} == set(saved.names("steps"))
        assert {"out": "s3", "same": "x" * 500} == saved.value("steps/s3")
    assert 3 == len({ref.order for ref in store.refs()})
    assert [] == list(store.check(read_data=True))


def test_processes_that_save_the_same_run_do_not_overwrite_each_other(root: Path) -> None:
    """Each tries again from where the other one came to."""
    begin(Store.open(root), "run")

    _at_once(root, [("run", "sealed", "a"), ("run", "sealed", "b")])

    store = Store.open(root)
    assert 1 + 2 * SAVES == store.ref("run").sequence
    assert 2 * SAVES == len(store.load("run").names("steps"))


def test_one_that_owns_a_run_is_told_of_one_that_does_not_mind(root: Path) -> None:
    """It goes on from where the other one came to, and loses nothing of it."""
    begin(Store.open(root), "run")

    _at_once(root, [("run", "owned", "a"), ("run", "sealed", "b")])

    store = Store.open(root)
    assert 1 + 2 * SAVES == store.ref("run").sequence
    assert 2 * SAVES == len(store.load("run").names("steps"))
    assert read_all(store, store.resolve("run"))
