"""Refs of which the one that was last read or moved is known, so that a save need not parse it
twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maverick.checkpoints.disk.files import replace
from maverick.checkpoints.disk.layout import temporary
from maverick.checkpoints.disk.names import file_name
from maverick.checkpoints.refs.refs import Ref, Refs, encode_ref, parse_ref

if TYPE_CHECKING:
    from pathlib import Path

    from maverick.checkpoints.disk.files import Files


class CachedRefs(Refs):
    """Refs as `Refs` gives them. A ref's file is read each time, and parsed unless it has the bytes
    it had.
    """

    def __init__(self, files: Files, root: Path) -> None:
        super().__init__(files, root)
        self._last: tuple[bytes, Ref] | None = None

    def get(self, run: str) -> Ref | None:
        """Read the ref of *run*; None if there is no such run. Raises RefDamaged."""
        try:
            data = self._files.read(self._path(run))
        except FileNotFoundError:
            return None
        last = self._last
        if last is not None and last[0] == data and last[1].run == run:
            return last[1]
        ref = parse_ref(data)
        if ref is None or ref.run != run:
            return super().get(run)  # says what is wrong
        self._last = data, ref
        return ref

    def put(self, ref: Ref) -> None:
        """Make *ref* the ref of its run. After a crash it is the old one or this one (2 fsyncs)."""
        data = encode_ref(ref)
        replace(self._files, temporary(self._root), self._path(ref.run), [data])
        self._last = data, ref

    def _path(self, run: str) -> Path:
        return self._root / f"refs/{file_name(run)}"
