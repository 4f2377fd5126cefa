"""A run in one file: everything goes with it, and nothing of a damaged one comes in."""

from __future__ import annotations

import fcntl
import os
import random
import re
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.faults import CrashingFiles, FullFiles, Killed
from kit.stores import begin, extend, flip, read_all, take_in
from maverick.checkpoints import Checkpoint, Store, blob, byhand, exports, note, value
from maverick.checkpoints.disk import sealed as canonical
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.refs.refs import encode_ref
from maverick.errors import StoreDamaged, StoreTooNew, StoreUnwritable, UsageError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "there")


def _filled(store: Store) -> Checkpoint:
    """A run with labels, bytes in a value, similar outputs, a large blob, tags, and files."""
    at = extend(store, begin(store), range(20))
    at = store.save(
        "run-1",
        {("steps", "bytes"): value({"raw": b"\0\xff"})},
        parent=at,
        kind="label",
        label="half",
    )
    large = random.Random(1).randbytes(700_000)
    files = {("workspace", "src", "a.py"): blob(b"print()\n"), ("workspace", "large"): blob(large)}
    at = store.save("run-1", files, parent=at)
    for number in range(4):
        text = value({"transcript": "line\n" * 900 + str(number)})
        at = store.save(
            "run-1", {("steps", "talk"): text}, parent=at, facts={("steps", "talk"): note("{}")}
        )
    byhand.tag(store, "run-1", "good", at)
    return at


def _objects(store: Store) -> int:
    store.objects.packs.refresh()
    return sum(len(pack) for pack in store.objects.packs.listed())


