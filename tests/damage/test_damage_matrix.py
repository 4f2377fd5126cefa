"""Damage by place by what changed since: fsck finds it, other runs are unharmed, and repair makes
the store whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from kit.faults import CountingFiles
from kit.stores import read_all
from maverick.checkpoints import Checkpoint, Store, blob, value
from maverick.checkpoints.fsck.check import check
from maverick.checkpoints.fsck.findings import Finding
from maverick.checkpoints.fsck.repair import repair
from maverick.checkpoints.objects import ids
from maverick.checkpoints.objects.frames import FRAME_BYTES
from maverick.checkpoints.objects.pack_index import ROW_BYTES
from maverick.checkpoints.objects.packs import TRAILER_BYTES
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
        (index,) = (it for it in store.objects.packs.indexes() if it.name == place.pack)
        path = root / "objects" / f"{place.pack}.pack"
        end = path.stat().st_size - TRAILER_BYTES
        at = {
            "pack header": 3,
            "frame header": place.offset + 9,
            "payload": place.offset + FRAME_BYTES + 30,
            "index": end - ROW_BYTES * len(index) + 40,
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
PLACES = ("pack header", "frame header", "payload", "index", "trailer", "ref", "format")


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
    assert found
    affected = {run for finding in found for run in finding.runs}
    both = damage == "swap"
    assert (
        (affected <= {"victim", "other"})
        if both
        else (affected == (set() if place == "format" else {"victim"}))
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


def expected_position(damage: str, place: str) -> int:
    """The newest checkpoint that can be had back: the last one, unless a frame of its payload was
    hit.
    """
    if damage == "swap" or place in {"ref", "format"}:
        return 3
    hit = damage == "delete" or place in {"frame header", "payload"}
    return 2 if hit or (place == "pack header" and damage in {"truncate", "zero"}) else 3


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
