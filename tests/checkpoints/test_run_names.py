"""The names that a person gives to runs: `4jvx`, `train-20`, `train@{1}`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend
from maverick.checkpoints import Checkpoint, Ref, Store, byhand
from maverick.checkpoints.revisions import fitting
from maverick.errors import NotFound, RefDamaged, RevisionAmbiguous

RUNS = (
    ("train-20261201-010101-4jvx", "train"),
    ("my-flow-20261201-010102-ab2c", "my-flow"),
    ("train-20261201-010103-mfrd", "train"),
    ("train-20261130-000000-xk9z", "train"),
)
"""In the order in which they are started; the clock went back before the last one."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.create(tmp_path / "checkpoints", files=CountingFiles(), clock=lambda: 1)
    for run, group in RUNS:
        extend(store, begin(store, run, group=group), range(2))
    return store


def named(store: Store, word: str) -> str:
    """The run that *word* names, by both ways to ask."""
    ref = store.resolve_run(word)
    assert ref.checkpoint == store.resolve(word).id
    return ref.run


@pytest.mark.parametrize(
    ("word", "position"),
    [
        (RUNS[0][0], 0),
        ("4jvx", 0),
        ("jvx", 0),
        ("my-", 1),
        ("-010103-mfrd", 2),
        ("train-20261130", 3),
        ("@latest", 3),
        ("@{0}", 3),
        ("@{1}", 2),
        ("@{3}", 0),
        ("train@latest", 3),
        ("train@{0}", 3),
        ("train@{1}", 2),
        ("train@{2}", 0),
        ("my_flow@{0}", 1),
        ("my-flow@latest", 1),
        ("4jvx@latest", 0),
    ],
)
def test_each_way_to_name_a_run(store: Store, word: str, position: int) -> None:
    """Newest is what was started last in this store, whatever the clock said."""
    assert RUNS[position][0] == named(store, word)


def test_what_stands_behind_a_name_counts_from_its_run(store: Store) -> None:
    """`~N`, labels and tags are those of the run, however it is named."""
    run, tip = RUNS[2][0], store.resolve(RUNS[2][0])
    label = store.save(run, {}, parent=tip, kind="label", label="half")
    store.save(run, {}, parent=label)
    store.tag(run, "kept", tip)

    for name in (run, "mfrd", "train-20261201-010103", "train@{1}"):
        assert label == store.resolve(f"{name}~1"), name
        assert label == store.resolve(f"{name}@half"), name
        assert tip == store.resolve(f"{name}@kept"), name
        assert tip == store.resolve(f"{name}@half~1"), name
        assert tip == store.resolve(f"{name}~1~1"), name


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("vx", "there is no run vx"),
        ("4jvy", f"there is no run 4jvy; did you mean {RUNS[0][0]}?"),
        ("train@{3}", "there is no train@{3}: there are 3 runs of train"),
        ("@{4}", "there is no @{4}: there are 4 runs"),
        ("my-flow@{1}~2", "there is no my-flow@{1}: there is 1 run of my-flow"),
        ("4jvx@{1}", "has no label or tag {1}; it has none; train@{1} counts runs"),
        ("train@{1}~7", "there is no train@{1}@latest~7"),
        ("my_flow", "there is no run my_flow; my_flow@latest is the newest of that workflow"),
        ("nope@{1}", "there is no run nope"),
        ("{1}", "there is no run {1}"),
    ],
)
def test_what_names_no_run_says_why(store: Store, word: str, message: str) -> None:
    """With what the person may have meant."""
    with pytest.raises(NotFound) as caught:
        store.resolve(word)

    assert message in str(caught.value)
    assert not isinstance(caught.value, RevisionAmbiguous)


def test_what_fits_several_runs_lists_them_newest_first(store: Store) -> None:
    """Nobody has to look them up; nothing is chosen for the person."""
    for word in ("train-20261201", "train-20261201-01010"):
        with pytest.raises(RevisionAmbiguous) as caught:
            store.resolve(word)
        assert f"{word} fits 2 runs:\n  {RUNS[2][0]}\n  {RUNS[0][0]}" == str(caught.value)


def test_a_workflow_alone_says_how_its_newest_run_is_named(store: Store) -> None:
    """It begins the ids of all its runs."""
    with pytest.raises(RevisionAmbiguous, match=r"train@latest is the newest of that workflow"):
        store.resolve("train")
    assert RUNS[1][0] == named(store, "my-flow")


def test_only_the_first_of_many_are_listed(store: Store) -> None:
    for number in range(20):
        begin(store, f"many-{number}")

    with pytest.raises(RevisionAmbiguous, match=r"many- fits 20 runs") as caught:
        store.resolve_run("many-")
    assert 10 == len(str(caught.value).splitlines())
    assert str(caught.value).endswith("\n  and 12 more")


