"""What gc leaves of runs that it drops: one list that says so, for as long as it is needed, and no
owner's note.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import begin, read_all
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.disk import locks, sealed
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.disk.locks import DROPPED, Locks
from maverick.checkpoints.fsck.check import check
from maverick.checkpoints.fsck.repair import repair
from maverick.checkpoints.gc import departure, survey
from maverick.checkpoints.refs.dropped import FILE, read_dropped, write_dropped
from maverick.errors import StoreUnwritable


class Clock:
    """A clock that goes on by a millisecond at each look, far ahead of the one by which processes
    start.
    """

    def __init__(self) -> None:
        self.now = 4_000_000_000_000

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store", clock=Clock(), files=CountingFiles())


@pytest.fixture
def one_pack(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give what puts all objects into one pack, which no gc rewrites: as if it were large, and most
    of it alive.
    """

    def pack() -> None:
        begin(store, "open")
        store.plan_gc(keep_last=99).execute()
        assert 1 == len(store.objects.packs.listed())
        monkeypatch.setattr(survey, "SMALL_PACK_BYTES", 0)
        monkeypatch.setattr(survey, "_WORTH", 0)

    return pack


def run_to_end(store: Store, run: str) -> Checkpoint:
    """A done run that somebody has executed."""
    with store.own(run):
        at = store.save(run, {("steps", "a"): value(run)}, parent=None, group="fly")
        return store.save(run, {("output",): value([run])}, parent=at, kind="final")


def runs(store: Store) -> list[str]:
    return sorted(ref.run for ref in store.refs())


def noted(store: Store) -> set[str]:
    return set(read_dropped(store.files, store.root) or {})


def owners(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / "owners").iterdir())


def problems(store: Store) -> list[tuple[str, tuple[str, ...]]]:
    return [(it.kind, it.runs) for it in store.check(read_data=True)]


def test_a_gc_costs_as_many_syncs_for_50_runs_as_for_10(tmp_path: Path) -> None:
    """Each sync takes milliseconds, and a store collects runs for months."""
    counts = []
    for number in (10, 50):
        files = CountingFiles()
        store = Store.create(tmp_path / f"store{number}", files=files)
        for run in range(number):
            run_to_end(store, f"fly-{run}")
        files.done.clear()
        store.plan_gc(keep_last=0).execute()
        counts.append(files.done.count("sync"))
        assert [] == runs(store)

    assert counts[0] == counts[1] <= 10


def test_a_run_of_which_something_stays_in_a_pack_is_no_lost_one(
    store: Store, one_pack: Callable[[], None]
) -> None:
    """However often gc comes by; neither for fsck, nor for resuming, nor for repair."""
    run_to_end(store, "done")
    one_pack()
    for _ in range(3):
        store.plan_gc(keep_last=0).execute()

        assert ["open"] == runs(store)
        assert {"done"} == noted(store)
        assert [] == problems(store)
        assert {} == store.lost_runs()
    repair(store.root, clock=store.now)
    assert ["open"] == runs(store)


def test_a_run_of_which_a_fork_keeps_a_label_is_no_lost_one(store: Store) -> None:
    """That checkpoint is alive, but not the run."""
    at = store.save("done", {("a",): value(1)}, parent=None, group="fly")
    at = store.save("done", {("a",): value(2)}, parent=at, kind="label", label="here")
    at = store.save("done", {}, parent=at, kind="final")
    store.save("fork", {}, parent=at)

    for _ in range(3):
        store.plan_gc(keep_last=0).execute()
        repair(store.root, clock=store.now)

        assert ["fork"] == runs(store)
        assert {"done"} == noted(store)


def test_the_note_of_a_run_goes_once_nothing_is_left_of_it(store: Store) -> None:
    """The list is as long as it needs to be."""
    run_to_end(store, "done")
    begin(store, "open")

    store.plan_gc(keep_last=0).execute()
    assert {"done"} == noted(store)
    store.plan_gc(keep_last=0).execute()

    assert set() == noted(store)
    assert [] == problems(store)


