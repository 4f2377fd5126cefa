"""Refs: their files, their names, what a listing reads."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend, step
from maverick.checkpoints import Store
from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.layout import file_name, run_name
from maverick.checkpoints.refs.refs import LOG_LENGTH, encode_ref, parse_ref
from maverick.errors import NotFound, RefDamaged, StoreDamaged, UsageError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "checkpoints", files=CountingFiles())


RUNS = st.one_of(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12),
    st.text(st.sampled_from("AaBb%^.-1"), min_size=1, max_size=100),
)


@given(RUNS)
def test_a_run_and_its_file_name_give_each_other(run: str) -> None:
    """Whatever the run is called."""
    assert run == run_name(file_name(run))


@given(RUNS, RUNS)
def test_two_runs_never_share_a_file(first: str, second: str) -> None:
    """Also where `Run` and `run` are the same file, and `.` and `/` mean something."""
    names = file_name(first), file_name(second)
    assert (first == second) == (names[0].casefold() == names[1].casefold())
    assert not names[0].startswith(".")
    assert "/" not in names[0]


@given(st.text(st.sampled_from("ABCabc019._-"), min_size=100, max_size=100))
def test_every_name_that_a_run_can_be_given_has_a_file(run: str) -> None:
    """A hundred capital letters, too, with what stands behind it in the names of logs."""
    assert len(file_name(run)) <= 200
    assert run == run_name(file_name(run))


@pytest.mark.parametrize("run", ["", "a\nb", "\x00", "\udcff", "x" * 201])
def test_a_run_that_no_file_can_stand_for_is_refused(store: Store, run: str) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError):
        begin(store, run)


@pytest.mark.parametrize("name", ["A", ".x", "%zz", "%41%", "%ff", "a b", "%61", "^a", "^1", "a^"])
def test_a_file_that_stands_for_no_run_is_told(name: str) -> None:
    """An editor's backup in refs/ is no run."""
    assert run_name(name) is None


def test_a_ref_says_what_a_listing_shows(tmp_path: Path) -> None:
    """So that listing runs never opens a pack."""
    times = iter(range(1000, 9000, 1000))
    store = Store.create(tmp_path / "checkpoints", clock=lambda: next(times))
    start = begin(store)
    label = store.save(
        "run-1", step(0), parent=start, kind="label", label="half", step="step0", reason="asked"
    )
    end = store.save("run-1", step(1), parent=label, kind="final", step="step1")

    ref = Store.open(store.root).ref("run-1")
    assert ("run-1", "fly", end.id, end.tree, 3) == (
        ref.run,
        ref.group,
        ref.checkpoint,
        ref.tree,
        ref.sequence,
    )
    assert ("final", True, "step1", 1000, 3000) == (
        ref.kind,
        ref.done,
        ref.step,
        ref.started,
        ref.updated,
    )
    assert (label.id, {}) == (ref.labelled, ref.tags)
    assert [("", "auto", ""), ("asked", "label", "half"), ("", "final", "")] == [
        (position.reason, position.kind, position.label) for position in ref.positions
    ]
    assert [1, 2, 3] == [position.sequence for position in ref.positions]


def test_listing_runs_reads_no_object(store: Store) -> None:
    """Light commands answer at once."""
    extend(store, begin(store), range(3))
    for pack in (store.root / "objects").iterdir():
        pack.write_bytes(b"")
    fresh = Store.open(store.root, files=CountingFiles())

    assert ["run-1"] == [ref.run for ref in fresh.refs()]
    assert isinstance(fresh.files, CountingFiles)
    assert 0 == fresh.files.reads


def test_the_newest_run_is_listed_first(tmp_path: Path) -> None:
    """By when it was started, not by when it was last saved."""
    times = iter(range(1000))
    store = Store.create(tmp_path / "checkpoints", clock=lambda: next(times))
    first = begin(store, "a")
    begin(store, "b")
    extend(store, first, range(1))

    assert ["b", "a"] == [ref.run for ref in store.refs()]


def test_the_log_has_the_last_16_positions(store: Store) -> None:
    """The newest last; the ref stays small however long the run."""
    at = extend(store, begin(store), range(20))

    positions = store.ref("run-1").positions
    assert LOG_LENGTH == len(positions)
    assert at.id == positions[-1].checkpoint
    assert list(range(6, 22)) == [position.sequence for position in positions]


def test_every_flipped_or_missing_byte_of_a_ref_is_noticed(store: Store) -> None:
    """A torn ref must never look like an older one."""
    data = encode_ref(store.ref(begin(store).run)._replace(step="é"))

    assert parse_ref(data) is not None
    for position in range(len(data)):
        assert (
            parse_ref(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]) is None
        )
        assert parse_ref(data[:position]) is None
    assert parse_ref(data + b"\n") is None


