"""An import of a run that is here already: it moves forward, or nothing changes."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import CrashingFiles, FullFiles, Killed, kill
from kit.stores import begin, extend, read_all
from maverick.checkpoints import Checkpoint, Store, byhand, exports, imports, value
from maverick.checkpoints.imports import TakenIn
from maverick.errors import RunDiverged, RunOwned, StoreDamaged, StoreUnwritable, UsageError
from maverick.runs.import_check import import_check


def _take_in(store: Store, path: Path, run: str = "") -> TakenIn:
    return imports.take_in(lambda: store, path, run, check=import_check())


def _export(store: Store, path: Path) -> Path:
    exports.export(store, store.resolve("run-1"), path, replace=True)
    return path


def _tip(store: Store) -> Checkpoint:
    return store.resolve("run-1")


@pytest.fixture
def here(tmp_path: Path) -> Store:
    """A store with a run of four checkpoints."""
    store = Store.create(tmp_path / "here")
    extend(store, begin(store), range(3))
    return store


@pytest.fixture
def there(here: Store, tmp_path: Path) -> Store:
    """Another one, into which that run was imported."""
    store = Store.create(tmp_path / "there")
    _take_in(store, _export(here, tmp_path / "first"))
    return store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_a_run_moves_forward_however_long_it_went_on(
    here: Store, there: Store, file: Path, steps: int
) -> None:
    """Also for longer than a ref remembers: forty checkpoints, of which it names sixteen."""
    extend(there, _tip(there), range(10, 10 + steps))

    taken = _take_in(here, _export(there, file))

    assert (True, False, 4, 4 + steps) == (
        taken.moved,
        taken.began,
        taken.before,
        taken.ref.sequence,
    )
    assert _tip(there) == _tip(here)
    assert read_all(there, _tip(there)) == read_all(here, _tip(here))
    assert [] == list(here.check(read_data=True))
    extend(here, _tip(here), range(60, 62))


def test_a_run_moves_forward_again_and_again(here: Store, there: Store, file: Path) -> None:
    """To and fro, as between jobs."""
    for number in range(10, 60, 10):
        extend(there, _tip(there), range(number, number + 4))
        assert _take_in(here, _export(there, file)).moved
        extend(here, _tip(here), range(number + 4, number + 8))
        assert _take_in(there, _export(here, file)).moved
    assert 4 + 5 * 8 == _tip(here).sequence


def test_a_run_whose_owner_was_killed_moves_from_where_it_came_to(
    here: Store, there: Store, file: Path
) -> None:
    """Its ref says less than the open pack; what that says does not come back later."""
    ref_file = here.root / "refs" / "run-1"
    lagging = ref_file.read_bytes()
    with suppress(Killed), here.own("run-1"):
        extend(here, _tip(here), range(3, 5))
        kill()
    ref_file.write_bytes(lagging)  # The power went before the disk had the other one.
    here = Store.open(here.root)
    _take_in(there, _export(here, file))
    extend(there, _tip(there), range(5, 6))

    taken = _take_in(here, _export(there, file))

    assert (True, 6, 7) == (taken.moved, taken.before, taken.ref.sequence)
    assert _tip(there) == _tip(Store.open(here.root))
    byhand.drop(here, "run-1")
    assert [] == Store.open(here.root).refs()
    byhand.undo(here, byhand.newest(here))
    assert _tip(there) == _tip(Store.open(here.root))
    assert [] == list(here.check(read_data=True))


def test_a_run_that_went_on_for_longer_than_a_file_names_is_refused(
    here: Store, there: Store, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is overwritten on a guess."""
    monkeypatch.setattr("maverick.checkpoints.lineage.MOST", 3)
    extend(there, _tip(there), range(3, 6))
    assert _take_in(here, _export(there, file)).moved
    extend(there, _tip(there), range(6, 10))

    with pytest.raises(RunDiverged, match="nothing tells that the one follows the other"):
        _take_in(here, _export(there, file))


def test_tags_and_order_stay_and_the_summary_comes(here: Store, there: Store, file: Path) -> None:
    """Of two tags of one name that stays which is here."""
    byhand.tag(here, "run-1", "good", _tip(here))
    byhand.tag(here, "run-1", "mine", _tip(here))
    begin(here, "run-2")
    tip = extend(there, _tip(there), range(3, 5))
    byhand.tag(there, "run-1", "good", tip)
    byhand.tag(there, "run-1", "theirs", tip)
    tip = there.save(
        "run-1", {("output",): value(1)}, parent=tip, kind="final", summary={"seconds": 3}
    )
    before = here.ref("run-1")

    taken = _take_in(here, _export(there, file)).ref

    assert {"seconds": 3} == taken.summary
    assert (before.order, before.started) == (taken.order, taken.started)
    assert (True, "final") == (taken.done, taken.kind)
    assert {"good": 4, "mine": 4, "theirs": 6} == {
        tag: here.checkpoint(checkpoint).sequence for tag, checkpoint in taken.tags.items()
    }
    assert ["run-2", "run-1"] == [ref.run for ref in here.refs()]