def test_the_note_stays_while_a_pack_cannot_be_read(
    store: Store, one_pack: Callable[[], None]
) -> None:
    """The run may have a checkpoint in it."""
    run_to_end(store, "done")
    one_pack()
    store.plan_gc(keep_last=0).execute()
    at = store.save("other", {("a",): value(1)}, parent=None)
    damaged = store.objects.packs.find(at.id)
    assert damaged is not None
    store.drop("other")
    path = store.root / "objects" / damaged.pack.file
    path.write_bytes(path.read_bytes()[:-9])
    (store.root / "dropped.json").write_bytes(
        sealed.seal({"format": 1, "runs": {"gone": 1, "done": 10**15}})
    )

    Store.open(store.root).plan_gc(keep_last=0).execute()

    assert {"done", "gone"} == noted(store)


def test_what_a_killed_gc_left_in_the_trash_needs_no_note(store: Store) -> None:
    """Nothing brings it back: gc removes it, and repair leaves it there."""
    run_to_end(store, "done")
    packs = {path.name: path.read_bytes() for path in (store.root / "objects").iterdir()}
    begin(store, "open")
    begin(store, "another")
    for _ in range(3):
        store.plan_gc(keep_last=0).execute()
    assert set() == noted(store)
    for name, data in packs.items():
        (store.root / "trash" / name).write_bytes(data)

    repair(store.root, clock=store.now)

    assert ["another", "open"] == runs(store)
    assert sorted(packs) == sorted(path.name for path in (store.root / "trash").iterdir())
    assert {"leftover"} == {kind for kind, _ in problems(store)}


def test_a_run_that_was_dropped_alone_is_in_the_list_before_its_owners_note_goes(
    store: Store, one_pack: Callable[[], None]
) -> None:
    """The note is the only thing that says that it was dropped."""
    run_to_end(store, "done")
    one_pack()
    store.drop("done")
    assert store.owner_note("done")[DROPPED]
    assert [] == problems(store)

    store.plan_gc().execute()

    assert [] == owners(store)
    assert {"done"} == noted(store)
    assert [] == problems(store)


def test_a_run_of_the_same_name_that_is_begun_later_can_be_lost(
    store: Store, one_pack: Callable[[], None]
) -> None:
    """That the former one was dropped says nothing of it."""
    run_to_end(store, "done")
    one_pack()
    store.plan_gc(keep_last=0).execute()
    at = store.save("done", {("steps", "a"): value("anew")}, parent=None, group="fly")
    at = store.save("done", {("steps", "b"): value("anew")}, parent=at)
    content = read_all(store, at)
    (store.root / "refs" / "done").unlink()

    assert [("ref-missing", ("done",))] == problems(store)
    store.plan_gc(keep_last=0).execute()
    assert content == read_all(store, at)
    repair(store.root, clock=store.now)
    assert at == store.resolve("done")


@pytest.mark.parametrize("owned", [True, False])
def test_so_can_one_of_the_name_of_a_run_that_was_dropped_alone(
    store: Store, one_pack: Callable[[], None], *, owned: bool
) -> None:
    """Whoever owns it keeps what the last owner noted; that was about the former run."""
    run_to_end(store, "done")
    one_pack()
    store.drop("done")
    with store.own("done") if owned else nullcontext():
        at = store.save("done", {("steps", "a"): value("anew")}, parent=None, group="fly")
        at = store.save("done", {("steps", "b"): value("anew")}, parent=at)
    content = read_all(store, at)
    (store.root / "refs" / "done").unlink()

    assert [("ref-missing", ("done",))] == problems(store)
    store.plan_gc(keep_last=0).execute()
    assert content == read_all(store, at)
    repair(store.root, clock=store.now)
    assert at == store.resolve("done")