def test_a_run_goes_to_another_store_with_everything(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """Outputs, facts, labels, tags, log, files; and fsck finds nothing."""
    at = _filled(store)

    done = exports.export(store, at, tmp_path / "run")
    ref = take_in(there, tmp_path / "run")

    assert ("run-1", at.id, (tmp_path / "run").stat().st_size) == (
        done.run,
        done.checkpoint,
        done.bytes,
    )
    assert store.ref("run-1") == ref
    assert read_all(store, at) == read_all(there, there.resolve("run-1"))
    assert store.resolve("run-1@half") == there.resolve("run-1@half")
    assert [] == list(there.check(read_data=True))
    assert "dropped" not in there.owner_note("run-1")
    extend(there, at, range(20, 22))


def test_the_same_run_gives_the_same_bytes_however_it_is_stored(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """In a pack for each save, in an open one, sealed, or in the one in which it came."""
    at = _filled(store)
    exports.export(store, at, tmp_path / "one")
    take_in(there, tmp_path / "one")
    appended = Store.create(tmp_path / "appended", clock=_from(0))
    sealed = Store.create(tmp_path / "sealed", clock=_from(0))
    with appended.own("run-1"):
        tip = _filled(appended)
        exports.export(appended, tip, tmp_path / "a1")
        exports.export(Store.open(appended.root), tip, tmp_path / "a2")
    exports.export(appended, tip, tmp_path / "a3")
    appended.appender.seal_all()
    exports.export(Store.open(appended.root), tip, tmp_path / "a4")
    exports.export(sealed, _filled(sealed), tmp_path / "a5")
    exports.export(there, there.resolve("run-1"), tmp_path / "other")

    # Of what was before, the other store knows less.
    assert _pack(tmp_path / "one") == _pack(tmp_path / "other")
    assert 1 == len({(tmp_path / f"a{number}").read_bytes() for number in range(1, 6)})


def _pack(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: -16 - int.from_bytes(data[-16:-8])]


def _from(start: int) -> Callable[[], int]:
    times = count(start)
    return lambda: next(times)


def test_a_run_is_exported_while_its_owner_goes_on(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """As far as it is announced; nothing in the store is changed, and nobody is kept waiting."""
    other = Store.open(store.root)
    with store.own("run-1"):
        at = _filled(store)
        before = _files(store)
        exports.export(other, at, tmp_path / "run")
        assert before == _files(store)
        now = extend(store, at, range(30, 33))
        exports.export(other, other.resolve("run-1"), tmp_path / "later")

    assert at.id == take_in(there, tmp_path / "run").checkpoint
    assert now.id == take_in(there, tmp_path / "later").checkpoint
    assert read_all(store, now) == read_all(there, there.resolve("run-1"))


def _files(store: Store) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_an_older_checkpoint_goes_alone_with_the_labelled_ones_before_it(
    store: Store, there: Store, tmp_path: Path
) -> None:
    at = _filled(store)
    older = store.checkpoint(at.parent)

    exports.export(store, older, tmp_path / "run")
    ref = take_in(there, tmp_path / "run")

    assert (older.id, 1, {}) == (ref.checkpoint, len(ref.positions), ref.tags)
    assert "half" == there.resolve("run-1@half").label
    assert [] == list(there.check(read_data=True))


def test_under_another_name_it_is_a_run_of_its_own(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """Also beside the one that it is of; nobody misses a run that was never here."""
    at = _filled(store)
    exports.export(store, at, tmp_path / "run")

    beside = take_in(store, tmp_path / "run", "copy")
    alone = take_in(there, tmp_path / "run", "copy")

    assert read_all(store, at) == read_all(there, there.resolve("copy"))
    assert at.tree == beside.tree == alone.tree
    assert "half" == there.resolve("copy@half").label
    assert [[], []] == [list(each.check(read_data=True)) for each in (store, there)]


def test_a_second_import_of_the_same_content_stores_nothing_twice(
    store: Store, tmp_path: Path
) -> None:
    """What is there already is not written again."""
    at = _filled(store)
    exports.export(store, at, tmp_path / "run")
    before = _objects(store)

    take_in(store, tmp_path / "run", "copy")

    assert 1 == _objects(store) - before


def test_a_dropped_run_can_be_imported_again(store: Store, tmp_path: Path) -> None:
    at = _filled(store)
    exports.export(store, at, tmp_path / "run")
    byhand.drop(store, "run-1")
    store.plan_gc().execute()

    take_in(store, tmp_path / "run")

    assert [] == list(store.check(read_data=True))
    assert at == store.resolve("run-1")


def test_an_export_that_cannot_be_written_leaves_nothing(store: Store, tmp_path: Path) -> None:
    at = begin(store)
    (tmp_path / "run").write_text("mine")

    with pytest.raises(
        UsageError, match="run exists already; choose another name, or replace it: --force"
    ):
        exports.export(store, at, tmp_path / "run")
    with pytest.raises(UsageError, match=r"there is no folder .*/none to write run into"):
        exports.export(store, at, tmp_path / "none" / "run")
    full = Store.open(store.root, files=FullFiles(1))
    with pytest.raises(StoreUnwritable, match=r"cannot write .*/new: No space left on device"):
        exports.export(full, at, tmp_path / "new")
    assert {"here", "run"} == {path.name for path in tmp_path.iterdir()}


def test_a_file_is_replaced_where_that_is_said_and_nothing_else(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """A folder, a pipe or a link stays what it is."""
    at = extend(store, begin(store), range(2))
    (tmp_path / "run").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("run")
    os.mkfifo(tmp_path / "pipe")

    for name in ("folder", "link", "pipe"):
        with pytest.raises(UsageError, match="--force replaces only files"):
            exports.export(store, at, tmp_path / name, replace=True)
    assert "mine" == (tmp_path / "run").read_text()
    exports.export(store, at, tmp_path / "run", replace=True)
    exports.export(store, at, tmp_path / "new", replace=True)

    assert at.id == take_in(there, tmp_path / "run").checkpoint
    assert (tmp_path / "run").read_bytes() == (tmp_path / "new").read_bytes()


def test_a_file_that_cannot_be_replaced_stays(store: Store, tmp_path: Path) -> None:
    at = begin(store)
    (tmp_path / "run").write_text("mine")
    full = Store.open(store.root, files=FullFiles(1))

    with pytest.raises(StoreUnwritable):
        exports.export(full, at, tmp_path / "run", replace=True)

    assert "mine" == (tmp_path / "run").read_text()


def test_an_old_checkpoint_that_is_damaged_does_not_keep_a_run_from_being_exported(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """What came before is only named; what is damaged of it is not needed."""
    at = extend(store, begin(store), range(30))
    old = [checkpoint for checkpoint in store.history("run-1") if checkpoint.sequence == 3]
    flip(store, old[0].id, 60)

    exports.export(Store.open(store.root), at, tmp_path / "run")

    assert at.id == take_in(there, tmp_path / "run").checkpoint


def test_what_is_damaged_here_is_not_exported(store: Store, tmp_path: Path) -> None:
    at = extend(store, begin(store), range(2))
    for pack in (store.root / "objects").iterdir():
        data = bytearray(pack.read_bytes())
        data[100] ^= 1
        pack.write_bytes(data)

    with pytest.raises(StoreDamaged):
        exports.export(Store.open(store.root), at, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- what is refused ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small export."""
    folder = tmp_path_factory.mktemp("exported")
    store = Store.create(folder / "store")
    exports.export(store, extend(store, begin(store), range(3)), folder / "run")
    return (folder / "run").read_bytes()


def _import(folder: Path, data: bytes) -> None:
    (folder / "run").write_bytes(data)
    take_in(Store.create(folder / "there"), folder / "run")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, `there`, that nothing comes into."""
    folder = tmp_path_factory.mktemp("elsewhere")
    Store.create(folder / "there")
    return folder


@given(st.data())
@settings(max_examples=80)
def test_every_truncation_and_every_flipped_bit_is_refused(
    exported: bytes, elsewhere: Path, data: st.DataObject
) -> None:
    """And nothing of it comes in."""
    place = data.draw(st.integers(0, len(exported) - 1))
    bit = data.draw(st.integers(-1, 7))
    damaged = exported[:place] if bit < 0 else _flipped(exported, place, bit)

    with pytest.raises((StoreDamaged, StoreTooNew, UsageError)):
        _import(elsewhere, damaged)

    there = Store.open(elsewhere / "there")
    assert ([], 0) == (there.refs(), _objects(there))


def _flipped(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda _: b"", UsageError, "is no file that `maverick checkpoint export` wrote"),
        (
            lambda _: b"PK\3\4 a zip",
            UsageError,
            "is no file that `maverick checkpoint export` wrote",
        ),
        (
            lambda data: data[:-1],
            StoreDamaged,
            "run is damaged: it is cut off, or its end is altered; nothing was im",
        ),
        (lambda data: data[: len(data) // 2], StoreDamaged, "it is cut off, or its end is altered"),
        (
            lambda data: _flipped(data, 200, 3),
            StoreDamaged,
            "run is damaged: .*; nothing was imported, export the run",
        ),
        (
            lambda data: _flipped(data, len(data) - 200, 3),
            StoreDamaged,
            "what it says of the run is altered",
        ),
    ],
)
def test_a_damaged_file_is_refused_with_what_is_wrong(
    exported: bytes, tmp_path: Path, change: object, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        _import(tmp_path, change(exported))  # type: ignore[operator]


def _with_head(exported: bytes, **fields: object) -> bytes:
    """An export whose end says something else, rightly sealed."""
    length = int.from_bytes(exported[-16:-8])
    pack, head = exported[: -16 - length], exported[-16 - length : -16]
    said = canonical.unseal(head)
    assert said is not None
    sealed = canonical.seal({**said, **fields})
    return pack + sealed + len(sealed).to_bytes(8) + exported[-8:]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 3}, "run has format 3, this version reads 2; update maverick"),
        ({"format": 1}, "run has format 1, .* the last commit that reads it is ea2b6a2"),
    ],
)
def test_what_another_version_wrote_is_refused(
    exported: bytes, tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(StoreTooNew, match=message):
        _import(tmp_path, _with_head(exported, **fields))


def test_a_run_whose_name_leads_elsewhere_is_refused(exported: bytes, tmp_path: Path) -> None:
    """Also one that would be escaped well: nobody called a run so."""
    store = Store.create(tmp_path / "store")
    ref = store.ref(begin(store, "x").run)

    with pytest.raises(
        UsageError, match=r"run holds a run without a proper name: '\.\./x' cannot be"
    ):
        _import(tmp_path, _with_head(exported, ref=encode_ref(ref._replace(run="../x")).decode()))
    with pytest.raises(StoreDamaged, match=r"run is not whole: object [0-9a-f]+ is missing"):
        _import(tmp_path, _with_head(exported, ref=encode_ref(ref._replace(run="y")).decode()))


@pytest.mark.parametrize("change", [{"tags": []}, {"tags": {"a": 1}}, {"labelled": "x"}])
def test_a_ref_of_other_types_is_refused(
    exported: bytes, tmp_path: Path, change: dict[str, Any]
) -> None:
    said = canonical.unseal(exported[-16 - int.from_bytes(exported[-16:-8]) : -16])
    assert said is not None
    ref = canonical.unseal(said["ref"].encode())
    assert ref is not None

    with pytest.raises(StoreDamaged, match="what it says of the run is altered"):
        _import(tmp_path, _with_head(exported, ref=canonical.seal({**ref, **change}).decode()))


@pytest.mark.parametrize("tag", ["a/b", "", "latest", "x" * 101])
def test_a_tag_that_nobody_could_have_set_is_refused(
    store: Store, exported: bytes, tmp_path: Path, tag: str
) -> None:
    """In the words of tagging."""
    with pytest.raises(UsageError) as refused:
        byhand.tag(store, "run-1", tag, None)
    _refuses(exported, tmp_path, str(refused.value), tags={tag: "f" * 64})


@pytest.mark.parametrize("value", [1.5, [[1.5]], ["x"] * 2000])
def test_a_summary_that_nobody_could_have_saved_is_refused(
    store: Store, exported: bytes, tmp_path: Path, value: object
) -> None:
    """In the words of saving."""
    with pytest.raises(UsageError) as refused:
        store.save("own", {}, summary={"x": value})
    _refuses(exported, tmp_path, str(refused.value), summary={"x": value})


def _refuses(exported: bytes, tmp_path: Path, why: str, **change: object) -> None:
    said = canonical.unseal(exported[-16 - int.from_bytes(exported[-16:-8]) : -16])
    assert said is not None
    ref = canonical.unseal(said["ref"].encode())
    assert ref is not None
    with pytest.raises(UsageError, match=re.escape(f" is refused: {why}")):
        _import(tmp_path, _with_head(exported, ref=canonical.seal({**ref, **change}).decode()))


@pytest.mark.parametrize("before", ["f", "F" * 16, "0" * 16 * 10_001, 16, None])
def test_what_no_export_says_of_the_checkpoints_before_is_refused(
    exported: bytes, tmp_path: Path, before: object
) -> None:
    with pytest.raises(StoreDamaged, match="what it says of the run is altered"):
        _import(tmp_path, _with_head(exported, before=before))


def test_a_head_that_is_nested_too_deep_is_refused(exported: bytes, tmp_path: Path) -> None:
    body = b'{"x":' + b"[" * 200_000
    head = body + b',"~blake3":"' + blake3(body).hexdigest().encode() + b'"}\n'
    pack = exported[: -16 - int.from_bytes(exported[-16:-8])]

    with pytest.raises(StoreDamaged, match="what it says of the run is altered"):
        _import(tmp_path, pack + head + len(head).to_bytes(8) + exported[-8:])


@pytest.mark.parametrize("change", [{"sequence": 9}, {"bytes": 0}, {"positions": ()}])
def test_a_ref_that_does_not_fit_is_refused(
    store: Store, tmp_path: Path, change: dict[str, Any]
) -> None:

    exports.export(store, extend(store, begin(store), range(3)), tmp_path / "one")
    ref = store.ref("run-1")._replace(**change)

    with pytest.raises(
        StoreDamaged, match="its ref does not fit the checkpoint at which it stands"
    ):
        _import(tmp_path, _with_head((tmp_path / "one").read_bytes(), ref=encode_ref(ref).decode()))


@pytest.mark.parametrize(
    "names",
    [
        ("workspace", "..", "x"),
        ("workspace", "a", "../x"),
        ("workspace", ".GIT", "hooks"),
        ("workspace", ".maverick"),
        ("workspace", "nul\0"),
        ("definition", "../x.yaml"),
    ],
)
def test_a_file_whose_name_leads_out_is_refused(
    store: Store, there: Store, tmp_path: Path, names: tuple[str, ...]
) -> None:
    """Such a file would be written somewhere else, were it restored."""
    at = store.save("run-1", {names: blob(b"x")}, parent=begin(store))
    exports.export(store, at, tmp_path / "run")

    with pytest.raises(UsageError, match="run is refused: no file of a project can be called"):
        take_in(there, tmp_path / "run")

    assert ([], 0) == (there.refs(), _objects(there))


def test_a_name_that_leads_out_does_not_hide_behind_an_equal_tree(
    store: Store, there: Store, tmp_path: Path
) -> None:
    """The same tree stands elsewhere, too, where its names mean nothing."""
    same = {(top, "..", "x"): blob(b"x") for top in ("artifacts", "workspace")}
    exports.export(store, store.save("run-1", same, parent=begin(store)), tmp_path / "run")

    with pytest.raises(UsageError, match="is refused"):
        take_in(there, tmp_path / "run")


def test_a_folder_or_nothing_is_no_export(there: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder, not the file of a run"):
        take_in(there, tmp_path)
    with pytest.raises(UsageError, match=r"cannot read .*/none: No such file or directory"):
        take_in(there, tmp_path / "none")


def test_a_kill_at_any_point_of_an_import_leaves_the_run_or_nothing(
    store: Store, tmp_path: Path
) -> None:
    """And a store that is whole; importing again goes on."""
    at = extend(store, begin(store), range(3))
    exports.export(store, at, tmp_path / "run")
    after, ended = 0, False
    while not ended:
        root = tmp_path / str(after)
        Store.create(root)
        try:
            take_in(Store.open(root, files=CrashingFiles(after)), tmp_path / "run")
            ended = True
        except Killed:
            pass
        there = Store.open(root)
        assert [] == [it for it in there.check(read_data=True) if it.severity == "error"]
        if not there.refs():
            take_in(there, tmp_path / "run")
        assert read_all(store, at) == read_all(there, there.resolve("run-1"))
        after += 1
    assert after > 5


# --- temporary files ------------------------------------------------------------------------------


def test_an_export_that_was_killed_does_not_stand_in_the_way_of_the_next(
    store: Store, tmp_path: Path
) -> None:
    """Wherever it was killed. What it left is removed once its process is gone."""
    at = extend(store, begin(store), range(3))
    folder = tmp_path / "out"
    folder.mkdir()
    for after in count(1):
        with pytest.raises(Killed):
            exports.export(Store.open(store.root, files=CrashingFiles(after)), at, folder / "run")
        left = _only(folder)
        if left.name == "run":  # It has its name: only the folder was not synced.
            break
        gone = left.with_name(re.sub(r"[0-9]+(?=-[0-9a-f]{16}$)", str(_dead_process()), left.name))
        left.rename(gone)

        exports.export(store, at, folder / "run")

        assert ["run"] == [path.name for path in folder.iterdir()]
        (folder / "run").unlink()


def _only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def _dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_an_export_leaves_what_it_cannot_know_to_be_its_own(store: Store, tmp_path: Path) -> None:
    """A temporary file of a process that lives, one that is locked, a link, and what only looks
    like one.
    """
    at, dead = begin(store), _dead_process()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    alive, locked, link, other = (
        tmp_path / f".run.{name}"
        for name in (
            f"{os.getppid()}-{'a' * 16}",
            f"{dead}-{'b' * 16}",
            f"{dead}-{'c' * 16}",
            f"{dead}-note",
        )
    )
    for path in (alive, locked, other):
        path.write_text("")
    link.symlink_to(victim)
    with locked.open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        exports.export(store, at, tmp_path / "run")

    assert all(os.path.lexists(path) for path in (alive, locked, link, other))
    assert "mine" == victim.read_text()


def test_nobody_can_foresee_the_temporary_name_of_an_export(store: Store, tmp_path: Path) -> None:
    """Else anybody who may write into the folder could keep the run from being exported, or lead it
    elsewhere.
    """
    at = begin(store)
    seen: set[str] = set()
    for number in range(2):
        files = _Naming()
        exports.export(Store.open(store.root, files=files), at, tmp_path / f"{'é' * 120}{number}")
        seen.update(files.names)

    assert 2 == len(seen)


class _Naming(Files):
    """Notes the names that new files get."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def create(self, path: Path) -> int:
        self.names.append(path.name)
        return super().create(path)
