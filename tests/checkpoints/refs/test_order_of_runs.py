"""The newest run is the one that was started last in this store, whatever its clock says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend, take_in
from maverick.checkpoints import Checkpoint, Store, byhand, exports
from maverick.checkpoints.disk import sealed
from maverick.checkpoints.refs.refs import encode_ref, parse_ref

YEAR_2200 = 7_258_118_400_000
NOW = 1_795_413_351_128


class Clock:
    """Tells the time that it was set to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return Store.create(tmp_path / "checkpoints", files=CountingFiles(), clock=clock)


def _begin(store: Store, clock: Clock, run: str, at: int) -> Checkpoint:
    clock.now = at
    return begin(store, run)


def _names(store: Store) -> list[str]:
    return [ref.run for ref in store.refs()]


def test_a_clock_that_is_set_back_changes_no_order(store: Store, clock: Clock) -> None:
    """Nor does a run of the year 2200 stay the newest for ever."""
    _begin(store, clock, "future", YEAR_2200)
    _begin(store, clock, "first", NOW)
    last = _begin(store, clock, "second", NOW - 3_600_000)

    assert ["second", "first", "future"] == _names(store)
    assert last == store.resolve("@latest") == store.resolve("fly@latest")


def test_a_run_that_goes_on_does_not_become_the_newest(store: Store, clock: Clock) -> None:
    """It was started before the other."""
    first = _begin(store, clock, "first", NOW)
    _begin(store, clock, "second", NOW + 1)
    clock.now = NOW + 2
    extend(store, first, range(2))

    assert ["second", "first"] == _names(store)


@given(
    times=st.lists(st.integers(0, YEAR_2200), min_size=1, max_size=6),
    dropped=st.sets(st.integers(0, 5)),
)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_runs_stand_in_the_order_in_which_they_were_started(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], dropped: set[int]
) -> None:
    """Whatever the clock says, whichever are dropped meanwhile, and also where the note of the last
    number is lost.
    """
    clock = Clock()
    store = Store.create(tmp_path_factory.mktemp("s") / "c", files=CountingFiles(), clock=clock)
    for number, time in enumerate(times):
        _begin(store, clock, f"r{number}", time)
        if number in dropped:
            store.drop(f"r{number}")
        if number % 3 == 2:
            (store.root / "refs.lock").write_bytes(b"")

    kept = [number for number in range(len(times)) if number not in dropped]
    assert [f"r{number}" for number in reversed(kept)] == _names(Store.open(store.root))


def test_retention_counts_in_the_same_order(store: Store, clock: Clock) -> None:
    """Else gc would take the run that was started last, and keep that of the year 2200."""
    for run, at in (("future", YEAR_2200), ("first", NOW), ("second", NOW - 3_600_000)):
        start = _begin(store, clock, run, at)
        store.save(run, {}, parent=start, kind="final")

    store.plan_gc(keep_last=1).execute()

    assert ["second"] == _names(store)


def test_refs_without_a_number_are_judged_by_time_and_are_the_older_ones(
    store: Store, clock: Clock
) -> None:
    """They have no number; what is started from now on comes after them."""
    for run, at in (("b", NOW + 5), ("a", NOW), ("c", NOW + 9)):
        _begin(store, clock, run, at)
        _without_order(store, run)
    (store.root / "refs.lock").write_bytes(b"")
    fresh = Store.open(store.root, clock=clock)

    assert ["c", "b", "a"] == _names(fresh)
    _begin(fresh, clock, "new", NOW - 9)
    assert ["new", "c", "b", "a"] == _names(fresh)
    assert [] == list(fresh.check())


def _without_order(store: Store, run: str) -> None:
    ref = store.ref(run)
    assert ref.order
    (store.root / "refs" / run).write_bytes(encode_ref(ref._replace(order=0)))


def test_an_imported_run_counts_as_started_when_it_was_imported(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    """And the file of a run does not depend on what else there was."""
    exports.export(store, _begin(store, clock, "old", NOW), tmp_path / "one")
    byhand.drop(store, "old")
    _begin(store, clock, "other", NOW + 1)

    take_in(store, tmp_path / "one")
    take_in(store, tmp_path / "one", "copy")

    assert ["copy", "old", "other"] == _names(store)
    store.drop("copy")
    exports.export(store, store.resolve("old"), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_dropped_run_that_is_brought_back_stands_where_it_stood(
    store: Store, clock: Clock
) -> None:
    """Undoing is no start."""
    for number, run in enumerate(("a", "b", "c")):
        _begin(store, clock, run, NOW + number)
    byhand.drop(store, "b")
    _begin(store, clock, "d", NOW + 9)

    byhand.undo(store, byhand.newest(store))

    assert ["d", "c", "b", "a"] == _names(store)


def test_a_rebuilt_ref_comes_where_its_time_puts_it(store: Store, clock: Clock) -> None:
    """Its number is lost with the ref."""
    for number, run in enumerate(("a", "b", "c")):
        extend(store, _begin(store, clock, run, NOW + 10 * number), range(1))
    (store.root / "refs" / "b").write_bytes(b"torn")

    Store.open(store.root, clock=clock).repair()

    assert ["c", "b", "a"] == _names(Store.open(store.root))


def test_a_new_run_reads_no_other_ref(tmp_path: Path) -> None:
    """However many there are: the last number is noted."""
    files = _Reading()
    store = Store.create(tmp_path / "checkpoints", files=files)
    reads: list[int] = []
    for number in range(40):
        files.read_names.clear()
        begin(store, f"r{number}")
        reads.append(sum(name[1:].isdigit() and name != f"r{number}" for name in files.read_names))

    assert {0} == set(reads)
    assert all(newer.order > older.order for newer, older in pairwise(store.refs()))


class _Reading(CountingFiles):
    """Notes the names of the files that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_names: list[str] = []

    def read(self, path: Path) -> bytes:
        self.read_names.append(path.name)
        return super().read(path)


@pytest.mark.parametrize("order", [True, "1", 1.5])
def test_a_ref_whose_number_is_none_is_altered(store: Store, order: object) -> None:
    """As with its other fields."""
    begin(store)

    fields = sealed.unseal((store.root / "refs" / "run-1").read_bytes()) or {}

    assert parse_ref(sealed.seal(fields)) == store.ref("run-1")
    assert parse_ref(sealed.seal({**fields, "order": order})) is None