def test_a_run_that_was_brought_back_can_be_lost(
    store: Store, one_pack: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoints are older than the note; but somebody has owned it since."""
    run_to_end(store, "done")
    ref = store.ref("done")
    one_pack()
    store.plan_gc(keep_last=0).execute()
    monkeypatch.setattr(locks, "_started", store.now())
    store.adopt(ref)
    (store.root / "refs" / "done").unlink()

    assert [("ref-missing", ("done",))] == problems(store)


def test_a_damaged_list_is_found_and_set_aside(store: Store, one_pack: Callable[[], None]) -> None:
    """Then what is left of the runs in it is there again: nobody knows that it was to go."""
    at = run_to_end(store, "done")
    one_pack()
    store.plan_gc(keep_last=0).execute()
    data = (store.root / FILE).read_bytes()
    (store.root / FILE).write_bytes(data.replace(b"done", b"dome"))

    assert [("dropped", ()), ("ref-missing", ("done",))] == problems(store)
    done = repair(store.root, clock=store.now)

    assert ["quarantined", "rebuilt"] == [it.kind for it in done]
    assert at == store.resolve("done")
    assert [] == [it for it in check(store.root, read_data=True) if it.severity == "error"]


def test_a_folder_in_the_place_of_the_list_is_set_aside(store: Store) -> None:
    """Of gc it is an error that says so, and nothing is removed."""
    run_to_end(store, "done")
    (store.root / FILE).mkdir()
    with pytest.raises(StoreUnwritable, match="a folder stands where a file is needed"):
        store.plan_gc(keep_last=0).execute()
    assert ["done"] == runs(store)

    assert [("dropped", ())] == problems(store)
    assert ["quarantined"] == [it.kind for it in repair(store.root, clock=store.now)]
    store.plan_gc(keep_last=0).execute()

    assert [] == runs(store)


def test_a_gc_replaces_a_damaged_list(store: Store) -> None:
    run_to_end(store, "done")
    (store.root / FILE).write_bytes(b"torn")

    store.plan_gc(keep_last=0).execute()

    assert {"done"} == noted(store)


def test_a_list_of_another_shape_is_damaged(store: Store) -> None:
    """Whatever its seal says."""
    for fields in (
        {"format": 2, "runs": {}},
        {"format": 1},
        {"format": 1, "runs": {"a": "b"}},
        {"format": 1, "runs": []},
    ):
        (store.root / FILE).write_bytes(sealed.seal(fields))
        assert read_dropped(store.files, store.root) is None
    write_dropped(store.files, store.root, {"a": 1})
    assert {"a": 1} == read_dropped(store.files, store.root)


def test_what_goes_without_a_note_on_a_full_disk_is_noted_as_soon_as_there_is_space(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the runs held is gone by then, and with it what filled the disk."""
    for run in ("a", "b"):
        run_to_end(store, run)
    at = store.save("open", {("big",): blob(b"x" * 9)}, parent=None)
    write = departure.write_dropped
    refused: list[int] = []

    def late(files: Files, root: Path, notes: dict[str, int]) -> None:
        if len(refused) < 2:
            refused.append(1)
            raise OSError(28, os.strerror(28))
        write(files, root, notes)

    monkeypatch.setattr(departure, "write_dropped", late)
    store.plan_gc(keep_last=0).execute()

    assert ["open"] == runs(store)
    assert {"a", "b"} == noted(store)
    read_all(store, at)


def test_a_run_that_is_owned_at_the_last_instant_is_not_noted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else, if its ref were lost later, nobody would look for it."""
    run_to_end(store, "done")
    plan = store.plan_gc(keep_last=0)
    monkeypatch.setattr(Locks, "is_owned", lambda *_: False)  # as an instant before

    with store.own("done"):
        assert () == plan.execute().runs

    assert ["done"] == runs(store)
    assert set() == noted(store)
    assert [] == problems(store)
