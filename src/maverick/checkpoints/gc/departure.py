"""What a collection does to runs: refs become shorter or go, and with those that go their owners'
notes.

Whatever their number, the runs that go cost 3 fsyncs: all of them are noted in `dropped.json`,
durably, before the first ref is removed; then `refs/` is synced. So a power cut leaves each of them
with its ref or noted as dropped.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from maverick.checkpoints.disk import layout
from maverick.checkpoints.disk.files import fits, write_new
from maverick.checkpoints.disk.layout import run_name
from maverick.checkpoints.disk.locks import DROPPED
from maverick.checkpoints.refs.dropped import read_dropped, write_dropped
from maverick.checkpoints.refs.refs import encode_ref
from maverick.checkpoints.refs.retention import Fate
from maverick.errors import RunOwned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from maverick.checkpoints.folder import StoreFolder
    from maverick.checkpoints.gc.survey import Survey
    from maverick.checkpoints.refs.refs import Ref


class Departure:
    """Carries out the fates that *survey* has found. `dropped` are the runs that are gone, in
    order.

    On a *tight* disk, which had no space for all of it, as much is done as fits.
    """

    def __init__(self, store: StoreFolder, survey: Survey) -> None:
        self._store = store
        self._files = store.files
        self._survey = survey
        self._noted = read_dropped(store.files, store.root) or {}
        self._shorter: dict[str, tuple[Path, Ref]] = {}
        self.dropped: dict[str, int] = {}

    def write_shorter_refs(self, *, tight: bool) -> None:
        """Write the refs that lose positions under temporary names. Where that does not fit, the
        run stays whole.
        """
        survey = self._survey
        for run, ref in survey.refs.items():
            kept = tuple(it for it in ref.positions if survey.is_live(it.checkpoint))
            if survey.fates[run] is not Fate.ENDS or len(kept) == len(ref.positions):
                continue
            shorter, temporary = ref._replace(positions=kept), layout.temporary(self._store.root)
            if fits(partial(write_new, self._files, temporary, [encode_ref(shorter)]), tight=tight):
                self._shorter[run] = temporary, shorter
            else:
                survey.fates[run] = Fate.WHOLE

    def clean_up(self) -> None:
        """Remove what `write_shorter_refs` has written and nobody has used."""
        for temporary, _ in self._shorter.values():
            with suppress(FileNotFoundError):
                self._files.unlink(temporary)
        self._shorter.clear()

    def carry_out(self, *, tight: bool) -> None:
        """Remove and shorten refs, durably, alone in the store. What was removed of `refs/` and of
        `objects/` before is durable.

        On a *tight* disk that has no space for a note refs go without; `note_the_rest` makes up for
        it.
        """
        survey, now = self._survey, self._store.now()
        going = {
            run: max(now, ref.updated)
            for run, ref in survey.refs.items()
            if survey.fates[run] is Fate.DROPPED
        }
        gone = list(self._gone())
        notes = self._still_needed() | self.dropped
        notes |= {run: now for run in gone if self._store.owner_note(run).get(DROPPED)}
        self._note(notes | going, tight=tight)
        for run, until in going.items():
            if self._remove(run):
                self.dropped[run] = until
        if not going.keys() <= self.dropped.keys():
            self._note(notes | self.dropped, tight=tight)
        for run, (temporary, shorter) in self._shorter.items():
            if survey.fates.get(run) is Fate.ENDS:  # else it has gone, or has moved since
                self._files.rename(temporary, self._store.ref_files.path(run))
                survey.refs[run] = shorter
        for run in gone:
            if not self._store.is_owned(run):  # else it is being begun
                self._remove(run)
        self._files.sync_folder(self._store.root / "refs")

    def note_the_rest(self) -> None:
        """Note what went without a note, if by now there is space for it."""
        self._note(self._noted | self.dropped, tight=True)

    def _still_needed(self) -> dict[str, int]:
        """Give the notes of runs that have checkpoints, and no ref; all, if nobody can say."""
        runs, refs = self._survey.runs, self._survey.refs
        if runs is None:
            return self._noted
        return {run: it for run, it in self._noted.items() if run in runs and run not in refs}

    def _note(self, notes: dict[str, int], *, tight: bool) -> None:
        write = partial(write_dropped, self._files, self._store.root, notes)
        if notes != self._noted and fits(write, tight=tight):
            self._noted = notes

    def _gone(self) -> Iterator[str]:
        """Yield the runs that have an owner's note, but neither a ref nor anything that stays."""
        if self._survey.runs is None:
            return
        staying = self._survey.refs.keys() | self._survey.kept_without_ref()
        for name in layout.list_folder(self._files, self._store.root, "owners"):
            run = run_name(name)
            if run is not None and run not in staying:
                yield run

    def _remove(self, run: str) -> bool:
        """Remove the ref of *run*, if it has one, and its owner's note and logs, while nobody can
        begin to own it; says whether it is gone.
        """

        def remove_ref() -> None:
            with suppress(FileNotFoundError):
                self._files.unlink(self._store.ref_files.path(run))

        def remove_all() -> None:
            with self._store.locks.hold(run) as owner:
                remove_ref()
                if run in self._noted or not owner.previous.get(DROPPED):
                    self._store.remove_logs(run)
                    owner.forget(self._files)

        try:
            if not fits(remove_all):  # no space for a lock that nobody has held so far
                remove_ref()
        except RunOwned:  # since an instant ago
            if run in self._survey.refs:
                self._survey.fates[run] = Fate.WHOLE
                self._survey.mark([self._survey.refs[run]])
            return False
        return True
