"""Saving checkpoints and reading them back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend, read_all, step
from maverick.checkpoints import Checkpoint, Store, blob, byhand, existing, note, value
from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
from maverick.checkpoints.trees.tree_nodes import Entry
from maverick.errors import NotFound, ObjectMissing, RefMoved, UsageError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "a b" / "ü" / "checkpoints", files=CountingFiles())


def test_what_is_saved_is_loaded_by_another_process(store: Store) -> None:
    """A second `Store` on the same folder knows only what is on the disk."""
    start = begin(store)
    end = store.save(
        "run-1",
        {
            ("steps", "plan"): value({"rows": [1, b"bytes", 2.5]}, note='{"key":"k"}'),
            ("inputs",): None,
        },
        parent=start,
        kind="label",
        label="planned",
        step="plan",
        facts={("steps", "plan"): note("12 ms")},
    )

    found = Store.open(store.root).load("run-1")
    assert end == found.checkpoint
    assert ["definition", "steps"] == found.names()
    assert {"rows": [1, b"bytes", 2.5]} == found.value("steps/plan")
    assert '{"key":"k"}' == found.entry(("steps", "plan")).note
    assert b"version: 1\n" == found.data("definition/flow.yaml")
    assert "12 ms" == found.fact("steps/plan")
    assert ["started", "steps"] == list(found.facts())
    assert (2, start.id, "fly") == (end.sequence, end.parent, end.group)


def test_what_is_not_there_is_named(store: Store) -> None:
    """With the checkpoint in which it was looked for."""
    begin(store)
    found = store.load("run-1")

    for call in (found.entry, found.value, found.data, found.names, found.fact, found.facts):
        with pytest.raises(NotFound, match=r"there is no steps/none in checkpoint [0-9a-f]{12}"):
            call("steps/none")
    with pytest.raises(NotFound, match="is a blob, not a folder"):
        found.names("definition/flow.yaml")
    with pytest.raises(NotFound, match="is a blob, it holds no value"):
        found.value("definition/flow.yaml")
    with pytest.raises(NotFound, match="is a tree, it holds no bytes"):
        found.data("definition")


def test_a_value_with_bytes_is_a_bundle_of_any_number_of_blobs(store: Store) -> None:
    """Equal bytes are stored once."""
    it = {"same": [b"x" * 100] * 3, "many": [bytes([n]) for n in range(100)]}
    begin(store)
    at = store.save("run-2", {("out",): value(it)}, parent=None)

    found = store.load("run-2")
    assert it == found.value("out")
    assert "bundle" == found.entry("out").kind
    assert found.entry("out").size == 100 + 100 + len(found.data("out"))
    assert store.ref("run-2").bytes == found.entry("out").size
    assert at.tree != at.facts


def _stored(store: Store) -> dict[ObjectId, ObjectKind]:
    store.objects.packs.refresh()
    return {
        object_id: kind
        for pack in store.objects.packs.listed()
        for _, kind, object_id in pack.objects()
    }


def test_a_repeated_output_adds_no_object_but_trees(store: Store) -> None:
    """A re-run of an unchanged step stores nothing."""
    content = {("steps", "a"): value("x" * 10_000), ("steps", "b"): blob(b"y" * 10_000)}
    store.save("run-1", content, parent=None)
    before = _stored(store)

    again = store.save("run-2", content, parent=None, facts={("steps", "a"): note("another time")})

    added = [kind for object_id, kind in _stored(store).items() if object_id not in before]
    assert again.id in _stored(store)
    assert {ObjectKind.TREE, ObjectKind.CHECKPOINT} == set(added)
    assert again.tree == store.resolve("run-1").tree


@pytest.mark.parametrize("count", [1, 100, 10_000])
def test_a_save_costs_four_fsyncs_however_many_objects_it_adds(store: Store, count: int) -> None:
    """Pack, objects/, ref, refs/."""
    start = begin(store)
    files = store.files
    assert isinstance(files, CountingFiles)
    files.done.clear()

    store.save("run-1", {("f", f"{n}"): blob(b"%d" % n) for n in range(count)}, parent=start)

    assert 4 == files.done.count("sync")
    assert 2 == files.done.count("rename")
    assert 2 == files.done.count("create")


def test_the_10000th_save_reads_and_writes_no_more_than_a_few_nodes(store: Store) -> None:
    """Cost grows with what changed."""
    changes = {path: it for number in range(10_000) for path, it in step(number).items()}
    start = store.save("run-1", changes, parent=None)
    fresh = Store.open(store.root, files=CountingFiles())
    size = sum(pack.size for pack in store.objects.packs.listed())

    fresh.save("run-1", step(10_000), parent=start)

    assert isinstance(fresh.files, CountingFiles)
    # the nodes on the way, each found by some blocks of the pack's index, in a record of 1 MiB that
    # is stored in 41 kB, and the ids that they name
    assert fresh.files.reads <= 6
    assert fresh.files.look_ups <= 120
    assert fresh.files.read_bytes < 110_000
    assert sum(pack.size for pack in fresh.objects.packs.listed()) - size < 10_000


def test_a_save_on_a_stale_checkpoint_changes_nothing(store: Store) -> None:
    """Another process advanced the run: stop, never overwrite."""
    start = begin(store)
    other = extend(Store.open(store.root), start, range(1))
    before = store.ref("run-1")

    with pytest.raises(RefMoved, match="from 1 to 2; nothing was saved"):
        extend(store, start, range(1, 2))

    assert (before, other.id) == (store.ref("run-1"), store.ref("run-1").checkpoint)


def test_a_run_cannot_begin_twice(store: Store) -> None:
    """Two processes that chose the same id: one of them must choose another."""
    begin(store)

    with pytest.raises(RefMoved, match="exists already"):
        begin(store)
    with pytest.raises(RefMoved, match="exists already"):
        store.save("run-1", {}, parent=begin(store, "run-2"))


def test_a_dropped_run_cannot_go_on(store: Store) -> None:
    """What it leans on may be collected."""
    start = begin(store)
    store.drop("run-1")

    with pytest.raises(RefMoved, match="dropped"):
        extend(store, start, range(1))
    with pytest.raises(NotFound):
        store.drop("run-1")


def test_a_fork_begins_where_the_other_run_stood(store: Store) -> None:
    """It costs a checkpoint and a ref; labels before it stay within reach."""
    start = begin(store)
    label = store.save("run-1", step(0), parent=start, kind="label", label="half")
    extend(store, label, range(1, 3))

    fork = store.save("fork", {("x",): note("forked")}, parent=label)

    assert (1, label.id, label.id, "fly") == (fork.sequence, fork.parent, fork.labelled, fork.group)
    assert {"out": 0} == store.load("fork").value("steps/step0")
    assert label == store.resolve("fork@half")
    assert [fork, label, start] == list(store.history("fork"))


def test_a_fork_of_what_gc_collected_is_refused(store: Store) -> None:
    """An object in trash/ is on its way out, though it can still be read."""
    start = begin(store)
    for pack in (store.root / "objects").iterdir():
        pack.rename(store.root / "trash" / pack.name)

    assert {"epic": "a-1", "dry": False} == store.load("run-1").value("inputs")
    with pytest.raises(NotFound, match="was collected by gc"):
        store.save("fork", {}, parent=start)


def test_an_object_in_the_trash_is_no_dedup_hit(store: Store) -> None:
    """It would vanish with the next cycle of gc."""
    at = store.save("run-1", {("a",): blob(b"data")}, parent=None)
    with store.locks.exclusive() as held:
        store.locks.note_removal(held)
        for pack in (store.root / "objects").iterdir():
            pack.rename(store.root / "trash" / pack.name)

    again = store.save("run-2", {("a",): blob(b"data")}, parent=None)
    for pack in (store.root / "trash").iterdir():
        pack.unlink()

    assert {"state/a": b"data"} == read_all(store, again)
    with pytest.raises(ObjectMissing):
        Store.open(store.root).checkpoint(at.id)


def test_stored_content_is_put_elsewhere_without_reading_it(store: Store) -> None:
    """A folder, a value, a note: an entry is enough."""
    begin(store)
    extend(store, store.resolve("run-1"), range(100))
    found = store.load("run-1")

    changes = {
        ("copy",): existing(found.entry("steps")),
        ("one",): existing(found.entry("steps/step7")),
    }
    store.save("run-2", changes, parent=None)

    assert found.names("steps") == store.load("run-2").names("copy")
    assert {"out": 7} == store.load("run-2").value("one")


def test_content_that_is_gone_is_refused(store: Store) -> None:
    """A checkpoint that names what is not there is never written."""
    gone = Entry("blob", ObjectId("00" * 32), 3)

    with pytest.raises(ObjectMissing):
        store.save("run-1", {("a",): existing(gone)}, parent=None)
    assert [] == store.refs()


def test_notes_are_limited(store: Store) -> None:
    """They are read with the folder, by everybody."""
    store.save("run-1", {("a",): note("é" * 2048)}, parent=None)

    for make in (note, lambda text: blob(b"", text), lambda text: value(1, text)):
        with pytest.raises(UsageError, match="4096 bytes"):
            make("é" * 2048 + "x")


def test_an_empty_blob_beside_a_note_stays_a_blob(store: Store) -> None:
    """Both have no bytes."""
    store.save("run-1", {("a",): blob(b""), ("b",): note(""), ("c",): note("x")}, parent=None)

    assert ["blob", "note", "note"] == [
        entry.kind for entry in store.load("run-1").entries().values()
    ]


def test_a_checkpoint_has_a_label_exactly_if_it_is_of_that_kind(store: Store) -> None:
    """Else `RUN@label` would not find it."""
    with pytest.raises(UsageError, match="give `label` alone"):
        store.save("run-1", {}, parent=None, kind="auto", label="x")
    with pytest.raises(UsageError, match="give `label` alone"):
        store.save("run-1", {}, parent=None, kind="label")
    with pytest.raises(UsageError):
        store.save("run-1", {}, parent=None, kind="other")  # type: ignore[arg-type]


def test_large_content_is_spread_over_threads_and_comes_back(store: Store) -> None:
    """The threads must not change ids, bytes or their order."""
    content = {("f", f"{n}"): blob(bytes([n]) * 700_000 + b"%d" % n) for n in range(12)}
    at = store.save("run-1", content, parent=None)

    expected = {f"state/f/{n}": bytes([n]) * 700_000 + b"%d" % n for n in range(12)}
    assert expected == read_all(Store.open(store.root), at)


def test_threads_save_different_runs_at_once(store: Store) -> None:
    """They share the packs, the caches and the lock on refs."""
    failures: list[BaseException] = []

    def work(run: str) -> None:
        try:
            extend(store, begin(store, run), range(15))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"run-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures
    fresh = Store.open(store.root)
    assert [16] * 4 == [ref.sequence for ref in fresh.refs()]
    for ref in fresh.refs():
        assert 32 + 1 == len(read_all(fresh, fresh.resolve(ref.run)))


def test_threads_that_save_the_same_run_do_not_overwrite_each_other(store: Store) -> None:
    """Compare-and-swap: exactly one of them wins."""
    start = begin(store)
    outcomes: list[object] = []
    ready = threading.Barrier(4)

    def work(number: int) -> None:
        ready.wait()
        try:
            outcomes.append(store.save("run-1", step(number), parent=start).id)
        except RefMoved:
            outcomes.append(RefMoved)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 3 == outcomes.count(RefMoved)
    assert store.ref("run-1").checkpoint in outcomes


class Interrupting(CountingFiles):
    """Runs something of somebody else's when the next file gets its name."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], object] | None = None

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()


