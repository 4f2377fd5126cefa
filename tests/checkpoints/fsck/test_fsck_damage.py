"""Damage of every sort at every place: it is found, and other runs are unharmed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import read_all, record_of
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.fsck.check import check
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.pack_index import ROW_BYTES
from maverick.checkpoints.objects.pack_records import (
    HEAD_BYTES,
    PACK_HEADER_BYTES,
    PACK_MAGIC,
    RECORD_MAGIC,
    NewObject,
)
from maverick.checkpoints.objects.packs import TRAILER_BYTES
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE, Item
from maverick.errors import ObjectCorrupt, PackDamaged, StoreDamaged

Damage = Callable[[bytes, int], bytes]


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def truncate(data: bytes, at: int) -> bytes:
    return data[:at]


def zero(data: bytes, at: int) -> bytes:
    """As much as a sector, with what was no zero in it."""
    return data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :]


def duplicate(data: bytes, at: int) -> bytes:
    return data[:at] + data[max(at - 16, 0) : at + 16] + data[at:]


DAMAGES: dict[str, Damage] = {
    "flip": flip,
    "truncate": truncate,
    "zero": zero,
    "duplicate": duplicate,
}


class Prepared:
    """A store with a run whose pack is damaged, and another one that shares nothing with it."""

    def __init__(self, root: Path) -> None:
        store = Store.create(root, files=CountingFiles())
        self.root = root
        self.other = store.save(
            "other", {("steps", "a"): value({"other": 1}), ("b",): blob(b"ob" * 99)}, parent=None
        )
        self.content = read_all(store, self.other)
        at = store.save("victim", {("steps", "a"): value({"victim": 1})}, parent=None)
        before = set((root / "objects").iterdir())
        self.payload = b"".join(bytes([n % 251]) for n in range(0, 4000, 7))
        self.victim = store.save("victim", {("steps", "b"): blob(self.payload)}, parent=at)
        (self.pack,) = set((root / "objects").iterdir()) - before
        place = store.objects.packs.find(ids.blob_id(self.payload))
        assert place is not None
        self.record = record_of(place)
        self.objects = len(place.pack)
        self.size = self.pack.stat().st_size

    def offsets(self) -> dict[str, int]:
        """A byte in each part of the pack."""
        trailer = self.size - TRAILER_BYTES
        head, payload = self.record.offset, self.record.offset + HEAD_BYTES
        return {
            "magic": 2,
            "version": 8,
            "newer version": 11,
            "nonce": 15,
            "boot": 30,
            "head magic": head + 1,
            "head flags": head + 4,
            "head length": head + 24,
            "head check": head + 30,
            "counts": payload + 1,
            "ids": self.record.ids_at + 2,
            "structure": STRUCTURE.place(self.record)[0] + 30,
            "payload": CONTENT.place(self.record)[0] + 30,
            "index": self.record.end + 2,
            "directory": self.record.end + ROW_BYTES * self.objects + 5,
            "trailer index": trailer + 7,
            "trailer count": trailer + 11,
            "trailer check": trailer + 20,
            "trailer hash": self.size - 30,
            "trailer magic": self.size - 3,
        }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return Prepared(tmp_path_factory.mktemp("sound") / "store")


@pytest.fixture
def root(sound: Prepared, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.root, tmp_path / "store"))


def assert_other_is_unharmed(root: Path, other: Checkpoint, content: dict[str, bytes]) -> None:
    store = Store.open(root)
    assert other == store.resolve("other")
    assert content == read_all(store, other)
    store.save("other", {("more",): value(1)}, parent=other)
    assert not any("other" in finding.runs for finding in store.check(read_data=True))


PLACES = [
    "magic",
    "version",
    "newer version",
    "nonce",
    "boot",
    "head magic",
    "head flags",
    "head length",
    "head check",
    "counts",
    "ids",
    "structure",
    "payload",
    "index",
    "directory",
    "trailer index",
    "trailer count",
    "trailer check",
    "trailer hash",
    "trailer magic",
]
# What stands under no check but that of the record or of the whole pack, or of the object.
NOT_QUICK = {"nonce", "boot", "head check", "payload"}
# What nothing is read by as long as the directory is right.
UNREAD = {"nonce", "boot", "head magic", "head flags", "head length", "head check", "counts"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_a_pack_is_found(sound: Prepared, root: Path, damage: str, place: str) -> None:
    pack = root / "objects" / sound.pack.name
    before = pack.read_bytes()
    pack.write_bytes(DAMAGES[damage](before, sound.offsets()[place]))
    assert before != pack.read_bytes()

    thorough, quick = list(check(root, read_data=True)), list(check(root))

    assert any(it.severity == "error" for it in thorough)
    if damage != "flip" or place not in NOT_QUICK:
        assert any(it.severity == "error" for it in quick)
    affected = set() if damage == "flip" and place in UNREAD else {"victim"}
    assert affected == {run for it in thorough for run in it.runs}
    assert_other_is_unharmed(root, sound.other, sound.content)


def test_a_pack_that_is_gone_is_found(sound: Prepared, root: Path) -> None:
    (root / "objects" / sound.pack.name).unlink()

    for read_data in (False, True):
        findings = list(check(root, read_data=read_data))
        assert {("error", "object-missing", ("victim",))} == {
            (it.severity, it.kind, it.runs) for it in findings
        }
    assert_other_is_unharmed(root, sound.other, sound.content)


def test_packs_that_took_each_others_names_are_found(sound: Prepared, root: Path) -> None:
    first, second = sorted((root / "objects").iterdir())[:2]
    first.rename(root / "tmp" / "swap")
    second.rename(first)
    (root / "tmp" / "swap").rename(second)

    findings = list(check(root))

    assert {f"objects/{first.name}", f"objects/{second.name}"} <= {
        it.file for it in findings if it.kind == "pack"
    }


def test_a_copy_of_a_pack_under_another_name_is_found_and_harms_nobody(
    sound: Prepared, root: Path
) -> None:
    copy = root / "objects" / ("ab" * 32 + ".pack")
    shutil.copy(root / "objects" / sound.pack.name, copy)

    (finding,) = check(root)

    assert ("pack", f"objects/{copy.name}", ()) == (finding.kind, finding.file, finding.runs)
    assert sound.payload == Store.open(root).load("victim").data("steps/b")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", [0, 1, 2, 3, 4])
def test_damage_to_a_ref_is_found(sound: Prepared, root: Path, damage: str, part: int) -> None:
    """In any part of the file."""
    ref = root / "refs" / "victim"
    data = ref.read_bytes()
    ref.write_bytes(DAMAGES[damage](data, part * (len(data) - 1) // 4))

    for read_data in (False, True):
        findings = list(check(root, read_data=read_data))
        assert [("error", "ref", "refs/victim", ("victim",))] == [
            (it.severity, it.kind, it.file, it.runs) for it in findings
        ]
    assert_other_is_unharmed(root, sound.other, sound.content)


def test_a_ref_that_is_gone_is_found(sound: Prepared, root: Path) -> None:
    (root / "refs" / "victim").unlink()

    assert [("error", "ref-missing", ("victim",))] == [
        (it.severity, it.kind, it.runs) for it in check(root)
    ]
    assert_other_is_unharmed(root, sound.other, sound.content)


def test_refs_that_took_each_others_names_are_found(root: Path) -> None:
    """Else a resume would go on with another run's work."""
    victim, other = root / "refs" / "victim", root / "refs" / "other"
    swapped = victim.read_bytes()
    victim.write_bytes(other.read_bytes())
    other.write_bytes(swapped)

    findings = [it for it in check(root) if it.kind == "ref"]

    assert [("refs/other", ("other",)), ("refs/victim", ("victim",))] == [
        (it.file, it.runs) for it in findings
    ]


