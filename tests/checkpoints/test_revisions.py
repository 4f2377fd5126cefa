"""The names that a person gives to checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.faults import CountingFiles
from kit.stores import begin, extend, step
from maverick.checkpoints import Checkpoint, Store
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.objects.segments import Item
from maverick.cli.typed.inside import split_revision
from maverick.errors import NotFound, RefDamaged, RevisionAmbiguous


@pytest.fixture
def store(tmp_path: Path) -> Store:
    times = iter(range(10_000))
    return Store.create(tmp_path / "checkpoints", files=CountingFiles(), clock=lambda: next(times))


@pytest.fixture
def saved(store: Store) -> list[Checkpoint]:
    """Five checkpoints of run-1, the second and the fourth labelled `half` and `most`; then a run
    of review.
    """
    at = [begin(store)]
    for number, label in enumerate(("half", "", "most", "")):
        at.append(
            store.save(
                "run-1", step(number), parent=at[-1], kind="label" if label else "auto", label=label
            )
        )
    begin(store, "other@1", group="review")
    return at


def test_each_way_to_name_a_checkpoint(store: Store, saved: list[Checkpoint]) -> None:
    """As the help of every command lists them."""
    store.tag("run-1", "tagged", saved[2])
    other = store.resolve("other@1")

    named = {
        "run-1": saved[4],
        "run-1~0": saved[4],
        "run-1~": saved[3],
        "run-1~2": saved[2],
        "run-1~1~1": saved[2],
        "run-1@half": saved[1],
        "run-1@most": saved[3],
        "run-1@most~1": saved[2],
        "run-1@tagged": saved[2],
        "run-1@latest": saved[4],
        "fly@latest": saved[4],
        "fly@latest~4": saved[0],
        "review@latest": other,
        "@latest": other,
        "other@1": other,
        saved[3].id: saved[3],
        saved[3].id[:12]: saved[3],
        saved[3].id[:12] + "~1": saved[2],
    }
    assert named == {revision: store.resolve(revision) for revision in named}


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("run-2", "there is no run run-2; did you mean run-1"),
        ("run-1~5", "there is no run-1~5: run-1~4 is the first"),
        ("run-1@hal", "run run-1 has no label or tag hal; it has most, half"),
        ("review@x", "it has none"),
        ("run-1@half~2", "there is no run-1@half~2: run-1@half~1 is the first"),
        ("run-1@hal~1", "run run-1 has no label or tag hal; it has most, half"),
        ("@latest~1", "there is no @latest~1: @latest~0 is the first"),
        ("fli@latest", "there is no run fli; did you mean fly"),
        ("@x", "there is no run @x"),
        ("nope@half", "there is no run nope"),
        ("", "there is no run "),
        ("0000", "there is no run 0000"),
        ("a\nb", "there is no run"),
    ],
)
def test_what_names_nothing_says_why(
    store: Store, saved: list[Checkpoint], revision: str, message: str
) -> None:
    """With what the person may have meant."""
    with pytest.raises(NotFound) as caught:
        store.resolve(revision)

    assert message in str(caught.value)


def test_a_label_of_a_group_is_that_of_its_newest_run(
    store: Store, saved: list[Checkpoint]
) -> None:
    """People name workflows, not runs."""
    half = store.resolve("run-1@half")

    assert half == store.resolve(f"{half.group}@half")


LABELS = st.text(
    st.one_of(st.sampled_from("@~:1 'a/"), st.characters(codec="utf-8")), min_size=1, max_size=8
)


@given(
    st.lists(LABELS.filter(lambda it: it != "latest"), min_size=1, max_size=4, unique=True),
    st.data(),
)
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_label_can_be_named(tmp_path: Path, labels: list[str], data: st.DataObject) -> None:
    """Whatever is in it: the first `@` ends the run, and a label that is there goes before a
    `~N`.
    """
    store = Store.create(tmp_path / os.urandom(8).hex(), files=CountingFiles())
    at = begin(store)
    named: dict[str, Checkpoint] = {}
    for number, label in enumerate(labels):
        at = store.save("run-1", step(number), parent=at, kind="label", label=label)
        named[label] = at

    assert named == {label: store.resolve(f"run-1@{label}") for label in labels}
    assert named == {label: store.resolve(f"fly@{label}") for label in labels}
    label = data.draw(st.sampled_from(labels))
    if f"{label}~1" not in labels and f"{label}:steps" not in labels:
        assert named[label].parent == store.resolve(f"run-1@{label}~1").id
        assert (named[label], "steps") == split_revision(store, f"run-1@{label}:steps")
        assert (named[label], None) == split_revision(store, f"run-1@{label}")


def test_an_empty_store_has_no_latest(store: Store) -> None:
    """Said plainly."""
    with pytest.raises(NotFound, match="there is no run yet"):
        store.resolve("@latest")


def test_a_prefix_that_fits_several_checkpoints_lists_them(store: Store) -> None:
    """With what tells them apart."""
    at = begin(store)
    found = {at.id[:4]: at}
    for number in range(3000):
        at = store.save(f"r{number}", {}, parent=None)
        if at.id[:4] in found:
            break
        found[at.id[:4]] = at
    first = found[at.id[:4]]

    with pytest.raises(RevisionAmbiguous) as caught:
        store.resolve(at.id[:4])
    assert f"{at.id[:4]} fits 2 checkpoints" in str(caught.value)
    assert f"  {at.id[:12]}  {at.run}, 1 (auto)" in str(caught.value)
    assert f"  {first.id[:12]}  {first.run}, 1 (auto)" in str(caught.value)


def test_a_run_that_looks_like_an_id_is_a_run(store: Store, saved: list[Checkpoint]) -> None:
    """A run's own id goes before any other reading."""
    at = begin(store, saved[0].id[:6])

    assert at == store.resolve(saved[0].id[:6])


