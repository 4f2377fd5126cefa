"""Writes a sealed pack: objects of about 1 MiB are a record, which begins both streams anew, so all
cores compress.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from maverick.checkpoints.objects.pack_index import ending
from maverick.checkpoints.objects.pack_records import (
    CONTENT_SHIFT,
    PackHeader,
    encode_record,
    raw_blocks,
    require_storable,
    sort,
)
from maverick.checkpoints.objects.packs import Pack
from maverick.checkpoints.objects.parallel import MOST_THREADS
from maverick.checkpoints.objects.segments import BEGINS, compress

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    from maverick.checkpoints.objects.pack_records import NewObject

_RECORD_BYTES = 1 << 20
MOST_SHARED_BYTES = 2 * _RECORD_BYTES
"""A record of several objects holds at most so much: none costs more to be read than this and
itself.
"""
# Of objects before so many others, ids are written in full: else a large pack takes much memory.
_KNOWN_NUMBERS = 1 << 18


class _Packed(NamedTuple):
    """Objects of one record, compressed. `raw_ids` are theirs, in order."""

    counts: tuple[int, int, int, int]
    raw_ids: bytes
    structure: bytes
    content: bytes


class PackWriter:
    """Writes a pack through *write*, whose name `finish` gives, and `file` that of its file then.

    No object may be added twice, and none that names another before that one.
    """

    def __init__(self, write: Callable[[bytes], None], nonce: bytes | None = None) -> None:
        """*nonce*: 16 bytes; random ones, if the pack is for a store, where no name may come
        twice.
        """
        self.file = ""
        self._write = write
        self._hash = blake3()
        self._header = PackHeader(nonce or os.urandom(16))
        self._pack = Pack(".open", 0, self._header, _unread)
        self._count = 0
        self._waiting: list[NewObject] = []
        self._waiting_bytes = 0
        self._numbers: dict[bytes, int] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._jobs: deque[Future[_Packed]] = deque()
        self._put(self._header.encode())

    def add(self, item: NewObject) -> None:
        """Append an object."""
        require_storable(item.data)
        if self._waiting and self._waiting_bytes + len(item.data) > MOST_SHARED_BYTES:
            self._begin_record()
        self._waiting.append(item)
        self._waiting_bytes += len(item.data)
        if self._waiting_bytes >= _RECORD_BYTES:
            self._begin_record()

    def finish(self) -> str:
        """Write what is left, index and trailer; gives the name that the pack must get."""
        if self._waiting:
            self._begin_record()
        while self._jobs:
            self._take(self._jobs.popleft().result())
        self.stop()
        pack = self._pack
        name, end = ending(pack.raw_ids(), pack.records, pack.size, self._hash)
        self._write(end)
        self._pack.size += len(end)
        self.file = f"{name}.pack"
        return name

    def stop(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._pack.size

    def _begin_record(self) -> None:
        counts, objects = sort(self._waiting)
        is_last = self._waiting_bytes < _RECORD_BYTES
        self._waiting, self._waiting_bytes = [], 0
        if len(self._numbers) > _KNOWN_NUMBERS:
            self._numbers = {}
        numbers, first = self._numbers, self._count
        self._count += len(objects)
        for number, item in enumerate(objects, first):
            numbers[item.id.encode()] = number
        if self._pool is None and (is_last or (os.cpu_count() or 1) == 1):
            self._take(_packed(counts, objects, numbers, first))
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 16 ms that a small pack does not need

            self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS))
        # The numbers grow meanwhile, which is no harm: only those before an object are for it.
        self._jobs.append(self._pool.submit(_packed, counts, objects, numbers, first))
        while len(self._jobs) > 2 * MOST_THREADS or (self._jobs and self._jobs[0].done()):
            self._take(self._jobs.popleft().result())

    def _take(self, packed: _Packed) -> None:
        flags = (BEGINS if packed.structure else 0) | (
            BEGINS << CONTENT_SHIFT if packed.content else 0
        )
        data, record = encode_record(
            self._header.nonce,
            self._pack.size,
            flags,
            len(self._pack),
            packed.counts,
            packed.raw_ids,
            packed.structure,
            packed.content,
        )
        self._pack.add(record, packed.raw_ids)
        self._put(data)

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._write(data)
        self._pack.size += len(data)


def _packed(
    counts: tuple[int, int, int, int],
    objects: list[NewObject],
    numbers: dict[bytes, int],
    first: int,
) -> _Packed:
    raw_ids, structure, content = raw_blocks(objects, counts[0], numbers, first)
    return _Packed(
        counts,
        raw_ids,
        compress(structure) if structure else b"",
        compress(content) if content else b"",
    )


def _unread(offset: int, length: int) -> bytes:
    raise AssertionError(
        f"{length} bytes at {offset} were asked for of a pack that is being written"
    )