def test_a_copy_of_a_ref_under_another_name_is_found(root: Path) -> None:
    shutil.copy(root / "refs" / "victim", root / "refs" / "copy")

    assert [("ref", ("copy",))] == [(it.kind, it.runs) for it in check(root)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_damage_to_the_format_file_is_found(root: Path, damage: str, part: int) -> None:
    """The store does not open then, but can be checked."""
    path = root / "format.json"
    data = path.read_bytes()
    path.write_bytes(DAMAGES[damage](data, part * (len(data) - 1) // 3))

    assert [("error", "format", "format.json")] == [
        (it.severity, it.kind, it.file) for it in check(root)
    ]


def test_a_format_file_that_is_gone_is_found(root: Path) -> None:
    (root / "format.json").unlink()

    assert [("error", "format", "format.json")] == [
        (it.severity, it.kind, it.file) for it in check(root)
    ]


def test_damage_that_another_pack_makes_good_affects_no_run(sound: Prepared, root: Path) -> None:
    """It is damage all the same: the disk has written something else than it was told."""
    store = Store.open(root)
    store.objects.packs.refresh()
    found = [it for pack in store.objects.packs.checked() for it in pack.items(content=True)]
    copies = {it.id: NewObject(it.kind, it.id, it.data) for it in found if isinstance(it, Item)}
    store.objects.write(copies.values())
    pack = root / "objects" / sound.pack.name
    pack.write_bytes(flip(pack.read_bytes(), sound.offsets()["payload"]))

    (finding,) = check(root, read_data=True)

    assert ("error", "object-corrupt", ()) == (finding.severity, finding.kind, finding.runs)
    assert sound.payload == Store.open(root).load("victim").data("steps/b")


def test_headers_are_where_the_format_says(sound: Prepared) -> None:
    """Else the places above are not what they are called."""
    data = sound.pack.read_bytes()
    assert PACK_MAGIC == data[:8]
    assert RECORD_MAGIC == data[PACK_HEADER_BYTES : PACK_HEADER_BYTES + 4]
    assert PACK_HEADER_BYTES == sound.record.offset


def test_a_pack_that_cannot_be_read_is_in_no_other_runs_way(sound: Prepared, root: Path) -> None:
    """A folder has its name. The run that needs it is told; and repair makes it stand where it
    can.
    """
    pack = root / "objects" / sound.pack.name
    pack.unlink()
    pack.mkdir()

    assert_other_is_unharmed(root, sound.other, sound.content)
    with pytest.raises(PackDamaged, match=r"cannot be read \(Is a directory\)"):
        Store.open(root).load("victim").data("b")
    with pytest.raises(StoreDamaged, match="gc removed nothing"):
        Store.open(root).plan_gc(keep_last=0)
    assert ["unreadable"] == [it.kind for it in check(root) if it.file == f"objects/{pack.name}"]
    done = Store.open(root).repair()

    assert ["quarantined", "rolled-back"] == [it.kind for it in done]
    assert 1 == Store.open(root).resolve("victim").sequence
    assert [] == [it for it in check(root, read_data=True) if it.severity == "error"]


def test_a_disk_that_does_not_read_one_pack_reads_the_others(sound: Prepared, root: Path) -> None:
    """A bad sector where its index is."""

    class BadSector(CountingFiles):
        def open(self, path: Path) -> int:
            if path.name == sound.pack.name:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return super().open(path)

    store = Store.open(root, files=BadSector())

    assert sound.content == read_all(store, store.resolve("other"))
    with pytest.raises(PackDamaged, match="cannot be read"):
        store.resolve("victim")


def test_an_object_that_the_disk_does_not_read_is_damaged(sound: Prepared, root: Path) -> None:
    """A bad sector where its content is, which nobody saw as the pack was opened."""

    class BadSector(CountingFiles):
        bad: range = range(0)

        def pread_open(self, descriptor: int, offset: int, length: int) -> bytes:
            if offset in self.bad or offset + length - 1 in self.bad:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().pread_open(descriptor, offset, length)

    files = BadSector()
    store = Store.open(root, files=files)
    victim = store.load("victim")
    entry = victim.entry("steps/b")
    offset, length = CONTENT.place(sound.record)
    files.bad = range(offset, offset + length)

    with pytest.raises(ObjectCorrupt, match=r"is damaged \(it cannot be read: Input/output error"):
        victim.data_of(entry)
    assert sound.content == read_all(store, store.resolve("other"))