def test_the_log_of_the_run_goes_on(here: Store, there: Store, file: Path) -> None:
    """Also where the file has one checkpoint alone, without what led to it."""
    extend(there, _tip(there), range(3, 6))
    exports.export(there, there.resolve("run-1~1"), file)
    numbers = [position.sequence for position in here.ref("run-1").positions]

    moved = _take_in(here, file).ref

    assert [*numbers, 6] == [position.sequence for position in moved.positions]
    assert [] == list(here.check(read_data=True))


def test_the_log_names_each_place_once_and_in_order(
    here: Store, file: Path, tmp_path: Path
) -> None:
    """What came here as one checkpoint alone stands in the log that comes with the next file."""
    new = Store.create(tmp_path / "new")
    exports.export(here, here.resolve("run-1~1"), file)
    _take_in(new, file)
    exports.export(here, _tip(here), file, replace=True)

    moved = _take_in(new, file).ref

    assert here.ref("run-1").positions == moved.positions


def test_under_another_name_the_summary_comes_too(here: Store, file: Path, tmp_path: Path) -> None:
    here.save("run-1", {}, parent=_tip(here), kind="failure", summary={"error": "broken"})
    new = Store.create(tmp_path / "new")

    taken = _take_in(new, _export(here, file), "copy")

    assert ({"error": "broken"}, True) == (taken.ref.summary, taken.began)


def test_what_is_the_same_or_older_changes_nothing(here: Store, there: Store, file: Path) -> None:
    """No byte of the store; of a lock there is a file."""
    with here.own("run-1"):
        pass
    extend(here, _tip(here), range(3, 30))
    same = _export(here, file)
    older = _export(there, file.with_name("older"))
    before = _all_bytes(here)

    one, other = _take_in(here, same), _take_in(here, older)

    assert [(False, False)] * 2 == [(it.began, it.moved) for it in (one, other)]
    assert [(31, 31), (31, 4)] == [(it.ref.sequence, it.offered) for it in (one, other)]
    assert before == _all_bytes(here)


def _all_bytes(store: Store) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_a_run_that_went_on_in_two_places_is_refused(here: Store, there: Store, file: Path) -> None:
    """It says from where; under another name both are kept."""
    extend(here, _tip(here), range(3, 5))
    extend(there, _tip(there), range(13, 16))
    before = here.ref("run-1")

    with pytest.raises(RunDiverged, match=r"at 6 here, and at 7 in .*, both from 4; .*--as NAME"):
        _take_in(here, _export(there, file))

    assert before == here.ref("run-1")
    assert "other" == _take_in(here, file, "other").ref.run


def test_another_run_of_the_same_name_is_refused(here: Store, file: Path, tmp_path: Path) -> None:
    """Names can be given: two runs may have one and nothing else in common."""
    other = Store.create(tmp_path / "other")
    extend(other, begin(other), range(20, 28))

    with pytest.raises(RunDiverged, match="nothing tells that the one follows the other"):
        _take_in(here, _export(other, file))


def test_what_ran_here_after_a_checkpoint_was_damaged_is_no_ancestor(
    here: Store, there: Store, file: Path
) -> None:
    """A run that fell back names in its log the checkpoint that it left: it does not lead there."""
    at_three = there.checkpoint(_tip(there).parent)
    extend(here, _tip(here), range(3, 4))
    left = here.ref("run-1")
    here.ref_files.put(
        left._replace(
            checkpoint=at_three.id,
            tree=at_three.tree,
            sequence=at_three.sequence,
            kind=at_three.kind,
            step=at_three.step,
            labelled=at_three.last_labelled,
            positions=(
                *left.positions,
                left.positions[-1]._replace(checkpoint=at_three.id, sequence=3),
            ),
        )
    )
    extend(here, at_three, range(30, 34))

    with pytest.raises(RunDiverged, match="both from 3"):
        _take_in(there, _export(here, file))


def test_a_run_that_somebody_executes_is_left_alone(here: Store, there: Store, file: Path) -> None:
    extend(there, _tip(there), range(3, 5))
    _export(there, file)

    with here.own("run-1"), pytest.raises(RunOwned):
        _take_in(Store.open(here.root), file)

    assert 4 == here.ref("run-1").sequence


def test_a_name_of_another_run_is_not_taken(here: Store, file: Path) -> None:
    begin(here, "run-2")

    with pytest.raises(UsageError, match="there is a run run-2 already; choose another name"):
        _take_in(here, _export(here, file), "run-2")


