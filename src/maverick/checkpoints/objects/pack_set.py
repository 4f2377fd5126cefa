"""The packs in `objects/` as one process knows them: listed, asked where an object is, and read."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from maverick.checkpoints.disk.files import UNREADABLE, OpenFiles
from maverick.checkpoints.disk.layout import is_pack, list_folder
from maverick.checkpoints.objects import packs
from maverick.checkpoints.objects.pack_records import RecordDamaged, damaged
from maverick.checkpoints.objects.packs import Pack
from maverick.checkpoints.objects.segments import Cache
from maverick.errors import PackDamaged, StoreDenied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.objects.ids import ObjectId, ObjectKind

# The objects of smaller packs are in one dictionary; larger packs are searched each.
_SMALL_COUNT = 64


class Place(NamedTuple):
    """Where an object is: in which pack, and its number there."""

    pack: Pack
    number: int

    @property
    def kind(self) -> ObjectKind:
        return self.pack.kind(self.number)


class PackSet:
    """The packs of the store at *root*, as of the last `refresh`. Thread safe."""

    def __init__(self, files: Files, root: Path) -> None:
        self._files = files
        self._root = root
        self._lock = threading.RLock()
        self._open = OpenFiles(files)
        self._cache = Cache()
        self._packs: dict[str, Pack] = {}
        self._damaged: dict[str, PackDamaged | StoreDenied] = {}
        self._not_begun: set[str] = set()
        # A place of each object in small packs, and the others of those that have several.
        self._small: dict[ObjectId, Place] = {}
        self._more: dict[ObjectId, list[Place]] = {}
        self._large: list[Pack] = []
        self._own: Pack | None = None
        self._names: set[str] | None = None
        self.changes = 0
        """Counts the changes of what is known of the packs."""
        self.others = 0
        """Counts the packs of others that were found, whose names may not be durable yet."""

    def refresh(self) -> None:
        """List `objects/`, open the packs that are new, forget those that are gone, and see what
        others have appended to open ones.

        A damaged pack is remembered as that: its objects are not found, reading one says why.
        """
        with self._lock:
            names = {
                name for name in list_folder(self._files, self._root, "objects") if is_pack(name)
            }
            for file, pack in list(self._packs.items()):
                if pack.is_open and pack is not self._own and file in names:
                    self._look_on(pack)
            damaged_ones = {file for file in self._damaged if file.endswith(".open")}
            for file in (damaged_ones | self._not_begun) & names:
                self._load_again(file)
            if names == self._names:
                return
            before, self._names = self._names or set(), names
            self.changes += 1
            # What was sealed here before the first listing is in no former one.
            self._forget((before | self._packs.keys()) - names)
            for file in sorted(names - before):
                if file not in self._packs:
                    self.others += 1
                    self._load(file)

    def own(self, pack: Pack) -> None:
        """Take note of the open pack that this process appends to from now on."""
        with self._lock:
            self._forget({pack.file})
            if self._names is not None:
                self._names.add(pack.file)
            self._own = pack
            self._register(pack)
            self.changes += 1

    def disown(self, file: str) -> None:
        """Take note that this process appends no more to the open pack *file*; another one may."""
        with self._lock:
            if self._own is not None and self._own.file == file:
                self._own = None
            self._forget({file})
            if self._names is not None:
                self._names.discard(file)
            self.changes += 1

    def note_sealed(self, file: str) -> None:
        """Take note of the sealed pack *file*, which this process has written."""
        with self._lock:
            self._load(file)
            self.changes += 1
            if self._names is not None:
                self._names.add(file)

    def load(self, file: str) -> Pack:
        """Do the same, and give it. Raises PackDamaged."""
        with self._lock:
            self.note_sealed(file)
            if file in self._damaged:
                raise self._damaged[file]
            return self._packs[file]

    def close(self) -> None:
        """Close the packs that are open; they are opened again when they are read."""
        with self._lock:
            self._open.close_all()

    def listed(self) -> list[Pack]:
        """Give the packs; nothing is read."""
        with self._lock:
            return list(self._packs.values())

    def checked(self) -> list[Pack]:
        """Give the packs, their indexes read whole and checked, damaged ones left out."""
        with self._lock:
            for pack in list(self._packs.values()):
                with self._noting_damage(pack):
                    pack.check_rows()
            return list(self._packs.values())

    def damaged(self) -> list[PackDamaged | StoreDenied]:
        """Give what is wrong with the damaged packs, and with those that this user may not read."""
        with self._lock:
            return list(self._damaged.values())

    def find(self, object_id: ObjectId) -> Place | None:
        """Give a place of an object."""
        return next(self.places(object_id), None)

    def places(self, object_id: ObjectId) -> Iterator[Place]:
        """Yield all known places of an object."""
        self._list()
        with self._lock:
            place = self._small.get(object_id)
            more = list(self._more.get(object_id, ()))
            large = list(self._large)
        if place is not None:
            yield place
        yield from more
        for pack in large:
            found = self._find_in(pack, object_id)
            if found is not None:
                yield found

    def absent(self, object_ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Give those of which there is no copy that a save may lean on: what another process has
        appended may be taken back.
        """
        self._list()
        with self._lock:
            # What a thread is about to append has numbers already, which the pack does not hold.
            own: Mapping[bytes, int] = self._own.numbers() if self._own is not None else {}
            count = len(self._own) if self._own is not None else 0
            sealed = [pack for pack in self._large if not pack.is_open]
            absent = {
                object_id
                for object_id in object_ids
                if own.get(object_id.encode(), count) >= count and object_id not in self._small
            }
            for pack in sealed:
                absent -= {object_id for object_id in absent if self._find_in(pack, object_id)}
            return absent

    def with_prefix(self, prefix: str, kind: ObjectKind) -> set[ObjectId]:
        """Give the objects of *kind* whose ids begin with the hexadecimal digits *prefix*."""
        self.refresh()
        found: set[ObjectId] = set()
        with self._lock:
            for pack in list(self._packs.values()):
                with self._noting_damage(pack):
                    found.update(
                        object_id
                        for object_id, number in pack.with_prefix(prefix)
                        if pack.kind(number) == kind
                    )
        return found

    def read(self, place: Place) -> bytes:
        """Give the bytes at *place*, of a LIST its list; they are not compared with the id.

        Raises:
            RecordDamaged: they cannot be read.
            OSError: the file cannot be read, or is gone, or the pack is another one by now.
        """
        with self._lock:
            if self._packs.get(place.pack.file) is not place.pack:
                raise FileNotFoundError(place.pack.file)
            try:
                return place.pack.read(place.number)
            except OSError as error:
                if error.errno not in UNREADABLE:
                    raise
                raise RecordDamaged(f"it cannot be read: {error.strerror}") from error
            finally:
                self._rest(place.pack)

    def _list(self) -> None:
        if self._names is None:
            self.refresh()

    # With the lock held.

    def _find_in(self, pack: Pack, object_id: ObjectId) -> Place | None:
        with self._lock, self._noting_damage(pack):
            number = pack.find(object_id)
            return Place(pack, number) if number is not None else None
        return None

    def _load(self, file: str) -> None:
        path = self._root / "objects" / file
        pread = partial(self._open.pread, path)
        try:
            if file.endswith(".open"):
                if not packs.is_begun(file, pread):
                    self._not_begun.add(file)
                    self._open.close(path)
                    return
                pack = packs.open_growing(file, pread, self._cache)
            else:
                pack = packs.open_sealed(file, self._files.size(path), pread, self._cache)
            self._register(pack)
        except FileNotFoundError:  # gc was faster
            return
        except (PackDamaged, OSError) as error:
            self._damaged[file] = _damage(file, error)
        if file in self._damaged:
            self._open.close(path)
        else:
            self._rest(self._packs[file])

    def _rest(self, pack: Pack) -> None:
        """Leave only large sealed packs open between reads."""
        if pack.is_open or _is_small(pack):
            self._open.close(self._root / "objects" / pack.file)

    def _register(self, pack: Pack) -> None:
        if _is_small(pack):
            self._note_small(pack)
        else:
            self._large.append(pack)
        self._packs[pack.file] = pack

    def _note_small(self, pack: Pack) -> None:
        for number, _, object_id in list(pack.objects()):
            place = Place(pack, number)
            if self._small.setdefault(object_id, place) is not place:
                self._more.setdefault(object_id, []).append(place)

    def _forget(self, files: set[str]) -> None:
        gone = [self._packs.pop(file) for file in files if file in self._packs]
        for file in files:
            self._damaged.pop(file, None)
            self._not_begun.discard(file)
            self._open.close(self._root / "objects" / file)
        if any(_is_small(pack) for pack in gone):
            self._small, self._more = {}, {}
            for pack in filter(_is_small, self._packs.values()):
                self._note_small(pack)
        self._large = [pack for pack in self._large if pack.file not in files]

    def _load_again(self, file: str) -> None:
        """Try an open pack again: it may have been read when its writer had hardly begun it."""
        self._damaged.pop(file, None)
        self._not_begun.discard(file)
        self._load(file)
        if file in self._packs:
            self.others += 1
            self.changes += 1

    def _look_on(self, pack: Pack) -> None:
        count = len(pack)
        with self._noting_damage(pack):
            pack.look_on()
        if len(pack) != count:
            self.changes += 1

    @contextmanager
    def _noting_damage(self, pack: Pack) -> Iterator[None]:
        """Go on without a pack that turns out to be damaged, or to be gone, when it is read."""
        try:
            yield
        except (PackDamaged, OSError) as error:
            damage = None if isinstance(error, FileNotFoundError) else _damage(pack.file, error)
            self.changes += 1
            self._forget({pack.file})
            if damage is not None:
                self._damaged[pack.file] = damage
            elif self._names is not None:
                self._names.discard(pack.file)
        finally:
            self._rest(pack)


def _damage(file: str, error: PackDamaged | OSError) -> PackDamaged | StoreDenied:
    """Give what is wrong with a pack; what is about the system instead is raised."""
    if isinstance(error, PackDamaged | StoreDenied):
        return error
    if error.errno not in UNREADABLE:
        raise error
    return damaged(file.partition(".")[0], f"it cannot be read ({error.strerror})")


def _is_small(pack: Pack) -> bool:
    return not pack.is_open and len(pack) <= _SMALL_COUNT
