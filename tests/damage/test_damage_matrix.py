"""Damage by place by what changed since: fsck finds it, other runs are unharmed, and repair makes
the store whole. So it is where each save has a pack, and where runs share one, sealed or open.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import read_all, record_of
from maverick.checkpoints import Checkpoint, Content, Store, blob, note, value
from maverick.checkpoints.fsck.check import check
from maverick.checkpoints.fsck.findings import Finding
from maverick.checkpoints.fsck.repair import repair
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.pack_index import ROW_BYTES
from maverick.checkpoints.objects.pack_records import HEAD_BYTES
from maverick.checkpoints.objects.packs import TRAILER_BYTES
from maverick.checkpoints.objects.segments import CONTENT, STRUCTURE
from maverick.errors import StoreDamaged

PAYLOAD = b"".join(bytes([number % 251]) for number in range(0, 4000, 7))
Damage = Callable[["Sound", Path, int], None]


@dataclass(frozen=True)
class Sound:
    """A store with a run that will be damaged, and one that shares nothing with it."""

    root: Path
    victim: tuple[Checkpoint, ...]
    other: Checkpoint
    contents: dict[str, dict[str, bytes]]

    def place(self, root: Path, name: str) -> tuple[Path, int]:
        """Give the file *name* is in, and a byte of it there."""
        if name == "ref":
            return root / "refs" / "victim", 40
        if name == "format":
            return root / "format.json", 40
        store = Store.open(root)
        place = store.objects.packs.find(ids.blob_id(PAYLOAD))
        assert place is not None
        path = root / "objects" / place.pack.file
        record, rows = record_of(place), place.pack.records[-1].end
        end = path.stat().st_size - TRAILER_BYTES
        at = {
            "pack header": 3,
            "head": record.offset + 9,
            "counts": record.offset + HEAD_BYTES + 1,
            "ids": record.ids_at + 9,
            "structure": STRUCTURE.place(record)[0] + 30,
            "payload": CONTENT.place(record)[0] + 30,
            "rows": rows + 3,
            "directory": rows + ROW_BYTES * len(place.pack) + 4,
            "trailer": end + 20,
        }
        return path, at[name]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Sound:
    root = tmp_path_factory.mktemp("sound") / "store"
    store = Store.create(root, files=CountingFiles())
    (root / "reserve").write_bytes(b"small")
    other = store.save(
        "other", {("steps", "a"): value({"other": 1}), ("b",): blob(b"ob" * 99)}, parent=None
    )
    other = store.save("other", {("steps", "b"): value("of another")}, parent=other)
    one = store.save(
        "victim", {("steps", "a"): value({"victim": 1})}, parent=None, kind="label", label="one"
    )
    two = store.save("victim", {("steps", "b"): value({"victim": 2})}, parent=one)
    three = store.save("victim", {("steps", "c"): blob(PAYLOAD)}, parent=two)
    contents = {it.id: read_all(store, it) for it in (one, two, three, other)}
    return Sound(root, (one, two, three), other, contents)


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sound:
    """Both runs are in one pack; that is sealed, or that of a process that was killed. The record
    that is hit shares its segment with none behind it, for what follows is a label.
    """
    root = tmp_path_factory.mktemp("shared") / "store"
    store = Store.create(root, files=CountingFiles())
    (root / "reserve").write_bytes(b"small")
    saved: list[Checkpoint] = []

    def save(run: str, name: str, content: Content, label: str = "") -> None:
        before = [it for it in saved if it.run == run]
        parent = before[-1] if before else None
        facts = {("steps", name): note(f"of {run}")}  # else both share the empty tree
        changes = {("steps", name): content}
        saved.append(store.save(run, changes, parent=parent, label=label, facts=facts))

    with store.own("other"), store.own("victim"):
        save("other", "a", blob(b"ob" * 99))
        save("other", "b", value("of another"))
        save("victim", "a", value({"victim": 1}), "one")
        save("victim", "b", value({"victim": 2}))
        save("victim", "c", blob(PAYLOAD))
        save("other", "c", value("the last one"), "last")
        contents = {it.id: read_all(store, it) for it in saved}
        killed = Path(shutil.copytree(root, root.with_name("killed")))
    store.appender.seal_all()
    victim = tuple(it for it in saved if it.run == "victim")
    root = root if request.param == "sealed" else killed
    return Sound(root, victim, saved[-1], contents)


# --- damage ---------------------------------------------------------------------------------------


def flip(sound: Sound, path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def truncate(sound: Sound, path: Path, at: int) -> None:
    path.write_bytes(path.read_bytes()[:at])


def zero(sound: Sound, path: Path, at: int) -> None:
    """As a sector may come back."""
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes(min(64, len(data) - at)) + data[at + 64 :])


def delete(sound: Sound, path: Path, at: int) -> None:
    path.unlink()


def swap(sound: Sound, path: Path, at: int) -> None:
    """With another file of its folder."""
    neighbours = sorted(it for it in path.parent.iterdir() if it.is_file() and it != path)
    data = path.read_bytes()
    path.write_bytes(neighbours[0].read_bytes())
    neighbours[0].write_bytes(data)


def duplicate(sound: Sound, path: Path, at: int) -> None:
    """Some of its bytes, as a write that was done twice."""
    data = path.read_bytes()
    path.write_bytes(data[:at] + data[max(at - 16, 0) : at + 16] + data[at:])


DAMAGES: dict[str, Damage] = {
    it.__name__: it for it in (flip, truncate, zero, delete, swap, duplicate)
}
PLACES = (
    "pack header",
    "head",
    "counts",
    "ids",
    "structure",
    "payload",
    "rows",
    "directory",
    "trailer",
    "ref",
    "format",
)
UNREAD = {("flip", "head"), ("flip", "counts")}
"""Nothing is read by these as long as the directory is right."""


# --- since ----------------------------------------------------------------------------------------


def nothing(root: Path, sound: Sound) -> None:
    """Damage is found at once."""


def a_save(root: Path, sound: Sound) -> None:
    """Another run goes on, unless nobody knows the format."""
    with suppress(StoreDamaged):
        store = Store.open(root)
        store.save("other", {("steps", "new"): value("since")}, parent=store.resolve("other"))


def a_gc(root: Path, sound: Sound) -> None:
    """It refuses, or takes nothing that anybody needs."""
    with suppress(StoreDamaged):
        Store.open(root).plan_gc().execute()


SINCE = (nothing, a_save, a_gc)
CASES = [
    (damage, place)
    for damage in DAMAGES
    for place in PLACES
    # These are about whole files; the place in the file makes no difference.
    if damage not in {"delete", "swap"} or place in {"payload", "ref", "format"}
    if (damage, place) != ("swap", "format")
]


def errors(root: Path) -> list[Finding]:
    return [it for it in check(root, read_data=True) if it.severity == "error"]


@pytest.mark.parametrize("since", SINCE)
@pytest.mark.parametrize(("damage", "place"), CASES)
def test_damage_is_found_named_kept_to_its_run_and_repaired(
    sound: Sound, tmp_path: Path, damage: str, place: str, since: Callable[[Path, Sound], None]
) -> None:
    root = Path(shutil.copytree(sound.root, tmp_path / "store"))
    path, at = sound.place(root, place)
    DAMAGES[damage](sound, path, at)
    since(root, sound)

    found = errors(root)
    # gc may have written a pack anew of which nothing was wrong that anybody reads.
    assert found or (since is a_gc and (damage, place) in UNREAD)
    affected = {run for finding in found for run in finding.runs}
    both = damage == "swap"
    assert (
        (affected <= {"victim", "other"})
        if both
        else (affected == (set() if place == "format" or (damage, place) in UNREAD else {"victim"}))
    )
    if place == "payload" and damage in {"flip", "zero"}:
        assert any("steps/c" in finding.message for finding in found)
    if place != "format" and not both:
        assert_unharmed(root, sound)
    evidence = contents_of(root)

    repair(root, clock=lambda: 1_000_000_000_000)

    assert [] == errors(root)
    assert evidence <= contents_of(root)
    assert_unharmed(root, sound)
    store = Store.open(root)
    assert sound.victim[expected_position(damage, place) - 1] == store.resolve("victim")
    assert_goes_on(store, sound)


SHARED_CASES = [
    (kind, damage, place)
    for kind in ("sealed", "open")
    for damage in ("flip", "truncate", "zero", "duplicate")
    for place in PLACES
    if place not in {"ref", "format"}
    if kind == "sealed" or place not in {"rows", "directory", "trailer"}  # it has none
]


@pytest.mark.parametrize("since", SINCE)
@pytest.mark.parametrize(("shared", "damage", "place"), SHARED_CASES, indirect=["shared"])
def test_damage_to_a_shared_pack_is_found_and_kept_to_its_segment(
    shared: Sound, tmp_path: Path, damage: str, place: str, since: Callable[[Path, Sound], None]
) -> None:
    root = Path(shutil.copytree(shared.root, tmp_path / "store"))
    (pack,) = (root / "objects").iterdir()
    is_open = pack.suffix == ".open"
    path, at = shared.place(root, place)
    DAMAGES[damage](shared, path, at)
    since(root, shared)

    found = errors(root)
    unread = not is_open and (damage, place) in UNREAD
    assert found or (since is a_gc and unread)
    affected = {run for finding in found for run in finding.runs}
    in_record = place in {"head", "counts", "ids", "structure", "payload"}
    if damage == "flip" and in_record:
        assert affected == (set() if unread else {"victim"})
        assert_unharmed(root, shared)
    else:
        assert {"victim"} <= affected <= {"victim", "other"}
    evidence = contents_of(root)

    repair(root, clock=lambda: 1_000_000_000_000)

    assert [] == errors(root)
    kept = contents_of(root)
    # Of an open pack the zeros behind it are cut, and it may have grown.
    assert all(any(it.startswith(old.rstrip(b"\0")) for it in kept) for old in evidence)
    store = Store.open(root)
    if (damage, place) == ("truncate", "pack header"):
        assert set(store.run_ids()) <= {"other"}
        return
    lost = in_record and not unread and not (is_open and (damage, place) == ("flip", "head"))
    assert shared.victim[1 if lost else 2] == store.resolve("victim")
    assert_goes_on(store, shared)
    if damage != "truncate":
        assert_unharmed(root, shared)


def expected_position(damage: str, place: str) -> int:
    """The newest checkpoint that can be had back: the last one, unless its record was hit."""
    if damage == "swap" or place in {"ref", "format"} or (damage, place) in UNREAD:
        return 3
    hit = damage == "delete" or place in {"head", "counts", "ids", "structure", "payload"}
    return 2 if hit or (place, damage) == ("pack header", "truncate") else 3


def contents_of(root: Path) -> set[bytes]:
    """What files hold that nobody may lose: the damaged ones, too."""
    kept = [
        *(root / "objects").iterdir(),
        *(root / "refs").iterdir(),
        *(root / "quarantine").iterdir(),
    ]
    return {it.read_bytes() for it in kept if not it.name.startswith("format")}


def assert_unharmed(root: Path, sound: Sound) -> None:
    """The other run is whole."""
    store = Store.open(root)
    newest = store.resolve("other")
    assert newest.sequence >= sound.other.sequence
    assert sound.contents[sound.other.id] == read_all(store, store.checkpoint(sound.other.id))


def assert_goes_on(store: Store, sound: Sound) -> None:
    """Both runs go on, gc works, and every checkpoint in the log is what it was."""
    for run in ("victim", "other"):
        for position in store.ref(run).positions:
            known = sound.contents.get(position.checkpoint)
            assert known in (None, read_all(store, store.checkpoint(position.checkpoint)))
        at = store.save(run, {("after",): value(run)}, parent=store.resolve(run))
        read_all(store, at)
    store.plan_gc().execute()
    assert [] == errors(store.root)
    assert [] == repair(store.root, clock=lambda: 1_000_000_000_001)
