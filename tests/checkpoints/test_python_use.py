"""The store as a Python program uses it: where it is found, what it takes, what it shows."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maverick.checkpoints import Overview, Store, value
from maverick.errors import FormatDamaged, NotFound, UsageError, ValueUnstorable
from maverick.values import normalise

AS: list[Callable[[Path], str | Path]] = [str, Path, lambda path: Path(os.path.relpath(path))]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a store that has a run."""
    Store.create(tmp_path / ".maverick" / "checkpoints").save("run", {"a": 1})
    return tmp_path


# --- where it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", AS)
@pytest.mark.parametrize("folder", ["", ".maverick", ".maverick/checkpoints"])
def test_a_store_is_found_from_its_project(
    project: Path, folder: str, form: Callable[[Path], str | Path]
) -> None:
    """People have the project's folder at hand, and write paths as texts."""
    root = form(project / folder)

    for store in (Store.open(root), Store.create(root)):
        assert store.root.is_absolute()
        assert store.root.samefile(project / ".maverick/checkpoints")
    assert ["run"] == [ref.run for ref in Overview(root).refs()]


def test_a_project_may_have_folders_named_as_a_stores(project: Path) -> None:
    """`objects` with files in it is no damaged store where the project has a whole one."""
    (project / "objects").mkdir()
    (project / "objects" / "lamp.obj").touch()

    assert ["run"] == [ref.run for ref in Store.open(project)]


def test_a_store_stays_where_it_was_opened(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that goes to another folder has the same store."""
    monkeypatch.chdir(project)
    store = Store.open(".")
    monkeypatch.chdir(tmp_path.parent)

    assert 1 == store.load("run").value("a")


def test_where_there_is_none_both_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=rf"at {tmp_path}, nor at {tmp_path}/.maverick/checkpoints"):
        Store.open(tmp_path)


def test_a_damaged_store_of_a_project_is_damaged(project: Path) -> None:
    """And no missing one."""
    (project / ".maverick/checkpoints/format.json").unlink()

    for folder in ("", ".maverick"):
        with pytest.raises(FormatDamaged):
            Store.open(project / folder)


@pytest.mark.parametrize("mark", [".git", ".maverick", "maverick.yaml", ".gitignore", "tmp"])
def test_no_store_is_made_over_a_project(tmp_path: Path, mark: str) -> None:
    """It would overwrite `.gitignore`, and gc would empty `tmp`."""
    (tmp_path / mark).touch()
    (tmp_path / "main.py").touch()

    with pytest.raises(UsageError, match=rf"holds {mark} and .*{tmp_path}/.maverick/checkpoints"):
        Store.create(str(tmp_path))

    assert {mark, "main.py"} == {path.name for path in tmp_path.iterdir()}


def test_a_new_store_is_not_the_folder_maverick_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"make it at .*\.maverick/checkpoints"):
        Store.create(tmp_path / ".maverick")


def test_a_half_made_store_is_made_whole(tmp_path: Path) -> None:
    """A crash may have left it so."""
    (tmp_path / "objects").mkdir()
    (tmp_path / ".gitignore").write_text("*\n")

    assert [] == list(Store.create(tmp_path))


# --- what it takes --------------------------------------------------------------------------------


@dataclass
class Setting:
    rate: float
    until: dt.date


PLAIN = st.recursive(
    st.none()
    | st.integers()
    | st.text("ab", max_size=2)
    | st.dates()
    | st.timedeltas()
    | st.binary(max_size=3)
    | st.sampled_from([Path("a/b"), Decimal("1.5"), Setting(0.5, dt.date(2026, 1, 2))]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=3)
        | st.dictionaries(st.text("ab"), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.create(tmp_path_factory.mktemp("store") / "checkpoints")


RUNS = iter(range(1_000_000))


@settings(deadline=None, max_examples=60)
@given(PLAIN)
def test_what_is_saved_is_normalised_as_outputs_are(shared: Store, plain: object) -> None:
    """In a save and in `value`; None alone removes."""
    run = f"run-{next(RUNS)}"

    shared.save(run, {"a": plain, "b": value(plain)})

    snapshot = shared.load(run)
    expected = normalise(plain)
    assert expected == snapshot.value("b")
    assert expected == (snapshot.value("a") if plain is not None else None)
    assert (plain is not None) == ("a" in snapshot.names())


def test_what_cannot_be_stored_is_named_with_its_place(shared: Store) -> None:
    with pytest.raises(ValueUnstorable, match=r"params\.rows\[1\]\.conn: cannot store"):
        shared.save("bad", {"params": {"rows": [1, {"conn": object()}]}})
    with pytest.raises(ValueUnstorable, match="keys must be text"):
        shared.save("bad", {"params": {1: 2}})
    assert "bad" not in shared


def test_a_label_alone_makes_a_labelled_checkpoint(shared: Store) -> None:
    first = shared.save("labelled", {"a": 1}, label="best")

    assert "label" == first.kind
    assert first == shared.resolve("labelled@best")


# --- what it shows --------------------------------------------------------------------------------


def test_a_store_gives_its_runs_and_says_where_it_is(project: Path) -> None:
    store = Store.open(project)
    store.save("other", {})

    assert ["other", "run"] == [ref.run for ref in store]
    assert [True, False] == ["run" in store, "ru" in store]
    (store.root / "refs" / "other").write_bytes(b"torn")
    assert "other" in store
    assert f"Store('{project}/.maverick/checkpoints')" == repr(store)
    assert "<Snapshot of run, 1>" == repr(store.load("run"))
    assert "<Content: value>" == repr(value("a secret"))


def open_packs(project: Path) -> set[str]:
    """The packs of *project* that this process has open."""
    paths = {os.path.realpath(link) for link in Path("/dev/fd").iterdir()}
    return {path for path in paths if path.endswith(".pack") and path.startswith(f"{project}/")}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere descriptors have no paths")
def test_a_store_closes_its_files_and_can_be_used_again(project: Path) -> None:
    """A program that looks into many stores runs out of descriptors else."""
    with Store.open(project) as store:
        store.save("wide", {f"part{n}": f"{n}" for n in range(100)})
    with Store.open(project) as store:
        assert "7" == store.load("wide").value("part7")
        assert 1 == len(open_packs(project))

    assert set() == open_packs(project)
    assert "8" == store.load("wide").value("part8")
