"""The open pack that this process appends to: one record and one sync for each save.

Rules that its users rely on: a record counts when it is whole; the file's name is durable before
the first one is acknowledged; after a write or sync that failed the record is taken back as far as
the disk lets, and nothing is ever appended to the file again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from maverick.checkpoints.disk import locks
from maverick.checkpoints.disk.files import FULL, MISPLACED
from maverick.checkpoints.objects.pack_index import ending, hash_bytes
from maverick.checkpoints.objects.pack_records import (
    CLOSED,
    CONTENT_SHIFT,
    HEAD_BYTES,
    PACK_HEADER_BYTES,
    PackHeader,
    RecordDamaged,
    encode_meta,
    encode_record,
    raw_blocks,
    run_tag,
    sort,
)
from maverick.checkpoints.objects.packs import (
    MOST_OBJECTS,
    Pack,
    is_begun,
    open_growing,
)
from maverick.checkpoints.objects.segments import Encoder
from maverick.errors import PackDamaged, StoreDamaged, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files
    from maverick.checkpoints.disk.locks import Descriptor
    from maverick.checkpoints.objects.pack_records import NewObject, Record

SEALED_FROM_BYTES = 8 << 20
"""An open pack of this size is sealed."""
_PAGE_BYTES = 4096
_LEAST_ZEROS, _MOST_ZEROS = 16 << 10, 1 << 20


class OpenPack:
    """An open pack, locked by this process. Only one thread at a time uses it.

    `pack` is what it holds.
    """

    def __init__(self, files: Files, path: Path, lock: Descriptor, pack: Pack) -> None:
        self._files = files
        self._lock = lock
        self.path = path
        self.pack = pack
        self._is_new = not pack.records
        self._zeroed = pack.size
        self._structure, self._content = map(Encoder, pack.begun())

    @classmethod
    def begin(cls, files: Files, folder: Path, boot: bytes) -> OpenPack:
        """Make an open pack in *folder*, and keep it; nothing of it is there before its first
        record. Hold `refs.lock`.
        """
        header = PackHeader(os.urandom(16), boot)
        path = folder / f"{header.nonce.hex()}.open"
        lock = locks.share(files.create(path))
        if lock is None:
            raise AssertionError(f"somebody keeps the new file {path}")
        locks.keep(lock)
        pread = partial(files.pread_open, lock.number)
        return cls(files, path, lock, Pack(path.name, PACK_HEADER_BYTES, header, pread))

    @classmethod
    def go_on(cls, files: Files, path: Path, *, damaged: bool = False) -> OpenPack | None:
        """Take the open pack *path*, cut what was never written whole, write its last record again
        (where its sync has failed, the next one says nothing of it), and sync it and its name. Hold
        `refs.lock` as long as it is not kept.

        None if another process keeps it, it is gone, or damaged: then nobody saves into it, though
        runs may be closed in it (*damaged*).
        """
        try:
            descriptor = files.open_to_write(path)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and error.errno not in MISPLACED:
                raise
            return None
        lock = locks.share(descriptor)
        if lock is None:
            files.close(descriptor)
            return None
        try:
            pack = _read_locked(files, path, lock, damaged=damaged)
            files.truncate(descriptor, pack.size)
            start = pack.records[-1].offset if len(pack.records) > 1 else 0
            files.pwrite(descriptor, files.pread_open(descriptor, start, pack.size - start), start)
            files.sync(descriptor)
            files.sync_folder(path.parent)
            return cls(files, path, lock, pack)
        except (FileNotFoundError, PackDamaged, RecordDamaged, StoreTooNew):
            locks.unlock(lock)
            return None
        except BaseException:
            locks.unlock(lock)
            raise

    def keep(self) -> None:
        """Lock it against everybody else, and let readers know that it is appended to."""
        locks.keep(self._lock)

    @property
    def is_usable(self) -> bool:
        """Whether more can be appended; not after a failure, and not in a forked child."""
        return self._lock.number >= 0

    @property
    def is_full(self) -> bool:
        return self.pack.size >= SEALED_FROM_BYTES or len(self.pack) >= MOST_OBJECTS

    def append(
        self,
        objects: list[NewObject],
        meta: Mapping[str, Any],
        *,
        run: str,
        sequence: int,
        anew: bool = False,
        closed: bool = False,
    ) -> None:
        """Append a record of *objects*, children first, none of which the pack holds; it is durable
        then (1 sync; 2 of a new pack).

        *anew*: it leans on nothing before it. *closed* says that *run* is in this pack no more.

        Raises:
            OSError, StoreDamaged: it is not there, and this pack takes nothing any more.
        """
        try:
            data, record, raw_ids = self._encode(
                objects, meta, run, sequence, anew=anew, closed=closed
            )
            self._write(data)
        except BaseException:
            self._cut(0 if self._is_new else self.pack.size)
            raise
        self.pack.add(record, raw_ids, are_noted=not anew)
        self.pack.size = record.end

    def _encode(
        self,
        objects: list[NewObject],
        meta: Mapping[str, Any],
        run: str,
        sequence: int,
        *,
        anew: bool,
        closed: bool,
    ) -> tuple[bytes, Record, bytes]:
        pack = self.pack
        counts, objects = sort(objects)
        numbers = {} if anew else pack.numbers()
        numbers.update(zip([item.id.encode() for item in objects], count(len(pack))))
        raw_ids, structure, content = raw_blocks(
            objects, counts[0], numbers, len(pack), encode_meta(meta)
        )
        structure, flags = self._structure.put(structure, anew=anew)
        content, more = self._content.put(content, anew=anew)
        data, record = encode_record(
            pack.header.nonce,
            pack.size,
            flags | more << CONTENT_SHIFT | (CLOSED if closed else 0),
            len(pack),
            counts,
            raw_ids,
            structure,
            content,
            sequence,
            run_tag(run),
        )
        return data, record, raw_ids

    def _write(self, data: bytes) -> None:
        at = self.pack.size
        if self._is_new:
            data, at = self.pack.header.encode() + data, 0
        end = at + len(data)
        zeros = 0
        if end > self._zeroed:
            # Blocks that were written once are written again without a change of the file's map.
            zeros = min(max(end, _LEAST_ZEROS), _MOST_ZEROS)
            zeros += -(end + zeros) % _PAGE_BYTES
        try:
            self._files.pwrite(self._lock.number, data + bytes(zeros), at)
        except OSError as error:
            if not zeros or error.errno not in FULL:
                raise
            # The record may fit where the zeros do not.
            self._files.truncate(self._lock.number, at)
            self._files.pwrite(self._lock.number, data, at)
            zeros = 0
        self._files.datasync(self._lock.number)
        if zeros or end > self._zeroed:
            self._zeroed = end + zeros
        if self._is_new:
            self._files.sync_folder(self.path.parent)
            self._is_new = False
        if not self._files.is_named(self._lock.number):
            raise StoreDamaged(
                f"{self.path} was removed while a run was saved into it; run `maverick checkpoint "
                "fsck`"
            )

    def take_back(self) -> None:
        """Make the last record none, as far as the disk lets, and let nobody append to this file
        again.
        """
        self._cut(self.pack.records[-1].offset if len(self.pack.records) > 1 else 0)

    def _cut(self, at: int) -> None:
        with suppress(OSError):
            self._files.pwrite(self._lock.number, bytes(PACK_HEADER_BYTES + HEAD_BYTES), at)
        with suppress(OSError):
            self._files.truncate(self._lock.number, at)
            self._files.sync(self._lock.number)
        self._zeroed = 0
        self.leave()

    def seal(self) -> str:
        """Make it a pack that never changes; gives its file's new name (2 syncs).

        Every run in it is closed, or its ref durable. If it fails, it may still be open.
        """
        try:
            pack = self.pack
            hashed = hash_bytes(pack.size, pack.pread)
            name, end = ending(pack.raw_ids(), pack.records, pack.size, hashed)
            file = f"{name}.pack"
            self._files.pwrite(self._lock.number, end, self.pack.size)
            self._files.truncate(self._lock.number, self.pack.size + len(end))
            self._files.sync(self._lock.number)
            self._files.rename(self.path, self.path.with_name(file))
            self._files.sync_folder(self.path.parent)
            return file
        finally:
            locks.unlock(self._lock)

    def leave(self) -> None:
        """Let go of it: one without a record is removed, zeros behind the last one are cut."""
        try:
            with suppress(OSError):  # Whoever goes on with it does the same.
                if self.is_usable and not self.pack.records:
                    self._files.unlink(self.path)
                elif self.is_usable and self._zeroed > self.pack.size:
                    self._files.truncate(self._lock.number, self.pack.size)
        finally:
            locks.unlock(self._lock)


def _read_locked(files: Files, path: Path, lock: Descriptor, *, damaged: bool) -> Pack:
    """Read the open pack *path*. Raises FileNotFoundError if it is none, or none any more."""
    if not locks.stands_at(lock, path):  # it was sealed before it was locked
        raise FileNotFoundError(path)
    pread = partial(files.pread_open, lock.number)
    if not is_begun(path.name, pread):
        files.unlink(path)
        raise FileNotFoundError(path)
    pack = open_growing(path.name, pread)
    if pack.damage and not damaged:
        raise pack.damage[0]
    return pack
