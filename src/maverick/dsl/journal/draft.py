"""What a run has done and not yet saved, and the saves: each writes all that waits."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from maverick.checkpoints import Checkpoint, CheckpointKind, Content, Store
from maverick.dsl.journal.group_commit import GroupCommit
from maverick.dsl.journal.tree import ABOUT_FILES, FILES, Changes
from maverick.errors import StepFailed, WorkspaceUnreadable
from maverick.record import record
from maverick.visible import list_names

if TYPE_CHECKING:
    from maverick.dsl.journal.keeper import Keeper
    from maverick.dsl.workflow.model import KeepFiles
    from maverick.values import Value

_NAMED_REASONS = 3


@record(kw_only=True)
class Save:
    """A checkpoint that is asked for. Whatever waits in the draft goes with it."""

    reason: str
    kind: CheckpointKind = "auto"
    label: str = ""
    step: str = ""
    workspace: KeepFiles | None = None
    """Whether it keeps the project's files; None leaves that to the workflow."""
    changes: Mapping[tuple[str, ...], Content | None] = field(default_factory=dict)
    facts: Mapping[tuple[str, ...], Content | None] = field(default_factory=dict)
    closes: bool = False
    """Whether it is the last one."""
    settles: bool = False
    """Whether only decisions ask for it, which another save may have taken with it meanwhile."""

    def ends_group(self) -> bool:
        """Whether it holds what had finished when it was asked for, and nothing later."""
        return self.kind != "auto"


class Draft:
    """What is to go with a run's next save; `tip` is the run's newest checkpoint.

    Whoever changes it holds `lock`; `save` takes it itself. Threads that save at the same time
    share a checkpoint.
    """

    def __init__(
        self,
        store: Store,
        tip: Checkpoint,
        keeper: Keeper | None,
        *,
        holds_files: bool,
        writes: bool = True,
    ) -> None:
        """*keeper* takes the project's files for the checkpoints that keep them.

        *holds_files*: *tip* is one of these. Without *writes* saving does nothing.
        """
        self._store = store
        self.tip = tip
        self.lock = threading.RLock()
        self.changes: Changes = {}
        self.facts: Changes = {}
        self.outputs: dict[str, Value] = {}
        """Those of steps that are made of steps, by path, until they are saved."""
        self.decided = 0
        """How many decisions were noted that could come out differently next time."""
        self._settled = 0
        self.summary: Mapping[str, Any] | None = None
        """What listings are to show of the run from the next save on; None changes nothing."""
        self._keeper = keeper
        self._holds_files = holds_files
        self._closed = False
        self._writes = writes
        self._saves = GroupCommit(self._save, Save.ends_group)

    def save(self, save: Save) -> Checkpoint:
        """Write all that waits and what *save* says, and return when it is on the disk.

        Not to be called with the lock.

        Raises:
            StepFailed: An earlier save was the last one, or the project's files cannot be kept.
            MaverickError: As `Store.save`. What waits goes on waiting; what *save* says is lost.
        """
        if self._writes:
            self._saves.submit(save)
        return self.tip

    def settle(self) -> None:
        """Write the decisions that could come out differently next time, if there are any."""
        if self.decided > self._settled:
            self.save(Save(reason="decided", settles=True))

    def keep_no_files(self) -> None:
        """From now on checkpoints hold no files."""
        self._keeper = None

    def _save(self, saves: Sequence[Save]) -> None:
        """Save what *saves* ask for in one checkpoint. One thread at a time does this."""
        if self._closed:
            raise StepFailed("the run has ended; what a step gave afterwards is not recorded")
        if self.decided == self._settled and all(save.settles for save in saves):
            return
        last = saves[-1]
        labelled = last.kind in {"label", "pause"}
        keeper = self._keeper
        capture = keeper.take_files(asked=last.workspace, labelled=labelled) if keeper else None
        files: Changes = dict(capture.changes) if capture else {}
        if not capture and self._holds_files:
            files = dict.fromkeys((FILES, ABOUT_FILES))
        with self.lock:
            changes, self.changes = self.changes, {}
            facts, self.facts = self.facts, {}
            outputs, decided = dict(self.outputs), self.decided
            summary = self.summary
        try:
            tip = self._store.save(
                self.tip.run,
                {**changes, **_all(save.changes for save in saves), **files},
                parent=self.tip,
                kind=last.kind,
                label=last.label,
                step=next((save.step for save in reversed(saves) if save.step), self.tip.step),
                reason=list_names([save.reason for save in saves], _NAMED_REASONS),
                group=self.tip.group,
                facts={**facts, **_all(save.facts for save in saves)},
                summary=summary,
            )
        except BaseException as error:
            with self.lock:
                self.changes = {**changes, **self.changes}
                self.facts = {**facts, **self.facts}
            if isinstance(error, WorkspaceUnreadable):
                raise StepFailed(f"the checkpoint cannot keep the files: {error}") from error
            raise
        if keeper and capture:
            keeper.tell_of(capture)
        with self.lock:
            self.tip = tip
            self._holds_files = capture is not None
            self._closed = last.closes
            self._settled = decided
            for path, output in outputs.items():
                if self.outputs[path] is output:
                    del self.outputs[path]


def _all(changes: Iterable[Mapping[tuple[str, ...], Content | None]]) -> Changes:
    return {path: content for change in changes for path, content in change.items()}
