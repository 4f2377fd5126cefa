"""Changes that people make to runs: noted before they are made, and taken back one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.faults import CrashingFiles, Killed
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, byhand, value
from maverick.errors import NotFound, RefMoved, RunOwned, StoreDamaged, StoreTooNew, UsageError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "checkpoints")


def _edit(store: Store, run: str, output: int) -> Checkpoint:
    tip = store.checkpoint(store.ref(run).checkpoint)
    return byhand.edit(
        store, tip, changes={("steps", "step0"): value(output)}, facts={}, what="steps.step0.output"
    )


def _fork(store: Store, at: Checkpoint, run: str = "fork-1") -> Checkpoint:
    return byhand.fork(store, at, run, changes={}, facts={}, reason=f"forked from {at.run}")


def _undo(store: Store, run: str = "") -> str:
    return byhand.undo(store, byhand.newest(store, run))


def test_an_edit_is_a_new_checkpoint_and_taking_it_back_another_one(store: Store) -> None:
    """History stays; the log says who did what."""
    before = extend(store, begin(store), range(2))
    edited = _edit(store, "run-1", 7)

    _undo(store)

    after = store.checkpoint(store.ref("run-1").checkpoint)
    assert [3, 4, 5] == [before.sequence, edited.sequence, after.sequence]
    assert read_all(store, before) == read_all(store, after)
    assert (before.kind, before.step) == (after.kind, after.step)
    reasons = [position.reason for position in store.ref("run-1").positions]
    assert ["edited steps.step0.output", "undid: edited steps.step0.output"] == reasons[-2:]


def test_two_edits_are_taken_back_one_after_the_other(store: Store) -> None:
    before = extend(store, begin(store), range(1))
    first = _edit(store, "run-1", 7)
    _edit(store, "run-1", 8)

    _undo(store)
    once = store.checkpoint(store.ref("run-1").checkpoint)
    _undo(store)
    twice = store.checkpoint(store.ref("run-1").checkpoint)

    assert first.tree == once.tree
    assert before.tree == twice.tree
    with pytest.raises(NotFound, match="no change by hand to any run is left to be taken back"):
        _undo(store)


def test_what_steps_saved_since_is_never_taken_back(store: Store) -> None:
    """It says how to begin where the run stood before."""
    extend(store, begin(store), range(1))
    edited = _edit(store, "run-1", 7)
    extend(store, edited, range(1, 3))

    with pytest.raises(
        RefMoved,
        match=r"run run-1 has gone on since \(edited .*\); .*`maverick checkpoint fork run-1~3`",
    ) as error:
        _undo(store)

    assert 11 == error.value.exit_code
    assert 5 == store.ref("run-1").sequence


def test_a_fork_is_one_checkpoint_and_goes_when_it_is_taken_back(store: Store) -> None:
    at = extend(store, begin(store), range(3))
    size = sum(path.stat().st_size for path in (store.root / "objects").iterdir())

    fork = _fork(store, at)

    assert (at.tree, at.facts) == (fork.tree, fork.facts)
    assert sum(path.stat().st_size for path in (store.root / "objects").iterdir()) - size < 1000
    _undo(store)
    assert ["run-1"] == [ref.run for ref in store.refs()]


def test_a_fork_that_went_on_stays(store: Store) -> None:
    fork = _fork(store, extend(store, begin(store), range(1)))
    extend(store, fork, range(1, 2))

    with pytest.raises(RefMoved, match="`maverick checkpoint drop fork-1` removes it"):
        _undo(store)


def test_an_edited_fork_is_taken_back_in_two_steps(store: Store) -> None:
    _fork(store, extend(store, begin(store), range(1)))
    _edit(store, "fork-1", 9)

    _undo(store)
    _undo(store)

    assert ["run-1"] == [ref.run for ref in store.refs()]


@pytest.mark.parametrize("name", ["../x", "", "a b", "x" * 101, "a~1", "a@b", "-x"])
def test_a_run_cannot_be_called_so(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a run"):
        _fork(store, begin(store), name)


def test_a_fork_does_not_replace_a_run(store: Store) -> None:
    with pytest.raises(UsageError, match="there is a run run-1 already; choose another name"):
        _fork(store, begin(store), "run-1")


def test_a_tag_is_set_moved_removed_and_each_is_taken_back(store: Store) -> None:
    first = begin(store)
    second = extend(store, first, range(1))
    byhand.tag(store, "run-1", "good", first)
    byhand.tag(store, "run-1", "good", second)
    byhand.tag(store, "run-1", "good", None)

    found = [dict(store.ref("run-1").tags)]
    for _ in range(3):
        _undo(store)
        found.append(dict(store.ref("run-1").tags))

    assert [{}, {"good": second.id}, {"good": first.id}, {}] == found


@pytest.mark.parametrize(
    "name", ["", "latest", "a@b", "a b", "a~1", "a:b", "a/b", "x" * 101, "a\nb"]
)
def test_a_tag_is_what_a_revision_can_hold(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a tag"):
        byhand.tag(store, "run-1", name, begin(store))


def test_a_tag_that_is_not_there_cannot_be_removed(store: Store) -> None:
    byhand.tag(store, "run-1", "good", begin(store))

    with pytest.raises(NotFound, match="run run-1 has no tag bad; it has good"):
        byhand.tag(store, "run-1", "bad", None)


def test_a_dropped_run_comes_back_whole(store: Store) -> None:
    """With its log and its tags; and fsck takes it for a run like any other."""
    at = extend(store, begin(store), range(3))
    byhand.tag(store, "run-1", "good", at)
    before = store.ref("run-1")
    byhand.drop(store, "run-1")
    assert [] == store.refs()

    _undo(store)

    assert before == store.ref("run-1")
    assert "dropped" not in store.owner_note("run-1")
    assert [] == list(store.check(read_data=True))


def test_gc_is_the_end_of_a_dropped_run_and_that_is_said_once(store: Store) -> None:
    """Whoever drops a run and collects may want its bytes gone; the change before it can still be
    taken back.
    """
    at = begin(store)
    _fork(store, at)
    extend(store, at, range(3))
    byhand.drop(store, "run-1")
    assert store.plan_gc().execute().removed_objects > 0

    with pytest.raises(NotFound, match="gc has collected what run run-1 was"):
        _undo(store)

    assert "fork" == byhand.newest(store).action
    assert "dropped" in store.owner_note("run-1")


def test_gc_can_be_told_to_keep_what_could_be_taken_back(store: Store) -> None:
    """As the one that nobody asked for is: dropped runs, and checkpoints that had a tag."""
    at = extend(store, begin(store), range(3))
    done = store.save(
        "done-1", {("output",): value("x")}, parent=begin(store, "done-1"), kind="final"
    )
    first = store.checkpoint(done.parent)
    byhand.tag(store, "done-1", "first", first)
    byhand.tag(store, "done-1", "first", None)
    before = store.ref("run-1")
    byhand.drop(store, "run-1")

    store.plan_gc(spared=byhand.needed(store)).execute()
    _undo(store)
    _undo(store)

    assert before == store.ref("run-1")
    assert at == store.resolve("run-1")
    assert first.id == store.ref("done-1").tags["first"]
    assert [] == list(store.check(read_data=True))


def test_a_dropped_run_does_not_come_back_over_another_one(store: Store) -> None:
    begin(store)
    byhand.drop(store, "run-1")
    extend(store, begin(store), range(2))

    with pytest.raises(RefMoved, match="there is a run run-1 again"):
        _undo(store)


def test_a_run_that_is_executed_is_not_dropped(store: Store) -> None:
    begin(store)

    with store.own("run-1"), pytest.raises(RunOwned):
        byhand.drop(store, "run-1")

    assert 1 == len(store.refs())


def test_the_last_change_of_one_run_is_found_behind_those_of_others(store: Store) -> None:
    at = extend(store, begin(store), range(1))
    _edit(store, "run-1", 7)
    _fork(store, at)

    _undo(store, "run-1")

    assert "fork-1" == byhand.newest(store).run
    with pytest.raises(NotFound, match="no change by hand to run-1 is left"):
        _undo(store, "run-1")


def test_only_the_newest_notes_are_kept(store: Store) -> None:
    at = begin(store)
    for number in range(byhand.KEPT + 6):
        byhand.tag(store, "run-1", f"tag-{number}", at)

    assert byhand.KEPT == len(list((store.root / byhand.FOLDER).iterdir()))
    assert f"tag-{byhand.KEPT + 5}" == byhand.newest(store).detail["tag"]


def test_a_kill_at_any_point_leaves_a_change_that_is_there_and_can_be_undone_or_is_not_there(
    tmp_path: Path,
) -> None:
    """The note is written first; one whose change never happened is passed over."""
    after, ended = 0, False
    while not ended:
        root = tmp_path / str(after)
        whole = Store.create(root)
        before = extend(whole, begin(whole), range(2))
        byhand.tag(whole, "run-1", "base", before)
        try:
            _edit(Store.open(root, files=CrashingFiles(after)), "run-1", 7)
            ended = True
        except Killed:
            pass
        reopened = Store.open(root)
        newest = byhand.newest(reopened)
        assert ("edit" if reopened.ref("run-1").sequence == 4 else "tag") == newest.action
        _undo(reopened)
        assert before.tree == reopened.ref("run-1").tree
        assert [] == [it for it in reopened.check() if it.severity == "error"]
        after += 1
    assert after > 8


def test_a_torn_note_is_damage_and_names_the_file(store: Store) -> None:
    byhand.tag(store, "run-1", "good", begin(store))
    note = next((store.root / byhand.FOLDER).iterdir())
    note.write_bytes(note.read_bytes()[:-9])

    with pytest.raises(
        StoreDamaged,
        match=rf"torn or altered \(.*{note.name}\); move it away to take back an older one",
    ):
        byhand.newest(store)


def test_a_folder_in_the_place_of_a_note_is_named_and_in_nobodys_way(store: Store) -> None:
    """Neither changes nor gc need it."""
    byhand.tag(store, "run-1", "good", begin(store))
    (store.root / byhand.FOLDER / "9999999999999999-a").mkdir()

    with pytest.raises(
        StoreDamaged, match=r"cannot be read: Is a directory \(.*-a\); move it away"
    ):
        byhand.newest(store)
    assert [store.ref("run-1").checkpoint] == byhand.needed(store)


def test_a_note_of_a_newer_version_is_refused(store: Store) -> None:
    from maverick.checkpoints.disk import sealed  # noqa: PLC0415

    (store.root / byhand.FOLDER).mkdir()
    (store.root / byhand.FOLDER / "0001-a").write_bytes(sealed.seal({"format": 2}))

    with pytest.raises(StoreTooNew, match="was written by a newer version"):
        byhand.newest(store)