def test_a_damaged_ref_is_not_taken_for_a_missing_run(
    store: Store, saved: list[Checkpoint]
) -> None:
    """`no such run` would send the person looking for a typo."""
    for path in (store.root / "refs").iterdir():
        path.write_bytes(b"{}")

    with pytest.raises(RefDamaged):
        store.resolve("run-1~1")
    with pytest.raises(RefDamaged):
        store.resolve("@latest")


def test_history_follows_parents_then_labels(store: Store, saved: list[Checkpoint]) -> None:
    """A parent is a weak link; where gc has collected it, the labelled checkpoints are still
    there.
    """
    assert [at.id for at in reversed(saved)] == [at.id for at in store.history("run-1")]

    _collect(store, [saved[0], saved[2]])

    fresh = Store.open(store.root)
    assert [saved[n].id for n in (4, 3, 1)] == [at.id for at in fresh.history("run-1")]
    with pytest.raises(NotFound, match=r"run-1~1 is the oldest that gc has left"):
        fresh.resolve("run-1~2")


def _collect(store: Store, gone: list[Checkpoint]) -> None:
    """Remove checkpoints as gc does: by packs that hold what stays."""
    ids = {checkpoint.id for checkpoint in gone}
    packs = store.objects.packs.listed()
    items = [item for pack in packs for item in pack.items(content=True)]
    store.objects.write(
        NewObject(item.kind, item.id, item.data)
        for item in items
        if isinstance(item, Item) and item.id not in ids
    )
    for pack in packs:
        (store.root / "objects" / pack.file).unlink()


def test_history_goes_from_a_fork_into_the_run_it_came_from(
    store: Store, saved: list[Checkpoint]
) -> None:
    """A fork has the history of what it was forked from."""
    fork = store.save("fork", {}, parent=saved[2])

    assert [fork.id, saved[2].id, saved[1].id, saved[0].id] == [
        at.id for at in store.history("fork")
    ]
    assert saved[1] == store.resolve("fork~2")
    extend(store, fork, range(1))