def test_what_gc_collected_here_comes_back_with_the_file(
    here: Store, there: Store, file: Path
) -> None:
    """Objects that the file leads to are taken in one by one, whatever was here before."""
    tip = extend(there, _tip(there), range(3, 30))
    there.save("run-1", {("output",): value(1)}, parent=tip, kind="final")
    extend(here, _tip(here), range(0))
    here.plan_gc(keep_last=0).execute()
    here.plan_gc(keep_last=0).execute()

    assert _take_in(here, _export(there, file)).moved

    assert [] == [it for it in here.check(read_data=True) if it.severity == "error"]
    assert read_all(there, _tip(there)) == read_all(here, _tip(here))


@pytest.mark.parametrize("cut", [1, 30, 500])
def test_a_damaged_file_moves_nothing(here: Store, there: Store, file: Path, cut: int) -> None:
    extend(there, _tip(there), range(3, 8))
    data = _export(there, file).read_bytes()
    file.write_bytes(data[:-cut])
    before = here.ref("run-1")

    with pytest.raises(StoreDamaged):
        _take_in(here, file)

    assert before == here.ref("run-1")


def test_a_kill_at_any_point_leaves_the_run_where_it_was_or_where_it_goes(
    here: Store, there: Store, file: Path
) -> None:
    """And a store that is whole; importing again goes on."""
    extend(there, _tip(there), range(3, 8))
    _export(there, file)
    seen, after, ended = set(), 0, False
    data = _all_bytes(here)
    while not ended:
        try:
            _take_in(Store.open(here.root, files=CrashingFiles(after)), file)
            ended = True
        except Killed:
            pass
        store = Store.open(here.root)
        seen.add(store.ref("run-1").sequence)
        assert [] == [it for it in store.check(read_data=True) if it.severity == "error"]
        _take_in(store, file)
        assert read_all(there, _tip(there)) == read_all(store, _tip(store))
        _put_back(here, data)
        after += 1
    assert {4, 9} == seen
    assert after > 3


def _put_back(store: Store, data: dict[str, bytes]) -> None:
    for path in [path for path in store.root.rglob("*") if path.is_file()]:
        if str(path) not in data:
            path.unlink()
    for name, content in data.items():
        if not Path(name).exists() or Path(name).read_bytes() != content:
            Path(name).write_bytes(content)


def test_a_full_disk_moves_nothing(here: Store, there: Store, file: Path) -> None:
    extend(there, _tip(there), range(3, 8))
    _export(there, file)

    with pytest.raises(StoreUnwritable):
        _take_in(Store.open(here.root, files=FullFiles(1)), file)

    assert 4 == Store.open(here.root).ref("run-1").sequence


# --- any history ----------------------------------------------------------------------------------

_MOVES = st.lists(
    st.sampled_from(["save", "SAVE", "label", "give", "GIVE", "gc", "GC"]), max_size=14
)


@given(_MOVES, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_whatever_two_places_do_a_run_only_moves_along_its_own_line(
    moves: list[str], many: int
) -> None:
    """The model is the list of checkpoints that each place has come through.

    A move forward happens only where the one list begins with the other, and always where nothing
    was collected.
    """
    with TemporaryDirectory() as folder:
        stores = [Store.create(Path(folder) / name) for name in ("one", "two")]
        extend(stores[0], begin(stores[0]), range(2))
        file = Path(folder) / "run"
        _take_in(stores[1], _export(stores[0], file))
        first = [it.id for it in stores[0].history("run-1")][::-1]
        lines = [list(first), list(first)]
        collected, number = False, 0
        for move in moves:
            me = 1 if move.isupper() else 0
            store, line = stores[me], lines[me]
            match move.lower():
                case "save":
                    for _ in range(many):
                        number += 1
                        changes = {("steps", "n"): value(number + random.random())}
                        line.append(store.save("run-1", changes, parent=_tip(store)).id)
                case "label":
                    line.append(
                        store.save("run-1", {}, parent=_tip(store), kind="label", label="x").id
                    )
                case "gc":
                    collected = True
                    store.plan_gc(keep_last=0).execute()
                case "give":
                    lines[1 - me] = _give(
                        store, stores[1 - me], file, lines[me], lines[1 - me], collected
                    )
            assert lines[0][-1] == _tip(stores[0]).id
            assert lines[1][-1] == _tip(stores[1]).id
        for store in stores:
            assert [] == [it for it in store.check(read_data=True) if it.severity == "error"]


def _give(
    giver: Store,
    taker: Store,
    file: Path,
    given_line: list[str],
    line: list[str],
    collected: bool,
) -> list[str]:
    """Carry the run over; give the line that the taker has then."""
    follows = given_line[: len(line)] == line
    behind = line[: len(given_line)] == given_line
    try:
        taken = _take_in(taker, _export(giver, file))
    except RunDiverged:
        assert collected or not (follows or behind)
        return line
    assert follows or behind
    assert taken.moved is (follows and given_line != line)
    return list(given_line) if taken.moved else line