def test_a_beginning_goes_before_an_end_and_both_before_a_checkpoint(store: Store) -> None:
    """The order in which a word is read."""
    digits = store.resolve("4jvx").id[:6]
    assert store.resolve("4jvx") == store.resolve(digits)

    ending = begin(store, f"x-{digits}")
    assert ending == store.resolve(digits)
    beginning = begin(store, f"{digits}-x")
    assert beginning == store.resolve(digits)
    itself = begin(store, digits)
    assert itself == store.resolve(digits)


def test_a_checkpoint_is_no_run(store: Store) -> None:
    """What forgets a run does not forget the one that a checkpoint happens to be of."""
    tip = store.resolve("4jvx")

    for word in (tip.id, tip.id[:12], "4jvx~1", "@latest~1", "train@{1}~1"):
        with pytest.raises(NotFound, match=r"names a checkpoint of .*, and here a run is meant"):
            store.resolve_run(word)


class ReadsListed(CountingFiles):
    """Knows which whole files were read."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[Path] = []

    def read(self, path: Path) -> bytes:
        self.paths.append(path)
        return super().read(path)


def test_a_name_reads_the_ref_of_its_run_alone(tmp_path: Path) -> None:
    """However many runs there are: names of files say which it is."""
    files = ReadsListed()
    store = Store.create(tmp_path / "checkpoints", files=files)
    for number in range(30):
        begin(store, f"run-{number:03d}-end")
    store = Store.open(tmp_path / "checkpoints", files=files)
    files.paths.clear()

    assert "run-017-end" == store.resolve_run("017-end").run

    assert ["017-end", "run-017-end"] == [path.name for path in files.paths]


def test_a_damaged_ref_is_named_like_any_other(store: Store) -> None:
    """And does not hinder naming other runs, but for counting them: it may be one that counts."""
    (store.root / "refs" / RUNS[2][0]).write_bytes(b"torn")

    assert RUNS[0][0] == named(store, "4jvx")
    assert RUNS[3][0] == named(store, "@latest")
    with pytest.raises(RefDamaged, match=RUNS[2][0]):
        store.resolve("mfrd")
    with pytest.raises(RefDamaged, match=r"which run train@\{1\} is cannot be told.*mfrd"):
        store.resolve("train@{1}")
    with pytest.raises(RevisionAmbiguous, match=RUNS[2][0]):
        store.resolve("train-20261201")


def test_a_dropped_run_can_be_named_to_bring_it_back(store: Store) -> None:
    """By what named it before."""
    byhand.drop(store, RUNS[0][0])

    assert RUNS[0][0] == byhand.find_run(store, "4jvx")
    assert RUNS[3][0] == byhand.find_run(store, "@latest")
    with pytest.raises(RevisionAmbiguous):
        byhand.find_run(store, "train-20261201")
    with pytest.raises(NotFound):
        byhand.find_run(store, "nope")


IDS = st.text("ab1-_.", min_size=1, max_size=6).filter(lambda text: text[0] not in "-_.")


@given(st.lists(IDS, min_size=1, max_size=6, unique=True), IDS)
@settings(max_examples=300)
def test_fitting_is_the_first_kind_that_has_one(runs: list[str], word: str) -> None:
    """A model in its own words: an id, else beginnings, else ends, none shorter than 3."""
    kinds = [
        {run for run in runs if run == word},
        {run for run in runs if run[: len(word)] == word and len(word) > 2},
        {run for run in runs if run[::-1][: len(word)] == word[::-1] and len(word) > 2},
    ]

    assert sorted(next(filter(None, kinds), set())) == fitting(word, runs)


@given(st.lists(IDS, min_size=1, max_size=5, unique=True), st.data())
@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_run_is_named_by_its_id_and_by_its_place(
    tmp_path: Path, runs: list[str], data: st.DataObject
) -> None:
    """Whatever other runs are called."""
    store = Store.create(tmp_path / os.urandom(8).hex(), files=CountingFiles(), clock=lambda: 1)
    at: dict[str, Checkpoint] = {run: begin(store, run, group="zz") for run in runs}

    refs: dict[str, Ref] = {run: store.resolve_run(run) for run in runs}
    assert {run: at[run].id for run in runs} == {run: ref.checkpoint for run, ref in refs.items()}
    number = data.draw(st.integers(0, len(runs) - 1))
    assume("zz" not in runs)
    assert runs[-1 - number] == named(store, f"@{{{number}}}")
    assert runs[-1 - number] == named(store, f"zz@{{{number}}}")