@pytest.mark.parametrize("field", ["run", "group", "step", "labelled"])
def test_a_ref_with_a_number_for_a_text_is_altered(store: Store, field: str) -> None:
    """Nobody has written it, and it could not be written again."""
    begin(store)
    fields = sealed.unseal((store.root / "refs" / "run-1").read_bytes()) or {}

    assert parse_ref(sealed.seal(fields)) == store.ref("run-1")
    assert parse_ref(sealed.seal({**fields, field: 5})) is None


def test_a_torn_ref_is_named_and_keeps_no_other_run_from_being_read(store: Store) -> None:
    """One bad sector must not lose every run."""
    begin(store)
    at = begin(store, "Run-2")
    path = store.root / "refs" / "%52un-2"
    path.write_bytes(path.read_bytes()[:-5])

    damaged: list[RefDamaged] = []
    assert ["run-1"] == [ref.run for ref in store.refs(damaged)]
    assert ["run Run-2 is torn"] == [str(error)[11:28] for error in damaged]
    with pytest.raises(RefDamaged, match=r"Run-2.*checkpoint fsck --repair"):
        store.ref("Run-2")
    with pytest.raises(RefDamaged):
        store.load("Run-2")
    with pytest.raises(RefDamaged):
        extend(store, at, range(1))
    extend(store, store.resolve("run-1"), range(1))


def test_a_ref_under_another_runs_name_is_damage(store: Store) -> None:
    """A file that was copied by hand would let two runs share a history."""
    begin(store)
    (store.root / "refs" / "run-2").write_bytes((store.root / "refs" / "run-1").read_bytes())

    with pytest.raises(RefDamaged, match="run-2"):
        store.ref("run-2")


def test_a_missing_run_is_told_with_names_like_it(store: Store) -> None:
    """Most missing runs are misspelt ones."""
    begin(store, "fly-20261123-k3")

    with pytest.raises(NotFound, match="did you mean fly-20261123-k3"):
        store.ref("fly-20261123-k4")
    with pytest.raises(NotFound, match="`maverick runs` shows the runs"):
        store.ref("x")
    with pytest.raises(NotFound, match="a part of a run's name needs 3 characters;"):
        store.ref("k3")


def test_a_store_without_refs_is_damaged_not_empty(store: Store) -> None:
    """Saying `no runs` would be a lie."""
    (store.root / "refs").rmdir()

    with pytest.raises(StoreDamaged, match="refs is missing"):
        store.refs()


def test_tags_stay_when_the_run_goes_on(store: Store) -> None:
    """A tag keeps a checkpoint from gc."""
    start = begin(store)
    store.tag("run-1", "good", start)
    at = extend(store, start, range(1))
    store.tag("run-1", "better", at)
    store.tag("run-1", "good", None)

    assert {"better": at.id} == store.ref("run-1").tags
    assert at == store.resolve("run-1@better")
    with pytest.raises(NotFound):
        store.tag("run-2", "x", at)


def test_a_folder_in_the_place_of_a_ref_is_damage_of_that_run_alone(store: Store) -> None:
    """And repair sets it aside, and builds the ref anew."""
    at = extend(store, begin(store, "victim"), range(2))
    other = begin(store, "other")
    path = store.root / "refs" / "victim"
    path.unlink()
    path.mkdir()
    (path / "in it").write_bytes(b"of somebody")

    damaged: list[RefDamaged] = []
    assert ["other"] == [ref.run for ref in store.refs(damaged)]
    assert "the ref of run victim cannot be read" in str(damaged[0])
    with pytest.raises(RefDamaged, match="the ref of run victim cannot be read: Is a directory"):
        store.ref("victim")
    with pytest.raises(RefDamaged, match="Is a directory"):
        store.plan_gc(keep_last=0)
    assert [("unreadable", ("victim",))] == [(it.kind, it.runs) for it in store.check()]
    assert ["quarantined", "rebuilt"] == [it.kind for it in store.repair()]

    assert (at, other) == (store.resolve("victim"), store.resolve("other"))
    assert b"of somebody" == (store.root / "quarantine" / "victim" / "in it").read_bytes()
    assert [] == [it for it in store.check() if it.severity == "error"]


def test_a_system_that_has_no_files_left_to_open_is_no_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ref is as it was; only this process cannot read it now."""
    begin(store)

    def refuse(path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(store.files, "read", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            store.refs([])
    assert ["run-1"] == [ref.run for ref in store.refs()]


def test_a_ref_that_is_known_is_still_read(store: Store) -> None:
    """What another process did to it counts: moved, torn, exchanged for another run's, removed."""
    at = begin(store)
    begin(store, "run-2")
    path = store.root / "refs" / "run-1"
    was = path.read_bytes()
    assert at.id == store.ref("run-1").checkpoint
    moved = extend(Store.open(store.root, files=CountingFiles()), at, range(1))
    assert moved.id == store.ref("run-1").checkpoint

    for content in (path.read_bytes()[:-1], (store.root / "refs" / "run-2").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(RefDamaged, match="run-1"):
            store.ref("run-1")
    path.write_bytes(was)
    assert at.id == store.ref("run-1").checkpoint
    path.unlink()
    assert store.find_ref("run-1") is None