def test_a_ref_that_moves_while_a_save_writes_its_pack_is_not_overwritten(tmp_path: Path) -> None:
    """The comparison that counts is the one under the lock, not the one at the beginning."""
    files = Interrupting()
    store = Store.create(tmp_path / "checkpoints", files=files)
    start = begin(store)
    other: list[Checkpoint] = []
    files.meanwhile = lambda: other.append(extend(Store.open(store.root), start, range(1)))

    with pytest.raises(RefMoved):
        extend(store, start, range(1, 2))
    files.meanwhile = lambda: begin(Store.open(store.root), "run-2")
    with pytest.raises(RefMoved, match="exists already"):
        begin(store, "run-2")

    assert other == [store.resolve("run-1")]


VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary(), st.lists, max_leaves=8
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)


@settings(max_examples=25)
@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=4))
def test_every_checkpoint_of_a_run_keeps_what_it_held(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, object]]
) -> None:
    """Saving more never changes what was saved."""
    store = Store.create(tmp_path_factory.mktemp("s") / "checkpoints", files=CountingFiles())
    model: dict[str, object] = {}
    expected, at = [], None
    for changes in history:
        at = store.save("run", {(name,): value(it) for name, it in changes.items()}, parent=at)  # type: ignore[arg-type]
        model = {**model, **changes}
        expected.append((at.id, repr(sorted(model.items()))))

    fresh = Store.open(store.root)
    for checkpoint, content in expected:
        found = fresh.load(checkpoint)
        assert content == repr([(name, found.value((name,))) for name in found.names()])


@given(now=st.integers(-(10**30), 10**30), later=st.integers(-(10**30), 10**30))
@settings(max_examples=25)
def test_whatever_the_clock_says_what_is_saved_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, now: int, later: int
) -> None:
    """A clock may be set to before 1970, or to where no number of JSON goes."""
    times = [now, later]
    root = tmp_path_factory.mktemp("clock") / "store"
    with Store.create(root, files=CountingFiles(), clock=lambda: times[0]) as store:
        at = begin(store)
        with store.own("run-1"):
            times.reverse()
            at = extend(store, at, range(2))
        byhand.fork(store, at, "run-2", changes={}, facts={}, reason="by hand")
        byhand.drop(store, "run-2")

        opened = Store.open(root)
        assert at == opened.resolve("run-1")
        assert "run-2" == byhand.newest(opened).run
        assert [] == [it for it in opened.check(read_data=True) if it.severity == "error"]
        store.plan_gc().execute()
        assert at == Store.open(root).resolve("run-1")
