"""When collecting garbage pays, judged by a few file sizes: as git does it, seldom and without
being asked, and only where locks can be trusted.

After a collection the store notes how large it is. It pays again when the packs have grown to twice
that and by more than 32 MiB, or when there are so many packs that finding an object costs. The note
is a hint: losing it costs one collection.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import replace
from maverick.checkpoints.disk.layout import temporary

if TYPE_CHECKING:
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder

GROWN_BYTES = 32 * 1024 * 1024
MANY_PACKS = 1000


def collecting_pays(store: StoreFolder) -> bool:
    """Whether the store has grown enough since the last collection, and may be collected unasked.

    Looks at the packs' sizes only.
    """
    count, size = _packs(store)
    before = 0
    with suppress(OSError, ValueError):
        before = int(store.files.read(_note(store)))
    has_grown = count > MANY_PACKS or size > max(2 * before, before + GROWN_BYTES)
    return has_grown and store.locks.are_trusted


def note_collected(store: StoreFolder) -> None:
    """Note how large the store is now. Where that cannot be written, the next collection is judged
    by an older note.
    """
    with suppress(OSError):
        replace(store.files, temporary(store.root), _note(store), [str(_packs(store)[1]).encode()])


def _note(store: StoreFolder) -> Path:
    return store.root / "cache" / "collected"


def _packs(store: StoreFolder) -> tuple[int, int]:
    folder = store.root / "objects"
    count = size = 0
    for name in store.files.list(folder):
        with suppress(FileNotFoundError):
            size += store.files.size(folder / name)
            count += 1
    return count, size
