"""Real processes that go on with one open pack at the same instant."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.appending import open_files, pack_of
from kit.faults import Killed, kill
from kit.stores import begin, extend, read_all
from kit.takers import Takers
from maverick.checkpoints import Checkpoint, Store
from maverick.checkpoints.objects.pack_records import run_tag
from maverick.checkpoints.refs.run_commits import unclosed


@pytest.mark.parametrize("rounds", [30, pytest.param(1000, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("takers", [2, 3])
def test_exactly_one_goes_on_with_a_pack_and_all_save(
    tmp_path: Path, takers: int, rounds: int
) -> None:
    """One that was left, or whose process was killed. Nothing of what is in it is lost."""
    store = Store.create(tmp_path / "store")
    expected: dict[str, dict[str, bytes]] = {}
    with Takers(store.root, takers) as processes:
        for number in range(rounds):
            store.appender.seal_all()
            at = left_in_an_open_pack(
                Store.open(store.root), f"before-{number}", is_killed=number % 2 == 0
            )
            expected[at.id] = read_all(store, at)
            [pack] = open_files(store)
            runs = [f"run-{number}-{taker}" for taker in range(takers)]

            processes.own(runs)
            saved = processes.save()

            packs = open_files(store)
            assert pack in packs
            assert takers == len(packs)
            tags = [tag for path in packs for tag in unclosed(pack_of(path))]
            assert sorted(map(run_tag, runs)) == sorted(tags)
            assert {1} == {len(unclosed(pack_of(path))) for path in packs}
            for run, checkpoint in zip(runs, saved, strict=True):
                assert checkpoint == store.ref(run).checkpoint
                expected[checkpoint] = read_all(store, store.resolve(run))
            processes.leave()
    again = Store.open(store.root)
    assert [] == list(again.check(read_data=True))
    assert expected == {
        ref.checkpoint: read_all(again, again.resolve(ref.run)) for ref in again.refs()
    }


def left_in_an_open_pack(store: Store, run: str, *, is_killed: bool) -> Checkpoint:
    """Save a run a few times, and leave it, or be killed; gives where it stands."""
    newest: list[Checkpoint] = []

    def work() -> None:
        with store.own(run):
            newest.append(extend(store, begin(store, run), range(2)))
            if is_killed:
                kill()

    if is_killed:
        with pytest.raises(Killed):
            work()
    else:
        work()
    return newest[0]
