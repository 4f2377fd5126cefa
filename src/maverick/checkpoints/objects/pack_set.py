"""The packs in `objects/` as one process knows them: listed, and asked where an object is."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import UNREADABLE, OpenFiles
from maverick.checkpoints.disk.layout import list_folder
from maverick.checkpoints.objects import ids, packs
from maverick.checkpoints.objects.pack_index import damaged
from maverick.errors import PackDamaged, StoreDenied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.ids import ObjectId, ObjectKind
    from maverick.checkpoints.objects.pack_index import PackIndex, Place

# The places of smaller packs, such as most saves write, are in one dictionary; larger packs are
# searched each.
_SMALL_COUNT = 64

MERGED_PACKS = 8
"""So many packs of one size make one of the next."""


class PackSet:
    """The packs of the store at *root*, as of the last `refresh`. Thread safe."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._lock = threading.Lock()
        self._open = OpenFiles(files)
        self._packs: dict[str, PackIndex] = {}
        self._damaged: dict[str, PackDamaged | StoreDenied] = {}
        # Of the small packs: one place of each object, a whole one if there is one; and the other
        # leaning ones.
        self._places: dict[bytes, Place] = {}
        self._more: dict[bytes, list[Place]] = {}
        self._large: list[PackIndex] = []
        self._names: set[str] = set()
        self._listed = False
        self.changes = 0
        """Counts the changes of what is known of the packs."""

    def refresh(self) -> None:
        """List `objects/`, open the indexes of new packs, forget the packs that are gone.

        A damaged pack is remembered as that: its objects are not found, reading one says why.
        """
        with self._lock:
            names = set(list_folder(self._files, self._root, "objects"))
            self._listed = True
            if names == self._names:
                return
            self.changes += 1
            self._forget({name for name in self._packs if f"{name}.pack" not in names})
            self._damaged = {
                name: error for name, error in self._damaged.items() if f"{name}.pack" in names
            }
            for name in sorted(map(pack_name, names - self._names)):
                if name and name not in self._packs and name not in self._damaged:
                    self._load(name)
            self._names = names

    def add(self, index: PackIndex) -> None:
        """Take note of a pack that this process has written."""
        with self._lock:
            self._names.add(f"{index.name}.pack")
            self._register(index)

    def close(self) -> None:
        """Close the packs that are open; they are opened again when they are read."""
        with self._lock:
            self._open.close_all()

    def listed(self) -> list[PackIndex]:
        """Give the packs, for their names, sizes and counts; nothing is read."""
        with self._lock:
            return list(self._packs.values())

    def indexes(self) -> list[PackIndex]:
        """Give the indexes of the packs, read whole and checked, damaged ones left out."""
        with self._lock:
            for index in list(self._packs.values()):
                with self._noting_damage(index):
                    index.data  # noqa: B018 - reads and checks it
            return list(self._packs.values())

    def damaged(self) -> list[PackDamaged | StoreDenied]:
        """Give what is wrong with the damaged packs, and with those that this user may not read."""
        with self._lock:
            return list(self._damaged.values())

    def find(self, object_id: ObjectId, *, whole: bool = False) -> Place | None:
        """Give the place of an object, preferably of a copy that leans on nothing; of no other if
        *whole*.
        """
        if not self._listed:
            self.refresh()
        raw_id = bytes.fromhex(object_id)
        with self._lock:
            place = self._places.get(raw_id)
            if place is not None and not place.leans:
                return place
            for other in self._find_large(raw_id):
                if not other.leans:
                    return other
                place = place or other
            return None if whole else place

    def absent(self, object_ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Give those of which there is no copy."""
        if not self._listed:
            self.refresh()
        with self._lock:
            rest = {
                raw_id: object_id
                for object_id in object_ids
                if (raw_id := bytes.fromhex(object_id)) not in self._places
            }
            if not self._large:
                return set(rest.values())
            return {
                object_id
                for raw_id, object_id in rest.items()
                if next(self._find_large(raw_id), None) is None
            }

    def leaning(self, object_id: ObjectId) -> list[Place]:
        """Give the places of all copies of an object; none if one of them is whole."""
        raw_id = bytes.fromhex(object_id)
        with self._lock:
            place = self._places.get(raw_id)
            if place is not None and not place.leans:
                return []
            places = [
                *([place] if place else ()),
                *self._more.get(raw_id, ()),
                *self._find_large(raw_id),
            ]
        return places if all(place.leans for place in places) else []

    def with_prefix(self, prefix: str, kind: ObjectKind) -> set[ObjectId]:
        """Give the objects of *kind* whose ids begin with the hexadecimal digits *prefix*."""
        self.refresh()
        object_ids: set[ObjectId] = set()
        with self._lock:
            for index in list(self._packs.values()):
                with self._noting_damage(index):
                    object_ids.update(
                        object_id
                        for object_id, place in index.with_prefix(prefix)
                        if place.kind == kind
                    )
        return object_ids

    # With the lock held.

    def _load(self, name: str) -> None:
        path = self._root / "objects" / f"{name}.pack"
        try:
            index = packs.open_index(name, self._files.size(path), partial(self._open.pread, path))
        except (PackDamaged, StoreDenied) as error:
            self._damaged[name] = error
        except FileNotFoundError:  # gc was faster
            return
        except OSError as error:
            if error.errno not in UNREADABLE:
                raise
            self._damaged[name] = damaged(name, f"it cannot be read ({error.strerror})")
        else:
            self._register(index)
        if name in self._damaged or len(index) <= _SMALL_COUNT:
            self._open.close(path)

    def _register(self, index: PackIndex) -> None:
        self._packs[index.name] = index
        if len(index) > _SMALL_COUNT:
            self._large.append(index)
            return
        for raw_id, place in index.rows():
            first = self._places.get(raw_id)
            if first is None or (first.leans and not place.leans):
                self._places[raw_id] = place
            elif first.leans and place.leans:
                self._more.setdefault(raw_id, []).append(place)

    def _forget(self, names: set[str]) -> None:
        if not names:
            return
        before, self._packs = self._packs, {}
        self._places, self._more, self._large = {}, {}, []
        for name, index in before.items():
            if name in names:
                self._open.close(self._root / "objects" / f"{name}.pack")
            else:
                self._register(index)

    def _find_large(self, raw_id: bytes) -> Iterator[Place]:
        for index in list(self._large):
            try:
                place = index.find(raw_id)
            except (PackDamaged, FileNotFoundError) as error:
                self._note(index, error)
            else:
                if place is not None:
                    yield place

    @contextmanager
    def _noting_damage(self, index: PackIndex) -> Iterator[None]:
        """Go on without a pack that turns out to be damaged, or to be gone, when its rows are
        read.
        """
        try:
            yield
        except (PackDamaged, FileNotFoundError) as error:
            self._note(index, error)

    def _note(self, index: PackIndex, error: PackDamaged | FileNotFoundError) -> None:
        self.changes += 1
        self._forget({index.name})
        if isinstance(error, PackDamaged):
            self._damaged[index.name] = error
        else:
            self._names.discard(f"{index.name}.pack")


def pack_name(file_name: str) -> str:
    """Give the name of the pack in a file; empty if the file is none."""
    name = file_name.removesuffix(".pack")
    return name if name != file_name and ids.is_id(name) else ""
