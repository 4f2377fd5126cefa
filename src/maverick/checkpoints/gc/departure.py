"""What a collection does to runs: refs become shorter or go, and with those that go their owners'
notes.

Whatever their number, the runs that go cost 3 fsyncs: all of them are noted in `dropped.json`,
durably, before the first ref is removed; then `refs/` is synced. So a power cut leaves each of them
with its ref or noted as dropped.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import is_full, write_new
from maverick.checkpoints.disk.layout import file_name, run_name
from maverick.checkpoints.disk.locks import DROPPED
from maverick.checkpoints.gc.survey import lost_positions
from maverick.checkpoints.refs.dropped import read_dropped, write_dropped
from maverick.checkpoints.refs.refs import encode_ref
from maverick.checkpoints.refs.retention import Fate
from maverick.errors import RunOwned, StoreUnwritable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.survey import Survey
    from maverick.checkpoints.refs.refs import Position, Ref


class Departure:
    """Carries out the fates that *survey* has found. `dropped` are the runs that are gone, in
    order.
    """

    def __init__(self, store: StoreFolder, survey: Survey) -> None:
        self._store = store
        self._files = store.files
        self._survey = survey
        self._noted = read_dropped(store.files, store.root) or {}
        self._shorter: dict[str, Path] = {}
        self._shortened: set[str] = set()
        self.dropped: dict[str, int] = {}

    def write_shorter_refs(self, *, tight: bool) -> None:
        """Write the refs that lose positions under temporary names; on a *tight* disk as many as
        fit.
        """
        for ref in self._survey.refs.values():
            lost = self._lost(ref, self._survey.fates)
            if not lost or ref.run in self._shortened:
                continue
            kept = tuple(position for position in ref.positions if position not in lost)
            temporary = layout.temporary(self._store.root)
            try:
                write_new(self._files, temporary, [encode_ref(ref._replace(positions=kept))])
            except OSError as error:
                if tight and is_full(error):
                    return
                raise
            self._shorter[ref.run] = temporary

    def clean_up(self) -> None:
        """Remove what `write_shorter_refs` has written and nobody has used."""
        for temporary in self._shorter.values():
            with suppress(FileNotFoundError):
                self._files.unlink(temporary)
        self._shorter.clear()

    def keep_unprepared(self, refs: list[Ref], fates: dict[str, Fate]) -> None:
        """Let runs stay whole whose shorter refs were not written."""
        for ref in refs:
            if self._lost(ref, fates) and ref.run not in self._shorter:
                fates[ref.run] = Fate.WHOLE

    def carry_out(self, refs: list[Ref], fates: dict[str, Fate], *, tight: bool) -> None:
        """Remove and shorten refs, durably, alone in the store. What was removed of `refs/` and of
        `objects/` before is durable.

        On a *tight* disk that has no space for a note refs go without; `note_the_rest` makes up for
        it.
        """
        gone = list(self._gone(refs))
        now = self._store.now()
        going = [ref for ref in refs if fates[ref.run] is Fate.DROPPED]
        notes = self._still_needed(refs) | self.dropped
        notes |= {run: now for run in gone if self._store.owner_note(run).get(DROPPED)}
        self._note(notes | {ref.run: max(now, ref.updated) for ref in going}, tight=tight)
        owned = [ref for ref in going if not self._drop(ref, max(now, ref.updated))]
        if owned:
            self._note(notes | self.dropped, tight=tight)
        for ref in refs:
            if fates[ref.run] is Fate.ENDS and ref.run in self._shorter:
                self._files.rename(
                    self._shorter[ref.run], self._store.root / "refs" / file_name(ref.run)
                )
                self._shortened.add(ref.run)
        for run in gone:
            self._forget_owner(run)
        self._files.sync_folder(self._store.root / "refs")

    def note_the_rest(self) -> None:
        """Note what went without a note, if by now there is space for it."""
        self._note(self._noted | self.dropped, tight=True)

    def _lost(self, ref: Ref, fates: dict[str, Fate]) -> tuple[Position, ...]:
        fate = fates[ref.run]
        return lost_positions(ref, fate, self._survey) if fate is Fate.ENDS else ()

    def _still_needed(self, refs: list[Ref]) -> dict[str, int]:
        """Give the notes of runs that have checkpoints, and no ref; all, if nobody can say."""
        runs = self._survey.runs
        if runs is None:
            return self._noted
        refs_of = {ref.run for ref in refs}
        return {
            run: until for run, until in self._noted.items() if run in runs and run not in refs_of
        }

    def _note(self, notes: dict[str, int], *, tight: bool) -> None:
        if notes == self._noted:
            return
        try:
            write_dropped(self._files, self._store.root, notes)
        except OSError as error:
            if not (tight and is_full(error)):
                raise
        else:
            self._noted = notes

    def _drop(self, ref: Ref, until: int) -> bool:
        """Remove a ref while nobody can begin to own its run; says whether it is gone."""
        path = self._store.root / "refs" / file_name(ref.run)
        try:
            with self._store.locks.hold(ref.run) as owner:
                self._files.unlink(path)
                self._store.remove_logs(ref.run)
                owner.forget(self._files)
        except RunOwned:  # since an instant ago
            self._survey.mark([ref], {ref.run: Fate.WHOLE})
            return False
        except StoreUnwritable as error:  # no space for a lock that nobody has held so far
            if not is_full(error):
                raise
            self._files.unlink(path)
        self.dropped[ref.run] = until
        return True

    def _gone(self, refs: list[Ref]) -> Iterator[str]:
        """Yield the runs that have an owner's note, but neither a ref nor anything that stays."""
        if self._survey.runs is None:
            return
        staying = {ref.run for ref in refs} | self._survey.kept_without_ref()
        for name in layout.list_folder(self._files, self._store.root, "owners"):
            run = run_name(name)
            if run is not None and run not in staying:
                yield run

    def _forget_owner(self, run: str) -> None:
        if self._store.is_owned(run):  # it is being begun
            return
        with suppress(RunOwned), self._store.locks.hold(run) as owner:
            if run in self._noted or not owner.previous.get(DROPPED):
                self._store.remove_logs(run)
                owner.forget(self._files)
