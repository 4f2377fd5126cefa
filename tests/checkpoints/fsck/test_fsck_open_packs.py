"""What fsck says of packs that are open: what a kill or a power cut leaves is no damage, what is
damaged between whole records is.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import extend, read_all
from maverick.checkpoints import Checkpoint, Store, blob, note, value
from maverick.checkpoints.disk.files import Files
from maverick.checkpoints.fsck.check import check
from maverick.checkpoints.fsck.findings import Finding
from maverick.checkpoints.fsck.repair import repair
from maverick.checkpoints.objects.pack_records import PACK_HEADER_BYTES, Record
from maverick.checkpoints.objects.packs import Pack
from maverick.errors import StoreDamaged


@dataclass(frozen=True)
class Killed:
    """A store whose process was killed while it owned the runs `first` and `second`: both are in
    one open pack, and so are the records of each other.
    """

    root: Path
    first: tuple[Checkpoint, ...]
    second: tuple[Checkpoint, ...]
    records: tuple[Record, ...]
    contents: dict[str, dict[str, bytes]]

    @property
    def pack(self) -> Path:
        (path,) = (self.root / "objects").glob("*.open")
        return path

    def ref(self, run: str) -> Path:
        return self.root / "refs" / run


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    root = tmp_path_factory.mktemp("sound") / "store"
    store = Store.create(root, files=CountingFiles())
    (root / "reserve").write_bytes(b"small")
    runs: dict[str, list[Checkpoint]] = {"first": [], "second": []}
    with store.own("first"), store.own("second"):
        for number in range(4):
            for run, saved in runs.items():
                parent = saved[-1] if saved else None
                changes = {
                    ("steps", f"{number}"): value({run: number}),
                    ("b",): blob(os.urandom(99) + run.encode()),
                }
                label = f"{run}-label" if number == 2 else ""
                facts = {("steps", f"{number}"): note(run)}  # else both share the empty tree
                saved.append(store.save(run, changes, parent=parent, label=label, facts=facts))
        contents = {it.id: read_all(store, it) for saved in runs.values() for it in saved}
        copy = Path(shutil.copytree(root, root.with_name("killed")))
        records = tuple(_open_pack(store).records)
    return Killed(copy, tuple(runs["first"]), tuple(runs["second"]), records, contents)


def _open_pack(store: Store) -> Pack:
    store.objects.packs.refresh()
    (pack,) = (it for it in store.objects.packs.listed() if it.is_open)
    return pack


@pytest.fixture
def killed(sound: Killed, tmp_path: Path) -> Killed:
    root = Path(shutil.copytree(sound.root, tmp_path / "store"))
    return Killed(root, sound.first, sound.second, sound.records, sound.contents)


def errors(root: Path) -> list[Finding]:
    quick = [it for it in check(root) if it.severity == "error"]
    found = [it for it in check(root, read_data=True) if it.severity == "error"]
    assert bool(quick) == bool(found)
    return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def assert_stands(killed: Killed, *expected: Checkpoint) -> None:
    """Each run stands where it is said, whole, and goes on from there by appending."""
    store = Store.open(killed.root)
    for at in expected:
        assert at == store.resolve(at.run)
        assert killed.contents.get(at.id) in (None, read_all(store, at))
        with store.own(at.run):
            extend(store, at, range(7, 9))
    assert [] == errors(killed.root)
    assert [] == repair(killed.root, clock=lambda: 1_000_000_000_001)


def test_what_a_kill_leaves_is_no_damage(killed: Killed) -> None:
    """Both runs stand in an open pack that nobody has; repairing that is what any save does."""
    assert [] == errors(killed.root)
    assert [] == repair(killed.root, clock=lambda: 1_000_000_000_000)

    assert_stands(killed, killed.first[-1], killed.second[-1])


def test_what_stands_behind_the_last_whole_record_is_no_damage(killed: Killed) -> None:
    """A torn record, zeros, half an index: no such save was acknowledged. Every length of it."""
    path, size = killed.pack, killed.records[-1].end
    data = path.read_bytes()
    last = killed.records[-1].offset
    ref = killed.ref("second")
    older = ref.read_bytes()
    ref.unlink()  # It is told by the pack, wherever it is cut.
    for cut in range(last, size, 7):
        for tail in (b"", bytes(99), data[last:cut][::-1]):
            path.write_bytes(data[:cut] + tail)
            assert [] == list(check(killed.root, read_data=True)), (cut, tail)
    ref.write_bytes(older)
    for cut in range(PACK_HEADER_BYTES):
        path.with_name(f"{cut:032x}.open").write_bytes(bytes(cut))
    path.write_bytes(data + b"MVRK" * 9)

    assert [] == list(check(killed.root, read_data=True))


@pytest.mark.parametrize("how", ["torn", "lags", "gone", "empty"])
def test_a_ref_that_an_open_pack_tells_is_no_damage(killed: Killed, how: str) -> None:
    """So a power cut leaves it. Who goes on with the pack writes it, and so does a repair."""
    ref = killed.ref("first")
    data = ref.read_bytes()
    match how:
        case "torn":
            ref.write_bytes(data[:512] + bytes(len(data) - 512))
        case "lags":
            store = Store.open(killed.root)
            lagging = store.ref("first")._replace(
                sequence=1, checkpoint=killed.first[0].id, tree=killed.first[0].tree
            )
            store.ref_files.put(lagging)
        case "gone":
            ref.unlink()
        case "empty":
            ref.write_bytes(b"")

    assert [] == errors(killed.root)
    assert [] == repair(killed.root, clock=lambda: 1_000_000_000_000)
    assert killed.first[-1].id in ref.read_text()
    assert_stands(killed, killed.first[-1], killed.second[-1])


def test_a_torn_ref_that_no_open_pack_tells_is_damage(killed: Killed) -> None:
    """The run was left: its ref was durable."""
    store = Store.open(killed.root)
    with store.own("first"):
        pass
    ref = killed.ref("first")
    ref.write_bytes(ref.read_bytes()[:-9])

    assert [("ref", ("first",))] == [(it.kind, it.runs) for it in errors(killed.root)]
    assert ["rebuilt"] == [it.kind for it in repair(killed.root, clock=lambda: 1)]
    assert [] == errors(killed.root)


# The segments by the numbers of their records: a label begins one, and they are the third of a run.
SEGMENTS = (range(4), range(4, 5), range(5, 8))


def least_and_most(run: int, hit: int, place: str) -> tuple[int, int]:
    """Give between which checkpoints of a run its newest whole one is, when record *hit* is."""
    (segment,) = (it for it in SEGMENTS if hit in it)
    own = range(run, 8, 2)
    before = [sum(1 for it in own if it < number) for number in range(9)]
    if place in {"head", "check"}:  # nothing is lost
        return 4, 4
    if place == "ids":  # one blob is, and what leads to it
        return (before[hit], before[hit]) if hit in own else (4, 4)
    lost = [it for it in own if it >= hit and it in segment]
    if place == "structure":  # each checkpoint has trees of its own
        whole = [at for at, it in enumerate(own, 1) if it not in lost]
        return max(whole, default=0), 5  # one that does not name a damaged label is new
    return before[lost[0]] if lost else 4, 4


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("place", ["head", "check", "ids", "structure", "content"])
def test_a_damaged_record_between_whole_ones_is_found_and_repaired(
    killed: Killed, number: int, place: str
) -> None:
    """Runs that share its segment are named. From a label on each is whole, whatever was before."""
    record = killed.records[number]
    at = {
        "head": record.offset + 1,
        "check": record.offset + 30,
        "ids": record.ids_at + 5,
        "structure": record.structure_at + 9,
        "content": record.structure_at + record.structure + 9,
    }[place]
    flip(killed.pack, at)
    evidence = killed.pack.read_bytes()

    found = errors(killed.root)

    assert ("pack", f"objects/{killed.pack.name}") in {(it.kind, it.file) for it in found}
    affected = {run for it in found for run in it.runs}
    assert affected <= {"first", "second"}
    assert ["first", "second"][number % 2] in affected
    done = repair(killed.root, clock=lambda: 1_000_000_000_000)

    assert {"salvaged", "quarantined"} <= {it.kind for it in done}
    assert evidence in {it.read_bytes() for it in (killed.root / "quarantine").iterdir()}
    assert [] == errors(killed.root)
    store = Store.open(killed.root)
    for index, run in enumerate(("first", "second")):
        ref = store.find_ref(run)
        least, most = least_and_most(index, number, place)
        assert least <= (ref.sequence if ref is not None else 0) <= most
        for position in ref.positions if ref is not None else ():
            checkpoint = store.checkpoint(position.checkpoint)
            assert killed.contents.get(checkpoint.id) in (None, read_all(store, checkpoint))
    assert_stands(killed, *(store.resolve(run) for run in store.run_ids()))


def test_what_was_acknowledged_at_the_end_of_an_open_pack_is_missed_by_its_ref(
    killed: Killed,
) -> None:
    """A damaged last record looks like one that was never written whole; but the ref names it."""
    flip(killed.pack, killed.records[-1].structure_at + 30)
    evidence = killed.pack.read_bytes()

    found = errors(killed.root)

    assert {("object-missing", ("second",))} == {(it.kind, it.runs) for it in found}
    repair(killed.root, clock=lambda: 1_000_000_000_000)
    assert evidence in {it.read_bytes() for it in (killed.root / "quarantine").iterdir()}
    assert_stands(killed, killed.first[-1], killed.second[-2])


def test_an_open_pack_without_its_header_is_damaged_and_not_removed(killed: Killed) -> None:
    """As a sector may come back. Its records say by themselves which pack they are of."""
    path = killed.pack
    data = bytes(PACK_HEADER_BYTES) + path.read_bytes()[PACK_HEADER_BYTES:]
    path.write_bytes(data)

    found = errors(killed.root)

    assert ("pack", ("first", "second")) in {(it.kind, tuple(sorted(it.runs))) for it in found}
    store = Store.open(killed.root)
    with store.own("third"):
        store.save("third", {("x",): value(1)}, parent=None)
    assert data == path.read_bytes()
    repair(killed.root, clock=lambda: 1_000_000_000_000)
    assert_stands(killed, killed.first[-1], killed.second[-1])


def test_a_damaged_pack_that_a_process_appends_to_is_left(killed: Killed) -> None:
    """It would write behind what is set aside."""
    living = Store.open(killed.root)
    with living.own("first"):
        extend(living, killed.first[-1], range(5, 7))
        flip(killed.pack, killed.records[0].structure_at + 9)
        before = killed.pack.read_bytes()

        done = repair(killed.root, clock=lambda: 1_000_000_000_000)

        assert "left" in {it.kind for it in done}
        assert "quarantined" not in {it.kind for it in done}
        assert before == killed.pack.read_bytes()
    repair(killed.root, clock=lambda: 1_000_000_000_001)
    assert [] == errors(killed.root)


def test_a_torn_ref_of_a_living_process_is_told_by_its_pack(killed: Killed) -> None:
    """Whatever is in the file: the process writes it over with its next save."""
    living = Store.open(killed.root)
    with living.own("first"):
        at = extend(living, killed.first[-1], range(5, 7))
        killed.ref("first").write_bytes(b"torn")

        assert [] == errors(killed.root)
        assert [] == repair(killed.root, clock=lambda: 1_000_000_000_000)

        assert at == Store.open(killed.root).resolve("first")
        at = extend(living, at, range(7, 8))
    assert at == Store.open(killed.root).resolve("first")
    assert [] == errors(killed.root)


class _Meanwhile(Files):
    """Does something once, before the *number*-th call that reads a file or a folder."""

    def __init__(self, number: int, act: object) -> None:
        self.left = number
        self._act = act

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._act()  # type: ignore[operator]

    def list(self, path: Path) -> list[str]:
        self._count()
        return super().list(path)

    def open(self, path: Path) -> int:
        self._count()
        return super().open(path)

    def read(self, path: Path) -> bytes:
        self._count()
        return super().read(path)

    def size(self, path: Path) -> int:
        self._count()
        return super().size(path)


@pytest.mark.parametrize("seals", [False, True])
def test_beside_runs_that_go_on_nothing_is_wrong(
    sound: Killed, tmp_path: Path, seals: bool
) -> None:
    """An open pack grows and is sealed, wherever the check is: every step of it."""
    number = 0
    while True:
        number += 1
        root = Path(shutil.copytree(sound.root, tmp_path / f"{number}"))
        store = Store.open(root)

        def go_on(store: Store = store) -> None:
            with store.own("first"):
                extend(store, store.resolve("first"), range(9, 12))
                with store.own("third"):
                    at = store.save("third", {("x",): value(1)}, parent=None)
                    extend(store, at, range(3))
            if seals:
                store.appender.seal_all()

        files = _Meanwhile(number, go_on)
        assert [] == list(check(root, files=files, read_data=bool(number % 2)))
        shutil.rmtree(root)
        if files.left > 0:
            break
    assert number > 10


def test_a_run_falls_back_out_of_a_damaged_open_pack(killed: Killed) -> None:
    """It is closed there, so that it does not stand again where it stood."""
    flip(killed.pack, killed.records[6].structure_at + 9)  # the newest but one, of the first run
    store = Store.open(killed.root)
    with pytest.raises(StoreDamaged):
        read_all(store, store.resolve("first"))
    with store.own("first"):
        standing = store.fall_back("first")
        assert standing.checkpoint == store.resolve("first")
        at = extend(store, standing.checkpoint, range(20, 21))
    assert at == Store.open(killed.root).resolve("first")
